"""Which documents are held out: a share of the distinct ones, each with all its repetitions.

Documents are told apart by 64 bits of each, so that equal ones are found without a text in memory.

Legend: N documents, T positions, V vocabSize.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np

from gptlab.data.documents import AT_ONCE, Documents
from gptlab.data.orders import InOrder, Order, Without, shuffled, through
from gptlab.data.tokenizers import Tokenizer
from gptlab.errors import UserError

LARGEST = 0.05  # of what is held out: one document that were more would decide the loss by itself
# Where no share is given: what leaves the difference of two models to their seeds (python -m benchmarks.held_out).
SHARE = 0.2
MOST = 4000  # distinct documents: more would cost time and tell no more
OFTEN = 0.001  # of what is held out: few that come often would be most of its noise
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
NO_KEYS = np.empty(0, dtype=np.uint64)


@dataclass(frozen=True)
class Sides:
    """Keys of documents, sorted and distinct: what weights were trained on, and what was held out from them."""

    trained: np.ndarray = field(default_factory=lambda: NO_KEYS)
    held_out: np.ndarray = field(default_factory=lambda: NO_KEYS)

    def then(self, trained: np.ndarray, held_out: np.ndarray) -> Sides:
        """With those of the run that came after. What was trained on once is not held out any more."""
        all_trained = np.union1d(self.trained, trained)
        held = np.union1d(self.held_out, held_out)
        return Sides(all_trained, held[~among(held, all_trained)])


@dataclass(frozen=True)
class Split:
    """train, held_out: the documents. rows: of those held out. sides: with those of earlier runs. digest: 16 hex digits
    of `rows`.

    kept: documents whose side an earlier run had settled. lack: why none is held out.
    """

    train: Documents
    held_out: Documents
    rows: np.ndarray
    sides: Sides
    digest: str
    kept: int = 0
    lack: str = ""


def split(
    documents: Documents,
    keys: np.ndarray,
    *,
    valFraction: float | None,
    splitSeed: int,
    shuffle: bool,
    seed: int,
    before: Sides | None = None,
) -> Split:
    """The documents in the order to train on (with `shuffle` the seed's), and those held out.

    keys (N,): equal for equal documents. A distinct document is held out by what it says and by splitSeed,
    whatever the others are: first come those that splitSeed ranks first, `valFraction` of the distinct ones (None: the
    usual share), one at least where there are two. One that comes so often that it would be more than LARGEST (with the
    usual share OFTEN) of what is held out is trained on. before: the sides of earlier runs; they stay as they were,
    whatever the share.

    Raises UserError if nothing is left to train on.
    """
    distinct, counts = np.unique(keys, return_counts=True)
    before = before or Sides()
    held, trained = among(distinct, before.held_out), among(distinct, before.trained)
    held &= ~trained
    if held.all():
        raise UserError(
            "the data must have a document to train on: all of it was held out by the run that the weights come from, "
            "to measure what is forgotten. Use other data, or train without initFrom."
        )
    kept = int(counts[held | trained].sum())
    lack = ""
    largest = LARGEST
    if valFraction is None:
        valFraction, largest = usual_share(len(distinct)), OFTEN
    if valFraction:
        free = ranked(np.flatnonzero(~held & ~trained), distinct, splitSeed)
        wanted = max(1, round(len(distinct) * valFraction)) - int(held.sum())
        most = max(counts[free].min(initial=len(keys)), largest * valFraction * len(keys))
        # One stays to be trained on.
        spare = len(free) - (not trained.any())
        held[free[counts[free] <= most][: max(0, min(wanted, spare))]] = True
        if not held.any():
            lack = "it has one document" if len(keys) == 1 else "all of its documents are the same"
            lack = "the weights come from a run on all of it" if trained.any() else lack
    rows = rows_among(keys, distinct[held])
    rest = Without(rows, len(keys))
    order: Order = through(shuffled(len(rest), [seed, 1]), rest) if shuffle else rest
    sides = before.then(distinct[~held], distinct[held])
    return Split(documents[order], documents[rows], rows, sides, digest_of_rows(rows), kept, lack)


def usual_share(count: int) -> float:
    """Of so many documents."""
    return min(SHARE, MOST / max(count, 1))


def ranked(of: np.ndarray, distinct: np.ndarray, splitSeed: int) -> np.ndarray:
    """The same indices (into `distinct`), in the order in which splitSeed would hold them out."""
    ranks = mixed(distinct[of] ^ mixed(np.array([splitSeed + 1], dtype=np.uint64)))
    return of[np.argsort(ranks)]


def among(keys: np.ndarray, some: np.ndarray) -> np.ndarray:
    """Whether each key is one of `some`, which are sorted."""
    if not len(some):
        return np.zeros(len(keys), dtype=bool)
    return some[np.minimum(np.searchsorted(some, keys), len(some) - 1)] == keys


def rows_among(keys: np.ndarray, some: np.ndarray) -> np.ndarray:
    """The rows whose key is one of `some`, which are sorted; a part of them at a time, to save memory."""
    parts = [among(keys[i : i + AT_ONCE], some) for i in range(0, len(keys), AT_ONCE)]
    return np.flatnonzero(np.concatenate(parts))


def split_by_seed(
    documents: Documents, keys: np.ndarray, *, valFraction: float | None, shuffle: bool, seed: int
) -> Split:
    """As runs were split whose config has no splitSeed: the last documents after the run's own shuffle."""
    count = len(documents)
    valFraction = usual_share(count) if valFraction is None else valFraction
    order = np.asarray(shuffled(count, [seed, 1]) if shuffle else InOrder(count))
    train, rows = np.split(order, [count - round(count * valFraction)])
    sides = Sides().then(np.unique(keys[train]), np.unique(keys[rows]))
    return Split(documents[train], documents[rows], rows, sides, digest_of_rows(rows))


def digest_of_rows(rows: np.ndarray) -> str:
    return hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()[:16]


def document_keys(documents: Documents, tokenizer: Tokenizer) -> np.ndarray:
    """(N,) uint64: equal for equal documents, as long as blockSize lets the model see them.

    They depend on what the tokens stand for and not on their ids, which another line of text may change.
    """
    pieces = piece_keys(tokenizer)
    keys = np.empty(len(documents), dtype=np.uint64)
    count = max(1, AT_ONCE // max(documents.width, 1))
    places = mixed(np.arange(1, documents.width + 1, dtype=np.uint64) * GOLDEN)
    for start in range(0, len(documents), count):
        some = documents[start : start + count]
        # Each token by its place, then summed (Zobrist 1970): the order of tokens counts, and rows are done at once.
        parts = mixed(pieces[some.tokens] ^ places)
        parts[np.arange(documents.width) > some.lengths[:, None]] = 0
        keys[start : start + count] = parts.sum(axis=1, dtype=np.uint64)
    return mixed(keys)


def piece_keys(tokenizer: Tokenizer) -> np.ndarray:
    """(V,) uint64: a key for what each token stands for; tokens that look the same are told apart by their ids."""
    seen: set[str] = set()
    keys = []
    for token in range(tokenizer.vocabSize):
        text = "" if token == tokenizer.bos else tokenizer.decode([token])
        if text in seen:  # half of a character, say
            text = f"{text}\0{token}"
        seen.add(text)
        keys.append(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
    return np.frombuffer(b"".join(keys), dtype="<u8")


def mixed(x: np.ndarray) -> np.ndarray:
    """A permutation of the 64-bit numbers that leaves no trace of their order (Steele, Lea, Flood 2014, SplitMix)."""
    x = x ^ (x >> np.uint64(30))
    x *= np.uint64(0xBF58476D1CE4E5B9)  # wraps at 2^64
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x
