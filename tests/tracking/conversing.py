"""A conversation with the process that talks to MLflow, held in this one, while a run's folder tells what happens."""

import queue
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from gptlab.files import append_whole
from gptlab.runs.folder import RunFolder
from gptlab.runs.run import Run
from gptlab.tracking import orphans
from gptlab.tracking.store import Store, find_store
from gptlab.tracking.worker import Conversation
from gptlab.training.metric_rows import line_of
from tests.tracked import FlakyClient

Action = dict[str, Any] | bool | Callable[[], object]
TIME = {"do": "nothing"}
END = {"do": "end"}


def converse(
    flaky: FlakyClient, run: Run, *actions: Action, fresh: bool = True, store: Store | None = None
) -> list[dict[str, Any]]:
    """What MLflow's process answers while it follows a run's folder, until the process that trains is gone.

    Actions: a message, a value for `flaky.down`, something that happens in the folder, or TIME to look there.
    """
    replies: list[dict[str, Any]] = []
    store = store or find_store()
    tell_start(run, store)
    start = {"do": "follow", "store": asdict(store), "folder": str(run.folder), "fresh": fresh}
    waiting = iter([start, *actions, None])

    class Inbox:
        def get(self, timeout):
            while not isinstance(message := next(waiting), dict) and message is not None:
                if isinstance(message, bool):
                    flaky.down = message
                else:
                    message()
            if message is TIME:
                raise queue.Empty
            return message

    conversation = Conversation(Inbox(), replies.append)
    conversation.hold()
    if conversation.looking is not None:
        conversation.looking.join()
    return replies


def tell_start(run: Run, store: Store) -> None:
    """What the process that trains has its folder tell."""
    process = orphans.own_process()
    told = {
        "experiment": "e",
        "process": process,
        "typed": "",
        "began": 1,
        "store": store.address,
        "synced": False,
    }
    folder = RunFolder(run.folder)
    folder.update(**{"key": "0123", **folder.identity(), **told, "status": "RUNNING", "id": run.id})


def row(run: Run, step: int, **metrics: float) -> Callable[[], None]:
    """Has the folder gain a row."""
    values = metrics or {"train/loss": float(step)}
    return lambda: append_whole(run.folder / "metrics.jsonl", line_of(step, values).encode())


def rows(run: Run, count: int) -> Callable[[], None]:
    lines = "".join(line_of(step, {"train/loss": 1.0}) for step in range(1, count + 1))
    return lambda: append_whole(run.folder / "metrics.jsonl", lines.encode())


def sample(run: Run, step: int, text: str) -> Callable[[], None]:
    return lambda: append_whole(run.folder / "samples.txt", f"step {step}: {text}\n".encode())


def over(run: Run, status: str = "FINISHED") -> Callable[[], None]:
    """Has the folder tell that the run is over."""
    return lambda: RunFolder(run.folder).update(status=status, reason="", ended=1_000_000)
