"""Objectives and components with penalties, for tests."""

from dataclasses import dataclass, field

from gptlab.model.component import Weight
from gptlab.model.mlp import MLP
from gptlab.model.objective import NextToken


@dataclass(frozen=True)
class Counting(NextToken):
    """What follows a token of `least` or more counts twice as much as what follows it directly, all else nothing."""

    least: int = 6

    def __call__(self, weights, hidden, logits, tokens, targets, context):
        losses, _ = super().__call__(weights, hidden, logits, tokens, targets, context)
        return losses, (tokens >= self.least) * (1.0 + (targets >= self.least))


@dataclass(frozen=True)
class TwoHeads:
    """The next token, and by a head of its own the same from the state before."""

    share: float = 0.5

    def weights(self, sizes):
        return {"ahead": (sizes.vocabSize, sizes.nEmbd), "scale": Weight((1, 1), mean=1.0, std=0.0)}

    def __call__(self, weights, hidden, logits, tokens, targets, context):
        ahead = context.behind(hidden, 1) @ weights["ahead"].T * weights["scale"]
        second = ahead.cross_entropy(targets) * self.share
        return logits.cross_entropy(targets) + second.where(context.positions > 0, 0.0), None


@dataclass(frozen=True)
class Penalized(MLP):
    """An mlp that is to keep its hidden layer and its answers small."""

    expansion: int = 2
    on: bool = field(default=True)

    def __call__(self, weights, x, activation, context):
        hidden = activation(x @ weights["hidden"].T)
        y = hidden @ weights["output"].T
        if self.on:
            context.penalty("hidden", (hidden * hidden).mean() * 0.3)
            if context.layer == 1:
                context.penalty("answer", (y * y).mean())
        return y
