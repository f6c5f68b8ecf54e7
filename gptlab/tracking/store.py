"""Where runs are kept: finding the store, making it once and safely, refusing one that does not fit.

Everything but `create_store` and `open_store` works without loading MLflow, so that a wrong
`tracking.uri` is reported in milliseconds and not after seconds of imports.
"""

import importlib.metadata
import importlib.util
import math
import os
import re
import shlex
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from gptlab.config.addresses import (
    KEY,
    SQLITE,
    join_address,
    masked,
    split_address,
    sqlite_address,
    sqlite_path,
    with_password,
    without_password,
)
from gptlab.errors import UserError
from gptlab.files import Busy, lock, sync
from gptlab.tracking.connection import Message

if TYPE_CHECKING:
    from mlflow import MlflowClient

WITHOUT = "To go on without MLflow, add tracking=none."
PAGE = re.compile(r"['\"]?\s*<(!doctype|html|head|body)\b", re.IGNORECASE)
LOCKED_SECONDS = 10.0  # that another program may hold an SQLite file
SHOWN = 300  # signs of an error of MLflow's


class Away(UserError):
    """A store that does not answer as one: it may later, and what it is to have is kept for it."""


@dataclass(frozen=True)
class Store:
    """An MLflow tracking store; `artifacts` is None where a server decides where artifacts go."""

    uri: str
    artifacts: str | None = None
    user: str = ""  # for a server, and not in its uri
    password: str = field(default="", repr=False)

    @property
    def database(self) -> Path | None:
        """The file of an SQLite store."""
        return Path(sqlite_path(self.uri.partition(":///")[2])) if self.uri.startswith("sqlite:") else None

    @property
    def shown(self) -> str:
        """The URI as it may be printed: without a password."""
        return masked(join_address(self.uri, self.user, self.password))

    @property
    def address(self) -> str:
        """The URI as it may be kept: with the user, without the password."""
        return without_password(join_address(self.uri, self.user, ""))  # a database's is in its uri

    @property
    def is_server(self) -> bool:
        """True if the store is reached over HTTP."""
        return urlsplit(self.uri).scheme in ("http", "https")


def refusal_of(store: Store, reply: Message, what: str = "") -> str:
    """What MLflow's process has said in refusing `what`, for a person to read."""
    if reply["user"]:
        return str(reply["message"])
    return f"the MLflow store {store.shown} refuses{what}: {str(reply['message']).rstrip('.')}. {WITHOUT}"


def find_store(uri: str | None = None, folder: Path | None = None) -> Store:
    """The store that `uri` names, or else MLFLOW_TRACKING_URI, or else `mlflow.db` in `folder`.

    Every path is made absolute, since MLflow keeps artifact locations as they were when an
    experiment was made. Artifacts of an SQLite store go to `mlartifacts` beside its file.
    Raises UserError for a file store, which MLflow 3 no longer opens, and for a store in memory.
    """
    folder = Path(folder or Path.cwd()).absolute()
    default = sqlite_address(SQLITE, str(folder / "mlflow.db"))
    uri = with_password(uri or os.environ.get("MLFLOW_TRACKING_URI") or default)
    # What MLflow itself opens as databases, servers and Databricks passes through untouched.
    scheme = uri if uri == "databricks" else urlsplit(uri).scheme
    if scheme in ("", "file"):
        if os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("true", "1"):
            return Store(uri)
        place = (folder / urlsplit(uri).path).resolve()
        raise UserError(
            f"tracking.uri must name a database or a server, got the folder '{uri}': MLflow "
            f"{_mlflow_version()} keeps file stores in maintenance mode and opens them only if "
            f"MLFLOW_ALLOW_FILE_STORE=true is set. Try {KEY}={sqlite_address(SQLITE, str(place / 'mlflow.db'))}"
        )
    if not uri.startswith("sqlite:"):
        remote = scheme in ("http", "https") or scheme.startswith("databricks")
        if scheme in ("http", "https"):
            bare, user, password = split_address(uri)
            # MLflow takes the two from the environment, and one of them may be there already.
            secret = password or (os.environ.get("MLFLOW_TRACKING_PASSWORD", "") if user else "")
            return Store(bare, None, user, secret)
        return Store(uri, None if remote else (folder / "mlartifacts").as_uri())
    prefix, _, name = uri.partition(":///")
    if not name or name == ":memory:" or "?" in name:
        raise UserError(
            f"an SQLite store must be a file, with a '?' in its path typed as %3F: got '{uri}'. Try {KEY}={default}"
        )
    database = Path(os.path.normpath(folder / sqlite_path(name)))
    return Store(sqlite_address(prefix, str(database)), (database.parent / "mlartifacts").as_uri())


