"""What resume= cannot go on with: one message, exit status 2, and everything is left as it is."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from gptlab.cli import main
from gptlab.runs.checkpoint.folder import checkpoint_folders
from gptlab.runs.claiming import held
from tests.checkpoints import refused, sign
from tests.resuming import TINY, as_killed, write_corpus

SOME = [*TINY, "engine=scalar", "train.numSteps=7", "checkpoint.every=3", "checkpoint.keep=9", "samples.n=0"]
LIST = "resume continues a run as it was: got "


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus, and in `whole` the run that was trained on it."""
    folder = tmp_path_factory.mktemp("trained")
    write_corpus(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*SOME, "hydra.run.dir=whole"]) == 0
    return folder


@pytest.fixture
def killed(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run with steps left, at step 6; beside it `whole`, which has none."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return as_killed(Path("whole"), Path("runs/day/killed"), 6)


@pytest.mark.slow
def test_a_run_that_has_finished(killed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    error = refused(capfd, "resume=whole")
    assert "resume needs a run that has steps left: whole has finished its 7." in error
    assert error.endswith("initFrom=whole\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train.numSteps=8"], "train.numSteps=8 (the run has 7)."),
        (["train.numSteps=1000"], "train.numSteps=1000 (the run has 7)."),
        (["optimizer=sgd"], "optimizer=sgd (the run has adam)."),
        (
            ["model/norm=layernorm", "seed=3"],
            "seed=3 (the run has 0), model/norm=layernorm (the run has rmsnorm).",
        ),
        (["engine=xla"], "engine=xla (the run has scalar)."),
        (["ops.mul=logmul"], "ops.mul=logmul (the run has mul)."),
        (["optimizer.beta1=0.5"], "optimizer.beta1=0.5 (the run has 0.85)."),
        (["+experiment=tiny"], "train.batchSize=16 (the run has 1)"),
        (["samples.n=5"], "samples.n=5 (the run has 0)."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_would_make_it_another_run(
    killed: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    error = refused(capfd, f"resume={killed}", *arguments)
    assert error.startswith(f"gptlab: {LIST}") and says in error
    assert error.endswith(f"to begin another run from its weights: initFrom={killed}\n")


@pytest.mark.slow
@pytest.mark.parametrize("reference", ["nosuch", "runs/nosuch", "0123456789abcdef0123456789abcdef"])
def test_no_such_run(killed: Path, capfd: pytest.CaptureFixture[str], reference: str) -> None:
    assert f"there is no '{reference}' below" in refused(capfd, f"resume={reference}")


@pytest.mark.slow
def test_a_folder_that_is_no_run(killed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    os.mkdir("empty folder")
    assert "the run must have a checkpoint" in refused(capfd, "resume='empty folder'")


@pytest.mark.slow
def test_no_run_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "there is none. Leave resume out" in refused(capfd, "resume=latest")


@pytest.mark.slow
def test_in_a_sweep(killed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["-m", f"resume={killed}", "checkpoint.keep=1,2"]) == 2
    assert "resume goes on with one run" in capfd.readouterr().err


def test_an_older_checkpoint(killed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    error = refused(capfd, f"resume={killed}/checkpoints/step-000003")
    assert "the steps between would only be repeated" in error and error.endswith(f"resume={killed}\n")


def test_no_whole_checkpoint(killed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for folder in checkpoint_folders(killed):
        (folder / "weights.safetensors").write_bytes(b"")
    error = refused(capfd, f"resume={killed}")
    assert "must have a whole checkpoint" in error and "step-000006/weights.safetensors is damaged" in error


@pytest.mark.slow
def test_data_that_has_changed(killed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with open("corpus.txt", "a") as file:
        file.write("the cat\n")
    assert "corpus.txt has changed since (24 documents" in refused(capfd, f"resume={killed}")


@pytest.mark.slow
def test_data_that_has_gone(killed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    os.remove("corpus.txt")
    assert "corpus.txt" in refused(capfd, f"resume={killed}")


def rewritten(folder: Path, name: str, **changes: np.ndarray) -> None:
    arrays = load_file(folder / name)
    save_file({key: array for key, array in {**arrays, **changes}.items() if array.size}, folder / name)
    sign(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("weights.safetensors", {"output": np.ones((3, 4))}, "output: the file has (3, 4), the model ("),
        ("weights.safetensors", {"extra": np.ones(2)}, "extra: the file has (2,), the model none"),
        (
            "optimizer.safetensors",
            {"mean/output": np.ones(2)},
            "mean/output: the file has (2,), the optimizer (",
        ),
        (
            "optimizer.safetensors",
            {"mean/output": np.ones(0)},
            "mean/output: the file has none, the optimizer (",
        ),
        (
            "optimizer.safetensors",
            {"velocity/output": np.ones(2)},
            "velocity/output: the file has (2,), the optim",
        ),
    ],
    ids=["shape", "extra", "moment", "missing", "other-optimizer"],
)
def test_arrays_of_another_model(
    killed: Path, capfd: pytest.CaptureFixture[str], name: str, changes: dict[str, np.ndarray], says: str
) -> None:
    rewritten(killed / "checkpoints/step-000006", name, **changes)
    assert says in refused(capfd, f"resume={killed}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("train", {"numSteps": "many"}, "numSteps"),
        ("train", 5, "state.json must hold a config that this gptlab knows"),
        ("optimizer", {"name": "nosuch"}, "no optimizer is named 'nosuch'"),
        ("optimizer", {"_target_": "os.system", "name": "adam"}, "_target_"),
        ("seed", -1, "seed must be at least 0"),
        ("futureKey", 1, "futureKey"),
    ],
    ids=str,
)
def test_a_config_that_is_none(
    killed: Path, capfd: pytest.CaptureFixture[str], key: str, value: object, says: str
) -> None:
    file = killed / "checkpoints/step-000006/state.json"
    state = json.loads(file.read_text())
    old = state["config"].get(key)
    state["config"][key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    file.write_text(json.dumps(state))
    sign(file.parent)
    assert says in refused(capfd, f"resume={killed}")


@pytest.mark.slow
def test_what_looks_like_an_interpolation_is_a_text(killed: Path) -> None:
    file = killed / "checkpoints/step-000006/state.json"
    file.write_text(
        file.read_text().replace('"description": ""', '"description": "${oc.env:HOME} ${nosuch}"')
    )
    sign(file.parent)
    assert main([f"resume={killed}"]) == 0
    state = json.loads((checkpoint_folders(killed)[-1] / "state.json").read_text())
    assert state["config"]["description"] == "${oc.env:HOME} ${nosuch}"


def test_a_run_that_is_being_trained(killed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with held(killed):
        assert "another one is training" in refused(capfd, f"resume={killed}")


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_to(
    killed: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Asked of the system, not tried with permissions: to root all is writable."""
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))
    assert f"must be writable to go on with it: {killed} is not" in refused(capfd, f"resume={killed}")


def test_a_new_run_in_the_folder_of_another(killed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    error = refused(capfd, *SOME, f"hydra.run.dir={killed}")
    assert (
        "has the checkpoints of another. Choose another with hydra.run.dir=, or go on with that run: "
        f"python -m gptlab resume={killed}" in error
    )


@pytest.mark.parametrize(("key", "value"), [("every", 0), ("keep", 0), ("every", -5)])
def test_numbers_out_of_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], key: str, value: int
) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"checkpoint.{key} must be at least 1" in refused(capfd, f"checkpoint.{key}={value}")
