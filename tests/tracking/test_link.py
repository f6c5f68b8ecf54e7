"""The training process's end of the pipe to MLflow's."""

from types import SimpleNamespace
from typing import Any

import pytest

from gptlab.tracking import MLflowTracking
from gptlab.tracking import tracker as tracker_module


def test_a_long_end_is_waited_for_as_long_as_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 100_000, 100))  # a hundred seconds between any two looks at it
    monkeypatch.setattr(
        tracker_module, "time", SimpleNamespace(monotonic=lambda: float(next(clock)), time=lambda: 0.0)
    )
    replies = [{"is": "writing"}] * 20 + [{"is": "ended", "message": "", "registered": ""}]
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
    tracker.gptlab_run_ended(SimpleNamespace(metrics=[(1, {})]), None)
    assert sent == ["end", "released"]
