"""Fixtures that more than one test file uses."""

import gc
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import absl.logging
import hypothesis
import pytest

from gptlab.engines import xla_traced
from gptlab.plugins import discovery
from gptlab.plugins.folders import checkout_folder
from gptlab.tracking import worker
from tests.compiling import compile_as_users_do, compile_quickly
from tests.composing import configs_loaded_once
from tests.resuming import write_corpus
from tests.statuses import check_statuses
from tests.tracked import FlakyClient, client

# absl (which optax brings) closes the stream that it found at import as soon as logging is configured
# anew, unless it is the process's own; the one that it finds here would be pytest's.
absl.logging.get_absl_handler().python_handler.setStream(sys.__stderr__)

# As if the environment were active: messages then name `python -m gptlab` (tests/test_calling.py has the others).
os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])

# What a run has sent to MLflow is looked at when the command is over (tests/tracking/test_left.py has the others).
os.environ["GPTLAB_WAIT"] = "1"

compile_quickly()
# Hundreds of processes are started, and each would compile all of gptlab's own code anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# All that is imported while tests are collected stays. To walk it again and again for what could be thrown away took
# a quarter of that time, and jax has itself asked each time as well.
gc.disable()
# Beside other work an example may take any time.
hypothesis.settings.register_profile("any time", deadline=None)
hypothesis.settings.load_profile("any time")

# What runs behind a shell, or under nohup, ignores these, and so would all that the tests start and send them to.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


SLOW_SECONDS = 900  # that a slow test may take; pyproject.toml has how many a quick one


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_SECONDS))
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


def pytest_collection_finish() -> None:
    """From here on garbage is collected, as in gptlab's own process (gptlab/__main__.py), among what tests make."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, *gc.get_threshold()[1:])
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What has run before is remembered in a folder of the tests, and not in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session", autouse=True)
def traced_anew() -> Iterator[None]:
    """Tests put other code in the place of gptlab's own, which kept programs do not know of: here each is traced.

    What tests start keeps programs as a user's commands do; see tests/engines/test_traced.py.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xla_traced, "own_folder", lambda: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def checkout_plugins_once() -> Iterator[None]:
    """The checkout's own plugins are run once in this process; a command runs each anew, since it may have changed.

    Their ops, in each command's table of ops, are then the same ones, and so a program that a test has had traced and
    compiled serves the next that trains the same model.
    """
    load, kept = discovery.load_file, {}

    def load_once(name: str, file: Path) -> Any:
        if checkout_folder() not in file.resolve().parents:
            return load(name, file)
        key = name, file.resolve(), file.stat().st_mtime_ns
        if key not in kept:
            kept[key] = load(name, file)
        # A plugin of a test's own may have taken its place.
        sys.modules[discovery.module_of(name)] = kept[key]
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(discovery, "load_file", load_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def composed_of_what_is_there() -> Iterator[None]:
    """What a config is composed of is loaded once in this process; a command loads it anew."""
    with configs_loaded_once():
        yield


@pytest.fixture(scope="session")
def mlflow_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database to copy: migrating one takes seconds, copying it a tenth of one."""
    from gptlab.tracking.store import create_store, find_store

    folder = tmp_path_factory.mktemp("mlflow")
    create_store(find_store(f"sqlite:///{folder}/mlflow.db"))
    return folder / "mlflow.db"


@pytest.fixture
def mlflow_folder(mlflow_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of the test: an empty one with an MLflow store."""
    shutil.copy(mlflow_template, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.fixture
def flaky(mlflow_folder: Path, monkeypatch: pytest.MonkeyPatch) -> FlakyClient:
    """What MLflow's process takes for the client of the store, where it runs in this one."""
    flaky = FlakyClient(client())
    monkeypatch.setattr(worker, "open_store", lambda store: flaky)
    return flaky


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of the test, with a corpus of 24 short documents."""
    write_corpus(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def optimized(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Programs compiled as users have them, for tests that compare to the bit what two of them compute."""
    forget = compile_as_users_do(monkeypatch)
    yield
    forget()


@pytest.fixture(autouse=True)
def statuses_agree(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test MLflow must tell of every run below its folder what the run's own folder tells."""
    folder: Path | None = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if folder is not None:
        check_statuses(folder)
