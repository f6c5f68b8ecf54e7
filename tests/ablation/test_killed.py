"""An ablation whose process was killed goes on where it was, by the same command."""

import signal
from pathlib import Path
from subprocess import run
from sys import executable

import pytest

from gptlab.sweeps.record import RUNNING, read_records
from tests.ablation_commands import ARM, BASE, ablate, folders
from tests.repository import ROOT

PROGRAM = """
import signal, sys, pytest
from gptlab.cli import main
from tests.sweeping import signal_at
signal_at(pytest.MonkeyPatch(), job=3, step=12, number=signal.SIGKILL)
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_one_that_was_killed_goes_on_and_finds_what_it_would_have_found(folder: Path) -> None:
    asked = ["train.numSteps=20", "train.logEvery=1", "checkpoint.every=5", ARM, "seeds=2"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    words = [executable, "-c", PROGRAM, "ablate", *BASE, *asked]
    done = run(words, cwd=folder, env=environment, capture_output=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (place,) = folders()
    states = [record.status for record in read_records(place, running=True)]
    assert states == ["FINISHED", "FINISHED", RUNNING]
    found = ablate(*asked, "sweep.resume=latest")
    assert folders() == {place} and found.status == "FINISHED"
    assert [record.status for record in read_records(place)] == ["FINISHED"] * 4
    whole = ablate(*asked, "again=true")
    assert [one.losses for _, one in whole.settings] == [one.losses for _, one in found.settings]
