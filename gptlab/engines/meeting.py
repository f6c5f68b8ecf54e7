"""Threads that wait for each other, so that what is alike in what they ask for is done in one call.

A thread that asks waits until as many ask for the same kind of thing as go into one call, or until nobody else can
still come: all others wait, too, have ended, or are not expected. Which ones go together is no matter of what they
compute, so that no thread depends on another's numbers; it is one of time alone.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any

POLLING_SECONDS = 0.2  # between two looks whether all are to go on


class Group:
    """Those who ask for one kind of thing; the first of them does it for all once it is called."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.called = threading.Event()
        self.over = threading.Event()
        self.found: Sequence[Any] = ()
        self.error: BaseException | None = None

    def do(self, call: Callable[[list[Any]], Sequence[Any]]) -> None:
        try:
            self.found = call(self.asked)
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.over.set()


class Meeting:
    """Where the threads of `places` meet. hurried: whether nobody is to wait any more, asked now and then.

    A place is free, or taken by a thread that may ask (`begin`), or by one that never will. A free place is waited
    for, too, while it is being filled.
    """

    def __init__(self, places: int, hurried: Callable[[], bool] = lambda: False) -> None:
        self._hurried = hurried
        self._changed = threading.Lock()
        self._open: dict[Hashable, Group] = {}
        self._free, self._asking = places, 0
        self._filling = True

    def begin(self, asks: bool) -> None:
        """A place is taken."""
        self._change(free=-1, asking=int(asks))

    def end(self, asks: bool) -> None:
        """And free again."""
        self._change(free=1, asking=-int(asks))

    def fill(self, filling: bool) -> None:
        """Whether somebody will come to each free place."""
        with self._changed:
            self._filling = filling
            self._call_if_all_wait()

    def ask(self, kind: Hashable, wanted: Any, call: Callable[[list[Any]], Sequence[Any]], most: int) -> Any:
        """What `call` finds for this one; it gets what all of a group want, at most `most`, in one of their threads.

        Raises what it raises, in each of them.
        """
        with self._changed:
            group = self._open.setdefault(kind, Group())
            place = len(group.asked)
            group.asked.append(wanted)
            if len(group.asked) >= most:
                self._call(kind)
            self._call_if_all_wait()
        if place == 0:
            while not group.called.wait(POLLING_SECONDS):
                if self._hurried():
                    with self._changed:
                        self._call_all()
            group.do(call)
        else:
            group.over.wait()
            if group.error is not None:
                raise another(group.error)
        return group.found[place]

    def _change(self, free: int, asking: int) -> None:
        with self._changed:
            self._free += free
            self._asking += asking
            self._call_if_all_wait()

    def _call_if_all_wait(self) -> None:
        waiting = sum(len(group.asked) for group in self._open.values())
        if waiting >= self._asking + (self._free if self._filling else 0):
            self._call_all()

    def _call_all(self) -> None:
        # All at once: of two kinds the one would for ever find the other's threads gone, and wait for them.
        for kind in list(self._open):
            self._call(kind)

    def _call(self, kind: Hashable) -> None:
        self._open.pop(kind).called.set()


def another(error: BaseException) -> BaseException:
    """One like it: each thread adds to its own where it was, and what became of its run."""
    try:
        return copy.copy(error).with_traceback(None)
    except Exception:  # of a class that cannot be made again from its arguments
        return RuntimeError(f"{type(error).__name__}: {error}")


_here = threading.local()


def enter(meeting: Meeting | None) -> None:
    """From now on this thread is one of those that meet there; with None it meets nobody."""
    _here.meeting = meeting


def entered() -> Meeting | None:
    """Where this thread meets others, if it does."""
    return getattr(_here, "meeting", None)
