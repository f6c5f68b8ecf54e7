"""How much memory this process has, has had, and may still have. In bytes."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path

STATUS, MACHINE = Path("/proc/self/status"), Path("/proc/meminfo")
# Of a container's limit and of what it uses, by version of Linux's cgroups.
LIMITS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)
CACHE = Path("/sys/fs/cgroup/memory.stat")


def resident() -> int:
    """What it has now; on a system that does not tell, the most that it has had."""
    return of_status("VmRSS") or peak()


def peak() -> int:
    """The most that it has had.

    VmHWM where there is one: ru_maxrss also counts what the parent held when it started this process.
    """
    if found := of_status("VmHWM"):
        return found
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def of_status(name: str) -> int:
    return in_kib(STATUS, name) or 0


def available() -> int | None:
    """What it may have besides what it has: of the machine, of its container, of its limits; None if nobody tells."""
    return min((n for n in (of_machine(), of_container(), of_limits()) if n is not None), default=None)


def of_machine() -> int | None:
    found = in_kib(MACHINE, "MemAvailable")
    if found is None:
        with suppress(AttributeError, ValueError, OSError):
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    return found


def of_container() -> int | None:
    for limit, used in LIMITS:
        with suppress(OSError, ValueError):
            most = int(limit.read_text())  # "max" is none
            # Files that the kernel keeps at hand count as used, and make room when it is needed.
            return max(0, most - int(used.read_text()) + cached())
    return None


def cached() -> int:
    with suppress(OSError, ValueError):
        rows = dict(line.split() for line in CACHE.read_text().splitlines())
        return int(rows.get("inactive_file", 0))
    return 0


def of_limits() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    found = []
    for limit, now in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        most = resource.getrlimit(limit)[0]
        if most != resource.RLIM_INFINITY:
            found.append(max(0, most - of_status(now)))
    return min(found, default=None)


def in_kib(path: Path, name: str) -> int | None:
    """The row `NAME:  123 kB` of a file of the kernel's."""
    try:
        rows = path.read_text(encoding="ascii").splitlines()
        return next(int(row.split()[1]) * 1024 for row in rows if row.startswith(f"{name}:"))
    except (OSError, StopIteration, ValueError):
        return None


def give_back() -> None:
    """Give the system back what was freed: after the weights are made, that is more than they are.

    The C library keeps pieces below 32 MiB for what is asked for next, which is never of their sizes again.
    """
    with suppress(AttributeError, OSError, TypeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)
