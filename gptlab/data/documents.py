"""Texts encoded: a stream of tokens that may lie in a file, and documents, a table of them or cuts of such a stream.

Legend: N documents, T positions, W = T + 1 their width, M tokens of a stream.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from gptlab.data.arrays import Array, runs
from gptlab.data.encoders import Encoded, Encoders
from gptlab.data.orders import InOrder, Order
from gptlab.data.reading import in_lists, pieces_of_texts
from gptlab.data.tokenizers import InBatches, Tokenizer, in_batches
from gptlab.engines.labels import Label
from gptlab.engines.marks import marked

AT_ONCE = 1 << 19  # tokens that are looked at in one piece
TABLE = 1 << 24  # tokens up to which a table is quicker and costs little: 64 MiB


class Documents:
    """Encoded documents: tokens (N, T+1), BOS first, padded at the end; lengths (N,), predictions in each.

    counted: (N, T) booleans, which of the predictions count; None where all do. labels: by name.
    """

    counted: np.ndarray | None = None
    labels: Mapping[str, Label] = MappingProxyType({})

    def __init__(
        self,
        tokens: np.ndarray,
        lengths: np.ndarray,
        counted: np.ndarray | None = None,
        labels: Mapping[str, Label] = MappingProxyType({}),
    ):
        self._tokens, self._lengths = tokens, lengths
        self.counted, self.labels = counted, labels

    @property
    def tokens(self) -> np.ndarray:
        return self._tokens

    @property
    def lengths(self) -> np.ndarray:
        return self._lengths

    @property
    def told(self) -> np.ndarray:
        """The tokens as engines take them: those that do not count are marked, see engines/marks.py."""
        return self.tokens if self.counted is None else marked(self.tokens, self.counted)

    @property
    def width(self) -> int:
        """T + 1, the tokens of the longest document."""
        return int(self._tokens.shape[1])

    def __len__(self) -> int:
        return len(self._lengths)

    def __getitem__(self, rows: slice | Order) -> Documents:
        at = as_index(rows)
        counted = None if self.counted is None else self.counted[at]
        labels = {name: label.of(at) for name, label in self.labels.items()}
        return Documents(self._tokens[at], self._lengths[at], counted, labels)

    def targets(self) -> Iterator[np.ndarray]:
        """What is to be predicted and counts, in pieces."""
        for start in range(0, len(self), max(1, AT_ONCE // self.width)):
            part = self[start : start + max(1, AT_ONCE // self.width)]
            tokens, lengths = part.tokens[:, 1:], part.lengths
            used = np.arange(tokens.shape[1]) < lengths[:, None]
            yield tokens[used if part.counted is None else used & part.counted]

    def counts(self, vocabSize: int = 0) -> np.ndarray:
        """(V,) how often each token is to be predicted; without vocabSize up to the last one that is."""
        counts = np.zeros(vocabSize, dtype=np.int64)
        for part in self.targets():
            more = np.bincount(part, minlength=len(counts))
            more[: len(counts)] += counts
            counts = more
        return counts

    def unigram_entropy(self) -> float:
        """The entropy, in nats, of what is to be predicted, each prediction taken by itself."""
        counts = self.counts()
        shares = counts[counts > 0] / counts.sum()
        return float(-(shares * np.log(shares)).sum())


@dataclass(frozen=True)
class TokenStream:
    """BOS w1 ... wn BOS w1 ... : the tokens (M,) of all texts, a BOS before and after each.

    tokens: of any integer type. starts (N+1,): where each text's BOS stands; the last entry is that of the
    final BOS. longest: the most predictions in a text. bos: its id.
    """

    tokens: Array
    starts: Array
    longest: int
    bos: int


class Cuts(Documents):
    """Documents cut from a stream: a text each, at most blockSize predictions of it, or windows that tile it."""

    def __init__(self, stream: TokenStream, blockSize: int, window: bool, rows: Order | None = None):
        self.stream, self.blockSize, self.window = stream, blockSize, window
        predictions = len(stream.tokens) - 1
        self.count = -(-predictions // blockSize) if window else len(stream.starts) - 1
        self.rows: Order = InOrder(self.count) if rows is None else rows

    @property
    def width(self) -> int:
        longest = len(self.stream.tokens) - 1 if self.window else self.stream.longest
        return min(self.blockSize, longest) + 1

    @property
    def lengths(self) -> np.ndarray:
        lengths = np.empty(len(self), dtype=np.int32)
        for start in range(0, len(self), AT_ONCE):
            lengths[start : start + AT_ONCE] = self._bounds(slice(start, start + AT_ONCE))[1]
        return lengths

    @property
    def tokens(self) -> np.ndarray:
        tokens = np.empty((len(self), self.width), dtype=np.int32)
        columns = np.arange(self.width)
        count = max(1, AT_ONCE // self.width)
        for start in range(0, len(self), count):
            begins, lengths = self._bounds(slice(start, start + count))
            part = runs(self.stream.tokens, begins, self.width)
            tokens[start : start + count] = np.where(columns <= lengths[:, None], part, self.stream.bos)
        return tokens

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice | Order) -> Cuts:
        # An order stays one, and is not written out, where it is one of the stream's own rows.
        chosen = rows if self._whole and isinstance(rows, InOrder) else self.rows[as_index(rows)]
        return Cuts(self.stream, self.blockSize, self.window, chosen)

    @property
    def _whole(self) -> bool:
        return type(self.rows) is InOrder and len(self) == self.count

    def _bounds(self, part: slice) -> tuple[np.ndarray, np.ndarray]:
        """(N,) where in the stream these documents begin, and (N,) their predictions."""
        rows = np.asarray(self.rows[part])
        if self.window:
            begins = rows.astype(np.int64) * self.blockSize
            left = len(self.stream.tokens) - 1 - begins
        else:
            bounds = runs(self.stream.starts, rows, 2)
            begins, left = bounds[:, 0], bounds[:, 1] - bounds[:, 0]
        return begins, np.minimum(left, self.blockSize).astype(np.int32)

    def targets(self) -> Iterator[np.ndarray]:
        """Of all documents of the stream straight from it; of some, from each."""
        if not self._whole:
            yield from super().targets()
        elif self.window or self.stream.longest <= self.blockSize:
            for start in range(1, len(self.stream.tokens), AT_ONCE):
                yield self.stream.tokens[start : start + AT_ONCE]
        else:
            yield from self._beginnings()

    def _beginnings(self) -> Iterator[np.ndarray]:
        """The first blockSize predictions of each text."""
        first = 0
        while first < self.count:
            bounds = self.stream.starts[first : first + AT_ONCE // 8 + 1]
            # As many texts as fit, but one at least.
            fitting = int(np.searchsorted(bounds, bounds[0] + AT_ONCE, side="right"))
            bounds = bounds[: max(2, fitting)]
            at = np.arange(bounds[-1] - bounds[0]) - np.repeat(bounds[:-1] - bounds[0], np.diff(bounds))
            part = self.stream.tokens[int(bounds[0]) + 1 : int(bounds[-1]) + 1]
            yield part[at < self.blockSize]
            first += len(bounds) - 1

    def in_memory(self) -> Documents:
        """The same as a table if it is a small one."""
        small = len(self) * self.width <= TABLE
        return Documents(self.tokens, self.lengths) if small else self


def as_index(rows: slice | Order) -> slice | np.ndarray:
    return rows if isinstance(rows, slice) else np.asarray(rows)


def encoded(
    texts: Iterable[str],
    tokenizer: Tokenizer,
    look: Callable[[list[str]], None] = lambda some: None,
    side_by_side: Encoders | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pieces of the stream, (M,) tokens and (N,) the positions in them where a text's BOS stands.

    The BOS after the last text is the caller's to add. look: gets the texts, or parts of them, on the way.
    side_by_side: what encodes several pieces at once, of a tokenizer that takes texts in batches.
    """
    bos = tokenizer.bos
    batched = in_batches(tokenizer)
    if batched is not None:
        for begin, ids, counts in encoded_in_batches(texts, batched, look, side_by_side):
            yield laid_out(ids, counts, bos) if begin else (ids, np.zeros(0, dtype=np.int64))
        return
    for some in in_lists(texts):
        look(some)
        rows = [np.asarray(tokenizer.encode(text), dtype=np.int32) for text in some]
        yield laid_out(np.concatenate(rows), np.array([len(row) for row in rows]), bos)


