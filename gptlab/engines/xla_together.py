"""engine.together: the training steps of many sessions in one compiled call, where their threads meet."""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from gptlab.engines import xla_devices, xla_programs
from gptlab.engines.draws import key_of
from gptlab.engines.engine import Batches, Metrics, State
from gptlab.engines.meeting import Meeting
from gptlab.engines.xla_chunks import capacity_of, padded, parts_of
from gptlab.engines.xla_compiled import Target
from gptlab.engines.xla_jobs import Placed, Stack, gathered, taking
from gptlab.engines.xla_session import XlaSession

ORDER = (
    "step",
    "hyper",
    "tokens",
    "lengths",
    "rates",
    "count",
    "packed",
)  # of a program's arguments after the state


@dataclass(eq=False)
class Wanted:
    """Some steps of one job. given: what its program takes besides what the state holds."""

    state: State
    given: dict[str, Any]


@dataclass(frozen=True)
class Taken:
    """The steps that were taken: the state after them, and what `train_program` gives of each of them.

    seconds: that the call took.
    """

    state: State
    seconds: float
    objectives: np.ndarray
    norms: np.ndarray
    losses: np.ndarray | None
    numbers: dict[str, np.ndarray]


@dataclass(eq=False, kw_only=True)
class TogetherSession(XlaSession):
    """An XlaSession that trains with others of its shapes, at most `jobs` in a call; all else it does by itself.

    A call is always for `jobs` of them, those that are not there computed for nothing: with fewer it would be another
    program, and what a run learns would depend, in its last digits, on who has come.
    """

    meeting: Meeting
    seconds: float = 0.0

    def train(self, state: State, batches: Batches, learning_rates: np.ndarray) -> tuple[State, Metrics]:
        shape, slots = (batches if batches.prepared else self.prepare(batches)).prepared
        found: list[Taken] = []
        for i, part in enumerate(parts_of(batches, self.jobs)):
            wanted = self.wanted(state, batches, learning_rates, part, slots and slots[i])
            found.append(self.meeting.ask(self._kind(wanted, shape), wanted, self.train_all, self.jobs))
            state = found[-1].state
        self.seconds = sum(taken.seconds for taken in found)
        return state, metrics_of(found)

    def wanted(self, state: State, batches: Batches, rates: np.ndarray, part: slice, passes: Any) -> Wanted:
        capacity = capacity_of(batches, self.jobs)
        dtype = self.arithmetic.dtype
        given = {
            "step": np.int32(state.step),
            "hyper": {name: np.asarray(value, dtype) for name, value in self.hyper.items()},
            "tokens": padded(batches.tokens[part], capacity),
            "lengths": padded(batches.lengths[part], capacity, 1),
            "rates": padded(rates[part].astype(dtype), capacity),
            "count": np.int32(part.stop - part.start),
            "packed": passes,
            "key": key_of(batches.seed),
        }
        return Wanted(state, given)

    def _kind(self, wanted: Wanted, shape: Any) -> Hashable:
        """Equal for what one program can compute in one call."""
        program = self.definition, self.template, self.arithmetic, self.step_metrics, self.frozen, self.jobs
        return (*program, shape, wanted.given["tokens"].shape)

    def train_all(self, wanted: Sequence[Wanted]) -> list[Taken]:
        device, began = jax.devices()[0], time.perf_counter()
        with self._computing(), xla_devices.turn(device), taking:
            states = [self._on(each.state, device) for each in wanted]
            stack, places = gathered(states, self.frozen, self.jobs, self.arithmetic.dtype)
            weights, moments, fixed = stack.arrays
            # A place with nobody in it computes what the first one does, and is thrown away.
            given = dict(zip(places, (each.given for each in wanted), strict=True))
            rows = [given.get(place, wanted[0].given) for place in range(self.jobs)]
            all_given = jax.tree.map(lambda *each: np.stack(each), *rows)
            target = Target(xla_devices.has_one_thread(device))
            make = partial(xla_programs.train_program, step_metrics=self.step_metrics, jobs=self.jobs)
            with xla_programs.MAKING:
                program = make(self.definition, self.template, self.arithmetic, target)
            weights, moments, *others = program(
                weights,
                moments,
                *(all_given[name] for name in ORDER),
                fixed,
                all_given["key"],
            )
            after = Stack((weights, moments, fixed), stack.order, stack.dtype)
            objectives, norms, losses, numbers = jax.tree.map(np.asarray, others)
        seconds = time.perf_counter() - began
        taken = []
        for place, each in zip(places, wanted, strict=True):
            here = place, slice(int(each.given["count"]))
            whole = objectives, norms, losses, numbers
            state = Placed(after, place, each.state.step + int(each.given["count"]))
            taken.append(Taken(state, seconds, *jax.tree.map(lambda array, here=here: array[here], whole)))
        return taken

    def _on(self, state: State, device: Any) -> State:
        """Itself where it lies in a stack already, or its arrays are there."""
        if isinstance(state, Placed):
            return state
        moments = {key: self._moved(named, device) for key, named in state.optimizer.items()}
        return State(self._moved(state.weights, device), moments, state.step)


def metrics_of(found: Sequence[Taken]) -> Metrics:
    minimized, norms = (np.concatenate([getattr(t, n) for t in found]) for n in ("objectives", "norms"))
    numbers = {name: np.concatenate([t.numbers[name] for t in found]) for name in found[0].numbers}
    losses = [taken.losses for taken in found if taken.losses is not None]
    if not losses:
        return Metrics(minimized, norms, numbers=numbers)
    return Metrics(np.concatenate(losses), norms, minimized, numbers)
