"""Stores as JSON objects: what goes through the pipe to `worker`."""

from pathlib import Path
from typing import Any

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
