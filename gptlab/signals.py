"""Ctrl-C, SIGTERM and SIGHUP: a run that is asked to end does so in order, with what it has."""

from __future__ import annotations

import atexit
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import ExtensionFileLoader
from types import FrameType
from typing import Any, NoReturn

from gptlab.calling import warn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SOON = 0.5  # seconds in which the same signal again is the same wish
PATIENCE = 5.0  # seconds that compiled code may take to let go before a second signal ends the process
GRACE = 25.0  # and before a SIGTERM or SIGHUP does so alone: who sends one kills after 30 (Slurm, Kubernetes)
AGAIN = 0.02  # seconds after which a signal comes again that came while a module in C was being made


class Stopped(KeyboardInterrupt):
    """A signal asked to end; `status` is the exit status that says which (128 + number).

    told: what a person is to know besides. Not the notes of an exception: Python adds its own to those, of
    the place that it came through.
    """

    def __init__(self, number: int):
        super().__init__("Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name)
        self.status = 128 + number
        self.told: list[str] = []


_before_end: list[Callable[[], object]] = []


def before_end(call: Callable[[], object]) -> None:
    """Have it called when the process ends, also by `end_now`."""
    atexit.register(call)
    _before_end.append(call)


_others: list[bool] = []


def computes_with_others() -> None:
    """From here on this process is one of several that wait for each other at their end."""
    _others.append(True)


def must_end_now(status: int) -> bool:
    """Whether Python's own end would take from under jax's threads what they compute, or wait for others in vain."""
    return (status > 128 and "jax" in sys.modules) or (status != 0 and bool(_others))


def end_now(status: int) -> NoReturn:
    """End the process without the end of Python.

    After a signal jax's threads may still compute: what Python's end takes from under them ends in a core dump
    ("pure virtual method called"), instead of the status that says which signal it was.
    """
    for call in reversed(_before_end):
        with suppress(Exception):
            call()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or none
            stream.flush()
    os._exit(status)


class Handler:
    """Calls `call`, which may raise; while a module in C is being made, only once it is.

    JAX's calls Python from C++ that ends the process, with a core dump, if an exception comes back.
    """

    def __init__(self, call: Callable[[int, FrameType | None], Any]) -> None:
        self.call = call

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if makes_extension(frame):
            again = threading.Timer(AGAIN, os.kill, [os.getpid(), number])
            again.daemon = True
            again.start()
        else:
            self.call(number, frame)


def makes_extension(frame: FrameType | None) -> bool:
    """Whether Python was called, directly or not, by a module in C that is being imported."""
    while frame is not None:
        making = frame.f_code.co_name in ("create_module", "exec_module")
        if making and isinstance(frame.f_locals.get("self"), ExtensionFileLoader):
            return True
        frame = frame.f_back
    return False


@contextmanager
def handled(call: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """Meanwhile the signals do `call`; outside the main thread nothing changes, and a SIGHUP that is ignored stays so.

    That is how nohup has a command outlive its terminal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [n for n in SIGNALS if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
    previous = {number: signal.signal(number, Handler(call)) for number in numbers}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)


class Received(list[int]):
    """The signals that have come, the first one first."""

    def __init__(self) -> None:
        super().__init__()
        self._last = -math.inf
        self.obeyed = -math.inf  # when something last began to end for one

    def takes(self, number: int) -> bool:
        """Add a signal, unless it only says once more what was said: a second one would end at once.

        A terminal that goes has the shell and then Linux send SIGHUP; `timeout` sends its signal to the command and
        to its group; a key is easily pressed twice.
        """
        now = time.monotonic()
        if self and (number == signal.SIGHUP or (number == self[-1] and now - self._last < SOON)):
            if self.obeyed > -math.inf:
                self.obeyed = max(now, self.obeyed)  # what ends goes on to
            return False
        self._last = now
        self.append(number)
        return True

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Nothing more is to be stopped here: what is being written may take its time, whatever comes."""
        before, self.obeyed = self.obeyed, math.inf
        try:
            yield
        finally:
            self.obeyed = time.monotonic() if self else before

    def stopped(self, number: int) -> Stopped:
        """To be raised: from then on it is up to Python to end."""
        self.obeyed = time.monotonic()
        return Stopped(number)


class AtOnce:
    """A handler that raises Stopped wherever the signal comes, and remembers it.

    Python swallows what is raised inside a callback of its own, such as the one that JAX hangs on the
    garbage collector: whoever polls later must still learn of it.
    """

    def __init__(self) -> None:
        self.received = Received()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.received.takes(number):
            raise self.received.stopped(number)


class Watch(threading.Thread):
    """Ends the process where a signal cannot: Python tells the main thread of one only between its own instructions,
    and a compiled step may be one of minutes. So may a compilation: jax lets Python know of a signal meanwhile, and
    goes on if that only remembers it. What is left is what SIGKILL leaves.
    """

    def __init__(self, received: Received) -> None:
        super().__init__(name="signals", daemon=True)
        self.received = received

    def run(self) -> None:
        while (number := self.wait(None)) != 0:
            if number is not None and not self.follow(number):
                return

    def wait(self, seconds: float | None) -> int | None:
        """The next of SIGNALS; 0 once the command has ended; None if there was none in this time, or another signal."""
        self.reader.settimeout(seconds)
        try:
            number = ord(self.reader.recv(1) or b"\0")
        except TimeoutError:
            return None
        return number if number in (0, *SIGNALS) else None

    def follow(self, number: int) -> bool:
        """From a signal until it is obeyed, or the process ends; False if the command ended before."""
        came, said, last = time.monotonic(), False, math.inf
        while True:
            again = self.wait(SOON if last < math.inf else 1.0 if said else PATIENCE)
            now = time.monotonic()
            waited = now - came
            if again == 0:
                return False
            if self.received.obeyed > came - SOON:
                if again is None:
                    return True
                number, came, said, last = again, now, False, math.inf
            elif said and again:
                last = min(last, now + SOON)  # a moment, for Python to end in order
            elif now >= last or (said and waited > GRACE and number != signal.SIGINT):
                self.end(number)
            elif not said and waited >= PATIENCE:
                warn("the run stops after the current step. Stop once more to end it at once.")
                said = True

    def end(self, number: int) -> None:
        warn(f"stopped by {Stopped(number)} within a step: only what the last checkpoint holds is left.")
        os._exit(128 + number)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Meanwhile it runs; outside the main thread it does not."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self.reader, writer = socket.socketpair()
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            writer.close()
            self.join()
            self.reader.close()


@contextmanager
def ending_at_once() -> Iterator[None]:
    """A signal raises Stopped wherever it comes."""
    report = sys.unraisablehook

    def report_others(unraisable: Any) -> None:
        if not isinstance(unraisable.exc_value, Stopped):
            report(unraisable)

    sys.unraisablehook = report_others
    handler = AtOnce()
    try:
        with handled(handler), Watch(handler.received).watching():
            yield
    except Stopped:
        raise
    except BaseException as error:
        # Python 3.11 wraps in a RuntimeError what is raised while it makes a class; an import may as well.
        if handler.received:
            raise Stopped(handler.received[0]) from error
        raise
    finally:
        sys.unraisablehook = report


def reraise_if_stopped(error: BaseException) -> None:
    """Raises the Stopped that an error was made of, if it was."""
    reason: BaseException | None = error
    while reason is not None and not isinstance(reason, Stopped):
        reason = reason.__cause__ or reason.__context__
    if reason is not None:
        raise reason


def received_so_far() -> Received:
    """The signals that the command in which this is has received, to be added to; a list of its own outside of one."""
    outer = getattr(signal.getsignal(signal.SIGINT), "call", None)
    return outer.received if isinstance(outer, AtOnce) else Received()


def raise_if_received() -> None:
    """Raises Stopped for a signal of which what is computed has made an error of its own, or nothing."""
    if received := received_so_far():
        raise received.stopped(received[0])


class Poll:
    """To be called between steps: raises Stopped once a signal has come. closing: in what may take its time."""

    def __init__(self, received: Received) -> None:
        self._received = received
        self.closing = received.closing

    def __call__(self) -> None:
        if self._received:
            raise self._received.stopped(self._received[0])


@contextmanager
def ending_between_steps() -> Iterator[Poll]:
    """Gives what is to be polled. A second signal ends at once."""
    received = received_so_far()

    def remember(number: int, frame: FrameType | None) -> None:
        if received.takes(number) and len(received) > 1:
            raise received.stopped(number)

    with handled(remember):
        yield Poll(received)
