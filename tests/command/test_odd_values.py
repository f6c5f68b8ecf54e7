"""Values that nobody means: whatever is typed, or stands in a file, ends in one line, and never in a traceback."""

from pathlib import Path

import pytest

from gptlab.cli import main

LONG = "9" * 5000
DEEP = "[" * 500 + "]" * 500
TYPED = [
    f"train.numSteps={LONG}",
    f"train.learningRate={LONG}",
    f"model.nEmbd={LONG[:4000]}",
    "model.headDim=11111111111111111111",
    "model.nEmbd=100000000",
    "train.numSteps=1e400",
    "seed=inf",
    "model/norm=[a,[b]]",
    "model/norm={a: 1}",
    "model.norm={a: 1}",
    f"model={DEEP}",
    f"train.freeze={DEEP}",
    "listeners=[[a]]",
    "listeners=[{a: 1}]",
    "listeners=null",
    "train.freeze=[[a]]",
    "train.freeze={a: 1}",
    "ops.mul=[a]",
    "ops={a: b}",
    "optimizer=null",
    "model=null",
    "model.activation=null",
    "train=choice(1)",
    "train.numSteps=range(1,1e9)",
    "model/position=sort(b,a)",
]
FILES = [
    "model: {activation: null}",
    "optimizer: null",
    "defaults: [tiny, override /model/activation: null]",
    "defaults: [[tiny]]",
    "defaults: {tiny: {a: 1}}",
    f"train: {{numSteps: {LONG}}}",
    f"description: {DEEP}",
    "listeners: [[a]]",
    "train: {freeze: [[a]]}",
    "? [a, b]\n: 1",
    "hydra: []",
    "hydra: {run: []}",
    "hydra: null",
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    return tmp_path


@pytest.mark.parametrize("typed", TYPED, ids=[text[:40] for text in TYPED])
def test_what_is_typed_ends_in_one_line(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", "+experiment=tiny", typed]) == 2
    told = capsys.readouterr().err
    assert told.startswith("gptlab: ") and told.count("\n") == 1 and len(told) < 6000


@pytest.mark.parametrize("content", FILES, ids=[text[:40] for text in FILES])
def test_what_a_file_says_ends_in_one_line(
    folder: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "experiments/odd.yaml").write_text(content)
    status = main(["summary", "+experiment=odd"])
    told = capsys.readouterr().err
    assert status == 2 and told.startswith("gptlab: ") and told.count("\n") == 1 and len(told) < 6000


@pytest.mark.parametrize("typed", ["1e8", "1.5", "a", "'b c'"])
def test_what_is_typed_is_not_laid_to_a_file(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", "+experiment=tiny", f"train.batchSize={typed}"]) == 2
    assert ".yaml" not in capsys.readouterr().err


def test_what_a_file_says_is_laid_to_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "experiments/odd.yaml").write_text("train:\n  batchSize: 1e8\n")
    assert main(["summary", "+experiment=odd", "train.batchSize=3"]) == 2
    assert "odd.yaml, line 2" in capsys.readouterr().err


def test_a_name_longer_than_any_file_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", f"data={'a' * 10000}"]) == 2
    assert capsys.readouterr().err.startswith("gptlab: no config has a name this long: aaa")
