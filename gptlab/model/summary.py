"""What a model is made of and what it costs, part by part, without training it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.engines.engine import Frozen
from gptlab.model.gpt import GPT, LAYER_KINDS
from gptlab.model.init import Normal
from gptlab.model.matrix import Matrix
from gptlab.model.model import with_changes
from gptlab.model.objective import OBJECTIVE
from gptlab.model.scoped import LOSS, MAKING, part_of_weight, scoped
from gptlab.model.trains_others import TrainsOthers


@dataclass(frozen=True)
class PartSummary:
    """A part of the model by its full name (`layers.0.mlp`), its weights and what they are used for.

    forward, training: floating-point operations a token. kept: bytes of activations of a batch.
    """

    name: str
    matrices: tuple[Matrix, ...]
    forward: float
    training: float
    kept: int

    @property
    def parameters(self) -> int:
        return sum(matrix.count for matrix in self.matrices)


@dataclass(frozen=True)
class Summary:
    """A model's parts, and what training it takes.

    Operations are counted in what the xla engine traces for a document of `positions` positions (blockSize),
    masked ones included: a sum, a product or another function of a number is one, a multiply-add two.
    training: loss and gradient (the update, `update` operations a step, is apart). kept: activations that
    the backward pass needs of batchSize such documents, before XLA computes some of them again. Bytes are
    those of `dtype`, the optimizer's by the name of what it keeps. at_least: a loop's turns are unknown.
    layers: where layers have parts of their own, of each layer what it is made of; equal for those that are the same.
    init: how weights start, where that is not the standard.
    """

    parts: tuple[PartSummary, ...]
    positions: int
    batchSize: int
    dtype: str
    products: float  # of `forward`, the share within matrix products
    update: int
    optimizer: dict[str, int]
    trained: int  # parameters
    at_least: bool = False
    layers: tuple[str, ...] = ()
    init: str = ""

    @property
    def parameters(self) -> int:
        return sum(part.parameters for part in self.parts)

    @property
    def forward(self) -> float:
        return sum(part.forward for part in self.parts)

    @property
    def training(self) -> float:
        return sum(part.training for part in self.parts)

    @property
    def step(self) -> float:
        """Operations of a step of batchSize whole documents, the update included."""
        return self.training * self.positions * self.batchSize + self.update

    @property
    def memory(self) -> dict[str, int]:
        """Bytes while training."""
        each = np.dtype(self.dtype).itemsize
        return {
            "weights": self.parameters * each,
            "gradients": self.trained * each,
            "optimizer": sum(self.optimizer.values()),
            "activations": sum(part.kept for part in self.parts),
        }


def summarize(
    definition: GPT | TrainsOthers,
    ops: OpTable,
    optimizer: Any,
    *,
    frozen: Frozen = frozenset(),
    batchSize: int = 1,
    dtype: str = "float32",
) -> Summary:
    """Trace the model, its gradient and its update, and count."""
    # jax is imported here and not above: a wrong config must not take the second that it needs
    from gptlab.engines.xla_settings import begin, stored_in

    begin()
    from gptlab.engines.xla_costs import initial, model_costs, scope, update_costs

    base = definition.base if isinstance(definition, TrainsOthers) else definition
    matrices = [replace(m, trainable=m.name not in frozen) for m in definition.matrices()]
    positions = definition.sizes.blockSize
    shapes = {matrix.name: matrix.shape for matrix in matrices}
    costs = model_costs(scoped(definition, scope), ops, shapes, frozen, positions, dtype)
    trained = {name: shape for name, shape in shapes.items() if name not in frozen}
    stored = stored_in(dtype)
    state = initial(optimizer, trained, stored)
    update, asked = update_costs(optimizer, trained, stored)
    forward, training = costs.forward, costs.training

    rest = definition.part if isinstance(definition, TrainsOthers) else LOSS  # what is in no scope
    found = [*reversed(forward.parts), *(part_of_weight(name) for name in shapes), *training.parts]
    names = in_order([rest, *found])
    parts = []
    for name in names:
        own = {name, ""} if name == rest else {name}
        parts.append(
            PartSummary(
                name,
                tuple(matrix for matrix in matrices if part_of_weight(matrix.name) == name),
                sum(f.total for part, f in forward.parts.items() if part in own) / positions,
                (1 + asked) * sum(f.total for part, f in training.parts.items() if part in own) / positions,
                batchSize * sum(size for part, size in costs.kept.items() if part in own),
            )
        )
    return Summary(
        tuple(part for part in parts if part.matrices or part.training or part.forward),
        positions,
        batchSize,
        stored,
        products=forward.total.products / max(1, forward.total.total),
        update=update.total.total,
        optimizer={key: bytes_of(arrays) for key, arrays in state.items()},
        trained=sum(int(np.prod(shape)) for shape in trained.values()),
        at_least=forward.at_least or training.at_least or update.at_least,
        layers=layers_of(base),
        init="" if base.init == Normal() else with_changes(base.init),
    )


def layers_of(definition: GPT) -> tuple[str, ...]:
    """Of each layer its parts of the kinds in which layers differ, `attention NoAttention`."""
    layers = [definition.in_layer(i) for i in range(definition.sizes.nLayer)]
    kinds = [
        kind for kind in LAYER_KINDS if any(getattr(x, kind) != getattr(layers[0], kind) for x in layers)
    ]
    found: dict[tuple[Any, ...], str] = {}
    for layer in layers:
        parts = tuple(getattr(layer, kind) for kind in kinds)
        text = ", ".join(f"{kind} {with_changes(part)}" for kind, part in zip(kinds, parts, strict=True))
        # Two classes may have one name.
        found.setdefault(parts, text + " (another)" * (text in found.values()))
    return tuple(found[tuple(getattr(layer, kind) for kind in kinds)] for layer in layers) if kinds else ()


def in_order(names: Iterable[str]) -> list[str]:
    """Each name once, layers together, the loss last, and before it what makes the weights."""
    found = [name for name in dict.fromkeys([*names, LOSS]) if name]

    def place(name: str) -> tuple[int, int]:
        first, _, rest = name.partition(".")
        number = int(rest.partition(".")[0]) if first == "layers" else 0
        order = ("embeddings", "embeddingNorm", "layers", "finalNorm", "output", *MAKING, OBJECTIVE, LOSS)
        return (order.index(first) if first in order else 2, number)

    return sorted(found, key=place)


def bytes_of(arrays: Any) -> int:
    """Of a tree of arrays: dicts of dicts, as optimizers keep them."""
    if isinstance(arrays, dict):
        return sum(bytes_of(array) for array in arrays.values())
    return int(np.asarray(arrays).nbytes)
