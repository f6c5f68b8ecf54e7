"""Examples as documents of tokens. Legend: N examples, P their parts, M tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gptlab.data.documents import Documents
from gptlab.data.examples import Example
from gptlab.data.labels import labels_of
from gptlab.data.tokenizers import Tokenizer, in_batches
from gptlab.errors import UserError


def documents_of(
    examples: Sequence[Example], tokenizer: Tokenizer, blockSize: int, countAll: bool = False, width: int = 0
) -> Documents:
    """The examples encoded, part by part; an end that does not count is not there to be predicted.

    countAll: all tokens count. width: T + 1 at the least. Raises UserError for an example of more than blockSize
    predictions, one without an answer, and what is not in the vocabulary.
    """
    pieces = [(i, text, counts) for i, example in enumerate(examples) for text, counts in example.pieces()]
    ids, sizes = encoded_parts([text for _, text, _ in pieces], tokenizer)
    owners = np.repeat([i for i, _, _ in pieces], sizes).astype(np.int64)
    counts = np.repeat([counts or countAll for _, _, counts in pieces], sizes).astype(bool)
    lengths = np.bincount(owners, minlength=len(examples))
    ends = np.array([example.ends or countAll for example in examples], dtype=bool)
    check_answers(examples, owners[counts], ends)
    check_fit(examples, lengths + ends, blockSize)
    span = max(width, int((lengths + ends).max(initial=0)) + 1)
    tokens = np.full((len(examples), span), tokenizer.bos, dtype=np.int32)
    counted = np.zeros((len(examples), span - 1), dtype=bool)
    places = np.arange(len(ids)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    tokens[owners, places + 1] = ids
    counted[owners, places] = counts
    counted[np.flatnonzero(ends), lengths[ends]] = True
    labels = labels_of([example.labels for example in examples])
    return Documents(tokens, (lengths + ends).astype(np.int32), counted, labels)


def encoded_parts(texts: Sequence[str], tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
    """The ids of all parts (M,), and how many each has (P,)."""
    if (batched := in_batches(tokenizer)) is not None:
        return batched.encode_all(texts)
    rows = [np.asarray(tokenizer.encode(text), dtype=np.int32) for text in texts]
    return np.concatenate([np.zeros(0, np.int32), *rows]), np.array(
        [len(row) for row in rows], dtype=np.int64
    )


def check_answers(examples: Sequence[Example], answered: np.ndarray, ends: np.ndarray) -> None:
    """answered: the examples that have a token which counts."""
    something = np.bincount(answered, minlength=len(examples)) + ends
    if len(without := np.flatnonzero(something == 0)):
        raise UserError(
            f"an example must have an answer, which counts: '{text_of(examples[without[0]])}' has none. Its parts are "
            'prompt, answer, prompt, answer ... in turn: Example(["1 + 2 =", "3"]).'
        )


def check_fit(examples: Sequence[Example], predictions: np.ndarray, blockSize: int) -> None:
    most = int(predictions.max(initial=0))
    if most > blockSize:
        raise UserError(
            f"an example must fit into model.blockSize tokens: '{text_of(examples[int(predictions.argmax())])}' has "
            f"{most}, and model.blockSize is {blockSize}. Type model.blockSize={most}."
        )


def text_of(example: Example) -> str:
    """In one line, as a person reads it; long ones cut."""
    text = " ".join(text for text, _ in example.pieces())
    return text if len(text) <= 60 else f"{text[:60]}..."
