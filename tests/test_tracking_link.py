"""The training process's end of the pipe: what is sent, in which order, in how many messages."""

import json
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gptlab.tracking import MLflowTracking
from gptlab.tracking import link as link_module
from gptlab.tracking import tracker as tracker_module
from gptlab.tracking.link import Link, plain


@pytest.fixture
def link() -> Iterator[Link]:
    """One without a process behind it."""
    link = object.__new__(Link)
    link._outbox, link._inbox, link._hurry = queue.SimpleQueue(), queue.SimpleQueue(), threading.Event()
    yield link


def messages(link: Link) -> list[dict[str, Any]]:
    link.finish()
    return list(link._messages())


def test_steps_that_end_together_share_a_message_and_nothing_changes_its_place(link: Link) -> None:
    link.send(do="start")
    for step in range(1, 1001):
        link.send_metrics(step, step, {"train/loss": 1.0 / step})
        if step == 600:
            link.send(do="samples")
    link.send(do="end")
    sent = messages(link)
    assert [message["do"] for message in sent] == ["start", "metrics", "samples", "metrics", "end"]
    rows = sent[1]["rows"] + sent[3]["rows"]
    assert rows == [(step, step, {"train/loss": 1.0 / step}) for step in range(1, 1001)]


def test_only_steps_are_waited_for(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "GATHERING_SECONDS", 3600.0)
    sent: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def write() -> None:
        for message in link._messages():
            sent.put(message)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    link.send_metrics(1, 1, {})
    with pytest.raises(queue.Empty):
        sent.get(timeout=0.05)
    link.send(do="end")
    assert [sent.get(timeout=30)["do"], sent.get(timeout=30)["do"]] == ["metrics", "end"]
    link.finish()
    thread.join(30)
    assert not thread.is_alive()


def test_numbers_of_numpys_stay_numbers() -> None:
    values = {"a": np.float32(0.5), "b": np.float64(0.25), "c": Path("x")}
    assert json.loads(json.dumps(values, default=plain)) == {"a": 0.5, "b": 0.25, "c": "x"}


def test_a_long_end_is_waited_for_as_long_as_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 100_000, 100))  # a hundred seconds between any two looks at it
    monkeypatch.setattr(
        tracker_module, "time", SimpleNamespace(monotonic=lambda: float(next(clock)), time=lambda: 0.0)
    )
    replies = [{"is": "writing"}] * 20 + [
        {"is": "ended", "unsent": 0, "kept": True, "message": "", "registered": ""}
    ]
    sent: list[str] = []

    class Process:
        def send(self, do: str, **message: Any) -> None:
            sent.append(do)

        def receive(self, timeout: float) -> dict[str, Any] | None:
            return replies.pop(0) if timeout > 0 else None

        def release(self) -> None:
            sent.append("released")

        def close(self, timeout: float) -> None:
            sent.append("killed")

    tracker = MLflowTracking().start()
    tracker._link, tracker._accepted = Process(), True
    tracker.gptlab_run_ended(SimpleNamespace(samples=[], weights=None, diverged=""), None)
    assert sent == ["end", "released"]
