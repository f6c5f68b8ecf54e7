"""Processes that tests start."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.repository import ROOT


def start_python(folder: Path, *arguments: str, **pipes: Any) -> "subprocess.Popen[str]":
    """A Python in this folder, as a user starts it: without the settings that keep MLflow quiet."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "PYTEST"))}
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env={**env, "PYTHONPATH": str(ROOT)},
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **pipes},
    )


def run_program(module: str, *arguments: object, timeout: float) -> Any:
    """What a program of the tests says in the end, as JSON."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def children(pid: int) -> list[int]:
    """The processes that this one has started and that have not ended, or that it has not asked for."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, thread.read_text().split())
    return found


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)
