"""One forward and backward pass of a model that tells what goes on inside it. Legend: see inspection.py."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
from gptlab.model.component import Part
from gptlab.model.gpt import GPT


@dataclass(frozen=True)
class Seen:
    """losses (T,); logits (T, V); attention (L, H, T, T); lens (L+1, T, V) probabilities; hidden and the
    gradient of the mean loss with respect to it, (L+1, T, W); that with respect to each weight.

    H and W are the largest of any layer: what is smaller ends in zeros. What cannot be had of a layer is
    NaN. heads (L): of each layer. widths (L+1): numbers a position, None for a hidden state that is not of
    positions. unread: of which hidden states the model's readout makes no logits.
    """

    losses: np.ndarray
    logits: np.ndarray
    attention: np.ndarray
    lens: np.ndarray
    hidden: np.ndarray
    gradients: np.ndarray
    weight_gradients: dict[str, np.ndarray]
    heads: list[int]
    widths: list[int | None]
    unread: list[int]


def look(
    definition: GPT, ops: OpTable, weights: Mapping[str, np.ndarray], tokens: np.ndarray, targets: np.ndarray
) -> Seen:
    """The pass over tokens (T,), each followed by its target; in float64 if the weights are."""
    dtype = "float64" if any(np.asarray(w).dtype == np.float64 for w in weights.values()) else "float32"
    keep_compiled_programs()
    with jax_precision(dtype):
        # numpy, not jax: each small thing that jax makes apart from the program would be compiled, too.
        given = {name: np.asarray(array, dtype) for name, array in weights.items()}
        arithmetic, length = XlaArithmetic(ops, dtype), len(tokens)
        shapes = hidden_shapes(definition, arithmetic, length)
        shifts = [None if shape is None else np.zeros(shape, dtype) for shape in shapes]
        program = look_program(definition, arithmetic)
        (_, parts), (weight_gradients, gradients) = program(given, shifts, tokens, targets)
    losses, logits, shares, lens, states = jax.tree.map(np.asarray, parts)
    hidden = [by_position(state, length) for state in states]
    return Seen(
        losses,
        logits,
        padded(shares, (0, length, length)),
        padded(lens, logits.shape),
        padded(hidden, (length, 0)),
        padded([by_position(gradient, length) for gradient in gradients], (length, 0)),
        {name: np.asarray(weight_gradients[name]) for name in weights},
        [len(share) for share in shares],
        [None if state is None else state.shape[1] for state in hidden],
        [depth for depth, read in enumerate(lens) if read is None],
    )


@lru_cache(maxsize=8)
def hidden_shapes(definition: GPT, arithmetic: XlaArithmetic, length: int) -> list[tuple[int, ...] | None]:
    """Of the hidden state that the first block gets and those that each block makes, by a trial on shapes alone."""
    shapes: list[tuple[int, ...] | None] = []

    def forward(weights: dict[str, jax.Array], tokens: Any) -> None:
        tapped, model, named = tapped_model(definition, arithmetic, weights, ())
        model.logits(named, tokens, causal_context(length))
        shapes.extend(None if x is None else x.shape for x in tapped.hidden)

    declared = definition.declared_weights()
    weights = {n: jax.ShapeDtypeStruct(w.shape, arithmetic.dtype) for n, w in declared.items()}
    jax.eval_shape(forward, weights, jax.ShapeDtypeStruct((length,), np.int32))
    return shapes


@lru_cache(maxsize=8)  # a compiled program each
def look_program(definition: GPT, arithmetic: XlaArithmetic) -> Callable[..., Any]:
    """(weights, L+1 shifts, tokens, targets) -> (mean loss, parts of Seen), gradients by the first two."""

    def mean_loss(weights: dict[str, jax.Array], shifts: Any, tokens: Any, targets: Any) -> Any:
        tapped, model, named = tapped_model(definition, arithmetic, weights, shifts)
        logits = model.logits(named, tokens, causal_context(len(tokens))).data
        losses = cross_entropy(logits, targets)
        none = jnp.zeros((0, len(tokens), len(tokens)), logits.dtype)
        shares = [jnp.concatenate([none, *layer]) for layer in tapped.shares]
        read = [read_out(definition, named, x, tapped.context) for x in tapped.hidden]
        lens = [None if x is None or x.shape != logits.shape else jax.nn.softmax(x) for x in read]
        return losses.mean(), (losses, logits, shares, lens, tapped.hidden)

    run = jax.value_and_grad(mean_loss, argnums=(0, 1), has_aux=True)
    return compiled(run, arithmetic, Target(), ("look", definition))


def tapped_model(
    definition: GPT,
    arithmetic: XlaArithmetic,
    weights: dict[str, jax.Array],
    shifts: Sequence[jax.Array | None],
) -> tuple[TappedBlock, GPT, dict[str, Tensor]]:
    """Its block, the model with that block, and the weights for it."""
    recording = RecordingArithmetic(arithmetic.ops, arithmetic.dtype)
    tapped = TappedBlock(definition.block, definition, shifts, recording)
    layers = tuple(tuple(c for c in changes if c[0] != "block") for changes in definition.layers)
    return tapped, dataclasses.replace(definition, block=tapped, layers=layers), tensors(weights, recording)


def read_out(
    definition: GPT, weights: dict[str, Tensor], hidden: jax.Array | None, context: Context
) -> jax.Array | None:
    """The logits that the model's readout makes of a hidden state; None if it is not of the readout's shape."""
    if hidden is None:
        return None
    try:
        read: jax.Array = definition.readout(
            weights, Tensor(hidden, weights["tokenEmbedding"].arithmetic), context
        ).data
        return read
    except Exception:  # whatever a component makes of a shape that it does not expect
        return None


def by_position(state: np.ndarray | None, length: int) -> np.ndarray | None:
    """(T, W) of (T, W), of (..., T, E) and of (T, ...); None of what is not of positions."""
    if state is None or length not in (state.shape[-2:-1] + state.shape[:1]):
        return None
    if state.ndim > 1 and state.shape[-2] == length:
        state = np.moveaxis(state, -2, 0)
    return state.reshape(length, -1)


def padded(parts: Sequence[np.ndarray | None], smallest: tuple[int, ...]) -> np.ndarray:
    """The parts as one array, the smaller ones with zeros at the end of each axis; NaN for None."""
    known = [part for part in parts if part is not None]
    shape = tuple(map(max, zip(smallest, *(part.shape for part in known), strict=True)))
    whole = np.zeros((len(parts), *shape), known[0].dtype if known else float)
    for place, part in zip(whole, parts, strict=True):
        if part is None:
            place[...] = np.nan
        else:
            place[tuple(map(slice, part.shape))] = part
    return whole


class RecordingArithmetic(XlaArithmetic):
    """XlaArithmetic that keeps every softmax over the positions of a row, whichever component asks for it."""

    block = None  # rows in one piece, so that a share's place in an array is its position

    def __init__(self, ops: OpTable, dtype: str):
        super().__init__(ops, dtype)
        self.shares: list[jax.Array] = []

    def softmax(self, x: jax.Array, mask: Any) -> jax.Array:
        shares = super().softmax(x, mask)
        if jnp.shape(mask)[-2:] == x.shape[-2:] and x.shape[-1] == x.shape[-2]:
            self.shares.append(shares.reshape(-1, *x.shape[-2:]))
        return shares

    def scan(self, *arguments: Any) -> Any:
        """What a step takes a softmax over are not the positions of the row."""
        before = len(self.shares)
        found = super().scan(*arguments)
        del self.shares[before:]
        return found

    def attend(self, scores: jax.Array, values: jax.Array, mask: Any) -> jax.Array:
        # As it is written for every engine: by way of `softmax`, which the fused one leaves out.
        return self.einsum("hts,shd->thd", self.softmax(scores, mask), values, mask)


@dataclass(eq=False)
class TappedBlock:
    """A block that keeps what comes in and goes out, and adds to it what its gradient is wanted at.

    model: the one that it is a block of, as it was. shifts: L+1 arrays of zeros, each of the shape of its
    hidden state, added to the hidden states by true arithmetic: the gradient with respect to them is that
    of the hidden states; None for what takes none. arithmetic: that which the weights of the trace have.
    After a forward pass: hidden, L+1 arrays, (T, E) where no component changes that, None for what is no
    Tensor; shares, for each of L layers what it took a softmax over, (any number of heads, T, T) each; context,
    that of the pass outside of the layers.
    """

    block: Any
    model: Any
    shifts: Sequence[jax.Array | None]
    arithmetic: RecordingArithmetic
    hidden: list[jax.Array | None] = field(default_factory=list)
    shares: list[list[jax.Array]] = field(default_factory=list)
    context: Any = None

    def __call__(self, weights: Part, x: Tensor, model: Any, context: Context) -> Tensor:
        if not self.hidden:
            x = self._tap(x)
        before = len(self.arithmetic.shares)
        self.context = dataclasses.replace(context, layer=None)
        own = self.model.in_layer(context.layer)
        x = self._tap(own.block(weights, x, model.of(own), context))
        self.shares.append(self.arithmetic.shares[before:])
        return x

    def _tap(self, x: Any) -> Any:
        if not isinstance(x, Tensor):  # what goes from block to block is the block's own business
            self.hidden.append(None)
            return x
        shift = self.shifts[len(self.hidden)] if self.shifts else None
        self.hidden.append(x.data if shift is None else x.data + shift)
        return Tensor(self.hidden[-1], x.arithmetic)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.block, name)
