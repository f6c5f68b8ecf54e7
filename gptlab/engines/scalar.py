"""engine=scalar: the graph of Values, one Python object a number. Slow, and open to the last digit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.autograd.value import Value, collector_paused
from gptlab.engines.context import Context, Through, causal_context
from gptlab.engines.draws import Drawing, Draws, key_of, threefry
from gptlab.engines.ending import Ends, ends_in
from gptlab.engines.engine import (
    CROSS_ENTROPY,
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
    takes_seen,
    trained,
)
from gptlab.engines.marks import told
from gptlab.engines.measured import Gathering, Measured, Measures
from gptlab.engines.scalar_arithmetic import ScalarArithmetic, as_values, data_of, grads_of, number_of
from gptlab.engines.scalar_objective import (
    Document,
    cross_entropies,
    document_of,
    loss_of,
    losses_of,
    mean,
    numbers_of,
    weights_of_positions,
)
from gptlab.engines.updating import global_norm, updated
from gptlab.errors import UserError


@dataclass(frozen=True)
class ScalarEngine:
    """A graph of scalar Values in pure Python: every number can be opened and read.

    dtype: float64, which is what a Python float is. fuse: one node a dot product or sum; without it
    one node a multiplication and addition, as a textbook would.
    """

    dtype: str = "float64"
    fuse: bool = True

    def __post_init__(self) -> None:
        if self.dtype != "float64":
            raise UserError(
                f"engine.dtype of the scalar engine must be float64, which is what a Python float is: got "
                f"{self.dtype}. Leave it out, or use engine=xla engine.dtype={self.dtype}."
            )

    def session(
        self,
        definition: Definition,
        optimizer: Optimizer,
        ops: OpTable,
        frozen: Frozen = frozenset(),
        step_metrics: StepMetrics | None = None,
    ) -> ScalarSession:
        return ScalarSession(definition, optimizer, ScalarArithmetic(ops, self.fuse), frozen, step_metrics)


class GrowingPast:
    """Of earlier positions keys and values, which grow, and states; `rewind` before each forward pass."""

    def __init__(self) -> None:
        self._kept: list[Any] = []  # by call: all keys and all values, or the state
        self._next = 0

    def rewind(self) -> GrowingPast:
        self._next = 0
        return self

    def extend(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        call = self._call()
        if call == len(self._kept):
            self._kept.append((key, value))
        else:
            keys, values = self._kept[call]
            self._kept[call] = keys.concatenate(key, axis=0), values.concatenate(value, axis=0)
        found: tuple[Tensor, Tensor] = self._kept[call]
        return found

    def advance(self, start: list[Tensor], through: Through) -> Any:
        call = self._call()
        if call == len(self._kept):
            self._kept.append(start)
        self._kept[call], result = through(self._kept[call])
        return result

    def _call(self) -> int:
        self._next += 1
        return self._next - 1


@dataclass(eq=False)
class ScalarSession:
    """The Session of the scalar engine. Its State holds object arrays of Values, always the same ones."""

    definition: Definition
    optimizer: Optimizer
    arithmetic: ScalarArithmetic
    frozen: Frozen = frozenset()
    step_metrics: StepMetrics | None = None

    def __post_init__(self) -> None:
        fuse = self.arithmetic.fuse_sum or self.arithmetic.fuse_dot
        self.true_arithmetic = ScalarArithmetic(OpTable(), fuse)

    def init(self, weights: NamedArrays, optimizer: OptState, step: int = 0) -> State:
        values = {name: as_values(np.asarray(array, dtype=float)) for name, array in weights.items()}
        moments = {
            key: {name: np.asarray(array, dtype=float) for name, array in named.items()}
            for key, named in optimizer.items()
        }
        return State(values, moments, step)

    def loss(
        self, weights: NamedArrays, tokens: Sequence[int] | np.ndarray, draws: Draws | None = None
    ) -> Any:
        """The mean loss of one document, BOS included: a Value, ready for `backward()`. Penalties are not in it.

        draws: of a training step; without them nothing is drawn at random.
        """
        ids = np.asarray(tokens)
        context = causal_context(len(ids) - 1, draws)
        given, targets, context = told(self.definition, ids[:-1], ids[1:], context)
        with collector_paused():
            judged = self.definition.judged(self.tensors(weights), given, targets, context)
            return loss_of(self.true_arithmetic, judged)

    def document(
        self, weights: NamedArrays, tokens: Sequence[int] | np.ndarray, draws: Draws | None = None
    ) -> Document:
        """What a training step makes of one document, BOS included. draws: as in `loss`."""
        arithmetics = self.arithmetic, self.true_arithmetic
        with collector_paused():
            return document_of(
                self.definition, self.tensors(weights), *arithmetics, np.asarray(tokens), draws
            )

    def tensors(self, weights: NamedArrays) -> dict[str, Tensor]:
        return {name: Tensor(array, self.arithmetic) for name, array in weights.items()}

    def batch_loss(
        self, weights: NamedArrays, tokens: np.ndarray, lengths: np.ndarray, drawing: Drawing | None = None
    ) -> Any:
        """The mean over documents (B, T+1) of what is minimized. drawing: of the training step that it is."""
        return self.mean(losses_of(self.documents(weights, tokens, lengths, drawing)))

    def documents(
        self, weights: NamedArrays, tokens: np.ndarray, lengths: np.ndarray, drawing: Drawing | None = None
    ) -> list[Document]:
        return [
            self.document(weights, row[: length + 1], drawing and Draws(np, threefry, *drawing, document))
            for document, (row, length) in enumerate(zip(tokens, lengths.tolist(), strict=True))
        ]

    def mean(self, losses: np.ndarray) -> Any:
        """With true arithmetic whatever is swapped: it is what is asked of the model, not part of it."""
        return mean(self.true_arithmetic, losses)

    def train(self, state: State, batches: Batches, learning_rates: np.ndarray) -> tuple[State, Metrics]:
        losses, norms, objectives = [], [], []
        numbers: dict[str, list[float]] = {}
        weights = trained(state.weights, self.frozen)
        params = {name: data_of(values) for name, values in weights.items()}
        key = key_of(batches.seed)
        # Where the objective is other numbers than the loss.
        apart = batches.tokens.shape[1] > 1 or not self.arithmetic.ops.standard(*CROSS_ENTROPY)
        for tokens, lengths, rate in zip(
            batches.tokens, batches.lengths, learning_rates.tolist(), strict=True
        ):
            state.step += 1
            drawing = key, state.step
            objective, loss, grads, others = self.gradients(state, tokens, lengths, drawing)
            apart |= bool(others)
            again = partial(self.gradient_at, state, tokens, lengths, drawing)
            losses.append(loss)
            objectives.append(objective)
            with np.errstate(all="ignore"):  # a loss that is not finite is the training loop's to report
                norms.append(float(global_norm(np, grads)))
                moved, state.optimizer = updated(
                    self.optimizer,
                    np,
                    params,
                    grads,
                    state.optimizer,
                    state.step,
                    rate,
                    again=again,
                    loss=objective,
                )
                before, params = params, {name: np.asarray(moved[name], dtype=float) for name in params}
                if self.step_metrics is not None:
                    moves = {name: array - before[name] for name, array in params.items()}
                    others |= self.step_metrics(np, before, grads, moves)
            for name, number in others.items():
                numbers.setdefault(name, []).append(float(number))
            put(params, weights)
        return state, Metrics(
            np.array(losses),
            np.array(norms),
            np.array(objectives) if apart else None,
            {name: np.array(each) for name, each in numbers.items()},
        )

    def gradients(
        self, state: State, tokens: np.ndarray, lengths: np.ndarray, drawing: Drawing | None = None
    ) -> tuple[float, float, NamedArrays, dict[str, float]]:
        """The batch's objective, its loss a token, the objective's gradient by name, frozen ones aside, and the
        objective's own numbers of Metrics.

        The graph is gone when this returns.
        """
        weights = state.weights
        for values in weights.values():
            for value in values.ravel().tolist():
                value.grad = 0.0
        with collector_paused():
            documents = self.documents(weights, tokens, lengths, drawing)
            objective = self.mean(losses_of(documents))
            if isinstance(objective, Value):  # a number where nothing counts
                objective.backward()
            grads = {name: grads_of(values) for name, values in trained(weights, self.frozen).items()}
            number, numbers = float(number_of(objective)), numbers_of(self.definition, documents)
            counted = sum(document.counted for document in documents)
            loss = sum(document.nats for document in documents) / counted if counted else 0.0
            del objective, documents
        if not numbers and self.arithmetic.ops.standard(*CROSS_ENTROPY) and len(tokens) == 1:
            loss = number  # to the last digit
        return number, loss, grads, numbers

    def gradient_at(
        self, state: State, tokens: np.ndarray, lengths: np.ndarray, drawing: Drawing, params: NamedArrays
    ) -> tuple[float, NamedArrays]:
        """The batch's objective and its gradient where the weights that are trained are these; the state stays.

        What is drawn at random is what the step itself has drawn.
        """
        weights = trained(state.weights, self.frozen)
        own = {name: data_of(values) for name, values in weights.items()}
        try:
            put(params, weights)
            number, _, grads, _ = self.gradients(state, tokens, lengths, drawing)
        finally:
            put(own, weights)
        return number, grads

    def for_evaluation(self, state: State) -> State:
        params = {name: data_of(values) for name, values in state.weights.items()}
        weights = evaluation_weights(self.optimizer, np, params, state.optimizer, self.frozen)
        if isinstance(self.definition, Adapts):
            used = params if weights is None else weights
            named = {name: Tensor(np.asarray(array), self.arithmetic) for name, array in used.items()}
            weights = {name: data_of(tensor.data) for name, tensor in self.definition.merged(named).items()}
        if weights is None:
            return state
        return State({n: as_values(np.asarray(a)) for n, a in weights.items()}, state.optimizer, state.step)

    def export(self, state: State) -> State:
        weights = {name: data_of(values) for name, values in state.weights.items()}
        return State(weights, {k: dict(v) for k, v in state.optimizer.items()}, state.step)

    def evaluate(self, state: State, tokens: np.ndarray, lengths: np.ndarray) -> tuple[float, float]:
        found = self.measure(state, tokens, lengths)
        return float(found.nats.sum()), float(found.counted.sum())

    def measure(
        self, state: State, tokens: np.ndarray, lengths: np.ndarray, metrics: Measures = ()
    ) -> Measured:
        weights = self.numbers(state)
        found = Gathering(tokens, lengths, metrics)
        for at, (row, length) in enumerate(zip(tokens, lengths.tolist(), strict=True)):
            ids, targets = row[:length], row[1 : length + 1]
            if self.definition.plain:
                logits = data_of(self.definition.logits(weights, ids, causal_context(length)).data)
                counts = np.ones(length)
            else:
                ids, targets, context = told(self.definition, ids, targets, causal_context(length))
                judged = self.definition.judged(weights, ids, targets, context)
                logits, counts = data_of(judged.logits.data), weights_of_positions(judged)
            of = np.full(length, at)
            found.losses(of, cross_entropies(logits, targets), counts)
            for name, metric in metrics:
                found.metric(name, of, np.arange(length), *metric(np, logits, ids, targets, counts))
        return found.measured()

    def logits(self, state: State, tokens: np.ndarray) -> np.ndarray:
        ids = np.asarray(tokens)
        return data_of(self.definition.logits(self.numbers(state), ids, causal_context(len(ids))).data)

    def generate(
        self,
        state: State,
        choose: Choose,
        prompt: np.ndarray,
        uniforms: np.ndarray,
        settings: Settings,
        ends: Ends | None = None,
    ) -> np.ndarray:
        weights = self.numbers(state)
        samples = np.zeros(uniforms.shape, dtype=np.int32)
        counted = takes_seen(choose)
        for sample, numbers in zip(samples, uniforms, strict=True):
            past, before = GrowingPast(), list[int]()
            token = int(prompt[0])
            for t, uniform in enumerate(numbers.tolist()):
                logits = self.next_logits(weights, token, t, past)
                before.append(token)
                last = ends_in(len(logits), ends)
                known = (uniform, counts_of(before, len(logits), last)) if counted else (uniform,)
                token = int(prompt[t + 1] if t + 1 < len(prompt) else choose(np, logits, *known, **settings))
                sample[t] = token
                if token in last:
                    break
        return samples

    def next_logits(self, weights: dict[str, Tensor], token: int, t: int, past: GrowingPast) -> np.ndarray:
        """(V,) of the token at position t, after those in `past`, which then has it, too."""
        seen = np.arange(t + 1, dtype=np.int32)
        context = Context(seen[-1:], seen, np.ones((1, t + 1), dtype=bool), past.rewind())
        return data_of(self.definition.logits(weights, np.array([token]), context).data)[0]

    def numbers(self, state: State) -> dict[str, Tensor]:
        """The weights as plain floats, so that a forward pass builds no graph."""
        return {name: Tensor(data_of(values), self.arithmetic) for name, values in state.weights.items()}


def counts_of(tokens: list[int], vocabSize: int, ends: Ends) -> np.ndarray:
    """(V,) how often each stands there, an end never."""
    counts = np.bincount(tokens, minlength=vocabSize)
    counts[list(ends)] = 0
    return counts


def put(numbers: NamedArrays, weights: NamedArrays) -> None:
    """Give the Values of `weights` these numbers."""
    for name, values in weights.items():
        given = np.asarray(numbers[name], dtype=float).ravel().tolist()
        for value, number in zip(values.ravel().tolist(), given, strict=True):
            value.data = number
