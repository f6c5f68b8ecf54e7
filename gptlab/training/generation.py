"""Sampling from a model: a sampler and its settings, a prompt, and the texts that come of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gptlab.data.beginning import begun
from gptlab.data.tokenizers import Tokenizer
from gptlab.engines.engine import Choose, Session, State
from gptlab.errors import UserError, require
from gptlab.training.choosing import choose, choose_from_all
from gptlab.training.samplers import Sampler, Standard, chooser_of, penalized


@dataclass(frozen=True)
class Sampling:
    """How to draw.

    temperature: what logits are divided by; 0 takes the likeliest token. topK: keep the k likeliest,
    0 for all. topP: of those, keep the smallest set whose probabilities reach p; the likeliest token
    always stays. repetitionPenalty: by which logits of tokens that are there already are divided, those below 0
    multiplied (Keskar et al. 2019, "CTRL"); 1 for none. sampler: what draws; topK and topP are of the standard one.
    """

    n: int = 20
    temperature: float = 0.8
    topK: int = 0
    topP: float = 1.0
    prompt: str = ""
    seed: int = 0
    repetitionPenalty: float = 1.0
    sampler: Sampler = Standard()  # noqa: RUF009 - frozen

    def __post_init__(self) -> None:
        require("n", self.n, at_least=1, unit="sample", example=20)
        likeliest = "0.8, or 0 for the likeliest token each time"
        require("temperature", self.temperature, at_least=0, example=likeliest)
        require("topK", self.topK, at_least=0, example="40, or 0 for all tokens")
        require("topP", self.topP, above=0, at_most=1, example="0.9, or 1 for all")
        require("seed", self.seed, at_least=0, example=0)
        require("repetitionPenalty", self.repetitionPenalty, above=0, example="1.2, or 1 for none")
        if not isinstance(self.sampler, Standard) and (self.topK or self.topP < 1):
            raise UserError(
                "topK and topP are of sampler=standard: got "
                f"topK={self.topK} topP={self.topP} with {type(self.sampler).__name__}. Leave them out."
            )

    def choice(self) -> tuple[Choose, dict[str, float]]:
        """What an engine's `generate` is to choose by, and the numbers that it is given besides."""
        chooser: Choose = choose_from_all
        settings: dict[str, float] = {"temperature": self.temperature}
        if not isinstance(self.sampler, Standard):
            chooser, settings = chooser_of(self.sampler, self.temperature)
        elif self.topK or self.topP < 1:
            chooser = choose
            settings |= {"topK": self.topK, "topP": self.topP}
        if self.repetitionPenalty != 1:
            return penalized(chooser, settings, self.repetitionPenalty)
        return chooser, settings


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
    chooser, settings = how.choice()
    rows = session.generate(state, chooser, np.array(prompt, dtype=np.int32), uniforms, settings)
    shown = [] if before else ids[:1]  # the rows begin with what follows the first token
    return [tokenizer.decode([*shown, *until(row.tolist(), tokenizer.bos)]) for row in rows]


def until(tokens: list[int], end: int) -> list[int]:
    return tokens[: tokens.index(end)] if end in tokens else tokens
