"""engine.hosts: processes, as a rule one a host, that compute the steps of one run together through jax.distributed.

All of them go through the same steps. What one of them alone knows, the time or a signal, they tell each other, so that
each decides alike; the process of index 0 is the one that keeps the run.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gptlab.errors import TrainingStopped, UserError, require
from gptlab.signals import computes_with_others, end_now

AUTO = "auto"  # by what SLURM, Open MPI or Kubernetes says in the environment
FIELDS = ("coordinator", "number", "index")
EXAMPLE = """engine.hosts='{coordinator: "127.0.0.1:9999", number: 2, index: 0}'"""
# Seconds without a sign of life after which a process counts as dead, and jax aborts the others: they know of most ends
# at once, by a connection that breaks, and need time to end by themselves on a busy machine.
HEARTBEAT = 50
MEETING = 120  # seconds in which all must have come


@dataclass
class Joined:
    """Which of how many processes this one is."""

    index: int = 0
    number: int = 1


_joined = Joined()  # of the process: jax can be joined once


def check_hosts(hosts: Any) -> None:
    """Raises UserError for what names no processes."""
    if hosts is None or hosts == AUTO:
        return
    if not isinstance(hosts, Mapping) or set(hosts) != {*FIELDS}:
        raise UserError(
            f"engine.hosts must be {AUTO}, or say coordinator, number and index: got {hosts}. Try {EXAMPLE}."
        )
    coordinator, number, index = (hosts[name] for name in FIELDS)
    host, _, port = str(coordinator).rpartition(":")
    if not host or not port.isdigit():
        raise UserError(
            f"engine.hosts.coordinator must be the address and a free port of process 0: got {coordinator}. "
            f"Try {EXAMPLE}."
        )
    for name, value, least in (("number", number, 1), ("index", index, 0)):
        if not isinstance(value, int):
            raise UserError(f"engine.hosts.{name} must be a whole number: got {value}. Try {EXAMPLE}.")
        require(f"engine.hosts.{name}", value, at_least=least, example=least + 1)
    if index >= number:
        raise UserError(
            f"engine.hosts.index must be below engine.hosts.number, {number}: got {index}. The processes count from 0."
        )


def join(hosts: Any) -> Joined:
    """Become one of the processes, which wait for each other here; must come before jax looks for its devices.

    Raises UserError where the others do not come, or `auto` finds no cluster.
    """
    check_hosts(hosts)
    if hosts is None:
        return _joined
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.config.update("jax_enable_preemption_service", False)  # a signal is ours to obey
    given: dict[str, Any] = {}
    if hosts != AUTO:
        names = ("coordinator_address", "num_processes", "process_id")
        given = {**dict(zip(names, (hosts[name] for name in FIELDS), strict=True))}
        given["cluster_detection_method"] = "deactivate"
    try:
        jax.distributed.initialize(
            **given, initialization_timeout=MEETING, heartbeat_timeout_seconds=HEARTBEAT
        )
    except ValueError:
        raise UserError(
            f"engine.hosts={AUTO} needs a cluster that jax knows, as srun of SLURM has one: there is none here. "
            f"By hand, in each process: {EXAMPLE}"
        ) from None
    except RuntimeError as error:
        raise UserError(
            f"the processes of engine.hosts must all begin within {MEETING} seconds, and reach the first: "
            f"{str(error).splitlines()[0]}"
        ) from None
    from jax._src.distributed import global_state  # jax.process_index() would begin the devices, which say so

    _joined.index, _joined.number = global_state.process_id, global_state.num_processes or 1
    if _joined.number > 1:
        computes_with_others()
    return _joined


@contextmanager
def quiet() -> Iterator[None]:
    """Meanwhile nothing that this process or jax's libraries write is seen, and its abortion is one line.

    When process 0 has gone, jax's client aborts this one from a thread of its own, with a page of log, and takes no
    callback of Python's (jax 0.10: std::bad_cast). So the signal of that is caught as C does.
    """
    output, errors = os.dup(1), os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)

    def aborted(number: int) -> None:
        os.write(errors, f"gptlab: {gone()}\n".encode())
        end_now(1)

    _handlers.append(ctypes.CFUNCTYPE(None, ctypes.c_int)(aborted))
    ctypes.CDLL(None).signal(signal.SIGABRT, _handlers[-1])
    for stream in (1, 2):
        os.dup2(null, stream)
    try:
        yield
    finally:
        sys.stdout.flush()
        for stream, before in ((1, output), (2, errors)):
            os.dup2(before, stream)


_handlers: list[Any] = []  # C calls them, and keeps none of them alive


def joined() -> Joined:
    return _joined


def of_all(number: float) -> list[float]:
    """This number of each process, by index. All of them come by here together, as by everything that they compute."""
    if _joined.number == 1:
        return [number]
    import numpy as np
    from jax.experimental import multihost_utils

    found: list[float] = multihost_utils.process_allgather(np.float32(number)).tolist()
    return found


def first_of(number: float) -> float:
    """What process 0 says, for all."""
    return of_all(number)[0]


def lost(error: BaseException) -> TrainingStopped | None:
    """What to say of an error that another process's end has brought; None for any other error."""
    if _joined.number == 1 or type(error).__name__ != "JaxRuntimeError":
        return None
    return gone()


def gone() -> TrainingStopped:
    return TrainingStopped(
        f"the {_joined.number} processes of a run must all go on: one of them has ended, or cannot be reached. Begin "
        "all of them again, with resume=latest to go on from the newest checkpoint."
    )
