"""The contract between an engine and everything above it.

Legend: C steps of a chunk, B documents of a batch, T positions, V vocabulary, N documents, n samples.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.engines.context import Context
from gptlab.engines.ending import Ends
from gptlab.engines.judged import Judged
from gptlab.engines.measured import Measured, Measures

NamedArrays = dict[str, Any]  # by weight name; numpy arrays, or what numpy.asarray accepts
OptState = dict[str, NamedArrays]  # {"moment": {weight name: array}, ...}
Frozen = frozenset[str]  # names of weights that are not trained
# (xp, logits, uniform, **settings) -> token, or (xp, logits, uniform, seen, **settings)
Choose = Callable[..., Any]
# (xp, params, grads, updates) -> {name: number}, of a step: the weights before it, the gradient, and how they moved.
StepMetrics = Callable[[Any, NamedArrays, NamedArrays, NamedArrays], dict[str, Any]]
Settings = dict[str, float]  # of a choice: temperature, topK, topP


class Definition(Protocol):
    """A model as an engine sees it: hashable, since a compiled program depends on nothing else of it."""

    def logits(self, weights: Mapping[str, Tensor], tokens: Any, context: Context) -> Tensor:
        """(T,) token ids to (T, V) logits."""
        ...

    def losses(self, weights: Mapping[str, Tensor], tokens: Any, targets: Any, context: Context) -> Tensor:
        """(T,) token ids and the (T,) tokens that follow them to the (T,) losses of the objective, in nats."""
        ...

    @property
    def plain(self) -> bool:
        """Whether those are the cross-entropies by the model's own ops, and each position counts alike."""
        ...

    @property
    def marked(self) -> bool:
        """Whether the data says which tokens count: an engine gets them marked then, see marks.py."""
        ...

    def judged(self, weights: Mapping[str, Tensor], tokens: Any, targets: Any, context: Context) -> Judged:
        """`losses` and `logits` of one forward pass, and which positions count; penalties are in the context then."""
        ...

    def penalties(self, ops: OpTable) -> tuple[str, ...]:
        """The names of the penalties that components add."""
        ...

    def __hash__(self) -> int: ...