def file_of(store: Store) -> tuple[int, int] | None:
    """Which file an SQLite store is, whatever its name; None if there is none, and for other stores."""
    try:
        found = None if store.database is None else store.database.stat()
    except OSError:
        return None
    return None if found is None else (found.st_dev, found.st_ino)


def check_store(store: Store) -> None:
    """Raise UserError if the store could not be opened or made; changes nothing, loads no MLflow.

    Looks at the disk only: `check_server` is the one for servers.
    """
    database = store.database
    if database is None:
        return
    folder = database.parent
    if not folder.is_dir():
        raise UserError(f"the folder of the MLflow store must exist: there is no {folder}. {WITHOUT}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(
            f"the MLflow store {database} needs a folder that can be written to, and {folder} cannot be. Run in "
            f"another folder, or name another file with tracking.uri=sqlite:////... {WITHOUT}"
        )
    if not os.path.lexists(database):
        return
    if not os.access(database, os.R_OK | os.W_OK):
        raise UserError(f"the MLflow store must be readable and writable: {database} is not. {WITHOUT}")
    _check_schema(database)


def _check_schema(database: Path) -> None:
    version = _schema_version(database)
    known, newest = schema_revisions()
    if version == newest:
        return
    made = f"the MLflow store {database} has schema version {version}"
    mine = f"the installed MLflow {_mlflow_version()} needs {newest}"
    if version in known:
        raise UserError(
            f"{made}, which is older: {mine}. The file is unchanged. Keep a copy of it, then type: "
            f"mlflow db upgrade {shlex.quote(sqlite_address(SQLITE, str(database)))}"
        )
    raise UserError(
        f"{made}, which is not known here: {mine}. A newer MLflow made it; the file is unchanged. "
        "Install that MLflow, run in another folder, or name another file with "
        f"{KEY}={sqlite_address(SQLITE, str(database.with_name('gptlab.db')))}"
    )


def _opened(database: Path, mode: str, seconds: float) -> sqlite3.Connection:
    """To a file that is there: SQLite would make an empty one, which is no store."""
    return sqlite3.connect(f"file:{quote(str(database))}?mode={mode}", uri=True, timeout=seconds)


def _schema_version(database: Path) -> str:
    try:
        with closing(_opened(database, "ro", LOCKED_SECONDS)) as connection:
            rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise Away(
                f"the MLflow store {database} has been locked by another program for {LOCKED_SECONDS:g} s. End "
                f"that program. {WITHOUT}"
            ) from None
        reason = str(error)
    else:
        if len(rows) == 1:
            return str(rows[0][0])
        reason = "it has no schema version"
    raise UserError(
        f"{database} is not a store made by MLflow ({reason}). The file is unchanged. Move it away, run in another "
        f"folder, or name another file with {KEY}={sqlite_address(SQLITE, str(database.with_name('gptlab.db')))}"
    )


@cache
def schema_revisions() -> tuple[frozenset[str], str]:
    """The database schemas that the installed MLflow knows, and the newest one, which it needs.

    Read from MLflow's migration scripts as text: importing MLflow takes seconds, this milliseconds.
    """
    spec = importlib.util.find_spec("mlflow")
    if spec is None or spec.origin is None:
        raise UserError(f"MLflow is not installed. {WITHOUT}")
    revisions: set[str] = set()
    replaced: set[str] = set()
    for script in (Path(spec.origin).parent / "store/db_migrations/versions").glob("*.py"):
        text = script.read_text(encoding="utf-8")
        for name, value in re.findall(r"^(revision|down_revision)\b[^=\n]*=\s*(.+)$", text, re.MULTILINE):
            (revisions if name == "revision" else replaced).update(re.findall(r"[\"'](\w+)[\"']", value))
    newest = revisions - replaced
    if len(newest) != 1:
        raise UserError(
            f"MLflow {_mlflow_version()} is not one that gptlab knows: it has {len(newest)} schemas."
        )
    return frozenset(revisions), newest.pop()


def _mlflow_version() -> str:
    return importlib.metadata.version("mlflow")


def said(error: Exception) -> str:
    """An error in one line: SQLAlchemy's go on with the statement and its values, a server's with a whole page."""
    line = str(error).strip().partition("\n")[0]
    line = line.partition("[SQL")[0].removesuffix("\\n").rstrip() or line  # of an error within another
    if page := PAGE.search(line):
        line = f"{line[: page.start()]}a page of HTML"
    # What another program has written must not act on the terminal.
    line = "".join(sign if sign.isprintable() else " " for sign in line)
    return f"{line[:SHOWN]}..." if len(line) > SHOWN else line or type(error).__name__


