"""A tokenizer.json of the `tokenizers` library, as it is read: what it must hold, and which token parts documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gptlab.errors import UserError, nearest

NAME = "tokenizer.json"
LARGEST = 1 << 28  # bytes of a file; the largest there are have a fifth of that
# What files without a template call the mark of a document, the one to prefer first.
MARKS = ("<|endoftext|>", "<|begin_of_text|>", "<s>", "<bos>", "[BOS]", "<|startoftext|>")
SHOWN = 8  # of a file's special tokens
TYPE_ONE = "Type tokenizer.bos=TOKEN, one of the file's tokens"
Content = dict[str, Any]


def read_tokenizer_file(path: Path) -> Content:
    """What the file holds, or the tokenizer.json in a folder, as JSON has it.

    Raises UserError for what is not there, cannot be read or is no such file: code, pickles and SentencePiece's own
    files are not read, and nothing is downloaded.
    """
    if path.is_dir():
        path = path / NAME
    try:
        if not path.is_file():
            siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
            close = nearest(path.name, siblings)
            guess = f" Did you mean {path.parent / close[0]}?" if close else ""
            raise UserError(
                f"tokenizer.path must be a tokenizer.json on this disk, as Hugging Face's libraries write it: there is "
                f"no {path}, and nothing is downloaded.{guess}"
            )
        if path.stat().st_size > LARGEST:
            raise no_tokenizer(path, f"it has {path.stat().st_size:,} bytes")
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise no_tokenizer(
            path,
            "it is not text. Convert SentencePiece's own tokenizer.model first, with transformers",
        ) from None
    except OSError as error:
        raise UserError(f"tokenizer.path must be readable: {path}: {error.strerror or error}.") from None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise no_tokenizer(path, f"it is not JSON ({error})") from None
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise no_tokenizer(path, 'it has no "model"')
    try:
        library_of(content)
    except ValueError as error:
        raise no_tokenizer(path, str(error)) from None
    return content


def no_tokenizer(path: Path, why: str) -> UserError:
    return UserError(
        f"tokenizer.path must be a tokenizer.json, as Hugging Face's libraries write it: {path} is not one: {why}."
    )


def library_of(content: Content) -> Any:
    """The library's tokenizer of such content: no piece of a text is cut off, padded or drawn by chance.

    Raises ValueError for what is none.
    """
    import tokenizers

    model = content.get("model")
    if not isinstance(model, dict):
        raise ValueError('it has no "model"')
    plain = {**content, "truncation": None, "padding": None, "model": model}
    if "dropout" in model:
        plain["model"] = {**model, "dropout": None}
    try:
        library = tokenizers.Tokenizer.from_str(json.dumps(plain, allow_nan=False))
        count = library.get_vocab_size()
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # what the library's own panics are
        raise ValueError(f"the library reads no tokenizer in it ({error})") from None
    if count < 2:
        raise ValueError(f"it has {count} tokens")
    # A text that has the mark of a document in it does not end there.
    library.encode_special_tokens = True
    return library


def ids_in(library: Any) -> int:
    """One more than the largest id. Raises ValueError where most ids below it stand for nothing."""
    ids = library.get_vocab(with_added_tokens=True).values()
    largest = max(ids) + 1
    if largest > 2 * len(ids):
        raise ValueError(f"its {len(ids):,} tokens have ids up to {largest - 1:,}")
    return int(largest)


def mark_of(content: Content, library: Any, wanted: str | None, path: Path) -> int:
    """The id of the token that begins and ends every document. wanted: as `tokenizer.bos` names it.

    Without that, the token that the file itself puts before a text; else the best known of its special tokens; else
    the only one. Raises UserError where there is none of these.
    """
    vocabulary = library.get_vocab(with_added_tokens=True)
    if wanted is not None:
        if wanted not in vocabulary:
            close = nearest(wanted, special_tokens(library) or vocabulary)
            guess = f" Near it: {', '.join(close)}." if close else ""
            raise UserError(f"tokenizer.bos must be a token of {path}: got {wanted}.{guess} {TYPE_ONE}.")
        return int(vocabulary[wanted])
    special = special_tokens(library)
    for name in (put_before_a_text(content), *MARKS, *special[: len(special) == 1]):
        if name in vocabulary:
            return int(vocabulary[name])
    has = f"has {', '.join(special[:SHOWN])}" if special else "has none"
    raise UserError(
        f"the special token between documents must be known, and {path} does not say which it is: it {has}. "
        f"{TYPE_ONE}."
    )


def special_tokens(library: Any) -> list[str]:
    """In the order of their ids."""
    return [token.content for _, token in sorted(library.get_added_tokens_decoder().items()) if token.special]


def put_before_a_text(content: Content) -> Any:
    """The token that the file's template begins a single text with; None if it has no such template."""
    after = content.get("post_processor")
    parts = after.get("processors", [after]) if isinstance(after, dict) else []
    for part in parts if isinstance(parts, list) else []:
        match part:
            case {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": str(name)}}, *_]}:
                return name
            case {"type": "BertProcessing" | "RobertaProcessing", "cls": [str(name), _]}:
                return name
    return None
