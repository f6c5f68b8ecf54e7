"""What tells documents apart: 64 bits of each, by which equal ones are found without a text in memory.

Legend: N documents, T positions, V vocabSize.
"""

from __future__ import annotations

import hashlib

import numpy as np

from gptlab.data.documents import AT_ONCE, Documents
from gptlab.data.tokenizers import Tokenizer

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


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
