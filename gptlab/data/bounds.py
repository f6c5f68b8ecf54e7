"""What bounds the loss on held-out documents, where their source knows how probable each of them is.

Legend: N documents, T positions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from gptlab.data.documents import Documents
from gptlab.data.tokenizers import Tokenizer


def bounds_of(
    held_out: Documents, whole: Documents, tokenizer: Tokenizer, nats: Callable[[str], float]
) -> dict[str, float]:
    """The two losses, in nats a token, of models that know the frequencies of tokens, and the source itself.

    Of the held-out documents, and no others: no two documents are equally easy, and what is held out is never
    quite like the whole. nats: -log of a document's probability.
    """
    frequencies = counts_of(whole, tokenizer.vocabSize)
    there = counts_of(held_out, tokenizer.vocabSize)
    known = there > 0
    unigram = -(there[known] * np.log(frequencies[known] / frequencies.sum())).sum()
    texts = Counter(
        tokenizer.decode(row[1 : length + 1].tolist())
        for row, length in zip(held_out.tokens, held_out.lengths, strict=True)
    )
    source = sum(count * nats(text) for text, count in texts.items())
    tokens = int(there.sum())
    return {"heldOutUnigram": float(unigram / tokens), "heldOutEntropy": float(source / tokens)}


def counts_of(documents: Documents, vocabSize: int) -> np.ndarray:
    """(V,) how often each token is to be predicted."""
    counts = np.zeros(vocabSize, dtype=np.int64)
    for part in documents.targets():
        counts += np.bincount(part, minlength=vocabSize)
    return counts
