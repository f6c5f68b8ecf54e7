"""Standard output and error: what cannot be shown is no reason to end what goes on."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from typing import IO, Any, TextIO, cast

GONE = (OSError, ValueError)  # ValueError: somebody has closed the stream
# What a terminal obeys instead of showing it, or shows in another order: control characters but tabs and line ends,
# what turns the direction of writing, and halves of letters.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def show(text: object = "", stream: TextIO | None = None, drawn: bool = False, end: str = "\n") -> None:
    """Print a line, on standard output by default: on a terminal `visible`, into a file or a pipe as it is.

    drawn: it has escape codes of gptlab's own, and what is in it from elsewhere is visible already. end: what comes
    after it; "" for a part of a line.
    """
    stream = stream or sys.stdout
    obeys = not drawn and stream is not None and stream.isatty()
    # In one piece: others may print meanwhile.
    print(f"{visible(str(text)) if obeys else text}{end}", end="", file=stream, flush=True)


def visible(text: str) -> str:
    r"""The text with `\x1b` in place of what a terminal would obey."""
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


@contextmanager
def shown_at_last() -> Iterator[None]:
    """What others print meanwhile on a terminal is shown as by `show`."""
    if not sys.stdout.isatty():
        yield
        return
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        if text := printed.getvalue():
            show(text.removesuffix("\n"))


class Guarded:
    """Stands for a text stream. Letters that its encoding lacks are written as `\\xfc`.

    forgives: whether a write that fails (a reader that has gone, a full disk, a terminal that is no more) is
    passed over, and the next one tried all the same. `failure` is the first OSError that came.
    on_failure(error) is called at the first one that is passed over.
    """

    def __init__(
        self, stream: IO[str], forgives: bool, on_failure: Callable[[Exception], None] = lambda error: None
    ):
        self._stream = stream
        self._forgives = forgives
        self._on_failure = on_failure
        self.failure: Exception | None = None

    def write(self, text: str) -> int:
        with self._passing_over():
            try:
                self._stream.write(text)
            except UnicodeEncodeError as error:
                self._stream.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        with self._passing_over():
            self._stream.flush()

    def isatty(self) -> bool:
        try:
            return self._stream.isatty()
        except GONE:
            return False

    def close(self) -> None:
        """The stream is whoever's opened it: a library that was given this one must not end it for all."""
        self.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _passing_over(self) -> Iterator[None]:
        try:
            yield
        except GONE as error:
            first, self.failure = self.failure is None, self.failure or error
            if not self._forgives:
                self.failure = error
                raise
            if first:
                self._on_failure(error)

    def settle(self) -> None:
        """Leave nothing that Python would fail to write when it ends."""
        try:
            self._stream.flush()
        except GONE:
            with suppress(*GONE), open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())


@contextmanager
def guarded(forgives: bool) -> Iterator[Guarded]:
    """Meanwhile sys.stdout and sys.stderr are Guarded; gives the first. Standard error forgives in any case.

    forgives: of standard output. What went wrong with it is said once, unless only its reader has gone.
    """
    open_closed()
    with ExitStack() as stack:
        before = sys.stdout, sys.stderr
        streams = [stream or stack.enter_context(open(os.devnull, "w")) for stream in before]
        error = Guarded(streams[1], forgives=True)

        def tell(failure: Exception) -> None:
            if not isinstance(failure, BrokenPipeError):
                reason = getattr(failure, "strerror", None) or failure
                error.write(f"gptlab: standard output could not be written ({reason}); going on without\n")
                error.flush()

        output = Guarded(streams[0], forgives, tell)
        sys.stdout, sys.stderr = cast(TextIO, output), cast(TextIO, error)
        try:
            yield output
        finally:
            sys.stdout, sys.stderr = before
            output.settle()
            error.settle()


def open_closed() -> None:
    """Have a closed standard input, output or error lead to /dev/null.

    Its number would go to the next file that is opened, and what is printed into that file.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            os.set_inheritable(number, True)
