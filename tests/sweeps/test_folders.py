"""Jobs of a sweep whose folder is another's: what trained stays, whatever else goes wrong."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.command.line import read_command_line
from gptlab.files import read_json
from gptlab.sweeps import folders as sweep_folders
from gptlab.sweeps import job
from gptlab.sweeps.plan import facts_of
from gptlab.sweeps.record import RUNNING, read_records
from tests.checkpoints import contents, refused
from tests.sweeping import QUICK

TINY = ["-m", *QUICK, "tracking=none", "hydra.sweep.dir=mine"]
# Known only once a job begins, as it is with Optuna's.
LATE = "hydra.sweep.subdir=x${now:%Y}"


COLLIDING = {
    "one for all": (["seed=0,1", "hydra.sweep.subdir=x"], "gives x to job 0 (seed=0) and to job 1 (seed=1)"),
    "of two keys one": (
        ["train.learningRate=0.01,0.02", "seed=0,1", "hydra.sweep.subdir=lr${train.learningRate}"],
        "gives lr0.01 to job 0 (seed=0) and to job 1 (seed=1)",
    ),
    "the same number": (
        ["train.learningRate=0.01,1e-2", "hydra.sweep.subdir=lr${train.learningRate}"],
        "gives lr0.01 to job 0 and to job 1.",
    ),
    "numbers in a row": (
        ["seed=1,10,2,3,4,5,6,7,8,9,12,0", "hydra.sweep.subdir=${hydra.job.num}${seed}"],
        "gives 110 to job 1 (seed=10) and to job 11 (seed=0)",
    ),
    "a group": (
        ["optimizer=adam,sgd", "seed=0,1", "hydra.sweep.subdir=${optimizer.name}"],
        "gives adam to job 0 (seed=0) and to job 1 (seed=1)",
    ),
    "what Hydra works out": (
        ["seed=0,0", "hydra.sweep.subdir=${hydra.job.override_dirname}"],
        "to job 0 and to job 1.",
    ),
    "written in two ways": (
        ["description=a,b,./a", "hydra.sweep.subdir=${description}"],
        "gives ./a to job 0 (description=a) and to job 2 (description=./a)",
    ),
    "the sweep's own": (["seed=0,1", "hydra.sweep.subdir=."], "puts job 0 into mine"),
    "outside": (["seed=0,1", "hydra.sweep.subdir=../${seed}"], "puts job 0 into 0"),
    "of a key in the config": (
        ["+experiment=swept", "hydra.sweep.subdir=x"],
        "gives x to job 0 (seed=0) and to job 1 (seed=1)",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COLLIDING)
def test_colliding_folders_are_refused_before_the_first_job(
    folder: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    (folder / "experiments").mkdir()
    (folder / "experiments/swept.yaml").write_text('hydra: {sweeper: {params: {seed: "0,1"}}}\n')
    given, says = COLLIDING[name]
    error = refused(capfd, *TINY, *given)
    assert says in error and "hydra.sweep.subdir=" in error.rpartition("Leave it out, or ")[2]


@pytest.mark.slow
def test_what_it_tells_to_type_works(folder: Path) -> None:
    assert main([*TINY, "seed=0,1", "hydra.sweep.subdir=x-${hydra.job.num}"]) == 0
    assert sorted(path.name for path in Path("mine").glob("x-*")) == ["x-0", "x-1"]


@pytest.mark.slow
def test_many_jobs_are_looked_at_without_composing_each(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gptlab.command.composing import prepared

    prepared()
    numbers = ",".join(map(str, range(100)))
    typed = [
        "-m",
        *QUICK,
        f"seed={numbers}",
        "optimizer=adam,sgd",
        "hydra.sweep.subdir=${optimizer.name}${seed}",
    ]
    line = read_command_line(typed)
    compose, composed = sweep_folders.compose_job, []
    monkeypatch.setattr(
        sweep_folders, "compose_job", lambda *args: composed.append(args[1]) or compose(*args)
    )
    facts = facts_of(compose(line.flags, QUICK).hydra)
    found = list(sweep_folders.folders_of_jobs(line, facts.sweeper, typed[-1].partition("=")[2]))
    assert [subdir for _, subdir in found] == [f"{o}{n}" for n in range(100) for o in ("adam", "sgd")]
    assert len(composed) == 2


@pytest.mark.slow
def test_a_job_that_finds_its_folder_taken_writes_nothing_there(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[dict[str, bytes]] = []
    unused = job.unused_folder

    def seen(root: Path, number: int) -> Path:
        (taken,) = root.glob("x*")
        left.append(contents(taken))
        return unused(root, number)

    monkeypatch.setattr(job, "unused_folder", seen)
    assert main([*TINY, "seed=0,1,2", LATE]) == 1
    error = capfd.readouterr().err
    assert error.count("has the checkpoints of another. Choose another with hydra.sweep.subdir=") == 2
    first, second, third = read_records(folder / "mine")
    assert [first.status, second.status, third.status] == ["FINISHED", "FAILED", "FAILED"]
    assert [second.folder, third.folder] == ["refused-1", "refused-2"]
    assert left[0] == left[1] == contents(folder / "mine" / first.folder)

    # Those that got none are done when the sweep goes on, in the folders that they have by now.
    assert main([*TINY, "seed=0,1,2", LATE, "sweep.resume=mine"]) == 0
    assert [record.status for record in read_records(folder / "mine")] == ["FINISHED"] * 3
    assert (folder / "mine/refused-1/checkpoints").is_dir()


@pytest.mark.slow
def test_after_a_first_job_that_failed_as_well(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """All fail, and not all were refused."""
    typed = [*TINY, "seed=0,1", LATE, "optimizer=sgd", "train.learningRate=1e100"]
    assert main(typed) == 1
    first, second = read_records(folder / "mine")
    assert first.reason.startswith("the loss became") and second.refused
    assert (folder / "mine" / first.folder / "metrics.jsonl").exists()
    assert "has another run, which saved no checkpoint" in second.reason


@pytest.mark.slow
def test_all_refused_in_a_folder_that_held_other_things(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gptlab.errors import UserError

    def refuse(*rest: object) -> None:
        Path("mine/1/meanwhile.txt").write_text("mine")
        raise UserError("the machine is not to be had")

    monkeypatch.setattr("gptlab.launch.experiment.Experiment.state", refuse)
    (folder / "mine/0").mkdir(parents=True)
    (folder / "mine/notes.txt").write_text("mine")
    (folder / "mine/1").mkdir()
    (folder / "mine/1/notes.txt").write_text("mine")
    assert main([*TINY, "seed=0,1,2"]) == 2
    assert "none of the jobs can be trained" in capfd.readouterr().err
    left = sorted(str(path) for path in Path("mine").rglob("*"))
    assert left == ["mine/0", "mine/1", "mine/1/meanwhile.txt", "mine/1/notes.txt", "mine/notes.txt"]


@pytest.mark.slow
def test_all_refused_for_runs_that_are_there(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Of which each keeps what it has."""
    assert main([*TINY[1:-1], "hydra.run.dir=mine/0"]) == 0
    assert main([*TINY[1:-1], "hydra.run.dir=mine/1"]) == 0
    assert "mine/0 has the checkpoints of another" in refused(capfd, *TINY, "seed=0,1")
    before = contents(folder)
    assert main([*TINY, "seed=0,1", "hydra.sweep.subdir=${hydra.job.num}${now:}"]) == 2
    assert contents(folder) == before


