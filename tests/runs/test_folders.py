"""A folder belongs to one run, or one sweep, for ever: what is refused there, and that it stays as it was."""

import json
import subprocess
from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.errors import UserError
from gptlab.files import write_json
from gptlab.runs.claiming import check_free_for_run, check_free_for_sweep, claimed, held
from gptlab.runs.files import (
    CONFIG,
    INSPECTIONS,
    LOCK,
    METRICS,
    PARAMETERS,
    PLUGINS,
    RUN,
    RUN_FILES,
    START,
    SWEEP_FILES,
    TOKENIZER,
    WRITING,
)
from gptlab.sweeps.record import RECORD
from gptlab.sweeps.summary import LOSSES
from gptlab.sweeps.sweep import STOP
from gptlab.sweeps.table import CSV
from gptlab.sweeps.trial import JOURNAL, STUDY_FILES
from gptlab.tracking.catch_up import UNSENT
from tests.checkpoints import refused
from tests.sweeping import QUICK

TINY = [*QUICK, "tracking=none"]


def start_of(place: Path, status: str) -> Path:
    """What a run leaves whose process is killed once it has begun to write."""
    place.mkdir(parents=True)
    write_json(place / RUN, {"id": "", "name": "tiny", "status": status})
    for name in (CONFIG, TOKENIZER, PLUGINS, UNSENT):
        (place / name).write_text("of the first one")
    return place


def test_the_names_are_those_that_the_rooms_write() -> None:
    assert {INSPECTIONS, RECORD, LOCK, WRITING, PARAMETERS, UNSENT} <= set(RUN_FILES)
    assert {STOP, JOURNAL, CSV, LOSSES, *STUDY_FILES} <= set(SWEEP_FILES)


