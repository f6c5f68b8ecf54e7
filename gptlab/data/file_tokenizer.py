"""The tokenizer of a file: any tokenizer.json of Hugging Face's `tokenizers`, with the ids that it has there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, product
from pathlib import Path
from typing import Any

import numpy as np

from gptlab.data.byte_tokenizers import SIGNS, bytes_of
from gptlab.data.reading import SPACED, WHOLE, WORDS
from gptlab.data.tokenizer_file import NAME, Content, ids_in, library_of, mark_of, read_tokenizer_file
from gptlab.errors import UserError

SIGHTS = "sT1.\n '"  # a character of each kind that the published patterns tell apart
MISSING = "???"  # to OmegaConf, what must be given
LENGTH = 4  # of the texts of these that show where a tokenizer cuts


class FileVocabulary:
    """A Tokenizer, as a file describes it. Its ids are the file's own, those of its special tokens included.

    content: the file's. bos: the id that begins and ends a document. ends: those that end one, `bos` first. vocabSize:
    more than the file's largest id where a model has rows to spare; a token there stands for nothing.
    Raises ValueError for content that is none, and for ids that it has not.
    """

    def __init__(self, content: Content, bos: int, ends: Sequence[int] = (), vocabSize: int | None = None):
        self.content = content
        self.library = library_of(content)
        known = ids_in(self.library)
        self.vocabSize = known if vocabSize is None else vocabSize
        self.bos = bos
        self.ends = tuple(dict.fromkeys((bos, *ends)))
        if self.vocabSize < known:
            raise ValueError(f"it has {known:,} ids, which must fit into {self.vocabSize:,}")
        if not all(0 <= end < self.vocabSize for end in self.ends):
            raise ValueError(f"the ids that end a text must be below {self.vocabSize}: got {self.ends}")

    quick = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Made anew by whoever unpickles it: the library's own pickle forgets that marks in a text are text."""
        return vocabulary_of, (self.content, self.bos, self.ends, self.vocabSize)

    @property
    def mark(self) -> str:
        """The token of `bos`."""
        return str(self.library.id_to_token(self.bos))

    @cached_property
    def parted(self) -> str:
        return SPACED if cuts_before_spaces(self.library) else WHOLE

    def encode(self, text: str) -> list[int]:
        return list(self._rows([text])[0])

    def encode_all(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """`encode` of many texts: their ids (M,) one after another, and how many each has (N,)."""
        rows = self._rows(texts)
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        return np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum())), lengths

    def _rows(self, texts: Sequence[str]) -> list[list[int]]:
        plain = [bytes_of(text).decode() for text in texts]
        encode = self.library.encode_batch if self._drops else self.library.encode_batch_fast
        try:
            found = encode(plain, add_special_tokens=False)
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException as error:  # what the library's own panics are
            raise UserError(
                f"every piece of a text must be in the vocabulary of the tokenizer's file: {error}. Use another "
                "tokenizer.path, or tokenizer=bpe, which takes any text."
            ) from None
        for text, one in zip(plain, found, strict=True):
            if self._drops:
                check_covered(text, one.offsets)
            if self.bos in one.ids:
                raise UserError(
                    f"the mark between documents must not be inside one: a text has '{self.mark}'. Take it out of "
                    "the data."
                )
        return [one.ids for one in found]

    @cached_property
    def _drops(self) -> bool:
        """Whether the library would leave out, without a word, what it does not know."""
        model = self.content["model"]
        if (
            model.get("type", "BPE") != "BPE"
            or model.get("unk_token") is not None
            or model.get("byte_fallback")
        ):
            return False
        return not SIGNS.keys() <= self.library.get_vocab().keys()

    def decode(self, ids: Iterable[int]) -> str:
        kept = [i for i in ids if i != self.bos]
        return str(self.library.decode(kept, skip_special_tokens=False))

    def state(self) -> dict[str, Any]:
        return {
            "content": self.content,
            "bos": self.bos,
            "ends": list(self.ends),
            "vocabSize": self.vocabSize,
        }


