"""What components draw at random while training: by counter, so that it depends on where it stands and on nothing else.

A number is a function of (seed, step, document, position, layer, the n-th draw there): a resumed run draws it again,
and documents that share a row, padded rows and the scalar engine all draw the same. Legend: see context.py.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

STREAM = 5  # of a run's seed; the others start weights, draw samples, and put data in order
WHOLE = 0xFFFFFFFF  # stands for the position where a document draws one number for all of its positions
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
Words = tuple[Any, Any]  # two arrays of uint32
Drawing = tuple[Any, Any]  # of a training step: the run's key (2,), and the step, or what gives it


def key_of(seed: int) -> np.ndarray:
    """(2,) uint32: what a run's draws are keyed by."""
    return np.random.SeedSequence([seed, STREAM]).generate_state(2, np.uint32)


def threefry(key: Words, counter: Words) -> Words:
    """Threefry-2x32 of 20 rounds (Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3"), elementwise.

    Of numpy arrays; XLA would take minutes to compile the rounds written out, and has jax's own (xla_draws.py).
    """
    keys = (*key, key[0] ^ key[1] ^ np.uint32(PARITY))
    x, y = counter[0] + keys[0], counter[1] + keys[1]
    for group in range(5):
        for turn in ROTATIONS[group % 2]:
            x = x + y
            y = ((y << np.uint32(turn)) | (y >> np.uint32(32 - turn))) ^ x
        x = x + keys[(group + 1) % 3]
        y = y + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x, y


@dataclass(frozen=True)
class Draws:
    """Of the positions of one row, in one training step.

    mix: Threefry on the engine's arrays. key: of the run, (2,). step: from 1 up, or a function that gives it, so that
    the program of a model that draws nothing does not work it out. documents: which of the step's, one number or (T,).
    counts: how many draws each layer has made in this forward pass, or in the last one.
    """

    xp: Any
    mix: Callable[[Words, Words], Words]
    key: Any
    step: Any
    documents: Any
    counts: Counter[int] = field(default_factory=Counter)

    def begun(self) -> Draws:
        """At the beginning of a forward pass."""
        self.counts.clear()
        return self

    def of_rows(self, rows: slice) -> Draws:
        """Those of some of the positions; the draws are counted together."""
        documents = self.documents
        return replace(self, documents=documents[rows] if np.ndim(documents) else documents)

    def site(self, layer: int | None) -> int:
        """Which draw comes next in a layer: the same number for what is drawn in one call."""
        place = 0 if layer is None else layer + 1
        self.counts[place] += 1
        return place << 16 | self.counts[place]

    def uniform(self, site: int, positions: Any, shape: tuple[int, ...]) -> Any:
        """(T, *shape) for positions (T,)."""
        count = math.prod(shape)
        half = -(-count // 2)
        x, y = self._keys(positions)
        words = self._words((x[:, None], y[:, None]), np.arange(half), site)
        found = self.xp.concatenate(words, 1)[:, :count]
        return self._numbers(found).reshape(-1, *shape)

    def of_documents(self, site: int, length: int, shape: tuple[int, ...]) -> Any:
        """(T, *shape), alike at all positions of a document."""
        return self.uniform(site, np.full(length, WHOLE, np.uint32), shape)

    def of_pairs(self, site: int, heads: int, positions: Any, key_positions: Any) -> Any:
        """(H, T, S): one for each head, position, and position that it may attend to."""
        half = -(-heads // 2)
        x, y = self._keys(positions)
        counter = (
            self._word(key_positions)[None, None, :] * np.uint32(half)
            + np.arange(half, dtype=np.uint32)[:, None, None]
        )
        words = self._words((x[None, :, None], y[None, :, None]), counter, site)
        return self._numbers(self.xp.concatenate(words, 0)[:heads])

    def _keys(self, positions: Any) -> Words:
        """(T,) each: of the step, the document and the position."""
        zero = np.zeros(1, np.uint32)
        step = self.step() if callable(self.step) else self.step
        key = self._word(self.key)
        of_step = self.mix((key[:1], key[1:]), (self._word(step).reshape(1), zero))
        positions = self._word(positions)
        documents = self.xp.broadcast_to(self._word(self.documents), positions.shape)
        return self.mix(of_step, (documents, positions))

    def _words(self, key: Words, counter: Any, site: int) -> Words:
        counter = self._word(counter)
        sites = self.xp.full(counter.shape, site, self.xp.uint32)
        return self.mix(key, (counter, sites))

    def _word(self, values: Any) -> Any:
        return self.xp.asarray(values).astype(self.xp.uint32)

    def _numbers(self, words: Any) -> Any:
        """In [0, 1): 24 bits, which float32 holds exactly, so that all engines get the same ones."""
        return (words >> np.uint32(8)).astype(self.xp.result_type(float)) * 2.0**-24
