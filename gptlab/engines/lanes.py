"""Which of the threads that compute side by side in this process a thread is; 0 for any other one."""

from __future__ import annotations

import os
import threading

_here = threading.local()  # a thread knows its own, whatever it is that calls an engine


def enter_lane(number: int) -> None:
    """From now on this thread is that one; numbers count from 1."""
    _here.number = number


def lane() -> int:
    return getattr(_here, "number", 0)


def cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
