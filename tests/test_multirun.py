"""Sweeps with plain Hydra: `-m`, several runs in one process."""

import json
from pathlib import Path

import pytest

from gptlab.cli import main

SMALL = [
    "+experiment=tiny",
    "data=questions",
    "train.numSteps=3",
    "model.nHead=2",
    "samples.n=1",
    "tracking=none",
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def runs(folder: Path) -> dict[str, Path]:
    """Every run of a sweep by its name."""
    files = folder.glob("runs/*/*-sweep/*/run.json")
    return {json.loads(file.read_text())["name"]: file.parent for file in files}


@pytest.mark.slow
def test_four_models_in_one_process(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["-m", *SMALL, "model.nEmbd=8,16", "model.nLayer=1,2"]) == 0

    found = runs(folder)
    assert set(found) == {f"nEmbd={width} nLayer={depth}" for width in (8, 16) for depth in (1, 2)}
    for folder_of_run in found.values():
        assert (folder_of_run / "checkpoints/step-000003/weights.safetensors").is_file()
        steps = [
            json.loads(line)["step"] for line in (folder_of_run / "metrics.jsonl").read_text().splitlines()
        ]
        assert steps == [1, 3]
    out, error = capfd.readouterr()
    assert error == ""
    assert out.count("parameters (embeddings") == 4 and out.count("run folder: ") == 4


def test_a_job_that_fails_does_not_stop_the_others(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["-m", *SMALL, "engine=scalar", "model.nEmbd=7,2,5", "data.valFraction=0"]) == 1

    assert len(runs(folder)) == 1
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2
    for line, width in zip(lines, (7, 5), strict=True):
        assert line.startswith(f"gptlab: nEmbd={width}: nHead must divide nEmbd")
    left = {path.name for path in folder.glob("runs/*/*-sweep/*")}
    assert left == {"multirun.yaml", "1"}


def test_a_loss_that_is_not_finite_does_not_stop_the_others(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # A loss of NaN at step 2, whatever the data.
    rates = "train.learningRate=1e300,0.01"
    assert (
        main(["-m", *SMALL, "engine=scalar", "model.nEmbd=2", "optimizer=sgd", "data.valFraction=0", rates])
        == 1
    )

    assert len(runs(folder)) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("gptlab: learningRate=1e+300: the loss became") and "at step" in error


def test_a_sweep_over_experiments_names_them(folder: Path) -> None:
    small = [word for word in SMALL if "experiment" not in word]
    wide = ["engine=scalar", "model.nEmbd=2", "data.valFraction=0", "model.nLayer=1"]
    assert main(["-m", "+experiment=tiny,book", *small, *wide]) == 0
    assert set(runs(folder)) == {"tiny", "book"}
