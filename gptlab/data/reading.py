"""Text that a person points at: short files are read, long ones gone through a block at a time as often as is asked."""

from __future__ import annotations

import codecs
import io
import os
import random
import re
import unicodedata
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate, chain
from pathlib import Path

from gptlab.errors import UserError, nearest

BLOCK = 1 << 20  # bytes read at a time
START = 1 << 10  # bytes that show what is no text
LOOKS, LOOK = 64, 4 << 10  # places, and bytes at each, that are read to see whether a text is still the same
IN_MEMORY = 16 << 20  # bytes of text that are simply read; of more, a block at a time is in memory
BINARY = (".parquet",)  # files of texts that do not begin as text
REACH = 1 << 12  # characters from the end that are searched first
WORD_END = re.compile(r"(?<=\S)(?: |\s*\n\s*)(?=\S)")
# Where a word of which the space before it is a part begins, whatever else stands around it.
WORDS = re.compile(r"(?<=\S)(?= \S)")
SPACED = "spaced word"
WHOLE = "whole text"  # one that must not be cut
# Letters that have no say in how another one is lower-cased, digits and pictures. Left out is what a capital
# sigma looks across (marks, modifiers, points) to find whether it ends a word.
SOLID = {"Lu", "Ll", "Lo", "Nd", "So"}


def unwatched(count: int) -> None:
    pass


