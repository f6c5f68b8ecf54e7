"""Finished runs, found again: the newest, by folder, by MLflow id, here and from elsewhere."""

import json
import os
import shutil
from pathlib import Path

import pytest

from gptlab.cli import main

SMALL = [
    "data=questions",
    "engine=scalar",
    "model.nEmbd=4",
    "model.nHead=2",
    "model.blockSize=6",
    "train.numSteps=2",
]
FEW = ["samples.n=0", "data.valFraction=0", "progress=none"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(seed: int, *more: str) -> Path:
    before = set(Path("runs").glob("*/*"))
    assert main([*SMALL, *FEW, f"seed={seed}", *(more or ["tracking=none"])]) == 0
    (made,) = set(Path("runs").glob("*/*")) - before
    return made


def samples(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    capfd.readouterr()
    assert main(["generate", "n=3", *arguments]) == 0
    return capfd.readouterr().out


def test_latest_is_the_run_whose_weights_are_newest(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    first, second = train(1), train(2)
    assert samples(capfd) == samples(capfd, f"run={second}") != samples(capfd, f"run={first}")
    (weights,) = first.glob("checkpoints/*/*")
    later = max(file.stat().st_mtime for file in folder.rglob("*")) + 10
    os.utime(weights, (later, later))
    assert samples(capfd) == samples(capfd, f"run={first}")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.yaml", "model: ["),
        ("config.yaml", "5"),
        ("config.yaml", "model: {}"),
        ("config.yaml", "model: {nLayer: one}"),
        ("tokenizer.json", "{"),
        ("tokenizer.json", "[]"),
        ("tokenizer.json", '{"name": "word"}'),
        ("checkpoints/step-000002/weights.safetensors", "half"),
        ("checkpoints/step-000002/weights.safetensors", None),
        ("tokenizer.json", None),
    ],
)
def test_a_broken_run_is_a_mistake_that_names_the_file(
    folder: Path, capfd: pytest.CaptureFixture[str], name: str, content: str | None
) -> None:
    run = train(1)
    if content is None:
        (run / name).unlink()
    else:
        (run / name).write_text(content)
    assert main(["generate", f"run={run}"]) == 2
    error = capfd.readouterr().err
    assert error.startswith("gptlab: ") and error.count("\n") == 1
    assert str(run) in error


@pytest.mark.slow
def test_by_its_mlflow_id_with_its_folder_and_without(
    mlflow_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = train(1, f"tracking.uri=sqlite:///{mlflow_folder}/mlflow.db")
    run_id = json.loads((run / "run.json").read_text())["id"]
    expected = samples(capfd, f"run={run}")
    assert samples(capfd, f"run={run_id}") == expected
    shutil.rmtree(run)
    assert samples(capfd, f"run={run_id}") == expected
    assert main(["generate", "run=0123456789abcdef"]) == 2
    assert "'0123456789abcdef'" in capfd.readouterr().err
