"""Texts to one stream of tokens, a block of them at a time.

Legend: N texts, M tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from gptlab.data.documents import TokenStream
from gptlab.data.reading import in_lists, pieces_of_texts
from gptlab.data.tokenizers import Tokenizer, Vocabulary


def encoded(texts: Iterable[str], tokenizer: Tokenizer) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pieces of the stream, (M,) tokens and (N,) the positions in them where a text's BOS stands.

    The BOS after the last text is the caller's to add.
    """
    bos = tokenizer.bos
    if isinstance(tokenizer, Vocabulary) and type(tokenizer).encode is Vocabulary.encode:
        for begin, some in pieces_of_texts(texts, tokenizer.unit):
            ids, counts = tokenizer.encode_all(some)
            yield laid_out(ids, counts, bos) if begin else (ids, np.zeros(0, dtype=np.int64))
        return
    for some in in_lists(texts):
        rows = [np.asarray(tokenizer.encode(text), dtype=np.int32) for text in some]
        yield laid_out(np.concatenate(rows), np.array([len(row) for row in rows]), bos)


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
    tokens: list[np.ndarray] = []
    starts: list[np.ndarray] = []
    base = 0
    for ids, begins in encoded(texts, tokenizer):
        tokens.append(ids)
        starts.append(begins + base)
        base += len(ids)
    tokens.append(np.array([tokenizer.bos], dtype=np.int32))
    starts.append(np.array([base], dtype=np.int64))
    bounds = np.concatenate(starts)
    longest = int(np.diff(bounds).max(initial=0))
    return TokenStream(np.concatenate(tokens), bounds, longest, tokenizer.bos)
