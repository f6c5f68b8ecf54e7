"""A model that holds numbers: what `gptlab.create_model` gives to a REPL, a notebook, a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gptlab.engines.engine import Session, State
from gptlab.model.gpt import GPT
from gptlab.model.weights import WeightTree, flatten


class Model:
    """A GPT with weights, on one engine.

    `params` is the flat list of every number, `weights` the typed view into the same numbers. With
    the scalar engine both hold the same `Value` objects: `model.params[i]` is the entry of its matrix.
    """

    def __init__(self, definition: GPT, session: Session, state: State):
        self.definition = definition
        self.session = session
        self.state = state

    @property
    def weights(self) -> WeightTree:
        return WeightTree(self.state.weights)

    @property
    def params(self) -> list[Any]:
        return flatten(self.state.weights)

    def logits(self, tokens: Sequence[int]) -> np.ndarray:
        """(T,) tokens of one document to (T, V) logits, as numbers."""
        return self.session.logits(self.state, np.asarray(tokens, dtype=np.int32))

    def loss(self, tokens: Sequence[int]) -> Any:
        """The mean cross-entropy in nats of a document `[BOS, w1, ..., wn, BOS]`.

        A `Value` on the scalar engine, so that `model.loss(tokens).backward()` fills `params` with
        gradients; a number on the others. A document longer than blockSize counts up to there.
        """
        row = np.asarray(tokens, dtype=np.int32)[: self.definition.sizes.blockSize + 1]
        if hasattr(self.session, "loss"):
            return self.session.loss(self.state.weights, row)
        total, count = self.session.evaluate(self.state, row[None], np.array([len(row) - 1], dtype=np.int32))
        return total / count

    def __repr__(self) -> str:
        sizes = self.definition.sizes
        return (
            f"Model({len(self.params):,} parameters, nLayer={sizes.nLayer}, nEmbd={sizes.nEmbd}, "
            f"nHead={sizes.nHead}, blockSize={sizes.blockSize}, vocabSize={sizes.vocabSize})"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: the parts and their matrices, as a table."""
        from gptlab.model.html import model_html

        return model_html(self.definition, repr(self))