class FileTexts:
    """The texts of files; `advance` is told how many bytes have been read since it was told last."""

    def __iter__(self) -> Iterator[str]:
        raise NotImplementedError("what gives the texts of files says which they are")

    def __init__(self, path: Path, files: list[Path], key: str):
        self.path = path
        self.files = files
        self.key = key
        self.advance: Callable[[int], None] = unwatched
        self.size = sum(count for _, count, *_ in self.stamp())

    @property
    def kind(self) -> str:
        """How texts are made of the files: of the same files others may be."""
        return type(self).__name__

    def stamp(self) -> list[tuple[str, int, int, int, int]]:
        """(path, bytes, two times in ns, inode) of each file: equal as long as nobody writes to them.

        The time of the last change of what is in a file can be set to any; that of the last change of anything cannot.
        """
        with self._reading(self.path):
            stats = [(str(file.absolute()), file.stat()) for file in self.files]
        return [(name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for name, s in stats]

    def sample(self) -> bytes:
        """The beginning, the end and some places in between: not every disk tells when a file has changed."""
        ends = list(accumulate(count for _, count, *_ in self.stamp()))
        chance = random.Random(self.size)
        places = {0, max(0, self.size - LOOK), *(chance.randrange(self.size or 1) for _ in range(LOOKS))}
        found = []
        for place in sorted(places):
            number = min(bisect(ends, place), len(ends) - 1)
            file, begin = self.files[number], ends[number - 1] if number else 0
            with self._reading(file), file.open("rb", buffering=0) as source:
                source.seek(place - begin)
                found.append(source.read(LOOK))
        return b"".join(found)

    @contextmanager
    def _reading(self, file: Path) -> Iterator[None]:
        """Makes of the system's error one that names the config key and the file."""
        try:
            yield
        except OSError as error:
            raise UserError(f"{self.key}: cannot read {file}: {error.strerror}.") from None

    def blocks(self, file: Path) -> Iterator[str]:
        """The text of a file in pieces, each line end as `\\n`, without a byte order mark.

        Raises UserError with the byte and its offset where it is not UTF-8.
        """
        decoder = codecs.getincrementaldecoder("utf-8")()
        newlines = io.IncrementalNewlineDecoder(None, translate=True)
        read, first = 0, True
        with self._reading(file), file.open("rb", buffering=0) as source:
            while True:
                data = source.read(BLOCK)
                begun = read - len(decoder.getstate()[0])  # a character may lie across two blocks
                try:
                    text = decoder.decode(data, final=not data)
                except UnicodeDecodeError as error:
                    raise not_text(self.key, file, error, begun) from None
                read += len(data)
                if first and text:
                    text, first = text.removeprefix("\ufeff"), False
                text = newlines.decode(text, final=not data)
                if text:
                    yield text
                if not data:
                    return
                self.advance(len(data))


def not_text(key: str, file: Path, error: UnicodeDecodeError, begun: int) -> UserError:
    """begun: the offset in the file at which the bytes begin that cannot be decoded."""
    return UserError(
        f"{key} must be UTF-8 text: {file} has the byte 0x{error.object[error.start]:02x} at "
        f"offset {begun + error.start}. Convert it first, e.g. iconv -f latin1 -t utf-8 {file.name}"
    )


def check_start(file: Path, key: str) -> None:
    """Raises UserError for a file that does not begin with UTF-8, and OSError if it cannot be read."""
    try:
        with file.open("rb", buffering=0) as source:
            start = source.read(START)
    except OSError as error:
        error.filename = str(file)  # reading tells no name
        raise
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError as error:
        raise not_text(key, file, error, 0) from None


class TextLines(FileTexts):
    """A document a line, lines that are empty after trimming left out."""

    def __iter__(self) -> Iterator[str]:
        for lines in self.lists():
            yield from lines

    def lists(self) -> Iterator[list[str]]:
        """The documents in lists of about a block each. Raises UserError if there are none at all."""
        found = False
        for file in self.files:
            parts: list[str] = []  # of a line that has not ended
            for block in chain(self.blocks(file), ["\n"]):
                # Not splitlines, which also cuts at form feeds, U+2028 and the like.
                head, end, tail = block.rpartition("\n")
                parts.append(head if end else tail)
                if end:
                    if documents := list(filter(str.strip, "".join(parts).split("\n"))):
                        found = True
                        yield documents
                    parts = [tail]
        if not found:
            raise UserError(f"{self.key} must hold at least one line of text: {self.path} is empty.")


class RunningText(FileTexts):
    """A text a file, blank files left out."""

    def __iter__(self) -> Iterator[str]:
        """Each text whole: for those that cannot use a part of it."""
        text: list[str] = []
        for first, block in self.parts():
            if first and text:
                yield "".join(text)
                text = []
            text.append(block)
        yield "".join(text)

    def parts(self) -> Iterator[tuple[bool, str]]:
        """(whether a text begins here, the next part of it). Raises UserError if there are none at all."""
        found = False
        for file in self.files:
            blank: list[str] | None = []  # None once there is something in the file
            for block in self.blocks(file):
                if blank is None:
                    yield False, block
                elif block.strip():
                    found = True
                    yield True, "".join([*blank, block])
                    blank = None
                else:
                    blank.append(block)
        if not found:
            raise UserError(f"{self.key} must hold some text: {self.path} is empty.")

    def segments(self, unit: str) -> Iterator[tuple[bool, str]]:
        """As `parts`, cut where words (or characters) can be told apart without what is around them."""
        carry, first = "", True
        for begins, block in self.parts():
            if begins:
                if carry:
                    yield first, carry
                carry, first = "", True
            carry += block
            if found := last_token_boundary(carry, unit):
                yield first, carry[: found[0]]
                carry, first = carry[found[1] :], False
        yield first, carry


def in_lists(texts: Iterable[str]) -> Iterator[list[str]]:
    """The texts in order, as many in each list as make about a block."""
    if isinstance(texts, TextLines):
        yield from texts.lists()
        return
    if isinstance(texts, list) and len(texts) < BLOCK // 16 and sum(map(len, texts)) < BLOCK:
        yield from [texts] if texts else []
        return
    together: list[str] = []
    characters = 0
    for text in texts:
        together.append(text)
        characters += len(text)
        if characters >= BLOCK or len(together) >= BLOCK // 16:
            yield together
            together, characters = [], 0
    if together:
        yield together


def pieces_of_texts(texts: Iterable[str], unit: str | None = None) -> Iterator[tuple[bool, list[str]]]:
    """(whether each begins a text of its own, texts or parts of one), a block of them at a time.

    Parts are cut between two words (or characters), if there is a unit.
    """
    if isinstance(texts, RunningText):
        for first, part in texts.parts() if unit is None else texts.segments(unit):
            yield first, [part]
    else:
        for some in in_lists(texts):
            yield True, some


def last_token_boundary(text: str, unit: str) -> tuple[int, int] | None:
    """(where the first part ends, where the second begins), as late as possible; None if there is no such place.

    Holds whatever comes before the text, and after it.
    """
    if unit == WHOLE:
        return None
    find = {"word": between_words, SPACED: before_a_space}.get(unit, between_characters)
    return find(text, max(0, len(text) - REACH)) or find(text, 0)


def between_words(text: str, start: int) -> tuple[int, int] | None:
    ends = [found.span() for found in WORD_END.finditer(text, start)]
    return ends[-1] if ends else None


def before_a_space(text: str, start: int) -> tuple[int, int] | None:
    places = [found.start() for found in WORDS.finditer(text, start)]
    return (places[-1], places[-1]) if places else None


def between_characters(text: str, start: int) -> tuple[int, int] | None:
    places = (i for i in range(len(text) - 1, start, -1) if solid(text[i]) and solid(text[i - 1]))
    return next(((i, i) for i in places), None)


def solid(character: str) -> bool:
    return character != "\u03a3" and unicodedata.category(character) in SOLID


def text_files(path: Path, key: str) -> list[Path]:
    """The file itself, or every file below a folder in the order of their names; hidden ones left out.

    Raises UserError (naming the config key) if there is none, and for the first that cannot be read or is no text:
    a folder such as / is not gone through to its end for that.
    """
    try:
        if not path.exists():
            if path.is_symlink():
                raise UserError(
                    f"{key} must be a file or folder that exists: {path} is a link to {path.readlink()}."
                )
            siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
            close = nearest(path.name, siblings)
            guess = f" Did you mean {path.parent / close[0]}?" if close else ""
            raise UserError(f"{key} must be a file or folder that exists: there is no {path}.{guess}")
        if path.is_dir():
            files = list(files_below(path, key))
        elif path.is_file():
            files = [path]
        else:
            raise UserError(
                f"{key} must be a file or a folder of files, which can be read more than once: {path} is a pipe or "
                "a device. Save its output to a file first."
            )
    except OSError as error:
        where = error.filename or path
        raise UserError(f"{key}: cannot read {where}: {error.strerror}.") from None
    if not files:
        raise UserError(f"{key} must hold at least one file: {path} is an empty folder.")
    return files


def files_below(folder: Path, key: str) -> Iterator[Path]:
    """The files in a folder and in the folders of it, in the order of their names; links to folders are not followed.

    Raises OSError for what cannot be read, and UserError for a file that does not begin as text.
    """
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from files_below(Path(entry.path), key)
        elif entry.is_file():
            if not entry.name.endswith(BINARY):
                check_start(Path(entry.path), key)
            yield Path(entry.path)


def read_documents(path: Path, key: str) -> Iterable[str]:
    """One document a line, lines that are empty after trimming left out; a list, unless they are many.

    Raises UserError for a file that is missing, unreadable or not UTF-8, and if no line is left.
    """
    return at_hand(TextLines(path, text_files(path, key), key))


def at_hand(texts: FileTexts) -> Iterable[str]:
    """A list, unless they are long."""
    return list(texts) if texts.size <= IN_MEMORY else texts
