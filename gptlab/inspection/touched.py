"""Forward passes of a model in which parts give something else than they compute. Legend: see inspection.py.

A place is where that can be: `layers.0.heads` (T, H, D), what `context.attend` returns before the output matrix,
`layers.0.attention` and `layers.0.mlp` (T, E), what these components add to the hidden state.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.engines.context import Context, causal_context
from gptlab.engines.xla_arithmetic import XlaArithmetic, cross_entropy
from gptlab.engines.xla_cache import keep_compiled_programs
from gptlab.engines.xla_compiled import Target, compiled
from gptlab.engines.xla_programs import tensors
from gptlab.engines.xla_settings import jax_precision
from gptlab.inspection.tapped import RecordingArithmetic
from gptlab.model.component import Part
from gptlab.model.gpt import GPT

EMBEDDING, LOGITS = "embedding", "logits"
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Change:
    """What places give instead: keep, by place, booleans that say what stays as computed, (H,) of heads and () of all
    else; fill, what stands where that is False, of a shape that broadcasts to the place's.
    """

    keep: Arrays = field(default_factory=dict)
    fill: Arrays = field(default_factory=dict)


NOTHING = Change()


@dataclass(frozen=True)
class Found:
    """shapes: of each place of the model in a row of T positions. calls: how often a pass comes by each."""

    shapes: dict[str, tuple[int, ...]]
    calls: dict[str, int]


class Touchable:
    """A model with its weights, ready to be changed at places. Its programs are compiled once for each shape."""

    def __init__(self, definition: GPT, ops: OpTable, weights: Arrays) -> None:
        self.definition = definition
        double = any(np.asarray(array).dtype == np.float64 for array in weights.values())
        self.dtype = "float64" if double else "float32"
        self.weights = {name: np.asarray(array, self.dtype) for name, array in weights.items()}
        self._arithmetic = XlaArithmetic(ops, self.dtype)

    def found(self, length: int) -> Found:
        with jax_precision(self.dtype):
            return found_in(self.definition, self._arithmetic, length)

    def activations(self, tokens: np.ndarray, change: Change = NOTHING) -> dict[str, np.ndarray]:
        """By name, what a pass over tokens (T,) computes, `logits` (T, V) too; of what is changed, what it became."""
        found: dict[str, np.ndarray] = self._run(activations_program, tokens, self._given(change))
        return found

    def losses(self, tokens: np.ndarray, targets: np.ndarray, change: Change) -> np.ndarray:
        """(B, T): the true cross-entropy of targets (B, T) after tokens (B, T), in nats."""
        found: np.ndarray = self._run(losses_program, (tokens, targets), self._given(change))
        return found

    def sums(self, tokens: np.ndarray, inside: np.ndarray) -> dict[str, np.ndarray]:
        """By place, what it computes summed over the positions that are inside (B, T), booleans."""
        found: dict[str, np.ndarray] = self._run(sums_program, tokens, inside)
        return found

    def _given(self, change: Change) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        keep = {place: np.asarray(array, bool) for place, array in change.keep.items()}
        return keep, {place: np.asarray(change.fill[place], self.dtype) for place in keep}

    def _run(self, program: Callable[..., Any], *arguments: Any) -> Any:
        keep_compiled_programs()
        with jax_precision(self.dtype):
            run = program(self.definition, self._arithmetic)
            return jax.tree.map(np.asarray, run(self.weights, *arguments))


@lru_cache(maxsize=8)
def found_in(definition: GPT, arithmetic: XlaArithmetic, length: int) -> Found:
    """By a trial on shapes alone."""
    found: list[Found] = []

    def trial(weights: dict[str, jax.Array], tokens: Any) -> None:
        touch = passed(definition, arithmetic, weights, tokens)
        found.append(Found({place: x.shape for place, x in touch.places.items()}, dict(touch.calls)))

    declared = definition.declared_weights()
    weights = {n: jax.ShapeDtypeStruct(w.shape, arithmetic.dtype) for n, w in declared.items()}
    jax.eval_shape(trial, weights, jax.ShapeDtypeStruct((length,), np.int32))
    return found[0]


@lru_cache(maxsize=8)  # a compiled program each, as those below
def activations_program(definition: GPT, arithmetic: XlaArithmetic) -> Callable[..., Any]:
    def run(weights: Any, tokens: Any, change: Any) -> dict[str, jax.Array]:
        touch = passed(definition, arithmetic, weights, tokens, *change)
        return touch.seen | touch.places

    return compiled(run, arithmetic, Target())


@lru_cache(maxsize=8)
def losses_program(definition: GPT, arithmetic: XlaArithmetic) -> Callable[..., Any]:
    def run(weights: Any, rows: Any, change: Any) -> jax.Array:
        def of_row(tokens: Any, targets: Any) -> jax.Array:
            touch = passed(definition, arithmetic, weights, tokens, *change)
            return cross_entropy(touch.seen[LOGITS], targets)

        found: jax.Array = jax.vmap(of_row)(*rows)
        return found

    return compiled(run, arithmetic, Target())


@lru_cache(maxsize=8)
def sums_program(definition: GPT, arithmetic: XlaArithmetic) -> Callable[..., Any]:
    def run(weights: Any, tokens: Any, inside: Any) -> dict[str, jax.Array]:
        def of_row(tokens: Any, inside: Any) -> dict[str, jax.Array]:
            touch = passed(definition, arithmetic, weights, tokens)
            there = {p: x for p, x in touch.places.items() if x.shape[0] == len(tokens)}
            return {p: jnp.einsum("t,t...->...", inside.astype(x.dtype), x) for p, x in there.items()}

        return {place: x.sum(0) for place, x in jax.vmap(of_row)(tokens, inside).items()}

    return compiled(run, arithmetic, Target())


def passed(
    definition: GPT,
    arithmetic: XlaArithmetic,
    weights: dict[str, jax.Array],
    tokens: Any,
    keep: Mapping[str, Any] | None = None,
    fill: Mapping[str, Any] | None = None,
) -> Touch:
    """A forward pass over tokens (T,), and what was seen of it."""
    own = TouchingArithmetic(arithmetic.ops, arithmetic.dtype)
    touch = own.touch = Touch(keep or {}, fill or {})
    layers = tuple(tuple(c for c in changes if c[0] != "block") for changes in definition.layers)
    model = dataclasses.replace(definition, block=TouchedBlock(definition, touch, own), layers=layers)
    touch.seen[LOGITS] = model.logits(tensors(weights, own), tokens, causal_context(len(tokens))).data
    return touch


@dataclass(eq=False)
class Touch:
    """What one pass is told, and what is seen of it: places, as they are gone on with; all else in `seen`."""

    keep: Mapping[str, Any]
    fill: Mapping[str, Any]
    places: dict[str, jax.Array] = field(default_factory=dict)
    seen: dict[str, jax.Array] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)

    def at(self, place: str, x: Any) -> Any:
        """What goes on from a place."""
        if not isinstance(x, Tensor):
            return x
        self.calls[place] += 1
        if place in self.keep:
            keep = self.keep[place]
            keep = keep[:, None] if keep.ndim else keep
            x = Tensor(jnp.where(keep, x.data, self.fill[place]), x.arithmetic)
        self.places[place] = x.data
        return x

    def see(self, name: str, x: Any) -> None:
        if isinstance(x, Tensor):
            self.seen[name] = x.data


class TouchingArithmetic(RecordingArithmetic):
    """What the step of a scan computes is none of the pass's own: it cannot be had outside of the loop."""

    touch: Touch

    def scan(self, *arguments: Any) -> Any:
        kept = dict(self.touch.places), dict(self.touch.seen), self.touch.calls.copy()
        found = super().scan(*arguments)
        self.touch.places, self.touch.seen, self.touch.calls = kept
        return found


