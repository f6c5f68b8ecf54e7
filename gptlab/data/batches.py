"""From texts to steps: encode, split off what is held out, cut into batches.

Legend: N documents, T positions, C steps of a chunk, B documents of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gptlab.data.tokenizers import Tokenizer
from gptlab.engines.engine import Batches
from gptlab.errors import UserError


@dataclass(frozen=True)
class Documents:
    """Encoded documents: tokens (N, T+1), BOS first, padded at the end; lengths (N,), predictions in each."""

    tokens: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows: slice | np.ndarray) -> Documents:
        return Documents(self.tokens[rows], self.lengths[rows])

    def unigram_entropy(self) -> float:
        """The entropy, in nats, of what is to be predicted, each prediction taken by itself."""
        targets = self.tokens[:, 1:]
        kept = targets[np.arange(targets.shape[1]) < self.lengths[:, None]]
        counts = np.bincount(kept)
        shares = counts[counts > 0] / len(kept)
        return float(-(shares * np.log(shares)).sum())


def encode(texts: Sequence[str], tokenizer: Tokenizer, blockSize: int) -> Documents:
    """`BOS w1 ... wn BOS` for each text; what does not fit into blockSize predictions is left off."""
    bos = tokenizer.bos
    rows = [[bos, *tokenizer.encode(text), bos][: blockSize + 1] for text in texts]
    return pack(rows, bos)


def windows(texts: Sequence[str], tokenizer: Tokenizer, blockSize: int) -> Documents:
    """Running text as documents of blockSize predictions each: the last token of one begins the next."""
    stream: list[int] = [tokenizer.bos]
    for text in texts:
        stream += [*tokenizer.encode(text), tokenizer.bos]
    rows = [stream[i : i + blockSize + 1] for i in range(0, len(stream) - 1, blockSize)]
    return pack(rows, tokenizer.bos)


def pack(rows: list[list[int]], bos: int) -> Documents:
    lengths = np.array([len(row) - 1 for row in rows], dtype=np.int32)
    tokens = np.full((len(rows), int(lengths.max(initial=0)) + 1), bos, dtype=np.int32)
    tokens[np.arange(tokens.shape[1]) <= lengths[:, None]] = [token for row in rows for token in row]
    return Documents(tokens, lengths)


def split(
    documents: Documents, *, shuffle: bool, valFraction: float, seed: int
) -> tuple[Documents, Documents]:
    """(training, held out): the last `valFraction` of the documents after the seeded shuffle.

    Raises UserError if either would be empty.
    """
    count = len(documents)
    held = round(count * valFraction)
    if (valFraction > 0 and held < 1) or held >= count:
        least = int(np.ceil(1 / min(valFraction, 1 - valFraction))) if valFraction else 1
        raise UserError(
            f"data.valFraction={valFraction} must leave at least one document on each side: there are "
            f"{count} documents. Use at least {max(least, 2)}, or data.valFraction=0 to hold out none."
        )
    order = np.random.default_rng([seed, 1]).permutation(count) if shuffle else np.arange(count)
    return documents[order[: count - held]], documents[order[count - held :]]


@dataclass
class Epochs:
    """An endless course through the documents; any step of it can be had without the steps before.

    The first epoch takes the documents as they are, each later one in a seeded order of its own
    (with `shuffle`), so that a document comes once an epoch.
    """

    documents: Documents
    batchSize: int
    seed: int
    shuffle: bool = True
    _orders: dict[int, np.ndarray] = field(default_factory=dict)

    def chunk(self, start: int, steps: int) -> Batches:
        """The batches of steps start+1 ... start+steps."""
        first = start * self.batchSize
        positions = np.arange(first, first + steps * self.batchSize)
        epochs = positions // len(self.documents)
        rows = np.empty_like(positions)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            rows[here] = self._order(int(epoch))[positions[here] % len(self.documents)]
        picked = self.documents[rows]
        return Batches(
            picked.tokens.reshape(steps, self.batchSize, -1), picked.lengths.reshape(steps, self.batchSize)
        )

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:
            count = len(self.documents)
            # Only neighbouring epochs meet in a chunk; older orders can be made again.
            self._orders = {e: o for e, o in self._orders.items() if e == epoch - 1}
            shuffled = self.shuffle and epoch > 0
            generator = np.random.default_rng([self.seed, 2, epoch])
            self._orders[epoch] = generator.permutation(count) if shuffled else np.arange(count)
        return self._orders[epoch]
