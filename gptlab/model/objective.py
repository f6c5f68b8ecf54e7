"""Objectives: what a model is trained for. Legend: see component.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gptlab.autograd.tensor import Tensor
from gptlab.engines.context import Context
from gptlab.engines.judged import Judged
from gptlab.errors import UserError, require
from gptlab.model.component import Declared, Part, Sizes

OBJECTIVE = "objective"  # the weights of one are named `objective.NAME`
Judgement = tuple[Tensor, Any]  # losses (T,), and counts (T,) or None


@dataclass(frozen=True)
class NextToken:
    """The cross-entropy of the next token, of which each counts.

    zLoss: this times log² Z is added, Z the sum that the softmax divides by; it keeps logits from drifting away
    (Chowdhery et al. 2022, PaLM: 1e-4). labelSmoothing: that share of the target is spread over all tokens alike
    (Szegedy et al. 2016). Neither is in train/loss or val/loss.
    """

    zLoss: float = 0.0
    labelSmoothing: float = 0.0

    def __post_init__(self) -> None:
        require("objective.zLoss", self.zLoss, at_least=0, example="1e-4")
        require("objective.labelSmoothing", self.labelSmoothing, at_least=0, below=1, example=0.1)

    def __call__(
        self, weights: Part, hidden: Tensor, logits: Tensor, tokens: Any, targets: Any, context: Context
    ) -> Judgement:
        losses = entropies = logits.cross_entropy(targets)
        if self.labelSmoothing:
            losses = losses + (logits.pick(targets) - logits.mean()) * self.labelSmoothing
        if self.zLoss:
            logNormalizers = entropies + logits.pick(targets)
            losses = losses + logNormalizers * logNormalizers * self.zLoss
        return losses, None


NEXT_TOKEN = NextToken()


@dataclass(frozen=True)
class Answers(NextToken):
    """The next token, where it is part of an answer: what follows the first `after` of a document, its end included.

    after: one token of the vocabulary, by its text. zLoss, labelSmoothing: as in nextToken. A document without
    `after` has nothing that counts.
    """

    after: str = "="

    def for_tokens(self, tokenizer: Any) -> AnswersAfter:
        """Raises UserError unless `after` is one token."""
        try:
            ids = tokenizer.encode(self.after)
        except UserError as error:
            raise UserError(f"objective.after must be a token of the vocabulary: {error}") from None
        if len(ids) != 1:
            raise UserError(
                f"objective.after must be one token: '{self.after}' is {len(ids)}. Try objective.after="
                f"'{tokenizer.decode(ids[:1]) if ids else '='}', or another tokenizer."
            )
        return AnswersAfter(self.zLoss, self.labelSmoothing, int(ids[0]))


@dataclass(frozen=True)
class AnswersAfter(NextToken):
    """Answers in a vocabulary that is known. token: the id of `after`."""

    token: int = 0

    def __call__(
        self, weights: Part, hidden: Tensor, logits: Tensor, tokens: Any, targets: Any, context: Context
    ) -> Judgement:
        losses, _ = super().__call__(weights, hidden, logits, tokens, targets, context)
        # Not a running sum over the row, which documents share: the mask knows whose the tokens are.
        return losses, (context.mask & (tokens == self.token)[None, :]).any(-1)


def own_weights(objective: Any, sizes: Sizes) -> Declared:
    """The weights that an objective declares, by its own names; most have none."""
    found: Mapping[str, Any] = objective.weights(sizes) if hasattr(objective, "weights") else {}
    return found


def of_objective(name: str) -> bool:
    """Whether a weight is an objective's."""
    return name.startswith(f"{OBJECTIVE}.")


def for_tokens(objective: Any, tokenizer: Any) -> Any:
    """The objective in a vocabulary; one that knows no token by its text is the same in each."""
    return objective.for_tokens(tokenizer) if hasattr(objective, "for_tokens") else objective


def judged_by(
    objective: Any, weights: Part, hidden: Tensor, logits: Tensor, tokens: Any, targets: Any, context: Context
) -> Judged:
    """What the objective says, checked; what the data does not count does not count.

    Raises UserError that names the objective for what is not losses (T,) and counts (T,).
    """
    found = objective(weights, hidden, logits, tokens, targets, context)
    wanted, name = (len(tokens),), type(objective).__name__
    if not (isinstance(found, tuple) and len(found) == 2 and isinstance(found[0], Tensor)):
        raise UserError(
            f"the objective {name} must give losses, a Tensor, and counts: got {type(found).__name__}. "
            "Write `return losses, None` where each position counts."
        )
    losses, counts = found
    if losses.shape != wanted:
        raise UserError(
            f"the objective {name} must give losses of {wanted}, one a position: got {losses.shape}."
        )
    if counts is None:
        return Judged(losses, logits, context.counts)
    if isinstance(counts, Tensor) or np.shape(counts) != wanted:
        got = "a Tensor" if isinstance(counts, Tensor) else str(np.shape(counts))
        raise UserError(
            f"the objective {name} must give counts of {wanted}, plain numbers made of tokens, targets and context: "
            f"got {got}. Try `targets != 0`, or None where each position counts."
        )
    return Judged(losses, logits, counts if context.counts is None else counts * context.counts)
