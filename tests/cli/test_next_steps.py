"""The commands that a run ends with: each works as it stands."""

import re
import shlex
from pathlib import Path

import pytest

from gptlab.calling import HERE, STOOD
from gptlab.cli import main

SMALL = [
    *("+experiment=tiny", "train.numSteps=2", "train.evalEvery=0", "train.batchSize=1", "engine=scalar"),
    *("data=questions", "model.nEmbd=8", "model.nHead=2", "model/norm=none", "samples.n=1", "tracking=none"),
]
EXPERIMENTS = ["change a number", "your own text", "compare two"]


def steps_of(said: str) -> dict[str, list[str]]:
    found = re.findall(r"^([a-z ]+): +python -m gptlab (.*)$", said, re.MULTILINE)
    return {what: shlex.split(rest) for what, rest in found}


@pytest.mark.slow
def test_each_step_works_as_it_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "requirements.txt").write_text("what nobody wants to read\n" * 100)
    (tmp_path / "my poems.txt").write_text("the cat sat on the mat\nthe dog ate the log\n" * 50)
    assert main(SMALL) == 0
    steps = steps_of(capsys.readouterr().out)
    assert list(steps) == ["more samples", *EXPERIMENTS]
    assert "model.nEmbd=16" in steps["change a number"] and "model.nEmbd=8" not in steps["change a number"]
    assert "data.path=my poems.txt" in steps["your own text"]
    assert "model/norm=none" not in steps["compare two"]
    for what, command in steps.items():
        assert main(command) == 0, what
    # They are for who has not seen them.
    assert main(SMALL) == 0
    assert list(steps_of(capsys.readouterr().out.rpartition("run folder:")[2])) == ["more samples"]


@pytest.mark.slow
def test_they_are_shown_only_where_they_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*SMALL, "progress=none"]) == 0
    assert capsys.readouterr().out == ""
    monkeypatch.setenv(STOOD, HERE)  # make tiny shows them each time
    assert main([*SMALL, "data=text", "data.path=../words.txt"]) == 2
    (tmp_path / "words.txt").write_text("the cat sat on the mat\nthe dog ate the log\n" * 50)
    assert main([*SMALL, "data=text", "data.path=words.txt", "model.headDim=4"]) == 0
    steps = steps_of(capsys.readouterr().out)
    assert list(steps) == ["more samples", "change a number", "compare two"]  # a text it has
    assert "model.nLayer=2" in steps["change a number"]
    assert main([*SMALL, "initFrom=latest", "data=text", "data.path=words.txt", "model.nEmbd=8"]) == 0
    assert "change a number" not in capsys.readouterr().out
    assert main(["-m", *SMALL, "seed=1,2"]) == 0
    assert "more samples" not in capsys.readouterr().out


def test_without_a_text_here_the_runs_own_samples_are_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.md").write_bytes(b"\xff\xfe" * 100)
    assert main(SMALL) == 0
    (path,) = (w for w in steps_of(capsys.readouterr().out)["your own text"] if w.startswith("data.path="))
    assert (tmp_path / path.removeprefix("data.path=")).is_file()
