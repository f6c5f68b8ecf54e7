"""What Python says of itself: one text wherever it comes from, and read from the library's own source."""

import sysconfig
from pathlib import Path

import pytest

from gptlab.data.content import content_of
from gptlab.data.datasets import PythonManual, Text
from gptlab.data.python_manual import docstrings_of, manual
from gptlab.errors import UserError


@pytest.mark.slow
def test_it_is_about_a_megabyte_of_text_and_the_same_every_time():
    texts = PythonManual().documents()
    assert sum(map(len, texts)) > 1_000_000 and len(texts) > 100 and all(text.strip() for text in texts)
    manual.cache_clear()
    assert content_of(PythonManual().documents()) == content_of(texts)
    assert 'The "for" statement is used to iterate over the elements' in texts[0]
    assert any("heap queue" in text.lower() for text in texts[1:])


def test_a_text_by_its_path_is_the_same_and_a_line_each_is_the_same_lines():
    whole = Text(path="python:", unit="window")
    assert whole.documents() == PythonManual().documents() and "Python 3." in whole.source
    lines = PythonManual(unit="line").documents()
    assert lines == Text(path="python:").documents()
    assert lines == [line for text in whole.documents() for line in text.split("\n") if line.strip()]


def test_docstrings_come_in_the_order_of_the_file(tmp_path: Path):
    (tmp_path / "m.py").write_text(
        "'one'\nx = 'none'\nclass A:\n  'two'\n  async def f(self):\n    'three'\n  y = 1\n"
        "def g():\n  'four'\n  def h():\n    'five'\nif x:\n  def i():\n    'inside'\n",
        encoding="utf-8",
    )
    assert list(docstrings_of(tmp_path / "m.py")) == ["one", "two", "three", "four", "five"]


def test_a_python_without_source_is_told_what_to_use_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    manual.cache_clear()
    try:
        with pytest.raises(UserError, match=r"has none of it\. .*data=text data\.path=corpus\.txt"):
            PythonManual().documents()
    finally:
        manual.cache_clear()