@dataclass(eq=False)
class TouchedBlock:
    """A block whose attention and mlp are touched. model: the one that it is a block of, as it was."""

    model: GPT
    touch: Touch
    arithmetic: RecordingArithmetic

    def __call__(self, weights: Part, x: Tensor, model: Any, context: Context) -> Tensor:
        layer = f"layers.{context.layer}"
        if context.layer == 0:
            self.touch.see(EMBEDDING, x)
        before = len(self.arithmetic.shares)
        own = self.model.in_layer(context.layer or 0)
        touched = dataclasses.replace(
            own,
            attention=TouchedAttention(own.attention, layer, self.touch),
            mlp=TouchedMLP(own.mlp, layer, self.touch),
        )
        x = own.block(weights, x, model.of(touched), context)
        self.touch.see(f"{layer}.output", x)
        shares = self.arithmetic.shares[before:]
        if shares:
            self.touch.seen[f"{layer}.shares"] = jnp.concatenate(shares)
        return x

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model.block, name)


class TouchedMLP:
    """A component that gives what the touch says; otherwise as it was."""

    KIND = "mlp"

    def __init__(self, component: Any, layer: str, touch: Touch):
        self._component = self.__wrapped__ = component
        self._layer, self._touch = layer, touch

    def __call__(self, *arguments: Any, **asked: Any) -> Any:
        return self._touch.at(f"{self._layer}.{self.KIND}", self._component(*arguments, **asked))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._component, name)


class TouchedAttention(TouchedMLP):
    KIND = "attention"

    def __call__(self, weights: Part, x: Tensor, position: Any, context: Context, config: Any) -> Any:
        told = {f.name: getattr(context, f.name) for f in fields(context)}
        own = TouchedContext(**told, touch=self._touch, place=self._layer)
        return super().__call__(weights, x, position, own, config)


@dataclass(frozen=True)
class TouchedContext(Context):
    """A context whose `attend` gives what the touch says. What is made of it, as by `within`, is one, too."""

    touch: Any = None
    place: str = ""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, *others: Any, **more: Any) -> Tensor:
        for name, x in (("query", query), ("key", key), ("value", value)):
            self.touch.see(f"{self.place}.{name}", x)
        heads: Tensor = self.touch.at(
            f"{self.place}.heads", super().attend(query, key, value, *others, **more)
        )
        return heads
