"""Datasets: where documents come from. Each is a frozen dataclass whose `documents()` gives the texts."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from gptlab.data import python_manual, sentences
from gptlab.data.python_manual import MANUAL, manual
from gptlab.data.records import read_texts
from gptlab.errors import UserError, require


@dataclass(frozen=True)
class Dataset:
    """The base of datasets.

    shuffle: in a seeded order, a new one each epoch; else as they come. valFraction: the share of the distinct
    documents that is held out: none of them is trained on, however often it comes; null for a fifth, a few thousand
    at most, and none that comes often (splitting.usual_share). splitSeed: which ones; null for a split as runs had it
    whose config has no such key, by the run's seed. splitTokenizer: whose tokens tell documents apart, so that runs
    with other tokenizers hold out the same texts; null for the run's own.
    """

    shuffle: bool = True
    valFraction: float | None = None
    splitSeed: int | None = 0
    splitTokenizer: str | None = None

    def __post_init__(self) -> None:
        if self.splitSeed is not None:
            require("data.splitSeed", self.splitSeed, at_least=0, example=0)
        if self.valFraction is not None:
            require("data.valFraction", self.valFraction, at_least=0, below=1, example="0.1, or 0 for none")

    @property
    def source(self) -> str:
        """Where the documents come from, as a person would look for it."""
        return "gptlab"

    @property
    def window(self) -> bool:
        """Whether documents are running text, to be cut into windows of blockSize tokens."""
        return False

    def documents(self) -> Iterable[str]:
        """The texts, in the order of the source.

        A list; or, where they are too many for the memory, an object that gives them anew each time that it
        is gone through.
        """
        raise NotImplementedError("a dataset says what its documents are")

    def entropy_per_word(self) -> float | None:
        """What no model of words can get below on new documents, in nats a prediction, if the source knows it."""
        return None

    def nats(self, document: str) -> float | None:
        """-log of the probability that the source gives to a document, if it knows it."""
        return None


@dataclass(frozen=True)
class Sentences(Dataset):
    """30,000 first-grade English sentences from a grammar, 596 distinct words; the same every time."""

    def documents(self) -> list[str]:
        return sentences.generate_sentences()

    def entropy_per_word(self) -> float:
        return sentences.entropy_per_word()

    def nats(self, document: str) -> float:
        return sentences.nats(document)


@dataclass(frozen=True)
class Questions(Dataset):
    """150 questions in the words of `sentences`."""

    def documents(self) -> list[str]:
        return sentences.generate_questions()


@dataclass(frozen=True)
class Names(Dataset):
    """U.S. census first names (1990), as the package `names` ships them, each once."""

    @property
    def source(self) -> str:
        return "https://pypi.org/project/names/"

    def documents(self) -> list[str]:
        return list(first_names())


@cache
def first_names() -> tuple[str, ...]:
    """Read once: the jobs of a sweep have all the same."""
    lists = [files("names").joinpath(f"dist.{kind}.first").read_text("ascii") for kind in ("female", "male")]
    rows = [line.split() for text in lists for line in text.splitlines()]
    return tuple(dict.fromkeys(row[0].lower() for row in rows if row))


@dataclass(frozen=True)
class Text(Dataset):
    """Any UTF-8 file, or a folder of them.

    path: the file or folder; `python:` for what Python says of itself. unit: `line`, a document a line; `window`,
    running text, a document being blockSize tokens of it. field: where the text stands in a record of JSON Lines
    (.jsonl) and Parquet files (.parquet), each of which is a document, or with `window` a text of the running ones.
    """

    path: str = "???"
    unit: str = "line"
    field: str = "text"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.path.strip():
            raise UserError("data.path must be given: got nothing. Type data.path=corpus.txt")
        if self.unit not in ("line", "window"):
            raise UserError(f"data.unit must be line or window: got {self.unit}. Try data.unit=line.")

    @property
    def source(self) -> str:
        if self.path == MANUAL:
            return python_manual.source()
        return str(Path(os.path.expanduser(self.path)).absolute())

    @property
    def window(self) -> bool:
        return self.unit == "window"

    def documents(self) -> Iterable[str]:
        if self.path == MANUAL:
            texts = list(manual())
            lines = (line for text in texts for line in text.split("\n"))
            return texts if self.window else list(filter(str.strip, lines))
        return read_texts(Path(os.path.expanduser(self.path)), "data.path", self.field, self.window)


@dataclass(frozen=True)
class PythonManual(Text):
    """What Python says of itself, 1.3 MB: its reference and the docstrings of its library, as running text."""

    path: str = MANUAL
    unit: str = "window"
