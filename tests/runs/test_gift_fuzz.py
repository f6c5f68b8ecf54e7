"""A share of what tests/runs/damaging.py tries; GPTLAB_GIFTS=2000 has it try the whole."""

import os
from pathlib import Path

import pytest

from tests.runs.damaging import try_cases

CASES = int(os.environ.get("GPTLAB_GIFTS", "60"))


@pytest.mark.slow
def test_a_folder_from_somebody_else_does_no_harm_whatever_is_wrong_in_it(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path_factory.mktemp("gifts")
    monkeypatch.chdir(place)
    for name, value in (("GPTLAB_PLUGINS", ""), ("XDG_STATE_HOME", str(place / "state"))):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    found = try_cases(Path(place), CASES, seed=0)
    assert found.tried == CASES
    assert not found.failed, found.first
