"""gptlab's tokenizers as a tokenizer.json of Hugging Face's `tokenizers`, with the same ids."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gptlab.data.byte_tokenizers import SIGNS, BytePairs, Bytes
from gptlab.data.file_tokenizer import FileVocabulary
from gptlab.data.tokenizers import Tokenizer, Vocabulary

MARK = "<|endoftext|>"  # of documents, where a vocabulary has none by name


def tokenizer_content(tokenizer: Tokenizer, start: int | None) -> dict[str, Any] | None:
    """What the file holds; None for a tokenizer that has no such form, a plugin's own.

    start: the token that a text begins after, if known: a BOS stands before a text only if that is it.
    """
    if isinstance(tokenizer, FileVocabulary):
        return dict(tokenizer.content)
    if type(tokenizer) is BytePairs or type(tokenizer) is Bytes:
        made = on_bytes(tokenizer)
    elif type(tokenizer) is Vocabulary:
        made = of_pieces(tokenizer)
    else:
        return None
    from tokenizers import processors

    mark = free_mark(tokenizer)
    made.add_special_tokens([mark])
    if made.token_to_id(mark) != tokenizer.bos:
        return None
    if start in (None, tokenizer.bos):
        made.post_processor = processors.TemplateProcessing(
            single=f"{mark} $A", pair=f"{mark} $A {mark} $B", special_tokens=[(mark, tokenizer.bos)]
        )
    content: dict[str, Any] = json.loads(made.to_str())
    return content


def mark_in(content: Mapping[str, Any], tokenizer: Tokenizer, token: int) -> str | None:
    """What a token that ends a text is called in the file."""
    if isinstance(tokenizer, FileVocabulary):
        name: str | None = tokenizer.library.id_to_token(token)
        return name
    return next((added["content"] for added in content["added_tokens"] if added["id"] == token), None)


def free_mark(tokenizer: Tokenizer) -> str:
    """One that is no piece of the vocabulary."""
    pieces = set(tokenizer.pieces) if isinstance(tokenizer, Vocabulary) else set()
    return next(
        mark for mark in (MARK, *(f"<|endoftext{i}|>" for i in range(len(pieces)))) if mark not in pieces
    )


def on_bytes(tokenizer: Bytes) -> Any:
    """Of single bytes, by their number, and of pairs of them, learned within words."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    if isinstance(tokenizer, BytePairs):
        made = Tokenizer(models.BPE(vocab=tokenizer.ids, merges=tokenizer.merges))
    else:
        made = Tokenizer(models.BPE(vocab=dict(SIGNS), merges=[]))
    words = isinstance(tokenizer, BytePairs)
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=words)
    made.decoder = decoders.ByteLevel()
    return made


def of_pieces(vocabulary: Vocabulary) -> Any:
    """Of words or characters, lower-cased and trimmed as gptlab does; an unknown one is an error there, too."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    made = Tokenizer(
        models.WordLevel({piece: i for i, piece in enumerate(vocabulary.pieces)}, unk_token="\0")
    )
    cleaning = [normalizers.Strip(), *([normalizers.Lowercase()] if vocabulary.lowercase else [])]
    made.normalizer = normalizers.Sequence(cleaning)
    if vocabulary.unit == "character":
        made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        made.decoder = decoders.Fuse()
    else:
        made.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s*\n\s*| "), "removed")
    return made
