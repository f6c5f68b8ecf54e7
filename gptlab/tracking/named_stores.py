"""The MLflow stores that this user has named, as ssh keeps the hosts that it knows.

Who writes to a store gives it what the run has learnt, and a server the user's token. A run's folder names one, an
experiment's file may: where that is somebody else's, so is the store. It is written to once the user has named it,
by `tracking.uri=` or MLFLOW_TRACKING_URI, which is remembered; `mlflow.db` of the current folder needs no naming.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from gptlab.calling import typed
from gptlab.config.addresses import KEY, split_address
from gptlab.errors import UserError
from gptlab.files import append_whole, read_regular, state_folder
from gptlab.tracking.store import Store, find_store

TYPED = (
    "GPTLAB_TYPED_STORES"  # what was typed, for the processes that this one starts: the disk may be read-only
)


def stores_file() -> Path | None:
    """Where they are kept, a line each; None for a user without a home."""
    folder = state_folder()
    return None if folder is None else folder / "stores"


def name_store(uri: str) -> None:
    """Take an address for named by the user, who has typed it. One that is none says so where it is used."""
    with suppress(UserError, ValueError):
        store = find_store(uri)
        os.environ[TYPED] = "\n".join(filter(None, [os.environ.get(TYPED, ""), line_of(store)]))
        remember(store)


def remember(store: Store) -> None:
    """Have later commands know the store. What cannot be kept is asked for again."""
    path, line = stores_file(), line_of(store)
    if path is None or line in remembered() or not line.isprintable():
        return
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # After an end of line of its own: the one before may have been cut off.
        append_whole(path, f"\n{line}\n".encode())


def remembered() -> set[str]:
    """What is kept. Of a file that cannot be read nothing is known."""
    path = stores_file()
    try:
        return set() if path is None else set(read_regular(path).decode("utf-8", "replace").split("\n"))
    except OSError:
        return set()


def line_of(store: Store) -> str:
    """What a store is known by: neither user nor password."""
    return split_address(store.uri)[0].rstrip("/")


def check_named(store: Store) -> None:
    """Raises UserError for a store that only a folder or a file names. One that may be used is known from then on."""
    line = line_of(store)
    if line not in (*os.environ.get(TYPED, "").split("\n"), *remembered()) and line != here():
        raise UserError(
            "you must name an MLflow store yourself before gptlab writes to it: only the run, or the experiment's "
            f"file, names {store.shown}. If it is yours, add {typed(KEY, store.address)} to the command, just this "
            "once"
        )
    remember(store)


def here() -> str:
    """That of a command that names none."""
    try:
        return line_of(find_store())
    except UserError:
        return ""
