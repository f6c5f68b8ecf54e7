"""Commands and files that nobody would write end in a line: a share of what tests/command/fuzzing.py tries by hand."""

from pathlib import Path

import pytest

from gptlab.command.verbs import VERBS
from tests.command.fuzzing import fault, fuzz

CASES = 240  # by hand: python -m tests.command.fuzzing FOLDER 5000


@pytest.mark.slow
def test_whatever_is_written_ends_in_a_line(tmp_path: Path) -> None:
    assert fuzz(tmp_path, CASES) == {}


def test_a_fault_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(said: str, status: int) -> None:
        import sys

        monkeypatch.setattr(
            type(VERBS["summary"]), "run", lambda *_: (print(said, file=sys.stderr), status)[1]
        )

    told("gptlab: it must be a number.", 2)
    assert fault(["summary"]) == ""
    told("no word of whom", 2)
    assert "no word of whom" in fault(["summary"])
    told("gptlab: " + "long " * 2000, 2)
    assert "signs" in fault(["summary"])
    told("Traceback (most recent call last):\ngptlab: failed", 2)
    assert fault(["summary"]) == "a traceback is printed"
    told("gptlab: stopped", 137)
    assert fault(["summary"]) == "status 137"
    monkeypatch.setattr(type(VERBS["summary"]), "run", lambda *_: [][1])
    assert fault(["summary"]).startswith("IndexError")
