"""Whole ablations of a second or two, for tests: by the command, in this process."""

import json
from pathlib import Path
from typing import Any

import pytest

from gptlab.ablation.report.as_json import read_ablation
from gptlab.ablation.result import Ablation
from gptlab.cli import main
from gptlab.runs.files import RUN, SWEEP
from tests.resuming import TINY

BASE = [*TINY, "samples.n=0", "engine=scalar", "train.numSteps=3"]
ARM = "arms=[model/norm=layernorm]"


def ablate(*more: str, status: int = 0) -> Ablation:
    """What the newest ablation of the current folder found: the one that this runs."""
    before = folders()
    assert main(["ablate", *BASE, *more]) == status
    (new,) = folders() - before or {max(before)}
    return read_ablation(new)


def told_as_json(capsys: pytest.CaptureFixture[str], *more: str, status: int = 0) -> dict[str, Any]:
    """What stands on standard output: one object, on one line."""
    capsys.readouterr()
    assert main(["ablate", *BASE, *more, "--json"]) == status
    (line,) = capsys.readouterr().out.splitlines()
    return json.loads(line)


def folders() -> set[Path]:
    """Of all ablations."""
    return {file.parent for file in Path("runs").rglob(SWEEP)}


def run_folders() -> set[Path]:
    return {file.parent for file in Path("runs").rglob(RUN)}
