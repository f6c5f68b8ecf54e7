"""Sweeps in one process, without MLflow: what is in the folder, what is said, what is refused."""

import json
from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.runs.foothold import Foothold
from gptlab.runs.saving import Saver
from gptlab.sweeps.record import read_records
from gptlab.sweeps.sweep import hold_sweep, read_sweep
from gptlab.training.loop import Training

SMALL = [
    "+experiment=tiny",
    "data=questions",
    "train.numSteps=3",
    "model.nHead=2",
    "samples.n=1",
    "tracking=none",
]
# A few steps in a fraction of a second.
QUICK = [*SMALL, "engine=scalar", "model.nEmbd=2", "data.valFraction=0", "model.nLayer=1", "progress=none"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def runs(folder: Path) -> dict[str, Path]:
    """Every run of a sweep by its name."""
    files = folder.glob("runs/*/*-sweep/*/run.json")
    return {json.loads(file.read_text())["name"]: file.parent for file in files}


def sweep_of(folder: Path) -> Path:
    """The only sweep's folder."""
    (found,) = folder.glob("runs/*/*-sweep")
    return found


@pytest.mark.slow
def test_four_models_in_one_process(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["-m", *SMALL, "sweep.jobs=1", "model.nEmbd=8,16", "model.nLayer=1,2"]) == 0

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

    sweep = read_sweep(sweep_of(folder))
    assert sweep.name.startswith("nEmbd × nLayer of tiny") and sweep.status == "FINISHED" and sweep.id == ""
    records = read_records(sweep_of(folder))
    assert [r.overrides for r in records] == [
        {"model.nEmbd": width, "model.nLayer": depth} for width in ("8", "16") for depth in "12"
    ]
    for record in records:
        run = sweep_of(folder) / record.folder
        last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
        assert (record.status, record.steps, record.valLoss) == ("FINISHED", 3, last["val/loss"])
        assert (
            record.score == record.valLoss == record.bestValLoss == last["val/loss"] and record.bestStep == 3
        )
    # Best first: the summary's table has the jobs in the order of their scores.
    best = min(records, key=lambda record: record.score or 0.0)
    assert f"best: {best.name}" in out


@pytest.mark.slow
def test_a_job_that_fails_does_not_stop_the_others(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["-m", *SMALL, "engine=scalar", "model.nEmbd=7,2,5", "data.valFraction=0"]) == 1

    assert set(runs(folder)) == {"nEmbd=2"}
    out, error = capfd.readouterr()
    lines = error.splitlines()
    assert len(lines) == 2
    for line, width in zip(lines, (7, 5), strict=True):
        assert line.startswith(f"gptlab: nEmbd={width}: nHead must divide nEmbd")
    # Of a job that was refused there is its record, and nothing else.
    assert {p.name for job in "02" for p in (sweep_of(folder) / job).iterdir()} == {"job.json"}
    records = read_records(sweep_of(folder))
    assert [(r.status, r.refused) for r in records] == [
        ("FAILED", True),
        ("FINISHED", False),
        ("FAILED", True),
    ]
    assert "nHead must divide nEmbd: got nEmbd=5" in records[2].reason
    assert "1 finished, 2 failed" in out
    assert read_sweep(sweep_of(folder)).status == "FAILED"


@pytest.mark.slow
def test_a_loss_that_is_not_finite_does_not_stop_the_others(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # A loss of NaN at step 2, whatever the data.
    assert main(["-m", *QUICK, "optimizer=sgd", "train.learningRate=1e100,0.01"]) == 1

    assert len(runs(folder)) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("gptlab: learningRate=1e+100: the loss became") and "at step" in error
    failed, finished = read_records(sweep_of(folder))
    assert failed.reason.startswith("the loss became") and not failed.refused and failed.steps > 0
    assert finished.status == "FINISHED"


@pytest.mark.slow
def test_an_error_that_nobody_expected_does_not_stop_the_others(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gptlab.launch import launch

    train = launch.train

    def failing(training: Training, saver: Saver, foothold: Foothold) -> None:
        if saver.run.config["seed"] == 1:
            raise MemoryError("no room")
        train(training, saver, foothold)

    monkeypatch.setattr(launch, "train", failing)
    assert main(["-m", *QUICK, "seed=1,2"]) == 1
    records = read_records(sweep_of(folder))
    assert [(r.status, r.reason) for r in records] == [("FAILED", "MemoryError: no room"), ("FINISHED", "")]
    assert "gptlab: seed=1: Traceback" in capfd.readouterr().err


@pytest.mark.slow
def test_a_sweep_over_experiments_names_them(folder: Path) -> None:
    quick = [word for word in QUICK if "experiment" not in word]
    assert main(["-m", "+experiment=tiny,book", *quick]) == 0
    assert set(runs(folder)) == {"tiny", "book"}
    assert read_sweep(sweep_of(folder)).name == "experiment"


@pytest.mark.slow
def test_an_experiment_that_is_a_sweep(folder: Path) -> None:
    (folder / "experiments").mkdir()
    text = 'defaults: [tiny]\nhydra: {mode: MULTIRUN, sweeper: {params: {seed: "1,2"}}}\n'
    (folder / "experiments/several.yaml").write_text(text)
    assert main(["+experiment=several", *QUICK[1:]]) == 0
    assert set(runs(folder)) == {"seed=1", "seed=2"}
    assert read_sweep(sweep_of(folder)).swept == ["seed"]


@pytest.mark.slow
def test_a_config_of_ones_own_can_be_swept(folder: Path) -> None:
    from gptlab.config.experiments import folder_of

    (folder / "mine").mkdir()
    (folder / "mine/train2.yaml").write_bytes((folder_of("conf") / "train.yaml").read_bytes())
    command = ["-m", "--config-dir", "mine", "--config-name", "train2", *QUICK, "seed=1,2"]
    assert main(command) == 0
    assert set(runs(folder)) == {"seed=1", "seed=2"}


REFUSED = {
    "empty value": (["seed=1,"], "there must be a value on each side of a comma: got 'seed=1,'"),
    "no value": (["seed=range(0,0)"], "at least one value for each key: seed=range(0,0) gives none"),
    "unknown key": (["sed=1,2"], "the config has no key 'sed'"),
    "wrong type": (["seed=1,two"], "seed must be a whole number: got two"),
    "every job invalid": (
        ["model.nEmbd=7,5"],
        "none of the jobs can be trained. The first: nHead must divide",
    ),
    "every job invalid alike": (["train.numSteps=0", "seed=1,2"], "train.numSteps must be at least 1"),
    "no data": (["data=text", "data.path=nosuch", "seed=1,2"], "nosuch"),
    "no such parent": (
        ["seed=1,2", "sweep.resume=nosuch"],
        "sweep.resume must be latest, a sweep's folder, its name or",
    ),
    "no parent at all": (["seed=1,2", "sweep.resume=latest"], "there is none"),
    "a run's resume": (
        ["seed=1,2", "resume=latest"],
        "To go on with a sweep: python -m gptlab -m ... sweep.resume=latest",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_leaves_nothing(folder: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    given, message = REFUSED[name]
    quick = [word for word in QUICK if not any(word.split("=")[0] == text.split("=")[0] for text in given)]
    assert main(["-m", *quick, *given]) == 2
    out, error = capfd.readouterr()
    assert message in error and error.count("\n") == 1 and out == ""
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_what_only_training_shows_is_refused_as_well(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gptlab.errors import UserError

    def refuse(*rest: object) -> None:
        raise UserError("the machine is not to be had")

    monkeypatch.setattr("gptlab.launch.experiment.Experiment.state", refuse)
    assert main(["-m", *QUICK, "seed=1,2"]) == 2
    error = capfd.readouterr().err.splitlines()[-1]
    assert error == "gptlab: none of the jobs can be trained. The first: the machine is not to be had"
    assert list(folder.iterdir()) == []


def test_sweep_resume_is_for_sweeps(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*QUICK, "sweep.resume=latest"]) == 2
    assert "sweep.resume goes on with a sweep" in capfd.readouterr().err
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_a_folder_has_one_sweep(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = ["-m", *QUICK, "seed=1,2", "hydra.sweep.dir=mine"]
    assert main(command) == 0
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert main(command) == 2
    assert "go on with that one: sweep.resume=mine" in capfd.readouterr().err
    with hold_sweep(folder / "mine"):
        assert main([*command, "sweep.resume=mine"]) == 2
    assert "one process at a time: another one is running mine" in capfd.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