class ByteLevelVocabulary(FileVocabulary):
    """One whose tokens are bytes, written in the alphabet of SIGNS, so that each has a number of them."""

    @cached_property
    def _sizes(self) -> dict[int, int]:
        added = self.library.get_added_tokens_decoder()
        sizes = {i: len(token) for token, i in self.library.get_vocab(with_added_tokens=False).items()}
        return sizes | {i: 0 if t.special else len(bytes_of(t.content)) for i, t in added.items()}

    def bytes_in(self, token: int) -> int:
        return self._sizes.get(token, 0)


def vocabulary_of(
    content: Content, bos: int, ends: Sequence[int] = (), vocabSize: int | None = None
) -> FileVocabulary:
    """Raises ValueError for content that describes no tokenizer, or not such ids."""
    decoder = content.get("decoder")
    on_bytes = isinstance(decoder, dict) and decoder.get("type") == "ByteLevel"
    return (ByteLevelVocabulary if on_bytes else FileVocabulary)(content, bos, ends, vocabSize)


def check_covered(text: str, offsets: Iterable[tuple[int, int]]) -> None:
    """Raises UserError for the first character, but for spaces, that no token stands for."""
    covered = set(chain.from_iterable(range(*each) for each in offsets))
    for i, character in enumerate(text):
        if i not in covered and not character.isspace():
            raise UserError(
                f"every character of a text must be in the vocabulary of the tokenizer's file: '{character}' is not. "
                "Use another tokenizer.path, or tokenizer=bpe, which takes any text."
            )


def cuts_before_spaces(library: Any) -> bool:
    """Whether a text may be cut before any single space between two words, which gives the same tokens.

    It is tried on every short text of SIGHTS: patterns look no further.
    """
    before = library.pre_tokenizer
    added = [token.content for token in library.get_added_tokens_decoder().values() if not token.special]
    if before is None or library.normalizer is not None or any(" " in token.strip() for token in added):
        return False

    def pieces(text: str) -> list[str]:
        return [piece for piece, _ in before.pre_tokenize_str(text)]

    for signs in product(SIGHTS, repeat=LENGTH):
        text = "".join(signs)
        for place in (found.start() for found in WORDS.finditer(text)):
            if pieces(text) != pieces(text[:place]) + pieces(text[place:]):
                return False
    return True


@dataclass(frozen=True)
class FileTokenizer:
    """A tokenizer.json, as Hugging Face's libraries write it; nothing is learned, and nothing is downloaded.

    path: the file, or a folder that it lies in. bos: the token that begins and ends every document; by default the one
    that the file puts before a text, or <|endoftext|>, <s> and the like. All ids are the file's.
    """

    path: str = MISSING
    bos: str | None = None

    def files(self) -> list[Path]:
        path = Path(os.path.expanduser(self.path))
        return [path / NAME if path.is_dir() else path]

    def build(self, documents: Iterable[str]) -> FileVocabulary:
        """Raises UserError for a file that is missing or none, and where no token of it is the mark of a document."""
        if self.path == MISSING or not self.path.strip():
            raise UserError(
                "tokenizer=file needs the file: got no tokenizer.path. Type tokenizer.path=tokenizer.json"
            )
        path = Path(os.path.expanduser(self.path))
        content = read_tokenizer_file(path)
        try:
            return vocabulary_of(content, mark_of(content, library_of(content), self.bos, path))
        except ValueError as error:
            raise UserError(
                f"tokenizer.path must be a tokenizer.json that can be used: {path} is not: {error}."
            ) from None

    def restore(self, state: dict[str, Any]) -> FileVocabulary:
        """The vocabulary that `state()` described. Raises KeyError, TypeError or ValueError for what describes none."""
        content, bos, ends, size = (state[key] for key in ("content", "bos", "ends", "vocabSize"))
        if not isinstance(content, dict) or not isinstance(ends, list):
            raise TypeError("a tokenizer's content must be an object, and its ends a list")
        if not all(isinstance(n, int) and not isinstance(n, bool) for n in (bos, size, *ends)):
            raise TypeError("a tokenizer's ids must be whole numbers")
        return vocabulary_of(content, bos, ends, size)
