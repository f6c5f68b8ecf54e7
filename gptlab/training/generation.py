"""Sampling from a model: temperature, then top-k, then nucleus (Holtzman et al. 2020)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gptlab.data.beginning import begun
from gptlab.data.tokenizers import Tokenizer
from gptlab.engines.engine import Choose, Session, State
from gptlab.errors import UserError, require


@dataclass(frozen=True)
class Sampling:
    """How to draw.

    temperature: what logits are divided by; 0 takes the likeliest token. topK: keep the k likeliest,
    0 for all. topP: of those, keep the smallest set whose probabilities reach p; the likeliest token
    always stays.
    """

    n: int = 20
    temperature: float = 0.8
    topK: int = 0
    topP: float = 1.0
    prompt: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        require("n", self.n, at_least=1, unit="sample", example=20)
        likeliest = "0.8, or 0 for the likeliest token each time"
        require("temperature", self.temperature, at_least=0, example=likeliest)
        require("topK", self.topK, at_least=0, example="40, or 0 for all tokens")
        require("topP", self.topP, above=0, at_most=1, example="0.9, or 1 for all")
        require("seed", self.seed, at_least=0, example=0)


def choose_from_all(xp: Any, logits: Any, uniform: Any, temperature: Any) -> Any:
    """The token that a number in [0, 1) picks from (V,) logits, by the inverse of the distribution.

    Written once for numpy and jax, without branches, so that the temperature is a run-time input. Tokens
    are laid out in the order of their ids: no sort, which would take ten times as long as the model.
    """
    count = logits.shape[0]
    width = math.isqrt(count - 1) + 1
    # Below 1e-30 the quotient could overflow, while the draw has long been that of 0.
    shares = xp.exp((logits - xp.max(logits)) / xp.maximum(temperature, 1e-30))
    # First which of V^½ rows, then which of its tokens: XLA's running sum of all takes nearly as long as the model.
    rows = xp.concatenate([shares, xp.zeros(width * width - count, dtype=shares.dtype)]).reshape(width, width)
    ends = xp.cumsum(xp.sum(rows, axis=1))
    wanted = uniform * ends[-1]
    row = position(xp, ends, wanted)
    inside = xp.cumsum(rows[row])
    rest = xp.maximum(wanted - (ends[row] - inside[-1]), 0.0)
    drawn = row * width + position(xp, inside, rest)
    return xp.where(temperature <= 0, xp.argmax(logits), drawn)


def position(xp: Any, reached: Any, wanted: Any) -> Any:
    """Where a running sum passes `wanted`; where rounding keeps it from that, the last place that adds to it."""
    return xp.minimum(xp.sum(reached <= wanted), xp.sum(reached < reached[-1]))


def choose(xp: Any, logits: Any, uniform: Any, temperature: Any, topK: Any, topP: Any) -> Any:
    """`choose_from_all` of the topK likeliest tokens, and of those the nucleus topP.

    Tokens are laid out from the likeliest down, equal ones in the order of their ids.
    """
    greedy = temperature <= 0
    order = xp.argsort(-logits, stable=True)
    descending = logits[order]
    rank = xp.arange(descending.shape[0])
    # Below 1e-30 the quotient could overflow, while the draw has long been that of 0.
    shares = xp.exp((descending - descending[0]) / xp.maximum(temperature, 1e-30))
    shares = xp.where((topK <= 0) | (rank < topK), shares, 0.0)
    shares = shares / xp.sum(shares)
    before = xp.cumsum(shares) - shares
    # topP=1 keeps all, whatever the rounding of the running sum
    shares = xp.where((topP >= 1) | (before < topP) | (rank == 0), shares, 0.0)
    reached = xp.cumsum(shares)
    drawn = xp.sum(reached <= uniform * reached[-1])
    last = xp.sum(shares > 0) - 1
    return order[xp.where(greedy, 0, xp.minimum(drawn, last))]


def generate(
    session: Session,
    state: State,
    tokenizer: Tokenizer,
    blockSize: int,
    how: Sampling,
    start: int | None = None,
) -> list[str]:
    """`how.n` texts, each beginning with the prompt and ending with the document or the block.

    start: the token that stands before the prompt, BOS if left out; of running text, see beginning.py.
    The numbers drawn depend on the seed alone, so that both engines give the same texts in float64.
    Raises UserError for a prompt that is outside the vocabulary or leaves no room to go on.
    """
    before, ids = begun(tokenizer, how.prompt, tokenizer.bos if start is None else start)
    prompt = [*before, *ids]
    if len(prompt) > blockSize:
        raise UserError(
            f"the prompt must be shorter than blockSize={blockSize} tokens: it has {len(ids)}. Shorten it."
        )
    uniforms = np.random.default_rng([how.seed, 3]).random((how.n, blockSize))
    settings: dict[str, float] = {"temperature": how.temperature}
    chooser: Choose = choose_from_all
    if how.topK or how.topP < 1:
        settings |= {"topK": how.topK, "topP": how.topP}
        chooser = choose
    rows = session.generate(state, chooser, np.array(prompt, dtype=np.int32), uniforms, settings)
    shown = [] if before else ids[:1]  # the rows begin with what follows the first token
    return [tokenizer.decode([*shown, *until(row.tolist(), tokenizer.bos)]) for row in rows]


def until(tokens: list[int], end: int) -> list[int]:
    return tokens[: tokens.index(end)] if end in tokens else tokens