def open_store(store: Store) -> "MlflowClient":
    """A client of the store, which is made first if it is a file that is not there yet.

    Raises UserError if it cannot be made or opened; Away if that may be possible later.
    """
    check_store(store)
    if store.database is not None:
        if not store.database.exists():
            create_store(store)
        elif _leftovers(store.database):
            with _locked(store.database, 0.0) as mine:
                if mine:
                    _remove_leftovers(store.database)
    try:
        client = connect(store)
        client.search_experiments(max_results=1)
    except Exception as error:
        raise Away(f"the MLflow store {store.shown} cannot be opened: {said(error)}. {WITHOUT}") from error
    return client


def connect(store: Store) -> "MlflowClient":
    """A client of the store, which need not answer."""
    from mlflow import MlflowClient

    if store.user:
        os.environ["MLFLOW_TRACKING_USERNAME"] = store.user
        os.environ["MLFLOW_TRACKING_PASSWORD"] = store.password
    return MlflowClient(tracking_uri=store.uri)


def create_store(store: Store) -> None:
    """Make the SQLite store, unless another process has just done so.

    MLflow's migrations are safe neither against each other nor against being killed: they run on
    a hidden file that gets its name when it is whole.
    """
    assert store.database is not None
    database = store.database
    try:
        with _locked(database):
            _remove_leftovers(database)
            if database.exists():
                return
            with tempfile.TemporaryDirectory(
                prefix=f".{database.name}-", suffix=".new", dir=database.parent, ignore_cleanup_errors=True
            ) as workplace:
                fresh = Path(workplace, database.name)
                _migrate(fresh, store.artifacts)
                # Of a store that somebody removed, and SQLite would take them for this one's.
                for rest in ("-wal", "-shm"):
                    database.with_name(database.name + rest).unlink(missing_ok=True)
                # A link refuses to replace a store that a plain `mlflow ui` made in the meantime.
                with suppress(FileExistsError):
                    os.link(fresh, database)
                sync(database.parent)
    except OSError as error:
        raise UserError(f"the MLflow store {database} cannot be made: {said(error)}. {WITHOUT}") from error


def _migrate(fresh: Path, artifacts: str | None) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    made = SqlAlchemyStore(sqlite_address(SQLITE, str(fresh)), artifacts)
    made.engine.dispose()
    with closing(sqlite3.connect(fresh)) as connection:
        # WAL lets the UI read while a run writes; the mode is kept in the file.
        connection.execute("PRAGMA journal_mode=WAL")
    sync(fresh)


def settle(store: Store) -> None:
    """Move what is in SQLite's write-ahead log into the file itself, so that a copy of it is whole."""
    if store.database is not None:
        with suppress(sqlite3.Error), closing(_opened(store.database, "rw", 1)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def glance(store: Store, but: str = "") -> tuple[str | None, bool]:
    """The experiment of the newest run, and whether a run may be RUNNING, `but` aside: without loading MLflow."""
    if store.database is None:
        return None, True
    # Queries this plain outlive changes of the schema; if not, MLflow can still be asked.
    try:
        with closing(_opened(store.database, "rw", 5)) as connection:
            newest = connection.execute("SELECT experiment_id FROM runs ORDER BY start_time DESC LIMIT 1")
            experiment = newest.fetchone()
            others = "SELECT 1 FROM runs WHERE status = 'RUNNING' AND run_uuid != ? LIMIT 1"
            running = connection.execute(others, [but]).fetchone()
    except sqlite3.Error:
        return None, True
    return (str(experiment[0]) if experiment else None), running is not None


def _leftovers(database: Path) -> list[Path]:
    return list(database.parent.glob(f".{database.name}-*.new"))


def _remove_leftovers(database: Path) -> None:
    """Drop what killed processes left; only for the holder of the lock."""
    for workplace in _leftovers(database):
        shutil.rmtree(workplace, ignore_errors=True)


@contextmanager
def _locked(database: Path, seconds: float = math.inf) -> Iterator[bool]:
    """Hold the right to make the store. Not the folder itself: that may be a run's."""
    path = database.with_name(f".{database.name}.lock")
    try:
        held = lock(path, seconds)
    except Busy:
        yield False
        return
    with held:
        try:
            yield True
        finally:
            path.unlink(missing_ok=True)
