"""Runs that a killed process left as RUNNING: knowing them again, and closing them as KILLED."""

import os
import socket
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

HOST = "gptlab.host"
PROCESS = "gptlab.process"


@cache
def host() -> str:
    """Where process ids mean something: the host and, on Linux, its boot and its pid namespace."""
    marks = [socket.gethostname()]
    with suppress(OSError):  # not Linux: no namespaces
        marks.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(marks)


def process(pid: int) -> str | None:
    """`"PID START"`, which no other process of this host ever has; None if there is none with this id.

    A process id alone is used again after a while, and after each boot.
    """
    try:
        # The name in parentheses may hold anything; the 22nd field counts from before it.
        start = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        return f"{pid} {boot}-{start}"
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return None
    listed = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True)
    return f"{pid} {listed.stdout.strip()}" if listed.returncode == 0 else None


def own_process() -> str:
    """What marks the runs of this process."""
    return process(os.getpid()) or str(os.getpid())


def marks(process: str) -> dict[str, str]:
    """The tags of a run of this host's `process`."""
    return {HOST: host(), PROCESS: process}


def close_orphans(client: "MlflowClient", experiment_ids: list[str]) -> list[str]:
    """Set this host's RUNNING runs whose process is gone to KILLED; the ids of those runs."""
    if not experiment_ids:
        return []
    running = client.search_runs(
        experiment_ids,
        filter_string=f"attributes.status = 'RUNNING' and tags.`{HOST}` = '{host()}'",
        max_results=1000,
    )
    closed = []
    for run in running:
        mark = run.data.tags.get(PROCESS, "")
        pid = mark.partition(" ")[0]
        if pid.isdigit() and process(int(pid)) != mark:
            client.set_tag(run.info.run_id, "error", "the process was killed")
            client.set_terminated(run.info.run_id, "KILLED")
            closed.append(run.info.run_id)
    return closed
