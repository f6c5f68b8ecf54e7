"""Processes that tests start begin where their libraries are loaded already.

To import jax takes a command a second of processor time, and MLflow its process three; together that was 40% of what
all tests took. So a Python that is to be `python -m gptlab`, or gptlab's process of MLflow's, and that finds
sitecustomize.py on its path, hands its words, environment, folder and streams to a server, which has imported what
those import from others, and of gptlab nothing. The server forks; the child runs what the Python would have run. The
Python that asked waits, forwards signals, and ends as the child ends. Who kills it kills the child.

What is then not as in a user's hands: the child has no terminal of its own, its parent is the server, and its imports
take no time. Tests of these are marked `cold`. The README's commands, the wheel and `make tiny` are never warm.

A server starts when a second process asks for one with its environment, and ends with the tests, or two minutes after
the last one asked. `TESTS_COLD=1 make slow` does without any.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.repository import ROOT
from tests.warm.sitecustomize import PLACE

ON_PATH = f"{Path(__file__).parent}{os.pathsep}{ROOT}"  # as PYTHONPATH, for what a test starts


@contextmanager
def warm_processes(place: Path) -> Iterator[None]:
    """Within it processes with ON_PATH as their PYTHONPATH begin warm, by servers that listen in this folder."""
    if os.environ.get("TESTS_COLD"):
        yield
        return
    path = os.environ.get("PYTHONPATH")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PLACE, str(place))
        patch.setenv("PYTHONPATH", ON_PATH if path is None else f"{ON_PATH}{os.pathsep}{path}")
        yield
    for socket in place.glob("*-*"):
        socket.unlink(missing_ok=True)  # which ends the server


@contextmanager
def cold_processes() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(PLACE, raising=False)
        yield
