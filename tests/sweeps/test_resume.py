"""A sweep that is stopped, and gone on with by what it says; without MLflow."""

import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.sweeps.record import RUNNING, read_records
from gptlab.sweeps.sweep import read_sweep
from tests.repository import ROOT
from tests.resuming import assert_same_end, write_corpus
from tests.sweeping import SEEDS, command_in, records_of, signal_at, sweep_of

COMMAND = [*SEEDS, "tracking=none"]
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
WORDS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}


def run_of(folder: Path, name: str) -> Path:
    """A job's folder."""
    return sweep_of(folder) / records_of(folder)[name].folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep that nothing has stopped."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_corpus(folder)
        assert main(COMMAND) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("number", STATUS, ids=lambda number: number.name)
def test_a_sweep_that_is_stopped_goes_on_by_the_command_that_it_tells(
    folder: Path,
    whole: Path,
    number: signal.Signals,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        signal_at(patch, job=2, step=7, number=number)
        assert main(COMMAND) == STATUS[number]
    out, error = capfd.readouterr()
    assert error.startswith(f"gptlab: stopped by {WORDS[number]} with 1 job finished; go on with: python -m")
    assert "1 finished, 1 killed" in out
    found = records_of(folder)
    assert {name: record.status for name, record in found.items()} == {
        "seed=1": "FINISHED",
        "seed=2": "KILLED",
    }
    assert 7 <= found["seed=2"].steps < 20
    assert read_sweep(sweep_of(folder)).status == "KILLED"
    first = (sweep_of(folder) / "0/metrics.jsonl").stat().st_mtime_ns

    assert main(command_in(error)) == 0
    out, error = capfd.readouterr()
    assert "seed=1: finished before" in out and "3 finished" in out and error == ""
    assert set(records_of(folder)) == {"seed=1", "seed=2", "seed=3"}
    for name, record in records_of(folder).items():
        theirs = records_of(whole)[name]
        assert_same_end(run_of(folder, name), run_of(whole, name))
        assert replace(record, seconds=0.0) == replace(theirs, seconds=0.0)
    assert (sweep_of(folder) / "0/metrics.jsonl").stat().st_mtime_ns == first
    assert read_sweep(sweep_of(folder)).status == "FINISHED"

    # Once more there is nothing to do, by whatever names it.
    assert main([*COMMAND, "sweep.resume=latest"]) == 0
    assert capfd.readouterr().out.count("finished before") == 3


@pytest.mark.slow
def test_a_sweep_whose_process_was_killed_goes_on(folder: Path, whole: Path) -> None:
    program = (
        "import signal, sys, pytest\nfrom gptlab.cli import main\nfrom tests.sweeping import signal_at\n"
        "signal_at(pytest.MonkeyPatch(), job=2, step=12, number=signal.SIGKILL)\nmain(sys.argv[1:])\n"
    )
    command = [*COMMAND, "checkpoint.every=5"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", program, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [r.status for r in read_records(sweep_of(folder), running=True)] == ["FINISHED", RUNNING]

    assert main([*command, "sweep.resume=latest"]) == 0
    for name in ("seed=1", "seed=2", "seed=3"):
        assert_same_end(run_of(folder, name), run_of(whole, name))


def mark_running(folder: Path, name: str) -> Path:
    """Have a job's record say that it goes on; its folder."""
    record = records_of(folder)[name]
    place = sweep_of(folder) / record.folder
    replace(record, status=RUNNING, steps=0, parameters=None, curves={}, bestValLoss=None).write(place)
    return place


@pytest.mark.slow
def test_a_job_that_was_killed_before_a_checkpoint_or_after_the_last_step(
    folder: Path, whole: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(COMMAND) == 0
    early, late = mark_running(folder, "seed=1"), mark_running(folder, "seed=3")
    shutil.rmtree(early / "checkpoints")
    kept = (late / "metrics.jsonl").stat().st_mtime_ns
    assert main([*COMMAND, f"sweep.resume={sweep_of(folder)}"]) == 0
    for name, record in records_of(whole).items():
        assert_same_end(run_of(folder, name), run_of(whole, name))
        assert replace(records_of(folder)[name], seconds=0.0) == replace(record, seconds=0.0)
    assert (late / "metrics.jsonl").stat().st_mtime_ns == kept


@pytest.mark.slow
def test_a_job_that_failed_is_tried_again(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = [*COMMAND[:-2], "model.nEmbd=2,3", "tracking=none"]
    command.remove("model.nEmbd=4")
    assert main(command) == 1
    assert main([*command, "sweep.resume=latest"]) == 1
    assert {name: record.status for name, record in records_of(folder).items()} == {
        "nEmbd=2": "FINISHED",
        "nEmbd=3": "FAILED",
    }


OTHERS = {
    "another value": (["seed=1,2"], "seed=1,2 was seed=1,2,3"),
    "a key more": (["seed=1,2,3", "model.finalNorm=true"], "model.finalNorm=true is new"),
    "a key less": ([], "seed=1,2,3 is missing"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_another_command_is_refused(
    whole: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(whole)
    given, message = OTHERS[name]
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    rest = [word for word in COMMAND if not word.startswith("seed=")]
    assert main([*rest, *given, f"sweep.resume={sweep_of(whole)}"]) == 2
    error = capfd.readouterr().err
    assert "needs the command that began the sweep" in error and message in error
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


@pytest.mark.slow
def test_how_it_runs_may_differ(
    whole: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(whole)
    assert main([*COMMAND, "progress=auto", "checkpoint.keep=1", f"sweep.resume={sweep_of(whole)}"]) == 0
    assert capfd.readouterr().out.count("finished before") == 3


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 2}', '{"format": 1, "name": 5}'])
def test_a_sweep_json_that_is_none_is_refused(
    folder: Path, capfd: pytest.CaptureFixture[str], text: str
) -> None:
    (folder / "sweep.json").write_text(text)
    assert main([*COMMAND, "sweep.resume=."]) == 2
    error = capfd.readouterr().err
    said = "must be JSON" if text == "{" else "is not as gptlab wrote it"
    assert f"sweep.json {said}" in error and error.count("\n") == 1
