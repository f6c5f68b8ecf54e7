"""engine.hosts: two processes of two devices each train one run; one that is killed ends the other, and it goes on."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gptlab.engines import hosts
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from tests.processes import wait_until
from tests.repository import ROOT
from tests.resuming import TINY, write_corpus

MESH = "engine.mesh={data: 2, model: 2}"
SETTINGS = [*TINY, "train.batchSize=8", "train.logEvery=1", "engine.dtype=float64"]


def start(folder: Path, devices: int, *arguments: str) -> "subprocess.Popen[str]":
    flags = f"--xla_force_host_platform_device_count={devices} {os.environ.get('XLA_FLAGS', '')}"
    return subprocess.Popen(
        [sys.executable, "-m", "gptlab", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": flags},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def start_two(folder: Path, *arguments: str) -> "list[subprocess.Popen[str]]":
    """The first of them first."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    return [
        start(folder, 2, *arguments, f'engine.hosts={{coordinator: "{address}", number: 2, index: {index}}}')
        for index in (0, 1)
    ]


def run_in(folder: Path) -> Path:
    """The one there is."""
    (run,) = folder.glob("runs/*/*")
    return run


def losses(run: Path) -> list[float]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row[key] for row in rows for key in ("train/loss", "train/gradNorm", "val/loss") if key in row]


@pytest.mark.slow
def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    steps = ["train.numSteps=20", "train.evalEvery=10", "checkpoint.every=10"]
    ends = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        write_corpus(folder)
        begun = (
            [start(folder, 1, *SETTINGS, *steps)]
            if name == "one"
            else start_two(folder, *SETTINGS, *steps, MESH)
        )
        for index, process in enumerate(begun):
            output, errors = process.communicate(timeout=300)
            assert (process.returncode, errors) == (0, ""), errors
            assert not index or output == ""
        ends.append(run_in(folder))
    one, two = map(losses, ends)
    assert len(one) == 42
    assert one == pytest.approx(two, rel=1e-10)
    assert (ends[0] / "samples.txt").read_bytes() == (ends[1] / "samples.txt").read_bytes()
    assert {file.name for file in ends[0].iterdir()} == {file.name for file in ends[1].iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_one_that_is_killed_ends_the_other_and_the_run_goes_on(tmp_path: Path, killed: int) -> None:
    write_corpus(tmp_path)
    steps = ["train.numSteps=3000", "checkpoint.every=20", "train.evalEvery=100", "samples.n=0"]
    two = start_two(tmp_path, *SETTINGS, *steps, MESH)
    wait_until(lambda: any(tmp_path.glob("runs/*/*/checkpoints/step-*")), 240)
    two[killed].kill()
    _, errors = two[1 - killed].communicate(timeout=60)
    two[killed].communicate()
    assert two[1 - killed].returncode == 1
    assert errors.startswith("gptlab: the 2 processes of a run must all go on")
    assert "resume=latest" in errors
    assert errors.count("\n") == 1
    (run,) = tmp_path.glob("runs/*/*")
    assert json.loads((run / "run.json").read_text())["status"] == ("RUNNING", "FAILED")[killed]
    alone = start(tmp_path, 1, "resume=latest", "engine.devices=1")
    _, errors = alone.communicate(timeout=300)
    assert (alone.returncode, errors) == (0, "")
    assert json.loads((run / "run.json").read_text())["status"] == "FINISHED"
    assert len(losses(run)) == 2 * 3000 + 30


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("two", "engine.hosts must be auto, or say coordinator, number and index: got two"),
        ({"coordinator": "a:1", "number": 2}, "coordinator, number and index"),
        (
            {"coordinator": "here", "number": 2, "index": 0},
            "the address and a free port of process 0: got here",
        ),
        (
            {"coordinator": "a:1", "number": "x", "index": 0},
            "engine.hosts.number must be a whole number: got x",
        ),
        ({"coordinator": "a:1", "number": 0, "index": 0}, "engine.hosts.number must be at least 1: got 0"),
        ({"coordinator": "a:1", "number": 2, "index": 2}, "engine.hosts.index must be below .*, 2: got 2"),
    ],
)
def test_what_names_no_processes_is_refused(given: object, words: str) -> None:
    with pytest.raises(UserError, match=words):
        XlaEngine(hosts=given)


def test_one_process_asks_nobody() -> None:
    assert hosts.joined() == hosts.Joined(0, 1)
    assert hosts.of_all(2.5) == [2.5]
    assert hosts.lost(RuntimeError("a device")) is None
    assert XlaEngine(hosts="auto").alone() == XlaEngine()
