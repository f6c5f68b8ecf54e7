"""The step that a config's training would begin with: its model, its weights, its documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.config.typed import Config
from gptlab.data.tokenizers import Tokenizer
from gptlab.engines.draws import key_of
from gptlab.errors import UserError
from gptlab.inspection.inspection import ids_of
from gptlab.launch.experiment import Experiment
from gptlab.model.gpt import GPT
from gptlab.model.trains_others import TrainsOthers
from gptlab.plugins.registry import Registry

MOST_PARAMETERS = 2_000_000  # each is a Python object, of some 100 bytes


@dataclass(frozen=True)
class Step:
    """weights: float64 arrays by name. tokens (B, T+1), padded, and lengths (B,): the batch of step 1. seed: of the
    run, by which the step draws what is dropped out.
    """

    definition: GPT | TrainsOthers
    ops: OpTable
    fuse: bool
    weights: dict[str, np.ndarray]
    tokens: np.ndarray
    lengths: np.ndarray
    tokenizer: Tokenizer
    seed: int = 0

    @property
    def drawing(self) -> tuple[np.ndarray, int]:
        return key_of(self.seed), 1

    @property
    def documents(self) -> list[np.ndarray]:
        """Each without its padding."""
        return [row[: n + 1] for row, n in zip(self.tokens, self.lengths.tolist(), strict=True)]

    @property
    def texts(self) -> list[str]:
        """What is read of each, without BOS and what only is to be predicted."""
        bos = self.tokenizer.bos
        return [self.tokenizer.decode([i for i in row.tolist() if i != bos]) for row in self.documents]


def step_of(config: Config, registry: Registry, requested: Mapping[str, Any], text: str | None) -> Step:
    """Step 1 of the run that a config describes, with `text` as its only document if there is one.

    Raises UserError as training does before its first step, for a model too large to be one object a
    number, and for a text that is empty, too long, or has what is not in the vocabulary.
    """
    experiment = Experiment.of(config, registry, requested)
    data, definition = experiment.data, experiment.definition
    count = sum(matrix.count for matrix in definition.matrices())
    if count > MOST_PARAMETERS:
        raise UserError(
            f"the scalar graph has an object for each number, so that at most {MOST_PARAMETERS:,} parameters "
            f"can be looked at: this model has {count:,}. Try a smaller model.nEmbd or model.nLayer."
        )
    weights = experiment.weights()
    if text is None:
        batch = experiment.epochs.chunk(0, 1)
        tokens, lengths = batch.tokens[0], batch.lengths[0]
    else:
        row = np.array(ids_of(data.tokenizer, text, definition.sizes.blockSize, data.start), dtype=np.int32)
        tokens, lengths = row[None], np.array([len(row) - 1], dtype=np.int32)
    fuse = bool(getattr(experiment.engine, "fuse", True))
    return Step(definition, experiment.model.ops, fuse, weights, tokens, lengths, data.tokenizer, config.seed)
