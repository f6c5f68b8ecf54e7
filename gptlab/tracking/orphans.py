"""Runs that a killed process left as RUNNING: knowing them again, and closing them as what they were.

A run has two processes: the one that trains, and the one of MLflow, which writes. What the first left
open the second closes; only what both have left is anybody's. So no status is written over another.
"""

import os
import socket
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path

HOST = "gptlab.host"
PROCESS = "gptlab.process"  # that trains, or runs the sweep
WRITER = "gptlab.writer"  # of MLflow, which writes the run
FOLDER = "gptlab.folder"  # of a run, or on a parent run of its sweep
REASON = "the process was killed"  # of a run that is KILLED


@cache
def host() -> str:
    """Where process ids mean something: the host and, on Linux, its boot and its pid namespace."""
    marks = [socket.gethostname()]
    with suppress(OSError):  # not Linux: no namespaces
        marks.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(marks)


def process(pid: int) -> str | None:
    """`"PID START"`, which no other process of this host ever has; None if there is none with this id.

    A process id alone is used again after a while, and after each boot. A process that has ended may stay
    listed (as a zombie) until its parent asks for it: there is none.
    """
    try:
        # The name in parentheses may hold anything; the 22nd field counts from before it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        if fields[0] in "ZX":
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        return f"{pid} {boot}-{fields[19]}"
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return None
    listed = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True)
    return f"{pid} {listed.stdout.strip()}" if listed.returncode == 0 else None


def own_process() -> str:
    """What marks the runs of this process."""
    return process(os.getpid()) or str(os.getpid())


def marks(process: str) -> dict[str, str]:
    """The tags of a run of this host's `process`, of which this process writes to MLflow."""
    return {HOST: host(), PROCESS: process, WRITER: own_process()}


def lives(mark: str) -> bool:
    """Whether the process of a mark still goes on; False for an empty one."""
    pid = mark.partition(" ")[0]
    return pid.isdigit() and process(int(pid)) == mark
