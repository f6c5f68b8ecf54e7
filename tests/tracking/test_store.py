"""The MLflow store: found, made once whatever happens meanwhile, and refused when it does not fit."""

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from gptlab.errors import UserError
from gptlab.tracking.store import (
    Store,
    check_store,
    find_store,
    glance,
    open_store,
    schema_revisions,
    settle,
)
from tests.repository import ROOT


def test_the_default_is_a_file_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store = find_store()
    assert store.uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert store.artifacts == f"file://{tmp_path}/mlartifacts"
    assert list(tmp_path.iterdir()) == []


def test_the_config_wins_over_the_environment_over_the_default(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:1")
    assert find_store(None, tmp_path) == Store("http://localhost:1")
    assert find_store("sqlite:///there/my.db", tmp_path).database == tmp_path / "there/my.db"


@pytest.mark.parametrize("uri", ["databricks", "databricks://profile", "https://host/prefix"])
def test_servers_pass_through_and_decide_on_artifacts(uri, tmp_path):
    assert find_store(uri, tmp_path) == Store(uri)


def test_other_databases_pass_through_with_artifacts_here(tmp_path):
    uri = "postgresql://me@host/runs"
    assert find_store(uri, tmp_path) == Store(uri, f"file://{tmp_path}/mlartifacts")


@pytest.mark.parametrize("uri", ["mlruns", "./mlruns", "file:///tmp/mlruns"])
def test_a_file_store_is_refused_unless_mlflow_is_told_otherwise(uri, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"(?s)maintenance.*MLFLOW_ALLOW_FILE_STORE=true.*sqlite:///.*mlruns"):
        find_store(uri, tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    assert find_store(uri, tmp_path).uri == uri


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///:memory:", "sqlite:///a?b.db"])
def test_an_sqlite_store_is_a_file(uri, tmp_path):
    with pytest.raises(UserError, match="must be a file"):
        find_store(uri, tmp_path)


def test_a_password_is_not_shown():
    assert Store("postgresql://me:secret@host:5432/runs").shown == "postgresql://me:***@host:5432/runs"
    assert Store("http://host:5000/a@b").shown == "http://host:5000/a@b"


def test_the_schema_is_the_one_mlflow_itself_asks_for():
    from mlflow.store.db.utils import _get_latest_schema_revision

    assert schema_revisions()[1] == _get_latest_schema_revision()


def test_nothing_loads_mlflow_before_it_is_needed(tmp_path):
    script = (
        "import sys, gptlab.tracking, gptlab.tracking.ui, gptlab.tracking.store as s\n"
        "s.check_store(s.find_store())\n"
        "print([m for m in ('mlflow', 'matplotlib', 'sqlalchemy', 'hydra', 'jax') if m in sys.modules])"
    )
    result = _python(script, tmp_path)
    assert result.stdout == "[]\n", result.stderr


def test_opening_a_store_leaves_it_as_it_is(mlflow_folder):
    before = (mlflow_folder / "mlflow.db").read_bytes()
    client = open_store(find_store())
    assert [e.name for e in client.search_experiments()] == ["Default"]
    settle(find_store())
    assert (mlflow_folder / "mlflow.db").read_bytes() == before


def test_a_store_is_made_in_wal_mode_with_its_artifacts_beside_it(mlflow_template):
    with contextlib.closing(sqlite3.connect(mlflow_template)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        (location,) = connection.execute("SELECT artifact_location FROM experiments").fetchone()
    assert location == f"file://{mlflow_template.parent}/mlartifacts/0"
    assert not list(mlflow_template.parent.glob(".mlflow.db*"))


def _set_version(database: Path, version: str) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (version,))


def test_an_older_store_is_refused_with_the_command_that_upgrades_it(mlflow_folder):
    database = mlflow_folder / "mlflow.db"
    older = next(iter(schema_revisions()[0] - {schema_revisions()[1]}))
    _set_version(database, older)
    before = database.read_bytes()
    with pytest.raises(UserError, match=f"{older}.*mlflow db upgrade sqlite:///{database}"):
        open_store(find_store())
    assert database.read_bytes() == before


def test_a_newer_store_is_refused_with_a_way_around_it(mlflow_folder):
    database = mlflow_folder / "mlflow.db"
    _set_version(database, "fromthefuture")
    before = database.read_bytes()
    with pytest.raises(UserError, match=r"fromthefuture.*newer MLflow.*tracking\.uri=sqlite:///"):
        open_store(find_store())
    assert database.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough" * 9, "other"])
def test_a_file_that_is_no_store_is_refused_and_left_alone(content, tmp_path):
    database = tmp_path / "mlflow.db"
    if content == "other":
        with contextlib.closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("CREATE TABLE recipes (name)")
    else:
        database.write_bytes(content)
    before = database.read_bytes()
    with pytest.raises(UserError, match="is not a store made by MLflow"):
        check_store(find_store(None, tmp_path))
    assert database.read_bytes() == before
    assert list(tmp_path.iterdir()) == [database]


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path):
    (tmp_path / "mlflow.db").mkdir()
    with pytest.raises(UserError, match="is not a store made by MLflow"):
        check_store(find_store(None, tmp_path))


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=f"there is no {tmp_path}/nowhere.*tracking=none"):
        check_store(find_store("sqlite:///nowhere/mlflow.db", tmp_path))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that not even root can write to")
