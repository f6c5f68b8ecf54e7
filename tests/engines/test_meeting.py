"""Threads that wait for each other: who goes with whom, and that nobody waits for what does not come."""

import threading
import time
from collections.abc import Hashable, Iterable
from typing import Any

from gptlab.engines.meeting import POLLING_SECONDS, Meeting

MOST = 3


class Threads:
    """One for each of several generators of kinds, which asks for one after the other."""

    def __init__(self, meeting: Meeting) -> None:
        self.meeting = meeting
        self.groups: list[list[Any]] = []
        self.ends: dict[str, object] = {}
        self._threads: list[threading.Thread] = []

    def begin(self, name: str, kinds: Iterable[Hashable]) -> None:
        self.meeting.begin(asks=True)
        thread = threading.Thread(target=self._run, args=(name, kinds), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self, name: str, kinds: Iterable[Hashable]) -> None:
        try:
            self.ends[name] = [self.meeting.ask(kind, name, self._call, MOST) for kind in kinds]
        except Exception as error:
            self.ends[name] = error
        finally:
            self.meeting.end(asks=True)

    def _call(self, wanted: list[str]) -> list[str]:
        self.groups.append(sorted(wanted))
        if "broken" in wanted:
            raise ValueError("it cannot be done")
        return [name.upper() for name in wanted]

    def settle(self) -> None:
        self.meeting.fill(False)
        for thread in self._threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in self._threads), "one waits for ever"


def test_as_many_go_together_as_there_are_up_to_the_most() -> None:
    threads = Threads(Meeting(5))
    for name in "abcde":
        threads.begin(name, ["k", "k"])
    threads.settle()
    assert threads.ends == {name: [name.upper()] * 2 for name in "abcde"}
    assert max(map(len, threads.groups)) == MOST and sum(map(len, threads.groups)) == 10


def test_kinds_stay_apart_and_neither_waits_for_the_other() -> None:
    threads = Threads(Meeting(4))
    for name, kinds in {"a": "kkkkkk", "b": "kkkkkk", "c": "ll", "d": "klklkl"}.items():
        threads.begin(name, kinds)
    threads.settle()
    assert {name: len(end) for name, end in threads.ends.items()} == {"a": 6, "b": 6, "c": 2, "d": 6}
    assert not any({"a", "c"} <= set(group) for group in threads.groups), "a never asks for what c does"


def test_who_has_ended_is_not_waited_for() -> None:
    threads = Threads(Meeting(3))
    for name, kinds in {"a": "k", "b": "kk", "c": "kkk"}.items():
        threads.begin(name, kinds)
    threads.settle()
    assert sorted(threads.groups, key=len) == [["c"], ["b", "c"], ["a", "b", "c"]]


def test_who_is_to_come_is_waited_for() -> None:
    threads = Threads(Meeting(2))
    threads.begin("a", "k")
    time.sleep(0.1)
    assert threads.groups == []
    threads.begin("b", "k")
    threads.settle()
    assert threads.groups == [["a", "b"]]


def test_one_that_never_asks_is_not_waited_for() -> None:
    threads = Threads(Meeting(2))
    threads.meeting.begin(asks=False)
    threads.begin("a", "k")
    threads.settle()
    assert threads.ends == {"a": ["A"]}


def test_once_there_is_hurry_nobody_waits() -> None:
    hurry = threading.Event()
    threads = Threads(Meeting(2, hurry.is_set))
    threads.begin("a", "kk")
    time.sleep(2 * POLLING_SECONDS)
    assert threads.groups == []
    hurry.set()
    threads.settle()
    assert threads.groups == [["a"], ["a"]]


def test_an_error_is_that_of_all_in_the_call_each_with_its_own() -> None:
    threads = Threads(Meeting(3))
    for name in ("broken", "a", "b"):
        threads.begin(name, "k")
    threads.settle()
    assert {str(error) for error in threads.ends.values()} == {"it cannot be done"}
    assert len({id(error) for error in threads.ends.values()}) == 3
