"""A store that must be there already: what is only read must make none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gptlab.errors import UserError
from gptlab.tracking.link import ENVIRONMENT
from gptlab.tracking.store import Store, check_server, find_store, open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient


def existing_store(uri: str | None, sought: str) -> tuple[Store, MlflowClient]:
    """The store, opened; `sought` is what is looked for in it. Loads MLflow into this process.

    Raises UserError if there is no store, or it does not answer.
    """
    store = find_store(uri)
    if store.database is not None and not store.database.exists():
        raise UserError(
            f"'{sought}' is looked for in an MLflow store, and there is none at {store.database}. Run in the "
            "folder that it was made in, or name it with tracking.uri="
        )
    if store.is_server:
        check_server(store)
    os.environ.update({name: value for name, value in ENVIRONMENT.items() if name not in os.environ})
    return store, open_store(store)
