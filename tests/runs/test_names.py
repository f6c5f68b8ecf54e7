"""Runs by their names: the newest of an experiment, the best of a sweep, and what wins where two things have one."""

import os
from pathlib import Path

import pytest

import gptlab
from gptlab.cli import main
from gptlab.errors import UserError
from gptlab.exchange.finding import find_run
from gptlab.files import read_json
from gptlab.runs.config_file import read_config
from gptlab.runs.finding import may_change
from gptlab.runs.folder import SweepFolder
from gptlab.runs.resuming import folder_to_resume

EXPERIMENT = "defaults: [override /data: questions, override /engine: scalar, override /tracking: none]\n"
EXPERIMENT += "model: {nEmbd: 4, nHead: 2, blockSize: 6}\n"
EXPERIMENT += "train: {numSteps: 2}\nsamples: {n: 0}\nprogress: none\n"
NONE = {"name": "none"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs `pea`, `bean`, `pea nEmbd=8`, in this order, and a sweep of `bean` over two rates."""
    folder = tmp_path_factory.mktemp("names")
    (folder / "experiments").mkdir()
    for name in ("pea", "bean"):
        (folder / f"experiments/{name}.yaml").write_text(EXPERIMENT)
    before = Path.cwd()
    os.chdir(folder)
    try:
        for number, typed in enumerate(("pea", "bean", "pea model.nEmbd=8")):
            assert (
                main([f"+experiment={typed.split()[0]}", *typed.split()[1:], f"hydra.run.dir=runs/{number}"])
                == 0
            )
        rates = "train.learningRate=0.00001,0.5"
        assert main(["-m", "+experiment=bean", rates, "hydra.sweep.dir=runs/sweep"]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


def found(reference: str) -> str:
    with find_run(reference, NONE) as run:
        return str(run.folder)


def best() -> str:
    losses = {name: read_json(Path(f"runs/sweep/{name}/job.json"))["valLoss"] for name in ("0", "1")}
    return f"runs/sweep/{min(losses, key=losses.__getitem__)}"


@pytest.mark.slow
def test_an_experiment_names_its_newest_run_whatever_was_typed_for_it() -> None:
    assert found("pea") == "runs/2"
    assert found("bean") == "runs/1"


def test_a_whole_name_names_the_newest_run_of_just_that_name() -> None:
    assert found("pea nEmbd=8") == "runs/2"


def test_newest_is_by_weights(tmp_path: Path) -> None:
    (weights,) = Path("runs/0").glob("checkpoints/*/weights.safetensors")
    before = weights.stat()
    os.utime(weights, (before.st_mtime + 1000, before.st_mtime + 1000))
    try:
        assert found("pea") == "runs/0"
    finally:
        os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_sweep_is_its_best_run_by_folder_and_by_name() -> None:
    assert SweepFolder(Path("runs/sweep")).identity()["name"] == "learningRate of bean"
    assert found("runs/sweep") == found("learningRate of bean") == best()


def test_a_sweep_by_the_mlflow_id_of_its_parent() -> None:
    sweep = SweepFolder(Path("runs/sweep"))
    sweep.update(id="0123456789abcdef0123456789abcdef")
    assert found(sweep.id) == found(f"runs:/{sweep.id}") == best()


def test_the_sign_between_two_keys_can_be_typed() -> None:
    sweep = SweepFolder(Path("runs/sweep"))
    sweep.update(name="nEmbd × nLayer of bean")
    try:
        assert found("nEmbd x nLayer of bean") == found("nEmbd × nLayer of bean") == best()
    finally:
        sweep.update(name="learningRate of bean")


def test_a_folder_wins_over_a_name(tmp_path: Path) -> None:
    os.symlink(Path("runs/1").absolute(), "pea")
    try:
        assert found("pea") == "pea"
    finally:
        os.unlink("pea")


@pytest.mark.slow
def test_each_verb_takes_a_name(capfd: pytest.CaptureFixture[str]) -> None:
    for arguments, says in {
        ("generate", "run=pea", "n=1", "tracking=none"): "",
        ("inspect", "run=bean", "text=what", "tracking=none"): "what",
        ("export", "pea", "output=w.json", "tracking=none"): "w.json",
        ("compare", "pea", "bean", "tracking=none"): "pea nEmbd=8",
        ("compare", "learningRate of bean", "tracking=none"): "learningRate=0.5",
    }.items():
        capfd.readouterr()
        assert main([*arguments]) == 0, capfd.readouterr().err
        assert says in capfd.readouterr().out
    assert gptlab.load("pea").config.model.nEmbd == 8
    assert gptlab.load("learningRate of bean").folder == Path(best())


@pytest.mark.slow
def test_what_is_kept_of_a_start_is_the_folder_that_the_name_meant() -> None:
    data = [
        "data=questions",
        "engine=scalar",
        "train.numSteps=1",
        "samples.n=0",
        "progress=none",
        "tracking=none",
    ]
    assert main([*data, "initFrom=pea", "hydra.run.dir=elsewhere"]) == 0
    config = read_config(Path("elsewhere"))
    assert config["original"]["run"].startswith("runs/2/checkpoints/")
    assert config["model"]["nEmbd"] == 8


@pytest.mark.parametrize(
    ("reference", "changes"),
    [("latest", True), ("pea", True), ("runs/sweep", True), ("runs/0", False), ("w.json", False)],
)
def test_what_may_name_another_run_tomorrow(reference: str, changes: bool) -> None:
    assert may_change(reference) is changes


def test_resume_takes_the_newest_of_a_name_and_no_sweep() -> None:
    assert folder_to_resume("pea") == Path("runs/2")
    with pytest.raises(UserError, match=r"runs/sweep is a sweep\. Type .* sweep\.resume=runs/sweep"):
        folder_to_resume("learningRate of bean")


@pytest.mark.slow
def test_a_sweep_goes_on_by_its_name(capfd: pytest.CaptureFixture[str]) -> None:
    rates = "train.learningRate=0.00001,0.5"
    assert main(["-m", "+experiment=bean", rates, "sweep.resume=learningRate of bean"]) == 0
    assert main(["-m", "+experiment=bean", rates, "sweep.resume=pea"]) == 2
    assert "'pea' is a run, runs/2" in capfd.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["generate", "run=peo"],
        ["inspect", "run=peo", "text=what"],
        ["export", "peo"],
        ["compare", "bean", "peo"],
        ["resume=peo"],
        ["+experiment=bean", "initFrom=peo"],
    ],
    ids=" ".join,
)
def test_a_mistyped_name_is_told_with_the_nearest_and_no_store_is_opened(
    arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """Even with MLflow, which may have a run with such an id."""
    assert main(arguments) == 2
    error = capfd.readouterr().err
    assert "there is no 'peo' below" in error and "Did you mean pea" in error and error.count("\n") == 1
    assert not Path("mlflow.db").exists()


def test_a_sweep_that_has_no_best_run_says_so() -> None:
    sweep = SweepFolder(Path("runs/sweep"))
    known = sweep.identity()["best"]
    try:
        for best, says in (("", "names none"), (7, "names none"), ("../0", "is not in its folder")):
            sweep.update(best=best)
            with pytest.raises(UserError, match=says):
                found("runs/sweep")
    finally:
        sweep.update(best=known)
