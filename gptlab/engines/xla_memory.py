"""Memory that a step has used is kept for the next one, instead of given back to the system and asked for again.

XLA allocates what a call needs in one piece and frees it at its end. glibc takes pieces of over 32 MiB from the system
each time, and Linux fills every page of them with zeros as it is touched: a seventh of a step of baby GPT.
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterable
from functools import cache

# mallopt's numbers, of malloc.h; what a user has set in the environment stays.
TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
KEPT = 1 << 30  # bytes that one piece may have, and that are kept free
OWN = ("MALLOC_", "GLIBC_TUNABLES")


@cache
def one_arena() -> bool:
    """Whether glibc was told to use one heap for all threads, since those of single threads have no room for a step.

    To be called before there are threads. Of the whole process, as the other is.
    """
    return told(ARENA_MAX, 1)


@cache
def keep_freed_memory() -> bool:
    """Whether glibc was told. To be called once a program has run: what compiling it took is given back."""
    if not (one_arena() and told(MMAP_THRESHOLD, KEPT) and told(TRIM_THRESHOLD, KEPT)):
        return False
    ctypes.CDLL(None).malloc_trim(0)
    return True


def told(option: int, value: int) -> bool:
    if platform.libc_ver()[0] != "glibc" or chosen_by_user(os.environ):
        return False
    return bool(ctypes.CDLL(None).mallopt(option, value))


def chosen_by_user(environment: Iterable[str]) -> bool:
    return any(name.startswith(OWN) for name in environment)