def test_a_folder_that_cannot_be_written_to_is_refused():
    with pytest.raises(UserError, match=r"/proc.*tracking=none"):
        open_store(find_store("sqlite:////proc/mlflow.db"))


def test_leftovers_of_a_killed_process_are_cleared_by_the_next(mlflow_folder):
    leftover = mlflow_folder / ".mlflow.db-abc.new"
    leftover.mkdir()
    (leftover / "mlflow.db").write_bytes(b"half made")
    open_store(find_store())
    assert not leftover.exists()


@pytest.mark.slow
def test_what_a_removed_store_left_is_not_taken_for_the_new_one(mlflow_folder):
    database = mlflow_folder / "mlflow.db"
    database.unlink()
    log, index = (database.with_name(database.name + rest) for rest in ("-wal", "-shm"))
    log.write_bytes(b"of another store")
    index.write_bytes(b"of another store")
    client = open_store(find_store(None))
    assert client.search_experiments(max_results=1)
    for file in (log, index):
        assert not file.exists() or file.read_bytes()[:16] != b"of another store"


def test_a_glance_tells_the_newest_experiment_and_whether_a_run_is_open(mlflow_folder):
    store = find_store()
    client = open_store(store)
    assert glance(store) == (None, False)
    experiment = client.create_experiment("one")
    run = client.create_run(experiment)
    assert glance(store) == (experiment, True)
    client.set_terminated(run.info.run_id)
    assert glance(store) == (experiment, False)


# Both import MLflow once and fork, so that what is raced or killed is the making and not the import.
RACE = """
import os
import mlflow.store.tracking.sqlalchemy_store
from gptlab.tracking.store import find_store, open_store
children = []
for number in range(6):
    child = os.fork()
    if child == 0:
        client = open_store(find_store())
        client.create_experiment(f"experiment {number}")
        os._exit(0)
    children.append(child)
print([os.waitpid(child, 0)[1] for child in children])
print(len(open_store(find_store()).search_experiments()))
"""

KILLED = """
import os, random, signal, time
import mlflow.store.tracking.sqlalchemy_store
from gptlab.tracking.store import find_store, open_store
random.seed(1)
for attempt in range(8):
    child = os.fork()
    if child == 0:
        open_store(find_store())
        time.sleep(60)
    time.sleep(random.uniform(0.0, 1.5))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print(sorted(os.listdir()), flush=True)
print(len(open_store(find_store()).search_experiments()))
print([name for name in os.listdir() if name.startswith(".")])
"""


@pytest.mark.slow
def test_processes_that_race_for_a_fresh_store_all_get_it(tmp_path):
    assert _python(RACE, tmp_path).stdout.splitlines() == ["[0, 0, 0, 0, 0, 0]", "7"]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
def test_being_killed_while_making_the_store_harms_nothing(tmp_path):
    result = _python(KILLED, tmp_path)
    assert result.stdout.splitlines()[-2:] == ["1", "[]"], result.stdout + result.stderr
    assert any(".new" in line for line in result.stdout.splitlines()), "no kill came while it was being made"


def _python(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    from gptlab.tracking.connection import environment

    path = str(ROOT)
    env = {**environment(), "PYTHONPATH": path}
    env.pop("MLFLOW_TRACKING_URI", None)
    return subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=env, capture_output=True, text=True, timeout=300
    )
