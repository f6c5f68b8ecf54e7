"""Runs that a killed process left as RUNNING: knowing them again, and closing them as what they were.

A run has two processes: the one that trains, and the one of MLflow, which writes. What the first left
open the second closes; only what both have left is anybody's. So no status is written over another.
"""

import hashlib
import os
import socket
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

HOST = "gptlab.host"
PROCESS = "gptlab.process"  # that trains, or runs the sweep
WRITER = "gptlab.writer"  # of MLflow, which writes the run
FOLDER = "gptlab.folder"  # of a run, or on a parent run of its sweep
REASON = "the process was killed"  # of a run that is KILLED

PLACE = " on "  # in a mark, before the place; an earlier gptlab told of none
INITIAL = "4026531836"  # the pid namespace of a Linux machine that is in no container, at every boot


@cache
def host() -> str:
    """What runs of this host are searched for by: its name and, on Linux, its pid namespace.

    Others may have the same: whether a process is gone, its mark must say.
    """
    marks = [socket.gethostname()]
    with suppress(OSError):  # not Linux: no namespaces
        marks.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(marks)


@cache
def place() -> str:
    """Where process ids mean something: `"MACHINE/NAMESPACE"`, either of them empty where it is not known."""
    space = host().partition("pid:[")[2].rstrip("]")
    return f"{machine()}/{space}"


def machine() -> str:
    """What no other machine has, told by a digest: on Linux its id is a secret of its own."""
    found = ""
    if sys.platform.startswith("linux"):
        with suppress(OSError):  # a container may have none
            found = Path("/etc/machine-id").read_text().strip()
    else:
        import uuid

        node = uuid.getnode()
        found = "" if node >> 40 & 1 else str(node)  # a number at random, for want of a network card's
    return hashlib.sha256(f"gptlab {found}".encode()).hexdigest()[:12] if found else ""


@cache
def boot() -> str:
    """Which of all boots this is, of whichever machine; empty where that is not known."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    except OSError:
        return ""


def process(pid: int) -> str | None:
    """`"PID START on PLACE"`, which no other process ever has; None if there is none with this id here.

    A process id alone is used again after a while, and after each boot. A process that has ended may stay
    listed (as a zombie) until its parent asks for it: there is none.
    """
    try:
        # The name in parentheses may hold anything; the 22nd field counts from before it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else f"{pid} {boot()}-{fields[19]}{PLACE}{place()}"
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return None
    listed = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True)
    return f"{pid} {listed.stdout.strip()}{PLACE}{place()}" if listed.returncode == 0 else None


def own_process() -> str:
    """What marks the runs of this process."""
    return process(os.getpid()) or str(os.getpid())


def marks(process: str) -> dict[str, str]:
    """The tags of a run of this host's `process`, of which this process writes to MLflow."""
    return {HOST: host(), PROCESS: process, WRITER: own_process()}


def lives(mark: str) -> bool:
    """Whether the process of a mark is known to go on; False for an empty one."""
    pid = mark.partition(" ")[0]
    found = process(int(pid)) if pid.isdigit() else None
    return found is not None and mark in (found, found.partition(PLACE)[0])


def is_gone(mark: str, free: bool = False) -> bool:
    """Whether the process of a mark is known to have ended; True for an empty one, and False where nobody can tell.

    Of another machine's nobody can, though that may have the same name, nor of another container's. free: whether,
    as far as this kernel knows, nobody holds what the process would hold.
    """
    if lives(mark):
        return False
    start, known, there = mark.partition(PLACE)
    if not known:
        return True  # an earlier gptlab's: those that have its host's name are taken for its host's
    (its, space), (mine, here) = there.split("/"), place().split("/")
    if boot() and boot() == start.partition(" ")[2].partition("-")[0]:
        return space == here or free
    # In containers the id of the machine may be that of an image: many have it at once.
    return its == mine != "" and space == here and space in (INITIAL, "")
