"""Memory that a step has used is kept for the next one, instead of given back to the system and asked for again.

XLA allocates what a call needs in one piece and frees it at its end. glibc takes pieces of over 32 MiB from the system
each time, and Linux fills every page of them with zeros as it is touched: a seventh of a step of baby GPT.
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable, Iterable
from functools import cache

# mallopt's numbers, of malloc.h; what a user has set in the environment stays.
TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
KEPT = 1 << 30  # bytes that one piece may have, and that are kept free
SETTINGS = ((ARENA_MAX, 1), (MMAP_THRESHOLD, KEPT), (TRIM_THRESHOLD, KEPT))
OWN = ("MALLOC_", "GLIBC_TUNABLES")


@cache
def keep_freed_memory() -> bool:
    """Whether glibc was told so, for the whole process. Before threads have arenas of their own: those have no room."""
    if platform.libc_ver()[0] != "glibc" or chosen_by_user(os.environ):
        return False
    return told(ctypes.CDLL(None).mallopt)


def told(mallopt: Callable[[int, int], int]) -> bool:
    return all([mallopt(option, value) for option, value in SETTINGS])


def chosen_by_user(environment: Iterable[str]) -> bool:
    return any(name.startswith(OWN) for name in environment)
