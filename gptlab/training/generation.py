"""Sampling from a model: a sampler and its settings, a prompt, and the texts that come of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from gptlab.data.beginning import begun
from gptlab.data.tokenizers import Tokenizer, ends_of, ends_told
from gptlab.engines.engine import Choose, Session, State
from gptlab.errors import UserError, require
from gptlab.training.choosing import choose, choose_from_all
from gptlab.training.samplers import Sampler, Standard, chooser_of, penalized
from gptlab.training.sliding import beyond


@dataclass(frozen=True)
class Sampling:
    """How to draw.

    temperature: what logits are divided by; 0 takes the likeliest token. topK: keep the k likeliest,
    0 for all. topP: of those, keep the smallest set whose probabilities reach p; the likeliest token
    always stays. repetitionPenalty: by which logits of tokens that are there already are divided, those below 0
    multiplied (Keskar et al. 2019, "CTRL"); 1 for none. sampler: what draws; topK and topP are of the standard one.
    length: how many tokens come after the prompt, unless the text ends before; None for as many as blockSize has room
    for. What goes beyond blockSize is drawn after a window of the last blockSize tokens each, see sliding.py.
    """

    n: int = 20
    temperature: float = 0.8
    topK: int = 0
    topP: float = 1.0
    prompt: str = ""
    seed: int = 0
    repetitionPenalty: float = 1.0
    sampler: Sampler = Standard()  # noqa: RUF009 - frozen
    length: int | None = None

    def __post_init__(self) -> None:
        require("n", self.n, at_least=1, unit="sample", example=20)
        likeliest = "0.8, or 0 for the likeliest token each time"
        require("temperature", self.temperature, at_least=0, example=likeliest)
        require("topK", self.topK, at_least=0, example="40, or 0 for all tokens")
        require("topP", self.topP, above=0, at_most=1, example="0.9, or 1 for all")
        require("seed", self.seed, at_least=0, example=0)
        if self.length is not None:
            require("length", self.length, at_least=1, unit="token", example=500)
        require("repetitionPenalty", self.repetitionPenalty, above=0, example="1.2, or 1 for none")
        if not isinstance(self.sampler, Standard) and (self.topK or self.topP < 1):
            raise UserError(
                f"topK and topP are for sampler=standard: got topK={self.topK} topP={self.topP} with "
                f"{type(self.sampler).__name__}. Leave them out."
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
    """`how.n` texts, each beginning with the prompt and ending with the document, or where its length is reached.

    start: the token that stands before the prompt, BOS if left out; of running text, see beginning.py.
    The numbers drawn depend on the seed alone, so that both engines give the same texts in float64.
    Raises UserError for a prompt that is outside the vocabulary or leaves no room to go on.
    """
    last = [""] * how.n
    for texts in growing(session, state, tokenizer, blockSize, how, start):
        last = texts
    return last


def growing(
    session: Session,
    state: State,
    tokenizer: Tokenizer,
    blockSize: int,
    how: Sampling,
    start: int | None = None,
) -> Iterator[list[str]]:
    """What `generate` gives, as it grows: the texts as far as blockSize reaches, then a few tokens more each time.

    The end of a text may change as it grows, where a token is a part of a character.
    """
    before, ids = begun(tokenizer, how.prompt, tokenizer.bos if start is None else start)
    prompt = np.array([*before, *ids], dtype=np.int32)
    if len(prompt) > blockSize and how.length is None:
        raise UserError(
            f"the prompt must be shorter than blockSize={blockSize} tokens: it has {len(ids)}. Shorten it, or say how "
            "many tokens come after it: length=100"
        )
    shown = [] if before else ids[:1]  # the rows begin with what follows the first token
    chooser, settings = how.choice()
    known = len(prompt) - 1
    whole = blockSize if how.length is None else known + how.length
    if len(prompt) <= blockSize:
        uniforms = np.random.default_rng([how.seed, 3]).random((how.n, blockSize))
        rows = session.generate(state, chooser, prompt, uniforms, settings, **ends_told(tokenizer))
    else:
        rows = np.tile(prompt[1:], (how.n, 1))
    ends = ends_of(tokenizer)

    def texts() -> list[str]:
        return [tokenizer.decode([*shown, *until(row.tolist(), ends)]) for row in rows[:, :whole]]

    yield texts()
    more = whole - rows.shape[1]
    if more > 0:
        # Column by column, so that a longer text begins as a shorter one does.
        uniforms = np.random.default_rng([how.seed, 3, 1]).random((more, how.n)).T
        windows = rows[:, -blockSize:]
        for tokens in beyond(session, state, chooser, settings, windows, uniforms, tokenizer):
            rows = np.concatenate([rows, tokens], axis=1)
            yield texts()


def until(tokens: list[int], ends: Collection[int]) -> list[int]:
    return list(takewhile(lambda token: token not in ends, tokens))
