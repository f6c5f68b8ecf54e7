"""A whole training run of gptlab with clocks at the seams between its rooms."""

from __future__ import annotations

import contextlib
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

CALLS = 30  # repetitions of a training call when its fixed cost is measured
COMPILED = "/jax/core/compile/backend_compile_duration"
LONG = 512  # steps of the longer of the two calls that tell fixed cost and cost a step apart


class Clocks:
    """Seconds by name; a clock that starts stops the one around it, so that the sum is the wall time.

    programs: how many XLA compiled or read from its cache. calls, steps: of the engine, without those calls.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.programs = self.calls = self.steps = 0
        self._running: list[str] = []
        self._since = 0.0

    def on_event(self, event: str, seconds: float, **about: Any) -> None:
        """What jax reports of itself."""
        self.programs += event == COMPILED

    def _book(self) -> None:
        now = time.perf_counter()
        if self._running:
            name = self._running[-1]
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now

    @contextlib.contextmanager
    def running(self, name: str) -> Iterator[None]:
        self._book()
        self._running.append(name)
        try:
            yield
        finally:
            self._book()
            self._running.pop()

    def around(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """The function, its time booked under `name`; that of a call in which XLA compiled, under `compiling`."""

        def timed(*arguments: Any, **named: Any) -> Any:
            programs, before = self.programs, self.seconds.get(name, 0.0)
            with self.running(name):
                result = function(*arguments, **named)
            if self.programs > programs:
                spent = self.seconds[name] - before
                self.seconds[name] = before
                self.seconds["compiling"] = self.seconds.get("compiling", 0.0) + spent
            elif name == "engine":
                self.calls += 1
                self.steps += len(result[1].loss)
            return result

        return timed


def run_with_clocks(overrides: list[str]) -> dict[str, float]:
    """Seconds of the training loop and of closing the run, by what they went to, and the engine's own costs.

    `compiling` are the calls in which XLA compiled; `calls` and `steps` are those of all others.
    `aCall` and `aStep` come from calls of two lengths on batches that are ready: the fixed seconds of a
    call, and those of each step in it.
    Raises RuntimeError if the run fails.
    """
    import jax.monitoring

    from gptlab.cli import main
    from gptlab.engines import xla_session
    from gptlab.launch import launch, progress
    from gptlab.runs import recording as listeners
    from gptlab.training import loop as training

    clocks = Clocks()
    jax.monitoring.register_event_duration_secs_listener(clocks.on_event)
    seen: list[Any] = []
    run = training.Training.run

    def remember(self: Any) -> Any:
        with clocks.running("host"):
            result = run(self)
        seen.append(self)
        return result

    patches = [
        (training.Training, "run", remember),
        (xla_session.XlaSession, "train", clocks.around(xla_session.XlaSession.train, "engine")),
        (xla_session.XlaSession, "evaluate", clocks.around(xla_session.XlaSession.evaluate, "evaluation")),
        (launch, "generate", clocks.around(launch.generate, "evaluation")),
        (listeners.Listeners, "step_ended", clocks.around(listeners.Listeners.step_ended, "logging")),
        (listeners.Listeners, "run_ended", clocks.around(listeners.Listeners.run_ended, "closing")),
        (progress.PlainLines, "update", clocks.around(progress.PlainLines.update, "logging")),
        (progress.PlainLines, "note", clocks.around(progress.PlainLines.note, "logging")),
    ]
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as said:
        originals = [(owner, name, getattr(owner, name)) for owner, name, _ in patches]
        try:
            os.chdir(folder)
            for owner, name, patched in patches:
                setattr(owner, name, patched)
            status = main([*overrides, "engine=xla"])
        finally:
            os.chdir(here)
            for owner, name, original in originals:
                setattr(owner, name, original)
        if status or not seen:
            raise RuntimeError(f"the run ended with status {status}: {said.getvalue()[-500:]}")
    nothing = dict.fromkeys(("compiling", "logging", "closing", "evaluation"), 0.0)
    counts = {"calls": clocks.calls, "steps": clocks.steps}
    return {**nothing, **clocks.seconds, **counts, **costs_of_a_call(seen[0])}


def costs_of_a_call(trained: Any) -> dict[str, float]:
    """`aCall` and `aStep`: from a call of one step and one of LONG steps, turn by turn."""
    session, epochs, state = trained.session, trained.epochs, trained.state
    batches = {steps: epochs.chunk(0, steps) for steps in (1, LONG)}
    times: dict[int, list[float]] = {1: [], LONG: []}
    for _ in range(CALLS + 1):
        for steps, taken in times.items():
            began = time.perf_counter()
            state, _metrics = session.train(state, batches[steps], np.full(steps, 1e-6))
            taken.append(time.perf_counter() - began)
    short, long = (statistics.median(taken[1:]) for taken in times.values())
    step = max(0.0, (long - short) / (LONG - 1))
    return {"aCall": max(0.0, short - step), "aStep": step}