def encoded_in_batches(
    texts: Iterable[str],
    tokenizer: InBatches,
    look: Callable[[list[str]], None],
    side_by_side: Encoders | None,
) -> Iterator[tuple[bool, np.ndarray, np.ndarray]]:
    """(whether texts begin here, the ids of some of them or of a part of one, how many each has)."""
    waiting: deque[tuple[bool, Future[Encoded]]] = deque()
    for begin, some in pieces_of_texts(texts, tokenizer.parted):
        look(some)
        if side_by_side is None:
            yield begin, *tokenizer.encode_all(some)
            continue
        waiting.append((begin, side_by_side.submit(some)))
        if len(waiting) > side_by_side.ahead:
            begin, found = waiting.popleft()
            yield begin, *found.result()
    for begin, found in waiting:
        yield begin, *found.result()


def laid_out(ids: np.ndarray, counts: np.ndarray, bos: int) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of texts with a BOS before each: ids (M,) one text after the other, counts (N,) of each."""
    ends = np.cumsum(counts + 1)
    starts = ends - counts - 1
    tokens = np.empty(len(ids) + len(counts), dtype=ids.dtype)
    is_token = np.ones(len(tokens), dtype=bool)
    is_token[starts] = False
    tokens[starts] = bos
    tokens[is_token] = ids
    return tokens, starts


def stream_in_memory(texts: Iterable[str], tokenizer: Tokenizer) -> TokenStream:
    end = np.array([tokenizer.bos], dtype=np.int32), np.zeros(1, dtype=np.int64)
    tokens, starts = zip(*encoded(texts, tokenizer), end, strict=True)
    bases = np.cumsum([0, *map(len, tokens[:-1])])
    bounds = np.concatenate([begins + base for begins, base in zip(starts, bases, strict=True)])
    longest = int(np.diff(bounds).max(initial=0))
    return TokenStream(np.concatenate(tokens), bounds, longest, tokenizer.bos)