@runtime_checkable
class Adapts(Protocol):
    """What a Definition may have besides: weights to train at that are not those to use."""

    @property
    def used(self) -> Sequence[str]:
        """The names of those to use, in the model's order."""
        ...

    def merged(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The weights to use, made of those to train at.

        Of merged weights the same ones, so that they can be evaluated like those to train at.
        """
        ...


class Optimizer(Protocol):
    """A pair of pure functions over named arrays.

    Where the weights to use are not those to train at (an average of them, say), a third one,
    `evaluation_weights(xp, params, state) -> params`, gives them: validation, samples and the final
    weights go through it.

    A class attribute `elementwise = True` (of the class itself, not of its base) says that it treats each
    number by itself, whatever array it stands in: an engine may then hand it many arrays as one,
    those of one axis apart from the others.

    Its float fields reach `update` as run-time inputs of a compiled program, so that a sweep over
    them compiles once: compute with them, but never ask `if self.beta1 > 0`. Those of an optimizer within
    a field, or within a tuple, do so, too. Fields of other types are fixed in the program. What the functions
    get they must not change in place.

    An `update` that has an argument `again` is given a function `again(params) -> (loss, grads)`: what the step's
    batch says of other params, and one that has an argument `loss` the step's own; see `updating`. The loss is
    that which the gradient is of.
    """

    def init(self, params: NamedArrays) -> OptState:
        """The state before step 1, as numpy arrays: `{"moment": {weight name: array}, ...}`."""
        ...

    def update(
        self, xp: Any, params: NamedArrays, grads: NamedArrays, state: OptState, step: Any, learningRate: Any
    ) -> tuple[NamedArrays, OptState]:
        """The params and the state after this step; steps count from 1."""
        ...


@dataclass(frozen=True)
class Batches:
    """A chunk of steps: tokens (C, B, T+1), padded, and lengths (C, B), predictions in each document.

    Position t of a document predicts tokens[t+1]; positions from `lengths` on are padding.
    population: lengths of the documents that batches are drawn from, (N,) or a sample of them; an
    engine may choose by it how it lays documents out. prepared: what the engine's `prepare` has added.
    seed: of the run, by which components draw (see draws.py).
    """

    tokens: np.ndarray
    lengths: np.ndarray
    population: np.ndarray | None = None
    prepared: Any = None
    seed: int = 0


@dataclass
class State:
    """Everything that a step changes. `step` counts the steps done."""

    weights: NamedArrays
    optimizer: OptState
    step: int = 0


@dataclass(frozen=True)
class Metrics:
    """One number a step (C,), all of before the update, but for the gradient's norm in nats.

    loss: the cross-entropy a counted token, by true arithmetic: what `evaluate` would say of the step's
    documents; 0 where none counts. objective: what the gradient is of, the mean over documents of each one's mean,
    by the model's own ops, and the penalties; left out where it is the same numbers, as with one document a step.
    gradNorm: the norm of its gradient. numbers: `counted`, the sum of the counts where not each position counts 1,
    `penalty/NAME`, and what the session's `step_metrics` have found.
    """

    loss: np.ndarray
    gradNorm: np.ndarray
    objective: np.ndarray | None = None
    numbers: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def minimized(self) -> np.ndarray:
        """The objective (C,), also where it is the loss."""
        return self.loss if self.objective is None else self.objective


# The ops that a definition's losses take of its logits.
CROSS_ENTROPY = ("add", "exp", "log")


class Session(Protocol):
    """One model on one engine."""

    def init(self, weights: NamedArrays, optimizer: OptState, step: int = 0) -> State:
        """The engine's own state from numpy arrays, e.g. of a checkpoint that another engine wrote."""
        ...

    def train(self, state: State, batches: Batches, learning_rates: np.ndarray) -> tuple[State, Metrics]:
        """As many steps as `batches` holds. The state that came in must not be used again."""
        ...

    def export(self, state: State) -> State:
        """The same as numpy arrays, not tied to the engine any more."""
        ...

    def for_evaluation(self, state: State) -> State:
        """The state to evaluate, sample from and keep; `state` itself where there is no other.

        That of the optimizer's `evaluation_weights`, then of the definition's `merged`, if they have such.
        """
        ...

    def evaluate(self, state: State, tokens: np.ndarray, lengths: np.ndarray) -> tuple[float, float]:
        """The summed cross-entropy of the documents (N, T+1), in nats, and of how many predictions that is.

        The model computes its logits with its own ops; the cross-entropy of those logits is always
        taken with true arithmetic, so that it stays a yardstick when ops are swapped. What the objective leaves out
        is not in it: both numbers are over what counts.
        """
        ...

    def logits(self, state: State, tokens: np.ndarray) -> np.ndarray:
        """(T,) tokens of one document to (T, V) logits."""
        ...

    def generate(
        self,
        state: State,
        choose: Choose,
        prompt: np.ndarray,
        uniforms: np.ndarray,
        settings: Settings,
        ends: Ends | None = None,
    ) -> np.ndarray:
        """n continuations of `prompt` (P,), with a cache of keys and values.

        uniforms: (n, S) numbers in [0, 1), one a position. A choice that takes `seen` gets how often each token stands
        in the sample so far (V,), the prompt included, ends never counted. Returns (n, S) tokens: at position t what
        follows position t; the prompt's own tokens at the first P-1. ends: the tokens that end a sample, what comes
        after which is meaningless; given only where they are others than the last id, BOS.
        """
        ...


@runtime_checkable
class Slides(Protocol):
    """What a Session may have besides: samples that go on where the model's positions end."""

    def slide(
        self,
        state: State,
        choose: Choose,
        windows: np.ndarray,
        uniforms: np.ndarray,
        settings: Settings,
        ends: Ends | None = None,
    ) -> np.ndarray:
        """(n, K) tokens, each chosen after the T before it, which are computed anew, as a document by themselves.

        windows: (n, T) the tokens before the first one, T at most blockSize. uniforms: (n, K) numbers in [0, 1). A
        choice that takes `seen` gets how often each token stands in the window. ends: as for `generate`.
        """
        ...


@runtime_checkable
class Prepares(Protocol):
    """What a Session may have besides: work on the batches to come, while the present ones are trained on."""

    def prepare(self, batches: Batches) -> Batches:
        """The batches with what `train` would first work out of them as `prepared`; `train` takes either.

        Called by another thread while `train` runs.
        """
        ...


@runtime_checkable
class Waits(Protocol):
    """What a Session may have besides: a `train` that first waits until others are ready for theirs."""

    @property
    def seconds(self) -> float:
        """That the last call has computed."""
        ...


@runtime_checkable
class EvaluatesEach(Protocol):
    """What a Session may have besides: an evaluation that tells documents apart, all of them in one call."""

    def document_nats(self, state: State, tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """(N,) what `evaluate` sums: the cross-entropy of each document over its predictions."""
        ...


@runtime_checkable
class MeasuresEach(Protocol):
    """What a Session may have besides, and must have for metrics, and for objectives that count some tokens only."""

    def measure(
        self, state: State, tokens: np.ndarray, lengths: np.ndarray, metrics: Measures = ()
    ) -> Measured:
        """What `evaluate` sums by document, with what metrics make of the same forward pass."""
        ...


class Engine(Protocol):
    """A frozen dataclass of the engine's settings, registered under its name."""

    @property
    def dtype(self) -> str: ...

    def session(
        self,
        definition: Definition,
        optimizer: Optimizer,
        ops: OpTable,
        frozen: Frozen = frozenset(),
        step_metrics: StepMetrics | None = None,
    ) -> Session:
        """A model on this engine. Programs compiled before for the same shapes are used again.

        frozen: names of weights that training leaves as they are, to the bit. The optimizer is given the
        others only, its `init` included, and the norm of the gradient is theirs. An engine that
        cannot freeze may leave the argument out: it is given only where something is frozen. step_metrics: what
        to find out about each step, for `Metrics.numbers`; given only where something is asked for, too. An
        engine may have a further argument `accumulate`: parts of a step's documents that gradients are added up of, so
        that fewer are computed at once; given only where there are several.
        """
        ...


def takes_seen(choose: Choose) -> bool:
    """Whether a choice asks for what stands in the sample already: for one that does not, nothing is counted."""
    return "seen" in inspect.signature(choose).parameters


def evaluation_weights(
    optimizer: Any,
    xp: Any,
    weights: NamedArrays,
    moments: OptState,
    frozen: Frozen = frozenset(),
) -> NamedArrays | None:
    """What the optimizer would have evaluated instead of `weights`; None if it makes no difference."""
    method = getattr(optimizer, "evaluation_weights", None)
    if method is None:
        return None
    chosen = method(xp, trained(weights, frozen), moments)
    if chosen is None:
        return None
    return {name: array if name in frozen else chosen[name] for name, array in weights.items()}


def trained(weights: NamedArrays, frozen: Frozen) -> NamedArrays:
    """Those that are not frozen: what an optimizer is given."""
    return {name: array for name, array in weights.items() if name not in frozen}


def engines_of(part: Any) -> tuple[str, ...] | None:
    """The names of the engines that an optimizer or a component says it is for, `engines = ("xla",)`; None for any."""
    names: tuple[str, ...] | None = getattr(part, "engines", None)
    return names


def runtime_fields(optimizer: Any) -> dict[str, float]:
    """The fields of an optimizer that a compiled program takes as inputs: the floats.

    Those of optimizers within it by their way there: `inner.beta1`, `parts.0.beta1`.
    """
    found: dict[str, float] = {}
    for item in fields(optimizer):
        value = getattr(optimizer, item.name)
        if isinstance(value, float):
            found[item.name] = value
        for way, inner in within(value).items():
            found |= {f"{item.name}{way}.{name}": number for name, number in runtime_fields(inner).items()}
    return found


def with_fields(optimizer: Any, values: Mapping[str, Any]) -> Any:
    """The optimizer with these values of `runtime_fields`, not validated again: they may be traced, not numbers."""
    changed = copy.copy(optimizer)
    for item in fields(optimizer):
        value = getattr(optimizer, item.name)
        inner = {
            way: with_fields(part, beginning(f"{item.name}{way}.", values))
            for way, part in within(value).items()
        }
        if item.name in values:
            object.__setattr__(changed, item.name, values[item.name])
        elif inner:
            object.__setattr__(
                changed, item.name, tuple(inner.values()) if isinstance(value, tuple) else inner[""]
            )
    return changed


def within(value: Any) -> dict[str, Any]:
    """The optimizers that a field holds, each with the way to it behind the field's name."""
    if isinstance(value, tuple) and value and all(is_optimizer(part) for part in value):
        return {f".{i}": part for i, part in enumerate(value)}
    return {"": value} if is_optimizer(value) else {}


def is_optimizer(value: Any) -> bool:
    return is_dataclass(value) and not isinstance(value, type) and callable(getattr(value, "update", None))


def beginning(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
