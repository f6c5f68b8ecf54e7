"""JSON gone through piece by piece: a file of ten million numbers never lies in memory as text, and nesting
is counted instead of recursed into."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gptlab.errors import UserError
from gptlab.runs.source import shown

CHUNK = 1 << 20  # bytes read at a time
DEEPEST = 1000  # lists and objects inside each other
LONGEST = 1 << 26  # characters of one text or number

SPACE = re.compile(r"[ \t\n\r]*+")
STRING = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"')
BARE = re.compile(r"[^ \t\n\r,:\"\[\]{}]*+")  # a number or a word, right or wrong
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?")
NUMBERS = re.compile(rf"(?:[ \t\n\r]*+{NUMBER.pattern}[ \t\n\r]*+,)*+")  # each with its comma
WORDS: dict[str, Any] = {"true": True, "false": False, "null": None}
CLOSING = {"[": "]", "{": "}"}


class JSONText:
    """The text of a file from where it has been read to.

    Every method raises UserError, with the place in the file, for what is not JSON (RFC 8259), and
    OSError if the file cannot be read.
    """

    def __init__(self, path: Path, file: BinaryIO):
        self.path = path
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0
        self._before = 0  # characters in front of _text
        self._ended = False
        self._need(1)
        if self._text.startswith("\ufeff"):  # some programs begin a file with the mark of its byte order
            self._at += 1

    def wrong(self, expected: str) -> UserError:
        """The error for what stands here where `expected` should."""
        self._need(30)
        here = self._text[self._at : self._at + 20]
        came = shown(here) if here else "the end of the file"
        return UserError(
            f"the weights must be a whole JSON file: {self.path} has, at character {self._before + self._at + 1}, "
            f"{came} where {expected} must be."
        )

    def peek(self) -> str:
        """The next character that is no space; empty at the end of the file."""
        while True:
            self._at = SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read():
                return ""

    def take(self, *choices: str) -> str:
        """The next character, which must be one of these."""
        if (found := self.peek()) not in choices:
            raise self.wrong(" or ".join(choices))
        self._at += 1
        return found

    def members(self, member: Callable[[str], None]) -> None:
        """An object; `member(key)` takes each value. Refuses a key that comes twice."""
        self.take("{")
        seen: set[str] = set()
        while not (self.peek() == "}" and not seen):
            key = self.string()
            if key in seen:
                raise UserError(f"each key must be there once: {self.path} has {shown(key)} twice.")
            seen.add(key)
            self.take(":")
            member(key)
            if self.take(",", "}") == "}":
                return
        self.take("}")

    def end(self) -> None:
        """Nothing but space may follow."""
        if self.peek():
            raise self.wrong("the end of the file")

    def string(self) -> str:
        """The next value, a text."""
        self.peek()
        while True:
            match = STRING.match(self._text, self._at)
            if match:
                self._at = match.end()
                return json.loads(match[0])
            if not self._grow():
                raise self.wrong("a text in quotes")

    def scalar(self) -> Any:
        """The next value: a number, a text, true, false or null."""
        if self.peek() == '"':
            return self.string()
        text = self._bare()
        if text in WORDS:
            value = WORDS[text]
        elif NUMBER.fullmatch(text):
            # Python takes minutes over a whole number of millions of digits, and refuses one of 4,300.
            value = json.loads(text) if len(text) < 1000 else float(text)
        else:
            raise self.wrong("a value")
        self._at += len(text)
        return value

    def skip(self) -> None:
        """Pass over a value of any kind."""
        open_ones: list[str] = []  # what ends each list and object that we are in
        while True:
            first = self.peek()
            if first in CLOSING:
                if len(open_ones) == DEEPEST:
                    raise UserError(
                        f"{self.path} must be a file of weights: it has more than {DEEPEST} lists and objects inside "
                        "each other."
                    )
                self._at += 1
                if self.peek() != CLOSING[first]:
                    open_ones.append(CLOSING[first])
                    self._begin(open_ones[-1])
                    continue
                self._at += 1
            else:
                self.scalar()
            while open_ones and self.take(",", open_ones[-1]) != ",":
                open_ones.pop()
            if not open_ones:
                return
            self._begin(open_ones[-1])

    def _begin(self, closing: str) -> None:
        """Up to a value of what ends with `closing`: in an object past its key, in a list past plain numbers."""
        if closing == "}":
            self.string()
            self.take(":")
        else:
            self._at = NUMBERS.match(self._text, self._at).end()  # type: ignore[union-attr]

    def numbers(self, name: str) -> np.ndarray:
        """A flat list of numbers, (N,) float64.

        Refuses anything else in the list, and what float64 cannot hold, with its place.
        """
        if self.peek() != "[":
            raise self.wrong(f"the list of {name}")
        self._at += 1
        blocks: list[np.ndarray] = []
        count = 0
        if self.peek() == "]":
            self._at += 1
            return np.empty(0)
        while True:
            end = NUMBERS.match(self._text, self._at).end()  # type: ignore[union-attr]
            texts = self._text[self._at : end].split(",")[:-1]
            self._at = end
            # One more, which is the last of the list or of what has been read so far.
            texts.append(self._number(name, count + len(texts)))
            block = np.array(list(map(float, texts)))
            finite = np.isfinite(block)
            if not finite.all():
                at = int(np.argmin(finite))
                raise self._infinite(name, count + at, texts[at].strip())
            blocks.append(block)
            count += len(block)
            if self.take(",", "]") == "]":
                return np.concatenate(blocks)

    def _number(self, name: str, at: int) -> str:
        """The text of one number. at: how many of the list have come before."""
        first = self.peek()
        if first in CLOSING:
            what = "a list" if first == "[" else "an object"
            raise UserError(
                f"{name} must be one flat list of numbers: {self.path} has {what} as number {at + 1}. "
                "Write the matrices one after another, row by row."
            )
        if first == '"':
            raise UserError(
                f"{name} must be numbers: {self.path} has the text {shown(self.string())} as number {at + 1}. "
                "Write it without quotes."
            )
        text = self._bare()
        if NUMBER.fullmatch(text):
            self._at += len(text)
            return text
        if text in WORDS:
            raise UserError(f"{name} must be numbers: {self.path} has {text} as number {at + 1}.")
        if re.fullmatch(r"[+-]?(nan|inf|infinity)", text.lower()):
            raise self._infinite(name, at, text)
        raise self.wrong("a number")

    def _infinite(self, name: str, at: int, text: str) -> UserError:
        return UserError(
            f"{name} must be finite numbers, and such as float64 can hold: {self.path} has "
            f"{text[:40]} as number {at + 1}."
        )

    def _bare(self) -> str:
        """The characters from here on that could be a number or a word; not yet taken."""
        while True:
            match = BARE.match(self._text, self._at)
            assert match is not None  # it may be empty
            if match.end() < len(self._text) or not self._grow():
                return match[0]

    def _grow(self) -> bool:
        """Have more of a value that is longer than what has been read; False if there is none, or it is endless."""
        left = len(self._text) - self._at
        self._need(max(2 * left, 1))
        return left < len(self._text) - self._at and left < LONGEST

    def _need(self, count: int) -> None:
        """Have `count` characters in memory from here on, unless the file ends before."""
        while len(self._text) - self._at < count and self._read():
            pass

    def _read(self) -> bool:
        """Put the next chunk behind what has not been taken; False at the end of the file."""
        if self._ended:
            return False
        data = self._file.read(CHUNK)
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise UserError(
                f"a JSON file must be UTF-8: {self.path} has the byte 0x{error.object[error.start]:02x}, "
                "which is none. Write it as UTF-8."
            ) from None
        self._ended = not data
        self._text, self._before, self._at = self._text[self._at :] + text, self._before + self._at, 0
        return not self._ended
