"""The model of a run as it is at an evaluation, for listeners to look into."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from gptlab.data.beginning import begun
from gptlab.data.tokenizers import Tokenizer
from gptlab.engines.engine import State
from gptlab.errors import UserError
from gptlab.inspection.inspection import Inspection, inspect
from gptlab.launch.experiment import Experiment
from gptlab.model.trains_others import TrainsOthers
from gptlab.training.generation import Sampling, generate


class EvaluatedModel:
    """What `gptlab_evaluated` gets as `model`: the weights that were evaluated, and what they do. Valid in that call.

    step: the steps that are done. tokenizer: the run's vocabulary.
    """

    def __init__(self, experiment: Experiment, state: State, step: int):
        self._experiment = experiment
        self._state = experiment.session.for_evaluation(state)
        self.step = step

    @property
    def tokenizer(self) -> Tokenizer:
        return self._experiment.data.tokenizer

    @cached_property
    def weights(self) -> dict[str, np.ndarray]:
        """The matrices by name, in the order of `params`."""
        weights = self._experiment.session.export(self._state).weights
        return {name: np.array(array) for name, array in weights.items()}

    def logits(self, text: str) -> np.ndarray:
        """(T, V): what the model makes of a text, position by position; the first one is before its first token.

        Raises UserError for what is not in the vocabulary, and for more than blockSize tokens.
        """
        parts, blockSize = self._experiment, self._experiment.definition.sizes.blockSize
        before, ids = begun(self.tokenizer, text, parts.data.start)
        tokens = np.array([*before, *ids], dtype=np.int32)
        if not 0 < len(tokens) <= blockSize:
            raise UserError(f"a text must have at most blockSize={blockSize} tokens: got {len(tokens)}.")
        return parts.session.logits(self._state, tokens)

    def generate(
        self,
        prompt: str = "",
        n: int = 5,
        *,
        temperature: float = 0.8,
        topK: int = 0,
        topP: float = 1.0,
        seed: int = 0,
        length: int | None = None,
    ) -> list[str]:
        """n texts that begin with the prompt; as `gptlab.load(...).generate`. Raises UserError like it."""
        how, parts = Sampling(n, temperature, topK, topP, prompt, seed, length=length), self._experiment
        blockSize = parts.definition.sizes.blockSize
        return generate(parts.session, self._state, self.tokenizer, blockSize, how, parts.data.start)

    def inspect(self, text: str) -> Inspection:
        """Losses, attention, logit lens, gradients of a text. Raises UserError as the verb `inspect`."""
        parts, definition = self._experiment, self._experiment.definition
        base = definition.base if isinstance(definition, TrainsOthers) else definition
        return inspect(base, parts.model.ops, self.weights, self.tokenizer, text, parts.data.start)
