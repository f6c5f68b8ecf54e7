"""The GPT: embeddings, blocks, output, assembled from components. Legend: see component.py."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.engines.carried import Carried
from gptlab.engines.context import Context
from gptlab.engines.judged import Judged
from gptlab.engines.recomputing import through
from gptlab.errors import UserError, require
from gptlab.model.component import Declared, Part, Shape, Sizes, Weight, declared
from gptlab.model.contracts import MLP, Activation, Attention, Block, Norm, Objective
from gptlab.model.in_context import InContext
from gptlab.model.init import Init, Normal, drawn
from gptlab.model.matrix import Matrix
from gptlab.model.objective import NEXT_TOKEN, OBJECTIVE, judged_by, own_weights
from gptlab.model.position import Position

NEAR = 1000  # numbers of heads, up and down, among which another is looked for
# What the model of a few sizes is made of.
STANDARD = {
    "attention": "causal",
    "mlp": "mlp",
    "norm": "rmsnorm",
    "activation": "relu",
    "position": "learned",
    "block": "prenorm",
}
LAYER_KINDS = ("attention", "mlp", "norm", "activation", "block")  # that a layer may have others of
Changes = tuple[tuple[str, Any], ...]  # (kind, component) of a layer


@dataclass(frozen=True)
class GPT:
    """A decoder-only transformer as a definition: sizes and components, no numbers.

    Hashable, and all that a compiled program depends on. `weights` everywhere below are named
    Tensors, in the order of `declared_weights()`. layers: what a layer has instead of the model's own parts, with this
    period; empty where all layers are the same. dropout: the rate at which training sets to 0 what enters the first
    layer, what attention and mlp add, and shares of attention (as GPT-2 does: Radford et al. 2019). softCap: logits
    are softCap · tanh(logits / softCap), also those that are sampled from (Gemma 2, 2024). objective: what it is
    trained for; whoever uses a trained model needs none. marked: whether the data says which tokens count.
    """

    sizes: Sizes
    attention: Attention
    mlp: MLP
    norm: Norm
    activation: Activation
    position: Position
    block: Block
    initStd: float = 0.08
    embeddingNorm: bool = True
    finalNorm: bool = False
    tieEmbeddings: bool = False
    layers: tuple[Changes, ...] = ()
    dropout: float = 0.0
    softCap: float | None = None
    objective: Objective = NEXT_TOKEN
    marked: bool = False
    # Not compared: no program depends on how weights have started.
    init: Init = field(default_factory=Normal, compare=False)

    def __post_init__(self) -> None:
        require("model.dropout", self.dropout, at_least=0, below=1, example=0.1)

    def in_layer(self, i: int) -> GPT:
        """The model as layer i has it."""
        changes = self.layers[i % len(self.layers)] if self.layers else ()
        return replace(self, **dict(changes), layers=()) if changes else self

    def with_parts(self, wrap: Callable[[str, Any], Any]) -> GPT:
        """The model with `wrap(kind, component)` for each of its components, those of single layers included."""
        own = {kind: wrap(kind, getattr(self, kind)) for kind in STANDARD}
        layers = tuple(tuple((kind, wrap(kind, part)) for kind, part in changes) for changes in self.layers)
        return replace(self, **own, layers=layers)

    def declared_weights(self) -> dict[str, Weight]:
        """Every weight by its full name, in the order of `params`."""
        sizes = self.sizes
        matrix = (sizes.vocabSize, sizes.nEmbd)
        weights = declared("", {"tokenEmbedding": matrix})
        weights |= declared("", self.position.weights(sizes))
        if not self.tieEmbeddings:
            weights |= declared("", {"output": matrix})
        if self.embeddingNorm:
            weights |= declared("embeddingNorm", self.norm.weights(sizes))
        for i in range(sizes.nLayer):
            model = self.in_layer(i)
            weights |= declared(f"layers.{i}", model.block.weights(model))
            weights |= declared(f"layers.{i}.activation", weights_of(model.activation, sizes))
        if self.finalNorm:
            weights |= declared("finalNorm", self.norm.weights(sizes))
        return weights | declared(OBJECTIVE, own_weights(self.objective, sizes))

    @property
    def shapes(self) -> dict[str, Shape]:
        return {name: weight.shape for name, weight in self.declared_weights().items()}

    def initial_weights(self, seed: int) -> dict[str, np.ndarray]:
        """float64 arrays by name."""
        return drawn(self.declared_weights(), self.initStd, (seed, 0), self.init, self.sizes)

    def objective_weights(self, seed: int) -> dict[str, np.ndarray]:
        """Those of them that are the objective's."""
        own = declared(OBJECTIVE, own_weights(self.objective, self.sizes))
        return drawn(own, self.initStd, (seed, 0), self.init, self.sizes)

    def matrices(self) -> list[Matrix]:
        """The parameter table, a row a weight."""
        return [Matrix(name, shape, part_of(name), math.prod(shape)) for name, shape in self.shapes.items()]

    def logits(self, weights: Mapping[str, Tensor], tokens: Any, context: Context) -> Tensor:
        """(T,) token ids to (T, V) logits."""
        return self.outputs(weights, tokens, context)[1]

    def outputs(self, weights: Mapping[str, Tensor], tokens: Any, context: Context) -> tuple[Tensor, Tensor]:
        """(T,) token ids to the hidden state (T, E) that the logits are made of, and the logits (T, V)."""
        own = Part(weights)
        draws = context.draws and context.draws.begun()
        context = replace(
            context, layer=None, tokens=tokens, carried=Carried(), draws=draws, dropout=self.dropout
        )
        x = own["tokenEmbedding"].take(tokens)
        outside = InContext(self, context, weights)
        x = context.drop(outside.position.embed(x, context.positions))
        if self.embeddingNorm:
            x = outside.norm(own.within("embeddingNorm"), x)
        for i in range(self.sizes.nLayer):
            x = through(partial(self.layer, i, weights, x), replace(context, layer=i), x)
        x = self.normed(weights, x, context)
        return x, self.unembedded(weights, x)

    def layer(self, i: int, weights: Mapping[str, Tensor], x: Tensor, context: Context) -> Tensor:
        """x (T, E) as it leaves layer i."""
        model = self.in_layer(i)
        return model.block(Part(weights, f"layers.{i}"), x, InContext(model, context, weights), context)

    def readout(self, weights: Mapping[str, Tensor], x: Tensor, context: Context) -> Tensor:
        """The hidden state (T, E) that leaves the last block to (T, V) logits."""
        return self.unembedded(weights, self.normed(weights, x, context))

    def normed(self, weights: Mapping[str, Tensor], x: Tensor, context: Context) -> Tensor:
        if not self.finalNorm:
            return x
        normed: Tensor = InContext(self, context, weights).norm(Part(weights).within("finalNorm"), x)
        return normed

    def unembedded(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        logits = x @ self.unembedding(weights).T
        if self.softCap is None:
            return logits
        return (logits * (1.0 / self.softCap)).apply("tanh") * self.softCap

    def unembedding(self, weights: Mapping[str, Tensor]) -> Tensor:
        return weights["tokenEmbedding" if self.tieEmbeddings else "output"]

    @property
    def plain(self) -> bool:
        return bool(self.objective == NEXT_TOKEN) and not self.marked

    def judged(self, weights: Mapping[str, Tensor], tokens: Any, targets: Any, context: Context) -> Judged:
        hidden, logits = self.outputs(weights, tokens, context)
        told = replace(context, layer=None, tokens=tokens)
        judged = judged_by(self.objective, Part(weights, OBJECTIVE), hidden, logits, tokens, targets, told)
        plain = self.objective == NEXT_TOKEN and self.softCap is None
        if not (plain and hidden.arithmetic.streams(*logits.shape)):
            return judged
        # The logits above are then made only for who looks at them.
        return replace(judged, losses=hidden.cross_entropy_of_product(self.unembedding(weights), targets))

    def losses(self, weights: Mapping[str, Tensor], tokens: Any, targets: Any, context: Context) -> Tensor:
        """(T,) token ids and the tokens that follow them to the (T,) losses of the objective, in nats."""
        return self.judged(weights, tokens, targets, context).losses

    def penalties(self, ops: OpTable) -> tuple[str, ...]:
        """The names of the penalties that components add."""
        from gptlab.model.trial import penalties_of

        return penalties_of(self, ops)


def weights_of(component: Any, sizes: Sizes) -> Declared:
    """What it declares; an activation need not declare any."""
    declares = getattr(component, "weights", None)
    return {} if declares is None else declares(sizes)


def settle_sizes(
    *,
    nLayer: int,
    nEmbd: int,
    nHead: int,
    headDim: int | None,
    blockSize: int,
    vocabSize: int,
    bias: bool = False,
) -> Sizes:
    """The sizes with headDim worked out.

    Raises UserError for a size below 1, or nEmbd that nHead does not divide (with headDim left open).
    """
    given = {"nLayer": nLayer, "nEmbd": nEmbd, "nHead": nHead, "headDim": headDim, "blockSize": blockSize}
    for name, value in given.items():
        if value is not None:
            require(f"model.{name}", value, at_least=1, example=16 if name == "nEmbd" else 4)
    if headDim is None:
        if nEmbd % nHead:
            near = (n for away in range(1, NEAR) for n in (nHead - away, nHead + away) if 0 < n <= nEmbd)
            heads = next((n for n in near if nEmbd % n == 0), 1)
            width = max(1, (2 * nEmbd + nHead) // (2 * nHead)) * nHead
            raise UserError(
                f"nHead must divide nEmbd: got nEmbd={nEmbd}, nHead={nHead}. "
                f"Try model.nHead={heads} or model.nEmbd={width}."
            )
        headDim = nEmbd // nHead
    return Sizes(nLayer, nEmbd, nHead, headDim, blockSize, vocabSize, bias)


def part_of(name: str) -> str:
    """Which of embeddings, attention, mlp, norm, output a weight counts towards."""
    words = name.split(".")
    if any(word.endswith("Norm") for word in words[:-1]):
        return "norm"
    if words[0] == "layers":
        return "mlp" if words[2] == "activation" else words[2]
    if words[0] == OBJECTIVE:
        return OBJECTIVE
    return "output" if name == "output" else "embeddings"
