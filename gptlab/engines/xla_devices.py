"""Where a program runs: on jax's default device, or, if it is small, on a CPU of one thread.

XLA's CPU client has a pool of as many threads as there are cores, to which it hands kernels and parts of them.
What it hands over costs more than a small kernel does, and while a thread waits for work it spins, which takes
half of the core from the thread that has work where two of them share one.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import jax

# What XLA's client takes the size of its pool from, when it is made.
POOL_SIZE = "NPROC"


@cache
def one_thread() -> Any | None:
    """A CPU device of a client whose pool has one thread; None where the default device is as good as that.

    That is on an accelerator, and where this process has one core only.
    """
    if jax.default_backend() != "cpu" or cores() == 1:
        return None
    from jaxlib import xla_client

    given = os.environ.get(POOL_SIZE)
    os.environ[POOL_SIZE] = "1"
    try:
        client: Any = xla_client.make_cpu_client()
        return client.devices()[0]
    finally:
        if given is None:
            del os.environ[POOL_SIZE]
        else:
            os.environ[POOL_SIZE] = given


def has_one_thread(device: Any) -> bool:
    """Whether what runs there has no other thread to hand work to."""
    return device is one_thread() or (device.platform == "cpu" and cores() == 1)


def cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def device_of(arrays: dict[str, Any]) -> Any:
    """Where named arrays lie."""
    return next(iter(next(iter(arrays.values())).devices()))
