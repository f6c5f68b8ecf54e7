"""Runs and stores as JSON objects: what goes through the pipe to `worker`, and into `unsent.jsonl`."""

from pathlib import Path
from typing import Any

from gptlab.data.facts import DatasetFacts
from gptlab.model.matrix import Matrix
from gptlab.runs.run import Run
from gptlab.tracking.store import Store

Message = dict[str, Any]


def write_store(store: Store) -> Message:
    """A store as a message."""
    return {
        "uri": store.uri,
        "artifacts": store.artifacts,
        "database": str(store.database) if store.database else None,
        "user": store.user,
        "password": store.password,
    }


def read_store(message: Message) -> Store:
    """The store that `write_store` wrote."""
    database = message["database"]
    who = message.get("user", ""), message.get("password", "")  # an earlier gptlab kept them in the uri
    return Store(message["uri"], message["artifacts"], Path(database) if database else None, *who)


def write_run(run: Run) -> Message:
    """What is known of a run when it starts, as a message; `id` is set if it is to be continued."""
    return {
        "id": run.id,
        "resumed_from": run.resumed_from,
        "name": run.name,
        "description": run.description,
        "folder": str(run.folder.absolute()),
        "config": run.config,
        "matrices": [vars(matrix) for matrix in run.matrices],
        "dataset": vars(run.dataset),
        "tags": run.tags,
    }


def read_run(message: Message) -> Run:
    """The run that `write_run` wrote."""
    matrices = [Matrix(**{**matrix, "shape": tuple(matrix["shape"])}) for matrix in message["matrices"]]
    return Run(
        **{
            **message,
            "folder": Path(message["folder"]),
            "matrices": matrices,
            "dataset": DatasetFacts(**message["dataset"]),
        }
    )
