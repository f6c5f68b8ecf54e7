"""Tokenizers of bytes, which have a code for every text there is: single ones, and pairs that are frequent."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from gptlab import strict_json
from gptlab.data.reading import SPACED, WORDS, pieces_of_texts, read_documents
from gptlab.errors import UserError, require

BYTES = 256
SAMPLE = 16 << 20  # characters that pairs are learned from; of a longer text a part, spread over all of it
KNOWN = 1 << 17  # words whose ids are remembered
LONGEST = 64  # characters of those


def signs() -> dict[str, int]:
    """The byte of each sign of the alphabet in which merges are written: GPT-2's, where all can be seen and printed."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    unseen = [byte for byte in range(BYTES) if byte not in seen]
    return {chr(byte): byte for byte in seen} | {chr(BYTES + i): byte for i, byte in enumerate(unseen)}


SIGNS = signs()


class Bytes:
    """A Tokenizer whose ids stand for one byte or more of UTF-8 each. spelled (V - 1,): the bytes of each id.

    Nothing of a text is trimmed or changed. What is no UTF-8 is decoded to U+FFFD.
    """

    parted: str | None = None  # see tokenizers.InBatches
    quick = True

    def __init__(self, spelled: Sequence[bytes]):
        self.spelled = list(spelled)

    @property
    def vocabSize(self) -> int:
        return len(self.spelled) + 1

    @property
    def bos(self) -> int:
        return len(self.spelled)

    def encode(self, text: str) -> list[int]:
        return list(bytes_of(text))

    def encode_all(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """`encode` of many texts: their ids (M,) one after another, and how many each has (N,)."""
        encoded = [bytes_of(text) for text in texts]
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        return np.frombuffer(b"".join(encoded), np.uint8).astype(np.uint16), lengths

    def decode(self, ids: Iterable[int]) -> str:
        return b"".join(self.spelled[i] for i in ids if i != self.bos).decode("utf-8", "replace")

    def bytes_in(self, token: int) -> int:
        """For bitsPerByte, which would count the bytes of U+FFFD."""
        return 0 if token == self.bos else len(self.spelled[token])

    def state(self) -> dict[str, Any]:
        return {}


def bytes_of(text: str) -> bytes:
    """In UTF-8, with a question mark for half of a character, which that has not."""
    return text.encode("utf-8", "replace")


@dataclass(frozen=True)
class ByteTokenizer:
    """The 256 bytes and BOS: any text, in any language, as it is, and nothing to learn."""

    def build(self, documents: Iterable[str]) -> Bytes:
        return Bytes([bytes([i]) for i in range(BYTES)])

    def restore(self, state: dict[str, Any]) -> Bytes:
        return self.build([])


class BytePairs(Bytes):
    """What has been learned: each of `merges` makes one piece of two, in this order of rank.

    Pieces are written in the alphabet of `signs`. library: what encodes a word. known: the ids of words that came.
    Raises ValueError for merges of what is not there.
    """

    parted = SPACED
    quick = False

    def __init__(self, merges: Sequence[tuple[str, str]]):
        ids = {sign: i for i, sign in enumerate(sorted(SIGNS))}
        for first, second in merges:
            if first not in ids or second not in ids:
                raise ValueError(f"a merge must join two pieces that exist: {first!r} and {second!r}")
            ids.setdefault(first + second, len(ids))
        self.merges = list(merges)
        self.ids = ids
        super().__init__([bytes(SIGNS[sign] for sign in piece) for piece in ids])
        self.known: dict[str, list[int]] = {}

    @cached_property
    def library(self) -> Any:
        import tokenizers

        return on_bytes(tokenizers.models.BPE(vocab=self.ids, merges=self.merges))

    def encode(self, text: str) -> list[int]:
        return list(chain.from_iterable(self._of_words([WORDS.split(text)])[0]))

    def encode_all(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        rows = self._of_words([WORDS.split(text) for text in texts])
        lengths = np.fromiter((sum(map(len, row)) for row in rows), np.int64, len(rows))
        ids = chain.from_iterable(chain.from_iterable(rows))
        return np.fromiter(ids, np.int32, int(lengths.sum())), lengths

    def _of_words(self, texts: Sequence[Sequence[str]]) -> list[list[list[int]]]:
        """The ids of each word of each text. Most words come often: the library is asked for those that are new."""
        known = self.known
        if new := sorted(set(chain.from_iterable(texts)) - known.keys()):
            found = self.library.encode_batch_fast([bytes_of(word).decode() for word in new])
            more = {word: one.ids for word, one in zip(new, found, strict=True)}
            kept = {word: ids for word, ids in more.items() if len(word) <= LONGEST}
            if len(known) + len(kept) <= KNOWN:
                self.known = known | kept
            known = known | more
        return [[known[word] for word in words] for words in texts]

    def state(self) -> dict[str, Any]:
        return {"merges": [list(pair) for pair in self.merges]}


@dataclass(frozen=True)
class BytePairTokenizer:
    """Bytes, and the pairs of pieces within words that are the most frequent, learned from the data: any text.

    vocabSize: ids at most, the 256 bytes and BOS included; fewer where there is nothing left to pair. path: the file or
    folder to learn from; by default the data itself, of a long one parts. Sennrich, Haddow, Birch 2016, "Neural Machine
    Translation of Rare Words with Subword Units"; on bytes, and with GPT-2's ends of words (Radford et al. 2019).
    """

    vocabSize: int = 512
    path: str | None = None

    def __post_init__(self) -> None:
        require(
            "tokenizer.vocabSize",
            self.vocabSize,
            at_least=BYTES + 1,
            unit="ids, the bytes and BOS",
            example=512,
        )

    def build(self, documents: Iterable[str]) -> BytePairs:
        """Raises UserError if there is nothing in the documents (or in those at `path`)."""
        import tokenizers

        if self.path is not None:
            documents = read_documents(Path(os.path.expanduser(self.path)), "tokenizer.path")
        some = sample_of(documents)
        if not any(text.strip() for text in some):
            raise UserError("the vocabulary must have at least one pair, but the documents are empty.")
        learning = on_bytes(tokenizers.models.BPE())
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=self.vocabSize - 1, initial_alphabet=sorted(SIGNS), show_progress=False
        )
        learning.train_from_iterator((bytes_of(text).decode() for text in some), trainer)
        merges = strict_json.loads(learning.to_str())["model"]["merges"]
        learned = BytePairs([(first, second) for first, second in merges])
        assert learned.ids == learning.get_vocab(), "the library gives ids in another order"
        return learned

    def restore(self, state: dict[str, Any]) -> BytePairs:
        """The vocabulary that `state()` described. Raises KeyError, TypeError or ValueError for what describes none."""
        merges = state["merges"]
        if not isinstance(merges, list) or not all(
            isinstance(pair, list) and len(pair) == 2 and all(isinstance(piece, str) for piece in pair)
            for pair in merges
        ):
            raise TypeError("merges must be pairs of texts")
        return BytePairs([(first, second) for first, second in merges])


def on_bytes(model: Any) -> Any:
    """A tokenizer of the library that cuts a text into words, each with the space before it, and those into bytes."""
    import tokenizers

    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return made


def sample_of(documents: Iterable[str]) -> list[str]:
    """All of the documents, or of more than SAMPLE characters every second, fourth ... block."""
    kept: list[list[str]] = []
    every, size = 1, 0
    for number, (_, some) in enumerate(pieces_of_texts(documents, SPACED)):
        if number % every:
            continue
        kept.append(some)
        size += sum(map(len, some))
        while size > SAMPLE and len(kept) > 1:
            kept, every = kept[::2], 2 * every
            size = sum(len(text) for block in kept for text in block)
    return list(chain.from_iterable(kept))
