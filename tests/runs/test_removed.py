"""A run whose folder, or what is in it, is removed while it is trained: it is said, and nothing trained is lost."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.runs.claiming import claimed
from tests.resuming import assert_same_end, logged
from tests.sweeping import QUICK, at_step, records_of

COMMAND = [*QUICK, "tracking=none"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing has happened to."""
    from tests.resuming import write_corpus

    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_corpus(folder)
        assert main([*COMMAND, "hydra.run.dir=run"]) == 0
    return folder / "run"


def status_of(run: Path) -> str:
    return str(json.loads((run / "run.json").read_text())["status"])


def remove() -> None:
    shutil.rmtree("some/run")


def remove_all_above() -> None:
    shutil.rmtree("some")


def move() -> None:
    os.rename("some/run", "moved")


def replace_by_another() -> None:
    remove()
    Path("some/run").mkdir()
    Path("some/run/config.yaml").write_text("mine")


GONE: dict[str, tuple[Callable[[], None], str, str]] = {
    "removed": (remove, "some/run was removed.", "some/run"),
    "removed with its parents": (remove_all_above, "some/run was removed.", "some/run"),
    "moved": (move, "some/run was moved to moved.", "moved"),
    "replaced": (replace_by_another, "some/run was removed.", "some/run-2"),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", GONE)
@pytest.mark.parametrize("every", ["null", "3"], ids=["no checkpoint", "checkpoints"])
def test_without_its_folder_a_run_ends_and_keeps_what_it_has(
    folder: Path, whole: Path, how: str, every: str, capfd: pytest.CaptureFixture[str]
) -> None:
    act, said, place = GONE[how]
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, job=1, step=7, act=act)
        assert main([*COMMAND, "hydra.run.dir=some/run", f"checkpoint.every={every}"]) == 2
    error = capfd.readouterr().err
    assert error.startswith(
        f"gptlab: a run's folder must stay where it is while it is trained: {said} Training ended at step "
    )
    assert error.count("\n") == 1
    assert error.endswith(f" of 20; kept in {place}; go on with: python -m gptlab resume={place}\n")
    assert status_of(Path(place)) == "FAILED"
    rows = logged(Path(place))
    assert 7 <= rows[-1]["step"] < 20 and [row["step"] for row in rows] == list(range(1, len(rows) + 1))
    if how == "replaced":
        assert [path.name for path in Path("some/run").iterdir()] == ["config.yaml"]
    if how == "moved":
        assert not Path("some/run").exists()
    assert main([f"resume={place}"]) == 0
    assert_same_end(Path(place), whole)


@pytest.mark.slow
def test_after_its_last_step_too(folder: Path, whole: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, job=1, step=20, act=remove)
        assert main([*COMMAND, "hydra.run.dir=some/run"]) == 2
    error = capfd.readouterr().err
    assert error.endswith("some/run was removed. Training ended at step 20 of 20; kept in some/run\n")
    assert_same_end(Path("some/run"), whole)


@pytest.mark.slow
def test_its_checkpoints_alone(folder: Path, whole: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Somebody made room: the run goes on, and names none of them."""
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, job=1, step=20, act=lambda: shutil.rmtree("some/run/checkpoints"))
        assert main([*COMMAND, "hydra.run.dir=some/run", "checkpoint.every=5"]) == 0
    assert capfd.readouterr().err == ""
    assert_same_end(Path("some/run"), whole)
    assert status_of(Path("some/run")) == "FINISHED"


@pytest.mark.slow
@pytest.mark.parametrize("cut", [True, False], ids=["cut", "removed"])
def test_its_numbers_alone(folder: Path, whole: Path, capfd: pytest.CaptureFixture[str], cut: bool) -> None:
    def harm() -> None:
        path = Path("some/run/metrics.jsonl")
        path.write_bytes(path.read_bytes()[:9]) if cut else path.unlink()

    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, job=1, step=7, act=harm)
        assert main([*COMMAND, "hydra.run.dir=some/run"]) == 0
    said = "gptlab: some/run/metrics.jsonl was removed or truncated during the run: it is written again.\n"
    assert capfd.readouterr().err == said
    assert_same_end(Path("some/run"), whole)


@pytest.mark.slow
def test_where_nothing_can_be_written_any_more(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def replace_by_a_file() -> None:
        remove_all_above()
        Path("some").write_text("mine")

    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, job=1, step=7, act=replace_by_a_file)
        assert main([*COMMAND, "hydra.run.dir=some/run"]) == 2
    error = capfd.readouterr().err
    assert "some/run was removed. Training ended at step" in error and "could not be written" in error
    assert error.count("\n") == 1 and Path("some").read_text() == "mine"


@pytest.mark.slow
def test_a_job_s_folder(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, job=1, step=7, act=lambda: shutil.rmtree(next(Path("runs").glob("*/*-sweep/0"))))
        assert main(["-m", *COMMAND, "seed=1,2"]) == 1
    assert {name: record.status for name, record in records_of(folder).items()} == {
        "seed=1": "FAILED",
        "seed=2": "FINISHED",
    }
    assert main(["-m", *COMMAND, "seed=1,2", "sweep.resume=latest"]) == 0


REFUSED = {
    "here": ["hydra.run.dir=."],
    "above": ["hydra.run.dir=.."],
    "an empty one": ["hydra.run.dir=empty"],
    "new below it": ["hydra.run.dir=empty/new/er"],
    "Hydra's own": ["hydra.run.dir=empty/new", "hydra.output_subdir=.hydra"],
    "what Hydra runs": ["hydra.run.dir=empty/new", "hydra.verbose=[nosuchlogger]"],
    "a sweep's": ["-m", "seed=1,2", "hydra.sweep.dir=."],
    "a sweep's, new": ["-m", "seed=1,2", "hydra.sweep.dir=empty/new"],
    "a job's": ["-m", "seed=1,2", "hydra.sweep.dir=..", "hydra.sweep.subdir=here/${hydra.job.num}"],
    "a mistake in a name": ["hydra.run.dir=.", "optimizer=nosuch"],
    "a mistake in a key": ["hydra.run.dir=empty", "train.nosuch=1"],
}


@pytest.mark.slow
@pytest.mark.parametrize("where", REFUSED)
def test_a_command_that_is_refused_removes_nothing_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    (tmp_path / "above/here/empty").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "above/here")
    before = {*tmp_path.rglob("*")}
    flags = [word for word in REFUSED[where] if word == "-m"]
    given = [word for word in REFUSED[where] if word != "-m"]
    assert main([*flags, "tracking=none", "train.numSteps=0", *given]) == 2
    after = {*tmp_path.rglob("*")}
    assert after >= before and (after == before or where == "Hydra's own")


def test_what_somebody_else_makes_meanwhile_is_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, others = Path.mkdir, tmp_path / "others"

    def racing(path: Path, *how: object, **more: object) -> None:
        if path.name == "run":
            make(others, exist_ok=True)
        make(path, *how, **more)  # type: ignore[arg-type]

    def first(path: Path, *how: object, **more: object) -> None:
        if path == others:
            make(path)  # a moment before
        racing(path, *how, **more)

    monkeypatch.setattr(Path, "mkdir", first)
    with claimed(others / "run"):
        assert (others / "run").is_dir()
    assert list(tmp_path.iterdir()) == [others] and list(others.iterdir()) == []
