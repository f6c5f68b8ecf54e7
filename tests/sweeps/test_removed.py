"""A sweep whose folder is removed while it goes on, and one whose records cannot be written."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.sweeps.record import FINISHED, JobRecord
from tests.sweeping import QUICK, at_step


@pytest.mark.slow
def test_a_sweep_whose_folder_is_removed_while_it_goes_on_has_not_finished(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job that trains there is trained again; what the others were nobody knows any more."""
    command = ["-m", *QUICK, "tracking=none", "hydra.sweep.dir=mine"]
    with monkeypatch.context() as patch:
        at_step(patch, job=2, step=7, act=lambda: shutil.rmtree("mine"))
        assert main([*command, "seed=1,2,3"]) == 1
    out, error = capfd.readouterr()
    assert "seed=2: a run's folder must stay where it is" in error
    assert error.endswith(
        "gptlab: mine was removed or moved while the sweep ran: jobs that had ended there are not in its summary.\n"
    )
    assert "1 finished, 1 failed" in out
    assert json.loads(Path("mine/sweep.json").read_text())["status"] == "FAILED"
    assert main([*command, "seed=1,2,3", "sweep.resume=mine"]) == 0
    assert "3 finished" in capfd.readouterr().out


@pytest.mark.slow
def test_a_job_whose_record_cannot_be_written_has_failed(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = JobRecord.write

    def full(record: JobRecord, place: Path) -> None:
        if record.number == 0 and record.status == FINISHED:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(record, place)

    monkeypatch.setattr(JobRecord, "write", full)
    assert main(["-m", *QUICK, "tracking=none", "hydra.sweep.dir=mine", "seed=1,2"]) == 1
    error = capfd.readouterr().err
    assert error == (
        "gptlab: seed=1: its record could not be written (No space left on device): the sweep does not know that "
        "it ended.\n"
    )
