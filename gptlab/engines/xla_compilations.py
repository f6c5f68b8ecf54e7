"""How many programs jax has compiled in this process, or fetched from the cache on disk: what jobs of a sweep share."""

from __future__ import annotations

import sys
from functools import cache

EVENT = "/jax/core/compile/backend_compile_duration"
_count = 0  # of the process, as the listeners are that jax calls and nobody can take back


@cache
def start_counting() -> None:
    """Count from now on. Loads jax."""
    import jax

    jax.monitoring.register_event_duration_secs_listener(_counted)


def _counted(event: str, duration_secs: float, **_: str | int) -> None:
    global _count
    if event == EVENT:
        _count += 1


def compilations() -> int:
    """Programs since `start_counting`; 0 in a process that has not loaded jax."""
    return _count if "jax" in sys.modules else 0
