"""Problems without end: drawn as they are needed, by the run's seed, and never one that is held out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from itertools import islice
from random import Random

import numpy as np

from gptlab.data.documents import Documents
from gptlab.data.exampled import documents_of, text_of
from gptlab.data.examples import Example
from gptlab.data.problems import EndlessProblems
from gptlab.data.tokenizers import Tokenizer
from gptlab.engines.engine import Batches
from gptlab.engines.packing import quantiles
from gptlab.errors import UserError

BLOCK = 1024  # problems that one stream of random numbers draws: any block can be had without those before
TRIES = 10_000  # draws without a new problem, after which there are no more
REMEMBERED = 4  # blocks


@dataclass
class Endless:
    """The course through endless problems: `chunk` as Epochs has it. held_out: keys of those that are never drawn."""

    dataset: EndlessProblems
    held_out: frozenset[tuple[str, ...]]
    tokenizer: Tokenizer
    blockSize: int
    seed: int
    _blocks: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    @cached_property
    def sample(self) -> Documents:
        """The first block: it stands for all of them, in lengths and frequencies."""
        return self._made(0, 0)

    @cached_property
    def width(self) -> int:
        """T + 1: that of any chunk, so that none depends on what else is in it."""
        lengths = self.sample.lengths
        return self.sample.width if (lengths == lengths[0]).all() else self.blockSize + 1

    def chunk(self, start: int, steps: int, batchSize: int) -> Batches:
        """The batches of steps start+1 ... start+steps, of batchSize problems each."""
        positions = np.arange(start * batchSize, (start + steps) * batchSize)
        blocks = {int(b): self._block(int(b)) for b in np.unique(positions // BLOCK)}
        width = max(told.shape[1] for told, _ in blocks.values())
        tokens = np.full((len(positions), width), self.tokenizer.bos, dtype=np.int32)
        lengths = np.empty(len(positions), dtype=np.int32)
        for b, (its, predictions) in blocks.items():
            here = positions // BLOCK == b
            tokens[here, : its.shape[1]] = its[positions[here] % BLOCK]
            lengths[here] = predictions[positions[here] % BLOCK]
        return Batches(
            tokens.reshape(steps, batchSize, -1),
            lengths.reshape(steps, batchSize),
            quantiles(self.sample.lengths),
            seed=self.seed,
        )

    def _block(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        if number not in self._blocks:
            while len(self._blocks) >= REMEMBERED:
                del self._blocks[next(iter(self._blocks))]
            made = self._made(number, self.width)
            self._blocks[number] = made.told, made.lengths
        return self._blocks[number]

    def _made(self, number: int, width: int) -> Documents:
        drawn = problems(self.dataset, Random(f"{self.seed} trained on {number}"), self.held_out)
        some = list(islice(drawn, BLOCK))
        return documents_of(some, self.tokenizer, self.blockSize, self.dataset.countAll, width)


@dataclass(frozen=True)
class EndlessCourse:
    """What Epochs are to documents that come again. documents: the first of the problems."""

    endless: Endless
    batchSize: int

    @property
    def documents(self) -> Documents:
        return self.endless.sample

    def chunk(self, start: int, steps: int) -> Batches:
        return self.endless.chunk(start, steps, self.batchSize)


def key_of(example: Example) -> tuple[str, ...]:
    """What tells problems apart."""
    return tuple(example.parts)


def half(splitSeed: int) -> Callable[[tuple[str, ...]], bool]:
    """Says of a key whether its problem may be held out: half of all may.

    Else all of a kind of which there are few, as short ones, would be held out, and none be trained on.
    """

    def may(key: tuple[str, ...]) -> bool:
        text = "\x1f".join((str(splitSeed), *key)).encode("utf-8", "surrogatepass")
        return sha256(text).digest()[0] < 128

    return may


def problems(
    dataset: EndlessProblems,
    random: Random,
    without: Iterable[tuple[str, ...]],
    distinct: bool = False,
    among: Callable[[tuple[str, ...]], bool] | None = None,
) -> Iterator[Example]:
    """Problems by these random numbers, none of them one of `without`.

    distinct: none comes twice. among: says of a key whether its problem may come.
    Raises UserError where no other is found.
    """
    taken = set(without)
    while True:
        for _ in range(TRIES):
            example = dataset.draw(random)
            key = key_of(example)
            if key not in taken and (among is None or among(key)):
                break
        else:
            raise UserError(
                f"there must be problems left to train on or to hold out: {len(taken):,} are taken, and {TRIES:,} "
                f"draws gave no new one, only such as '{text_of(example)}'. At most half of all can be held out. "
                "Try a smaller data.numHeldOut (and data.numExamples), or harder problems."
            )
        if distinct:
            taken.add(key)
        yield example