@pytest.mark.parametrize("name", RUN_FILES)
def test_a_file_of_one_s_own_is_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    said = "job of a sweep" if name == RECORD else f"must not replace your files: .* has {name}. Choose"
    with pytest.raises(UserError, match=f"{said}.* with hydra.run.dir="), claimed(tmp_path):
        pytest.fail("it was claimed")
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("name", [*SWEEP_FILES, "by-seed.png"])
def test_nor_by_a_sweep(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    said = "has one" if name == "sweep.json" else f"must not replace your files: .* has {name}. Choose"
    with pytest.raises(UserError, match=f"{said}.*hydra.sweep.dir="), claimed(tmp_path, check_free_for_sweep):
        pytest.fail("it was claimed")
    assert (tmp_path / name).read_text() == "mine"


def test_the_command_says_so_and_touches_none(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in (CONFIG, METRICS):
        (folder / name).write_text("mine")
    error = refused(capfd, *TINY, "hydra.run.dir=.")
    assert ". has config.yaml and metrics.jsonl. Choose another folder with hydra.run.dir=\n" in error


@pytest.mark.slow
def test_other_files_may_lie_there(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    assert main([*TINY, "hydra.run.dir=."]) == 0
    assert (folder / "notes.txt").read_text() == "mine"
    assert json.loads((folder / RUN).read_text())["status"] == "FINISHED"


@pytest.mark.slow
@pytest.mark.parametrize("status", ["RUNNING", "FAILED", "KILLED", "FINISHED"])
def test_a_run_without_a_checkpoint_keeps_its_folder(
    folder: Path, status: str, capfd: pytest.CaptureFixture[str]
) -> None:
    start_of(folder / "same", status)
    error = refused(capfd, *TINY, "hydra.run.dir=same")
    assert "same has another run, which saved no checkpoint. Choose another with hydra.run.dir=" in error
    error = refused(capfd, "-m", *TINY, "seed=1,2", "hydra.sweep.dir=same")
    assert "a new sweep needs a folder of its own: same has another run" in error


@pytest.mark.slow
def test_a_run_that_became_nan_keeps_its_folder_and_its_losses(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = [*TINY, "hydra.run.dir=same"]
    assert main([*command, "optimizer=sgd", "train.learningRate=1e100"]) == 1
    assert not (folder / "same/checkpoints").exists()
    assert "same has another run, which saved no checkpoint" in refused(capfd, *command)


@pytest.mark.slow
def test_a_run_of_an_older_gptlab_keeps_its_folder(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One that was killed before its first step had no run.json, and run.json had no status."""
    start_of(folder / "same", "")
    (folder / "same" / RUN).unlink()
    (folder / "same" / METRICS).write_text("{}\n")
    assert "has another run" in refused(capfd, *TINY, "hydra.run.dir=same")
    write_json(folder / "same" / RUN, {"id": "", "name": "tiny"})
    assert "has another run" in refused(capfd, *TINY, "hydra.run.dir=same")


@pytest.mark.slow
def test_a_run_that_was_killed_before_its_first_step_has_left_nothing_that_counts(folder: Path) -> None:
    same = start_of(folder / "same", "STARTING")
    (same / "notes.txt").write_text("mine")
    assert main([*TINY, "hydra.run.dir=same"]) == 0
    assert not (same / UNSENT).exists() and not (same / PLUGINS).exists()
    assert (same / CONFIG).read_text() != "of the first one"
    assert (same / "notes.txt").read_text() == "mine"


@pytest.mark.slow
def test_unless_it_had_logged_one(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The step is in metrics.jsonl before run.json says so."""
    (start_of(folder / "same", "STARTING") / METRICS).write_text('{"step": 1}\n')
    assert "has another run" in refused(capfd, *TINY, "hydra.run.dir=same")


def test_or_a_sweep_goes_on_with_it(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (start_of(folder / "same", "STARTING") / RECORD).write_text("{}")
    assert "same has a job of a sweep" in refused(capfd, *TINY, "hydra.run.dir=same")


@pytest.mark.slow
@pytest.mark.parametrize("inner", ["checkpoints/step-000020", "checkpoints/new/run", INSPECTIONS])
def test_no_run_within_what_another_keeps(
    folder: Path, inner: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*TINY, "hydra.run.dir=same"]) == 0
    place = f"same/{inner}"
    assert "must not lie in another run's" in refused(capfd, *TINY, f"hydra.run.dir={place}")
    assert "must not lie in another run's" in refused(
        capfd, "-m", *TINY, "seed=1,2", f"hydra.sweep.dir={place}"
    )


@pytest.mark.slow
def test_a_sweep_s_folder_and_those_of_its_jobs(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    sweep = ["-m", *TINY, "seed=1,2", "hydra.sweep.dir=mine"]
    assert main(sweep) == 0
    assert "mine has a sweep" in refused(capfd, *TINY, "hydra.run.dir=mine")
    assert "mine/0 has the checkpoints of another" in refused(capfd, *TINY, "hydra.run.dir=mine/0")
    (folder / "mine/sweep.json").unlink()
    (folder / "mine/multirun.yaml").unlink()
    for picture in (*Path("mine").glob("*.png"), *Path("mine").glob("*.csv"), Path("mine/sweep.html")):
        picture.unlink()
    assert "mine/0 has the checkpoints of another" in refused(capfd, *sweep)
    assert "has a job of another" in refused(capfd, *sweep, "hydra.sweep.subdir=new-${hydra.job.num}")


@pytest.mark.slow
def test_while_one_trains_there(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Hydra's own files are not replaced either."""
    hydras = folder / "same/.hydra"
    hydras.mkdir(parents=True)
    (hydras / "config.yaml").write_text("of the first one")
    write_json(folder / "same" / RUN, {"id": "", "name": "tiny", "status": "RUNNING"})
    own = ["hydra.output_subdir=.hydra", "hydra.run.dir=same"]
    with held(folder / "same", ""):
        assert "another one is training same" in refused(capfd, *TINY, *own)
        verbose = ["hydra.verbose=[nosuchlogger]"]  # what Hydra itself runs
        assert "another one is training same" in refused(capfd, *TINY, *own, *verbose)
        assert "another one is running same" in refused(
            capfd, "-m", *TINY, "seed=1,2", "hydra.sweep.dir=same"
        )


@pytest.mark.slow
def test_hydra_s_files_of_a_run_stay(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    own = ["hydra.output_subdir=.hydra", "hydra.run.dir=same"]
    assert main([*TINY, *own]) == 0
    assert (folder / "same/.hydra/config.yaml").exists()
    assert "has the checkpoints of another" in refused(capfd, *TINY, *own, "seed=3")
    assert main([*TINY, "hydra.run.dir=other"]) == 0
    (folder / "other" / RUN).write_text((folder / "other" / RUN).read_text().replace("FINISHED", "KILLED"))
    assert "has the checkpoints of another" in refused(capfd, "resume=other", *own)


@pytest.mark.slow
def test_the_mark_stands_before_anything_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gptlab.runs import folder as run_folder

    seen: list[list[str]] = []
    write = run_folder.write_text
    monkeypatch.setattr(
        run_folder,
        "write_text",
        lambda path, text: seen.append([p.name for p in path.parent.iterdir()]) or write(path, text),
    )
    assert main([*TINY, "hydra.run.dir=same"]) == 0
    assert [set(names) for names in seen] == [{RUN, LOCK}]


@pytest.mark.slow
def test_of_what_did_not_begin_only_its_own_is_taken_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Refused when its files are written already: by the store, say."""
    from gptlab.launch import launch

    def refuse(*rest: object) -> None:
        Path("same/meanwhile.txt").write_text("mine")
        raise UserError("the machine is not to be had")

    monkeypatch.setattr(launch, "saver_of", refuse)
    (folder / "same").mkdir()
    (folder / "same/notes.txt").write_text("mine")
    assert main([*TINY, "hydra.run.dir=same"]) == 2
    (folder / "empty").mkdir()
    assert main([*TINY, "hydra.run.dir=empty/deep/er"]) == 2
    assert sorted(p.name for p in (folder / "same").iterdir()) == ["meanwhile.txt", "notes.txt"]
    assert list((folder / "empty").iterdir()) == [], "what was there stays, and only that"


def test_a_claim_is_given_back_as_it_was_found(tmp_path: Path) -> None:
    with claimed(tmp_path / "a/b"):
        with pytest.raises(UserError, match="another one is training"), claimed(tmp_path / "a/b"):
            pytest.fail("two at once")
        assert (tmp_path / "a/b").is_dir()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").mkdir()
    with claimed(tmp_path / "a"):
        start_of(tmp_path / "a/x", "STARTING")  # nothing of the claim's
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert sorted(p.name for p in (tmp_path / "a/x").iterdir()) == sorted(
        {*START} - {LOCK, WRITING, PARAMETERS}
    )


def test_what_is_let_go_is_free_whatever_other_process_still_has_it_open(tmp_path: Path) -> None:
    """One that another thread starts has all that is open until it executes its program."""
    place = held(tmp_path)
    [descriptor] = [int(file.name) for file in Path("/proc/self/fd").iterdir() if leads_to(file, tmp_path)]
    with subprocess.Popen(["sleep", "60"], pass_fds=[descriptor]) as other:
        with pytest.raises(UserError, match="another one is training"):
            held(tmp_path)
        place.release()
        held(tmp_path).release()
        assert other.poll() is None
        other.kill()


def leads_to(file: Path, folder: Path) -> bool:
    try:
        return file.readlink() == folder
    except OSError:  # closed meanwhile, by another thread
        return False


def test_a_step_makes_it_stay(tmp_path: Path) -> None:
    with claimed(tmp_path / "same"):
        write_json(tmp_path / "same" / RUN, {"id": "", "name": "tiny", "status": "RUNNING"})
    for check in (check_free_for_run, check_free_for_sweep):
        with pytest.raises(UserError, match="needs a folder of its own"):
            check(tmp_path / "same")


@pytest.mark.slow
def test_a_folder_in_whose_way_a_file_is(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "file").write_text("in the way")
    assert "must be writable" in refused(capfd, *TINY, "hydra.run.dir=file/run")
    assert "must be writable" in refused(capfd, "-m", *TINY, "seed=1,2", "hydra.sweep.dir=file")


@pytest.mark.slow
def test_a_damaged_run_json_is_still_somebody_s(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (start_of(folder / "same", "STARTING") / RUN).write_text('{"id": ')
    assert "must not replace your files" in refused(capfd, *TINY, "hydra.run.dir=same")


@pytest.mark.slow
def test_a_folder_that_is_named_to_a_run_that_goes_on_is_left_as_it_was(folder: Path) -> None:
    assert main([*TINY, "hydra.run.dir=same"]) == 0
    (folder / "mine").mkdir()
    assert main(["resume=same", "hydra.run.dir=mine/x/y"]) == 2
    assert list((folder / "mine").iterdir()) == []
