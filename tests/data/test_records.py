"""Texts in JSON Lines and Parquet files."""

import json
import os
from pathlib import Path

import pytest

from gptlab.data import reading
from gptlab.data.datasets import Text
from gptlab.data.reading import FileTexts
from gptlab.data.records import read_texts
from gptlab.data.tokenized import tokenize
from gptlab.data.tokenizers import WordTokenizer
from gptlab.data.watching import Watch
from gptlab.errors import UserError

TEXTS = ["the cat eats", "two lines\nof text", "  ", "a dog"]


def write_lines(path, texts=TEXTS, field="text"):
    path.write_text("".join(json.dumps({"id": i, field: text}) + "\n" for i, text in enumerate(texts)))


def write_table(path, texts=TEXTS, field="text"):
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"id": range(len(texts)), field: texts}), path)


@pytest.mark.parametrize(("write", "name"), [(write_lines, "a.jsonl"), (write_table, "a.parquet")])
def test_a_record_is_a_text(tmp_path, write, name):
    write(tmp_path / name)
    kept = [text for text in TEXTS if text.strip()]
    assert list(Text(path=str(tmp_path / name)).documents()) == kept
    write(tmp_path / name, field="content")
    assert list(Text(path=str(tmp_path / name), field="content", unit="window").documents()) == kept
    with pytest.raises(UserError, match=r"no field of .* is named 'contents'. Did you mean content"):
        list(Text(path=str(tmp_path / name), field="contents").documents())
    with pytest.raises(UserError, match=r"data.field must name a text: 'id' of record 1 of .* is int"):
        list(Text(path=str(tmp_path / name), field="id").documents())


def test_a_folder_may_have_all_kinds(tmp_path):
    write_lines(tmp_path / "b.jsonl", ["one"])
    write_table(tmp_path / "c.parquet", ["two", None, "three"])
    (tmp_path / "a.txt").write_text("zero\nand more\n")
    assert list(Text(path=str(tmp_path)).documents()) == ["zero\nand more\n", "one", "two", "three"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "a.jsonl",
            b'{"text": "a"}\n{"text": \n',
            "must be JSON, a record a line: record 2 of .*a.jsonl is not",
        ),
        ("a.jsonl", b"[1, 2]\n", "must have an object a line: record 1 of .* is list"),
        ("a.jsonl", b"\xff\n", "must be UTF-8 text"),
        ("a.parquet", b"no table", "cannot read .*a.parquet as Parquet"),
        ("a.jsonl", b'{"text": " "}\n', "must hold some text"),
    ],
)
def test_what_is_damaged_is_named(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        list(Text(path=str(tmp_path / name)).documents())


def test_a_table_that_is_cut_off_is_named(tmp_path):
    write_table(tmp_path / "a.parquet", [f"text {i}" for i in range(1000)])
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cannot read .*a.parquet as Parquet"):
        list(Text(path=str(tmp_path)).documents())


def test_a_folder_is_gone_through_once_and_until_something_in_it_is_no_text(tmp_path, monkeypatch):
    (tmp_path / "a.bin").write_bytes(b"\xff")
    (tmp_path / "b").mkdir()
    write_lines(tmp_path / "b/c.jsonl")
    seen, scan = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: seen.append(Path(folder).name) or scan(folder))
    with pytest.raises(UserError, match=r"a\.bin has the byte 0xff"):
        Text(path=str(tmp_path)).documents()
    assert seen == [tmp_path.name]


def test_long_ones_go_into_the_store_by_field(tmp_path, monkeypatch):
    """Two fields of the same file are two texts."""
    monkeypatch.setattr(reading, "IN_MEMORY", 100)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rows = [{"one": f"a b {i}", "two": f"c d e {i}"} for i in range(50)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for field, count in (("one", 3), ("two", 4), ("one", 3)):
        texts = read_texts(tmp_path / "a.jsonl", "data.path", field, window=False)
        assert isinstance(texts, FileTexts)
        found = tokenize(texts, WordTokenizer(), {"name": "word"}, Watch())
        assert found.entry is not None and found.stream.longest == count + 1
