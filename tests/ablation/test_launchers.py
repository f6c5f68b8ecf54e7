"""An ablation by launchers that have processes of their own: every job is done, and no number is another."""

from pathlib import Path

import pytest

from gptlab.ablation.report.as_json import read_ablation
from gptlab.sweeps.record import read_records
from tests.ablation_commands import ARM, BASE, ablate, folders
from tests.launching import gptlab

LAUNCHERS = {
    "joblib": ["+sweep=joblib", "hydra.launcher.n_jobs=2"],
    "submitit": ["+sweep=submitit_local"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LAUNCHERS)
def test_what_is_found_is_the_same_to_the_bit_and_is_not_trained_again(folder: Path, name: str) -> None:
    command = ["ablate", *BASE, ARM, "seeds=2", *LAUNCHERS[name]]
    done = gptlab(folder, *command)
    assert (done.returncode, done.stderr) == (0, "")
    (place,) = folders()
    found = read_ablation(place)
    assert [record.status for record in read_records(place)] == ["FINISHED"] * 4
    whole = ablate(ARM, "seeds=2", "again=true")
    assert [one.losses for _, one in whole.settings] == [one.losses for _, one in found.settings]
    again = ablate(ARM, "seeds=2", *LAUNCHERS[name])
    assert all(run.reused for _, one in again.settings for run in one.runs)
