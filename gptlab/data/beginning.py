"""What stands before a text: BOS for a model of documents, for one of running text what it has seen there.

Running text has a BOS a file: a model hardly sees one, and has no idea of what comes after it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np

from gptlab.data.documents import AT_ONCE, TokenStream
from gptlab.data.tokenizers import Tokenizer, TypedTokenizer, Vocabulary
from gptlab.errors import UserError

LINE_END = "\n"


def first_token(stream: TokenStream, tokenizer: Tokenizer, window: bool) -> int:
    """The token to begin with: BOS for documents; for running text a line's end, or else its most frequent token."""
    if not window:
        return tokenizer.bos
    counts = np.bincount(np.asarray(stream.tokens[:AT_ONCE]), minlength=tokenizer.vocabSize)
    end = line_end(tokenizer)
    if end is not None and counts[end]:
        return end
    counts[tokenizer.bos] = 0
    return int(np.argmax(counts)) if counts.any() else tokenizer.bos


def first_token_of(start: Any, config: dict[str, Any] | None, tokenizer: Tokenizer) -> int:
    """The same for weights that are there already. start: what they say themselves; None if they are too old to.

    A file of plain numbers says nothing. Lines have no line ends in them: whose vocabulary has one is of
    running text.
    """
    if isinstance(start, int) and 0 <= start < tokenizer.vocabSize:
        return start
    end = line_end(tokenizer)
    data = (config or {}).get("data")
    if isinstance(data, dict):
        return end if end is not None and data.get("unit") == "window" else tokenizer.bos
    return end if end is not None and isinstance(tokenizer, Vocabulary) else tokenizer.bos


def line_end(tokenizer: Tokenizer) -> int | None:
    """The token that ends a line; None for a tokenizer that has none."""
    with suppress(UserError):
        ids = typed(tokenizer, LINE_END)
        return ids[-1] if ids else None
    return None


def typed(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a part of a text, with the spaces at its ends if the tokenizer can tell them."""
    return tokenizer.encode_typed(text) if isinstance(tokenizer, TypedTokenizer) else tokenizer.encode(text)


def begun(tokenizer: Tokenizer, text: str, start: int) -> tuple[list[int], list[int]]:
    """(what stands before, the ids of the text as it goes on from there), for a text that is not at its end.

    In running text every character counts, and a line's end that is typed first needs no other before it. A
    document has nothing before its first word; only a tokenizer of characters knows a space after the last one.

    Raises UserError for what is not in the vocabulary.
    """
    if start != tokenizer.bos:
        ids = typed(tokenizer, text)
        return ([], ids) if ids[:1] == [start] else ([start], ids)
    characters = isinstance(tokenizer, Vocabulary) and tokenizer.unit == "character"
    return [start], typed(tokenizer, text.lstrip()) if characters else tokenizer.encode(text)
