"""Files of text gone through a block at a time, as often as is asked: none of them is held in memory."""

from __future__ import annotations

import codecs
import io
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from gptlab.errors import UserError

BLOCK = 1 << 20  # bytes read at a time
START = 1 << 10  # bytes that show what is no text

Advance = Callable[[int], None]  # told how many bytes have been read since it was told last


def unwatched(count: int) -> None:
    pass


class FileTexts:
    """The texts of files; `advance` is told the bytes as they are read."""

    def __init__(self, path: Path, files: list[Path], key: str):
        self.path = path
        self.files = files
        self.key = key
        self.advance: Advance = unwatched
        self.size = sum(count for _, count, _ in self.stamp())

    def stamp(self) -> list[tuple[str, int, int]]:
        """(path, bytes, time of the last change in ns) of each file: equal as long as nobody writes to them."""
        with self._reading(self.path):
            stats = [(file, file.stat()) for file in self.files]
        return [(str(file.absolute()), stat.st_size, stat.st_mtime_ns) for file, stat in stats]

    def _reading(self, file: Path) -> _Reading:
        return _Reading(file, self.key)

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
            for block in self.blocks(file):
                # Not splitlines, which also cuts at form feeds, U+2028 and the like.
                head, end, tail = block.rpartition("\n")
                parts.append(head if end else tail)
                if end:
                    if documents := not_blank("".join(parts).split("\n")):
                        found = True
                        yield documents
                    parts = [tail]
            if documents := not_blank(["".join(parts)]):
                found = True
                yield documents
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


class _Reading:
    """Makes of the system's error one that names the config key and the file."""

    def __init__(self, file: Path, key: str):
        self.file = file
        self.key = key

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise UserError(f"{self.key}: cannot read {self.file}: {error.strerror}.") from None


def not_blank(lines: list[str]) -> list[str]:
    return lines if all(map(str.strip, lines)) else [line for line in lines if line.strip()]


def in_lists(texts: Iterable[str]) -> Iterator[list[str]]:
    """The texts in order, as many in each list as make about a block."""
    if isinstance(texts, TextLines):
        yield from texts.lists()
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


def pieces_of_texts(texts: Iterable[str], unit: str) -> Iterator[tuple[bool, list[str]]]:
    """(whether each begins a text of its own, texts or parts of one), a block of them at a time."""
    if isinstance(texts, RunningText):
        for first, segment in texts.segments(unit):
            yield first, [segment]
    else:
        for some in in_lists(texts):
            yield True, some


REACH = 1 << 12  # characters from the end that are searched first
WORD_END = re.compile(r"(?<=\S)(?: |\s*\n\s*)(?=\S)")
# Letters that have no say in how another one is lower-cased, digits and pictures. Left out is what a capital
# sigma looks across (marks, modifiers, points) to find whether it ends a word.
SOLID = {"Lu", "Ll", "Lo", "Nd", "So"}


def last_token_boundary(text: str, unit: str) -> tuple[int, int] | None:
    """(where the first part ends, where the second begins), as late as possible; None if there is no such place.

    Holds whatever comes before the text, and after it.
    """
    find = between_words if unit == "word" else between_characters
    return find(text, max(0, len(text) - REACH)) or find(text, 0)


def between_words(text: str, start: int) -> tuple[int, int] | None:
    last = None
    for last in WORD_END.finditer(text, start):  # noqa: B007
        pass
    return last.span() if last else None


def between_characters(text: str, start: int) -> tuple[int, int] | None:
    for i in range(len(text) - 1, start, -1):
        if solid(text[i]) and solid(text[i - 1]):
            return i, i
    return None


def solid(character: str) -> bool:
    return character != "\u03a3" and unicodedata.category(character) in SOLID
