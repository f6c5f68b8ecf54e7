"""Finished runs, found again: the newest, by folder, by MLflow id, here and from elsewhere."""

import json
import os
import shutil
from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.exchange.finding import find_run

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


@pytest.mark.slow
def test_latest_is_the_run_whose_weights_are_newest(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    first, second = train(1), train(2)
    assert samples(capfd) == samples(capfd, f"run={second}") != samples(capfd, f"run={first}")
    (weights,) = first.glob("checkpoints/*/weights.safetensors")
    later = max(file.stat().st_mtime for file in folder.rglob("*")) + 10
    os.utime(weights, (later, later))
    assert samples(capfd) == samples(capfd, f"run={first}")


@pytest.mark.slow
def test_a_run_by_each_of_its_names(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = train(1, "checkpoint.every=1", "tracking=none", "train.learningRate=1")
    expected = samples(capfd)
    first, last = sorted(run.glob("checkpoints/*"))
    for name in (run, run.absolute(), last, f"{run}/"):
        assert samples(capfd, f"run={name}") == expected
    assert samples(capfd, f"run={first}") != expected
    shutil.copytree(first, folder / "elsewhere")
    assert samples(capfd, "run=elsewhere") == samples(capfd, f"run={first}")


@pytest.mark.slow
def test_what_names_weights_is_all_told_by_a_source(folder: Path) -> None:
    run = train(1)
    with find_run("latest", {"name": "none"}) as source:
        pass
    assert source.folder == run and source.step == 2
    assert source.config is not None and source.config["model"]["nEmbd"] == 4
    assert source.tokenizer is not None and source.tokenizer["name"] == "word"
    vocabSize = len(source.tokenizer["pieces"]) + 1
    sizes = {"nLayer": 1, "nEmbd": 4, "blockSize": 6, "nHead": 2, "headDim": 2, "vocabSize": vocabSize}
    assert source.sizes == sizes
    assert source.weights["tokenEmbedding"].shape == (vocabSize, 4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["config.yaml", "tokenizer.json", "metrics.jsonl"])
def test_a_checkpoint_holds_all_that_is_needed(
    folder: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    run = train(1)
    expected = samples(capfd, f"run={run}")
    (run / name).write_text("{")
    assert samples(capfd, f"run={run}") == expected
    (run / name).unlink()
    assert samples(capfd, f"run={run}") == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors", "state.json", "SHA256SUMS"])
@pytest.mark.parametrize("content", ["half", None], ids=["damaged", "missing"])
def test_a_damaged_checkpoint_is_named_and_the_newest_whole_one_offered(
    folder: Path, capfd: pytest.CaptureFixture[str], name: str, content: str | None
) -> None:
    run = train(1, "checkpoint.every=1", "tracking=none")
    first, last = sorted(run.glob("checkpoints/*"))
    if content is None:
        (last / name).unlink()
    else:
        (last / name).write_text(content)
    for reference in (run, last):
        assert main(["generate", f"run={reference}", "tracking=none"]) == 2
        error = capfd.readouterr().err
        assert error.startswith("gptlab: ") and error.count("\n") == 1
        assert str(last) in error
        assert (str(first) in error) == (reference == run)
    assert samples(capfd, f"run={first}")


@pytest.mark.slow
def test_a_run_that_has_saved_nothing(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = train(1)
    shutil.rmtree(run / "checkpoints")
    assert main(["generate", f"run={run}"]) == 2
    assert f"none below {run}/checkpoints" in capfd.readouterr().err


@pytest.mark.slow
def test_a_run_of_a_plugin_that_has_gone_names_it(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.plugin_texts import HALF

    (folder / "plugins").mkdir()
    (folder / "plugins/mine.py").write_text(HALF)
    run = train(1, "ops.mul=halfmul", "tracking=none")
    shutil.rmtree(folder / "plugins")
    assert main(["generate", f"run={run}", "tracking=none"]) == 2
    assert "The run took it from the plugin 'mine'." in capfd.readouterr().err


def test_a_broken_note_of_another_run_is_no_hindrance(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for content in ("{", "[]", '{"id": 5}'):
        place = folder / "runs" / str(len(content))
        place.mkdir(parents=True)
        (place / "run.json").write_text(content)
    assert main(["generate", "run=deadbeef", "tracking=none"]) == 2
    assert "there is no 'deadbeef'" in capfd.readouterr().err


@pytest.mark.slow
def test_by_its_mlflow_id_with_its_folder_and_without(
    mlflow_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = train(1, f"tracking.uri=sqlite:///{mlflow_folder}/mlflow.db")
    run_id = json.loads((run / "run.json").read_text())["id"]
    expected = samples(capfd, f"run={run}")
    assert samples(capfd, f"run={run_id}") == samples(capfd, f"run=runs:/{run_id}") == expected
    shutil.rmtree(run)
    assert samples(capfd, f"run={run_id}") == samples(capfd, f"run=runs:/{run_id}") == expected
    assert main(["export", f"runs:/{run_id}", "output=w.json"]) == 0
    with find_run("w.json", {"name": "none"}) as source:
        assert source.weights["tokenEmbedding"].shape[1] == 4
    assert main(["generate", "run=0123456789abcdef"]) == 2
    assert "'0123456789abcdef'" in capfd.readouterr().err
