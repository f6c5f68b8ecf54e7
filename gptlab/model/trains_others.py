"""A GPT of which other weights are trained than are used. Legend: see component.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.engines.context import Context
from gptlab.engines.judged import Judged
from gptlab.model.component import Shape, Sizes, Weight
from gptlab.model.gpt import GPT
from gptlab.model.matrix import Matrix


@dataclass(frozen=True)
class TrainsOthers:
    """A Definition that makes the weights of `base` of those that are trained; it evaluates merged weights as well.

    part: what the work is called that makes them, where costs are shown part by part.
    """

    part: ClassVar[str]
    base: GPT

    @property
    def sizes(self) -> Sizes:
        return self.base.sizes

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Of the weights to use."""
        return self.base.shapes

    @property
    def used(self) -> Sequence[str]:
        return list(self.shapes)

    def declared_weights(self) -> dict[str, Weight]:
        """The weights to train, by their full names."""
        raise NotImplementedError

    def started(self, own: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
        """The weights to train at, where the model's own, from somewhere else, are these."""
        raise NotImplementedError

    def initial_weights(self, seed: int) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def matrices(self) -> list[Matrix]:
        raise NotImplementedError

    def merged(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        raise NotImplementedError

    def logits(self, weights: Mapping[str, Tensor], tokens: Any, context: Context) -> Tensor:
        return self.base.logits(self.merged(weights), tokens, context)

    def losses(self, weights: Mapping[str, Tensor], tokens: Any, targets: Any, context: Context) -> Tensor:
        return self.base.losses(self.merged(weights), tokens, targets, context)

    @property
    def plain(self) -> bool:
        return self.base.plain

    @property
    def marked(self) -> bool:
        return self.base.marked

    def judged(self, weights: Mapping[str, Tensor], tokens: Any, targets: Any, context: Context) -> Judged:
        return self.base.judged(self.merged(weights), tokens, targets, context)

    def penalties(self, ops: OpTable) -> tuple[str, ...]:
        return self.base.penalties(ops)