@pytest.mark.slow
def test_a_sweep_in_the_folder_of_all_runs_knows_its_own_jobs_only(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*TINY, "seed=0,1"]) == 0
    going = folder / "mine/0"
    (record,) = [r for r in read_records(folder / "mine") if r.folder == "0"]
    replace(record, status=RUNNING).write(going)  # of a sweep that still goes on
    before = contents(folder / "mine")
    (folder / "table.csv").write_text("mine")
    assert main([*TINY[:-1], "seed=0,1", "hydra.sweep.dir=.", "hydra.sweep.subdir=s${seed}"]) == 0
    assert [record.folder for record in read_records(folder)] == ["s0", "s1"]
    assert contents(folder / "mine") == before
    assert (folder / "table.csv").read_text() == "mine"


@pytest.mark.slow
def test_a_record_that_names_a_place_elsewhere(folder: Path) -> None:
    """Its own is where it lies: a sweep that goes on touches no other."""
    assert main([*TINY, "seed=0,1"]) == 0
    (folder / "metrics.jsonl").write_text("mine")
    file = folder / "mine/1/job.json"
    file.write_text(json.dumps({**read_json(file), "folder": "..", "status": "FAILED"}))
    assert main([*TINY, "seed=0,1", "sweep.resume=mine"]) == 0
    assert (folder / "metrics.jsonl").read_text() == "mine"
    assert not (folder / "job.json").exists()
    assert [record.folder for record in read_records(folder / "mine")] == ["0", "1"]
