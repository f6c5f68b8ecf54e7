"""One model on the xla engine: its compiled programs, and what each of them is given."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import numpy as np

from gptlab.engines import (
    xla_compiled,
    xla_devices,
    xla_foreseen,
    xla_measuring,
    xla_programs,
    xla_sliding,
)
from gptlab.engines.draws import key_of
from gptlab.engines.ending import Ends
from gptlab.engines.engine import (
    Adapts,
    Batches,
    Choose,
    Definition,
    Frozen,
    Metrics,
    NamedArrays,
    Optimizer,
    OptState,
    Settings,
    State,
    StepMetrics,
    evaluation_weights,
    runtime_fields,
    trained,
    with_fields,
)
from gptlab.engines.foreseen import Needed
from gptlab.engines.held_out_rows import Rows, shared_rows
from gptlab.engines.measured import Gathering, Measured, Measures, unsliced
from gptlab.engines.packing import choose_shape
from gptlab.engines.xla_arithmetic import XlaArithmetic
from gptlab.engines.xla_cache import keep_compiled_programs
from gptlab.engines.xla_chunks import (
    capacity_of,
    laid_out_rows,
    packed,
    padded,
    parts_of,
    rows_at_once,
    spread_rows,
)
from gptlab.engines.xla_compilations import start_counting
from gptlab.engines.xla_settings import jax_precision

TOGETHER = 128  # samples that one call draws
# Positions times parameters: what has less of them at once one thread does best alone. A swapped product is a
# broadcast and a sum, which cores share well.
SMALL, SMALL_SWAPPED = 30_000_000, 400_000


@dataclass(eq=False)
class XlaSession:
    """The Session of the xla engine. Its State holds jax arrays, given away to each training call."""

    definition: Definition
    optimizer: Optimizer
    arithmetic: XlaArithmetic
    frozen: Frozen = frozenset()
    step_metrics: StepMetrics | None = None
    accumulate: int = 1
    jobs: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        keep_compiled_programs()
        start_counting()
        self.hyper = runtime_fields(self.optimizer)
        # What is equal for all values of the run-time fields is the key of the compiled program.
        self.template = with_fields(self.optimizer, dict.fromkeys(self.hyper, 0.0))

    @property
    def devices(self) -> int:
        """How many share the rows of a step."""
        return 1

    @contextmanager
    def _computing(self, weights: NamedArrays | None = None) -> Iterator[None]:
        """In the engine's precision, and where these weights are; jax keeps both by thread."""
        device = None if weights is None else xla_devices.device_of(weights)
        with jax_precision(self.arithmetic.dtype), jax.default_device(device):
            yield

    def _best_device(self, weights: NamedArrays, positions: int) -> Any:
        """Where a program runs that takes so many positions at once."""
        size = positions * sum(array.size for array in weights.values())
        small = size < (SMALL if self.arithmetic.native_dot else SMALL_SWAPPED)
        return (xla_devices.one_thread() if small else None) or jax.local_devices()[0]

    def _moved(self, arrays: NamedArrays, device: Any) -> NamedArrays:
        if not arrays or xla_devices.device_of(arrays) is device:
            return arrays
        with self._computing():
            return dict(zip(arrays, jax.device_put([*arrays.values()], device), strict=True))

    def _program(
        self, make: Callable[..., Any], weights: NamedArrays, *parts: Any, narrow: bool = False
    ) -> Callable[..., Any]:
        """The program of this model for where these weights are. parts: what else it is made of."""
        target = self._target(weights, narrow)
        with xla_programs.MAKING:
            program: Callable[..., Any] = make(self.definition, *parts, self.arithmetic, target)
            return program

    def _target(self, weights: NamedArrays, narrow: bool) -> xla_compiled.Target:
        return xla_compiled.Target(xla_devices.has_one_thread(xla_devices.device_of(weights)), narrow)

    def init(self, weights: NamedArrays, optimizer: OptState, step: int = 0) -> State:
        with self._computing():
            moments = {key: self._laid(named) for key, named in optimizer.items()}
            return State(self._laid(weights), moments, step)

    def _laid(self, named: Mapping[str, Any]) -> NamedArrays:
        """Weights, or what there is one of for each of their numbers, where training takes them from."""
        return self._arrays(named)

    def prepare(self, batches: Batches) -> Batches:
        """`prepared`: how documents share rows, None where each has its own; and so for each compiled call."""
        _, batch, span = batches.tokens.shape
        known = batches.population
        sizes = batch, span - 1, self.accumulate, self.devices, xla_devices.accelerated()
        shape = None if known is None else choose_shape(known, *sizes)
        capacity, parts = capacity_of(batches, self.jobs), parts_of(batches, self.jobs)
        slots = shape and [packed(batches.lengths[part], span, shape, capacity) for part in parts]
        return replace(batches, prepared=(shape, slots))

    def train(self, state: State, batches: Batches, learning_rates: np.ndarray) -> tuple[State, Metrics]:
        shape, slots = (batches if batches.prepared else self.prepare(batches)).prepared
        _, batch, span = batches.tokens.shape
        positions = batch * (span - 1) if shape is None else shape.rows * shape.width
        device = self._best_device(state.weights, positions)
        moments = {key: self._moved(named, device) for key, named in state.optimizer.items()}
        state = State(self._moved(state.weights, device), moments, state.step)
        capacity = capacity_of(batches)
        objectives, norms, losses = [], [], []
        numbers: dict[str, list[np.ndarray]] = {}
        make = partial(xla_programs.train_program, step_metrics=self.step_metrics)
        with self._computing(state.weights), xla_devices.turn(device):
            narrow = xla_compiled.is_narrow(state.weights)
            program = self._program(make, state.weights, self.template, narrow=narrow)
            hyper, key = self._given(self.hyper), key_of(batches.seed)
            # Apart, so that no gradient is computed of what stays as it is.
            fixed = {name: array for name, array in state.weights.items() if name in self.frozen}
            for i, part in enumerate(parts_of(batches)):
                count = part.stop - part.start
                weights, moments, objective, norm, loss, others = program(
                    trained(state.weights, self.frozen),
                    state.optimizer,
                    np.int32(state.step),
                    hyper,
                    padded(batches.tokens[part], capacity),
                    padded(batches.lengths[part], capacity, 1),
                    self._numbers(padded(learning_rates[part], capacity)),
                    np.int32(count),
                    slots and slots[i],
                    fixed,
                    key,
                )
                # jax hands dicts back with sorted keys; the order of the names is that of `params`
                state = State(
                    reordered({**fixed, **weights}, state.weights),
                    {key: reordered(moments[key], named) for key, named in state.optimizer.items()},
                    state.step + count,
                )
                objectives.append(np.asarray(objective)[:count])
                norms.append(np.asarray(norm)[:count])
                losses += [] if loss is None else [np.asarray(loss)[:count]]
                for name, each in others.items():
                    numbers.setdefault(name, []).append(np.asarray(each)[:count])
        minimized, gradNorm = np.concatenate(objectives), np.concatenate(norms)
        whole = {name: np.concatenate(parts) for name, parts in numbers.items()}
        if not losses:
            return state, Metrics(minimized, gradNorm, numbers=whole)
        return state, Metrics(np.concatenate(losses), gradNorm, minimized, whole)

    def needed(self, weights: NamedArrays, optimizer: OptState, batches: Batches) -> Needed | None:
        """See Foresees; None of what is derived, whose program is for many devices or jobs."""
        if type(self) is not XlaSession:
            return None
        batches = batches if batches.prepared else self.prepare(batches)
        shape, (_, batch, span) = batches.prepared[0], batches.tokens.shape
        positions = batch * (span - 1) if shape is None else shape.rows * shape.width
        device = self._best_device(weights, positions)
        target = xla_compiled.Target(
            xla_devices.has_one_thread(device), narrow=xla_compiled.is_narrow(weights)
        )
        with xla_programs.MAKING:
            program = xla_programs.train_program(
                self.definition, self.template, self.arithmetic, target, step_metrics=self.step_metrics
            )
        with jax_precision(self.arithmetic.dtype), jax.default_device(device):
            return xla_foreseen.needed(self, program, weights, optimizer, batches, device)

    def for_evaluation(self, state: State) -> State:
        check_there(state)
        with self._computing(state.weights):
            weights = evaluation_weights(
                self.optimizer, jax.numpy, state.weights, state.optimizer, self.frozen
            )
            if isinstance(self.definition, Adapts):
                named = state.weights if weights is None else weights
                found = self._program(xla_programs.merge_program, state.weights)(named)
                weights = {name: found[name] for name in self.definition.used}
        return state if weights is None else State(weights, state.optimizer, state.step)

    def export(self, state: State) -> State:
        check_there(state)

        def numbers(named: NamedArrays) -> NamedArrays:
            return {name: np.array(array) for name, array in named.items()}

        moments = {key: numbers(named) for key, named in state.optimizer.items()}
        return State(numbers(state.weights), moments, state.step)

    def evaluate(self, state: State, tokens: np.ndarray, lengths: np.ndarray) -> tuple[float, float]:
        if self.definition.plain:
            return float(self.document_nats(state, tokens, lengths).sum()), float(lengths.sum())
        found = self.measure(state, tokens, lengths)
        return float(found.nats.sum()), float(found.counted.sum())

    def measure(
        self, state: State, tokens: np.ndarray, lengths: np.ndarray, metrics: Measures = ()
    ) -> Measured:
        documents, positions = laid_out_rows(tokens, lengths, self.devices)
        known = np.maximum(documents, 0)
        passes = tokens[known, positions], tokens[known, positions + 1], positions, documents
        device = self._best_device(state.weights, documents[0].size)
        weights = self._moved(state.weights, device)
        with self._computing(weights), xla_devices.turn(device):
            program = self._program(xla_measuring.measure_program, weights, unsliced(metrics))
            losses, counts, others = program(weights, *passes)
            found = Gathering(tokens, lengths, metrics)
            found.losses(documents, losses, counts)
            for name, (right, its) in others.items():
                found.metric(name, documents, positions, right, its)
            return found.measured()

    def document_nats(self, state: State, tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """(N,) the cross-entropy of each document over its predictions, what `evaluate` sums if each of them counts."""
        shared = shared_rows(lengths, tokens.shape[1] - 1)
        if shared is not None:
            return self._nats_in_rows(state, tokens, spread_rows(shared, self.devices))
        at_once = rows_at_once(tokens) * self.devices
        rows = -(-len(tokens) // at_once) * at_once
        batched = padded(tokens, rows).reshape(-1, at_once, tokens.shape[1])
        device = self._best_device(state.weights, at_once * (tokens.shape[1] - 1))
        weights = self._moved(state.weights, device)
        with self._computing(weights), xla_devices.turn(device):
            program = self._program(xla_programs.evaluate_program, weights)
            found = program(weights, batched, padded(lengths, rows).reshape(-1, at_once))
            return np.asarray(found, dtype=np.float64).reshape(-1)[: len(tokens)]

    def _nats_in_rows(self, state: State, tokens: np.ndarray, rows: Rows) -> np.ndarray:
        documents, positions = rows
        known = np.maximum(documents, 0)
        passes = tokens[known, positions], tokens[known, positions + 1], positions, documents
        device = self._best_device(state.weights, documents[0].size)
        weights = self._moved(state.weights, device)
        with self._computing(weights), xla_devices.turn(device):
            program = self._program(xla_programs.evaluate_rows_program, weights)
            losses = np.asarray(program(weights, *passes))
        used = documents >= 0
        return np.bincount(documents[used], losses[used].astype(np.float64), len(tokens))

    def logits(self, state: State, tokens: np.ndarray) -> np.ndarray:
        weights = self._moved(state.weights, self._best_device(state.weights, len(tokens)))
        with self._computing(weights):
            program = self._program(xla_programs.logits_program, weights)
            return np.asarray(program(weights, np.asarray(tokens, dtype=np.int32)))

    def generate(
        self,
        state: State,
        choose: Choose,
        prompt: np.ndarray,
        uniforms: np.ndarray,
        settings: Settings,
        ends: Ends | None = None,
    ) -> np.ndarray:
        # The products of one position are too small for XLA to share them between cores; whole samples are not.
        grouped = len(uniforms) > TOGETHER
        device = jax.local_devices()[0] if grouped else self._best_device(state.weights, len(uniforms))
        weights = self._moved(state.weights, device)
        with self._computing(weights):
            program = self._program(partial(xla_programs.generate_program, ends=ends), weights, choose)
            whole = padded(np.asarray(prompt, dtype=np.int32), uniforms.shape[1])
            values = self._given(settings)

            def some(drawn: np.ndarray) -> np.ndarray:
                with self._computing(weights):
                    known = np.int32(len(prompt))
                    return np.asarray(program(weights, whole, known, self._numbers(drawn), values))

            if not grouped:
                return some(uniforms)
            groups = padded(uniforms, -(-len(uniforms) // TOGETHER) * TOGETHER)
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                found = list(pool.map(some, groups.reshape(-1, TOGETHER, uniforms.shape[1])))
            return np.concatenate(found)[: len(uniforms)]

    def slide(
        self,
        state: State,
        choose: Choose,
        windows: np.ndarray,
        uniforms: np.ndarray,
        settings: Settings,
        ends: Ends | None = None,
    ) -> np.ndarray:
        device = self._best_device(state.weights, windows.size)
        weights = self._moved(state.weights, device)
        with self._computing(weights), xla_devices.turn(device):
            program = self._program(partial(xla_sliding.slide_program, ends=ends), weights, choose)
            values = self._given(settings)
            found = program(weights, np.asarray(windows, dtype=np.int32), self._numbers(uniforms), values)
            return np.asarray(found)

    def _numbers(self, values: Any) -> np.ndarray:
        """As a program takes what it is only given: put on a device by itself, each would cost a tenth of a ms."""
        return np.asarray(values, dtype=self.arithmetic.dtype)

    def _given(self, named: Mapping[str, Any]) -> NamedArrays:
        return {name: self._numbers(values) for name, values in named.items()}

    def _arrays(self, named: Mapping[str, Any]) -> NamedArrays:
        # Copies: training gives its state away, and must not write into the caller's numbers. Put, not asarray: that
        # traces and compiles a program for each shape (seven of them before step 1 of `names`, a tenth of a second).
        copies = [np.array(values, dtype=self.arithmetic.dtype) for values in named.values()]
        return dict(zip(named, jax.device_put(copies), strict=True))


def check_there(state: State) -> None:
    """Raises RuntimeError for a state that was given to a training call which failed, or was cut off."""
    if any(array.is_deleted() for array in state.weights.values()):
        raise RuntimeError("the steps that were cut off had used up the weights before them")


def reordered(arrays: NamedArrays, like: NamedArrays) -> NamedArrays:
    return {name: arrays[name] for name in like}
