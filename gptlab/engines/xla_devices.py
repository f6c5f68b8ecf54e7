"""Where a program runs: on jax's default device, or, if it is small, on a CPU of one thread.

XLA's CPU client has a pool of as many threads as there are cores, to which it hands kernels and parts of them.
What it hands over costs more than a small kernel does, and while a thread waits for work it spins, which takes
half of the core from the thread that has work where two of them share one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import jax

from gptlab.engines.lanes import cores, lane

# What XLA's client takes the size of its pool from, when it is made.
POOL_SIZE = "NPROC"


# Of the process. A client's one thread takes one program at a time: threads side by side have a client each.
_devices: dict[int, Any] = {}
_making = threading.Lock()
_all_threads = threading.RLock()


def one_thread() -> Any | None:
    """A CPU device of a client whose pool has one thread; None where the default device is as good as that.

    That is on an accelerator, and where this process has one core only.
    """
    return _device_of_lane(lane()) if has_pool() else None


@cache
def has_pool() -> bool:
    """Whether the default device shares its work between threads."""
    return jax.default_backend() == "cpu" and cores() > 1


@cache
def accelerated() -> bool:
    """Whether the default device is something else than this machine's processor."""
    return jax.default_backend() != "cpu"


def _device_of_lane(number: int) -> Any:
    with _making:
        if number not in _devices:
            _devices[number] = _made()
        return _devices[number]


def _made() -> Any:
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


@contextmanager
def turn(device: Any) -> Iterator[None]:
    """What is not made for one thread waits until no other such program runs: side by side neither would be sooner."""
    if has_one_thread(device):
        yield
        return
    with _all_threads:
        yield


def alone() -> Any:
    """A context: meanwhile no other thread runs what takes more than one thread, or devices wait for each other."""
    return _all_threads


def has_one_thread(device: Any) -> bool:
    """Whether what runs there has no other thread to hand work to."""
    return device in _devices.values() or (device.platform == "cpu" and cores() == 1)


def device_of(arrays: dict[str, Any]) -> Any:
    """Where named arrays lie."""
    return next(iter(next(iter(arrays.values())).devices()))
