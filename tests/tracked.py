"""Runs that tell MLflow of themselves without a training, the stores that they tell, and what is then in these."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gptlab.data.facts import DatasetFacts
from gptlab.model.matrix import Matrix
from gptlab.plugins.listeners import Listeners
from gptlab.runs.folder import RunFolder
from gptlab.runs.recording import FolderListener, IdentityListener
from gptlab.runs.run import Run
from gptlab.tracking import MLflowTracking
from gptlab.tracking.connection import environment
from gptlab.tracking.store import create_store, find_store, open_store
from gptlab.tracking.tracker import Tracker
from tests.processes import children, start_python, wait_until


def make_store(folder: Path) -> None:
    """An empty MLflow store in a folder, which may be new; one that is there stays."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "mlflow.db").exists():
        create_store(find_store(f"sqlite:///{folder}/mlflow.db"))


def make_run(folder: Path, **changes) -> Run:
    folder = folder / "run"
    folder.mkdir(exist_ok=True)
    values = {
        "name": "tiny model.nEmbd=16",
        "description": "Is one layer enough?",
        "folder": folder,
        "config": {
            "seed": 1,
            "model": {"nEmbd": 16, "norm": {"name": "rmsnorm", "eps": 1e-5}},
            "train": {"numSteps": 3000},
            "resume": None,
        },
        "matrices": [
            Matrix("tokenEmbedding", (597, 16), "embeddings", 9552),
            Matrix("layers.0.mlp.hidden", (64, 16), "mlp", 1024),
            Matrix("layers.0.mlp.output", (16, 64), "mlp", 1024),
        ],
        "dataset": DatasetFacts(
            "sentences", "gptlab", "0123abcd", 30000, 29400, 600, {"entropyPerWord": 1.9}
        ),
        "tags": {"engine": "xla", "gptlab.version": "0.1"},
        **changes,
    }
    run = Run(**values)
    RunFolder(folder).begin(run, {"kind": "word"}, {})
    return run


def followed(run: Run, tracker: Tracker) -> Listeners:
    """What a run tells its folder, and then MLflow."""
    listeners = Listeners()
    listeners.add("folder", FolderListener())
    listeners.add("identity", IdentityListener())
    listeners.add("tracking=mlflow", tracker)
    listeners.run_started(run)
    return listeners


def log(listeners: Listeners, run: Run, step: int, metrics: dict[str, float], *texts: str) -> None:
    """A logged step, as the training tells it."""
    run.metrics.append((step, metrics))
    if texts:
        run.samples.append((step, list(texts)))
    listeners.step_ended(run, step, metrics)


def track(run: Run, error: BaseException | None = None, steps: int = 3) -> None:
    tracker = MLflowTracking().start()
    tracker.prepare()
    listeners = followed(run, tracker)
    tracker.wait_until_ready(120)
    for step in range(1, steps + 1):
        log(listeners, run, step, {"train/loss": 6.0 / step, "train/learningRate": 0.01})
    listeners.run_ended(run, error)


def client():
    return open_store(find_store())


def mlflow_processes() -> list[int]:
    """The ids of MLflow's processes that this one has started and that have not ended."""
    found = []
    for pid in children(os.getpid()):
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()  # nothing once it has ended
            if b"import gptlab.tracking.worker" in command:
                found.append(pid)
    return found


class FlakyClient:
    """A client of a store that is away while `down` is set."""

    def __init__(self, real) -> None:
        self.real = real
        self.down = False

    def __getattr__(self, name):
        method = getattr(self.real, name)

        def call(*args, **kwargs):
            if self.down:
                raise ConnectionError("the store is away")
            return method(*args, **kwargs)

        return call


SCRIPT = """
import time
from pathlib import Path
from gptlab.tracking import MLflowTracking
from gptlab.tracking.named_stores import name_store
from tests.tracked import followed, log, make_run
if {uri!r}:
    name_store({uri!r})
tracker = MLflowTracking({uri!r}).start()
tracker.prepare()
run = make_run(Path.cwd())
listeners = followed(run, tracker)
tracker.wait_until_ready(120)
print(run.id, flush=True)
for step in range(1, {steps}):
    log(listeners, run, step, {{"train/loss": 1.0}})
    if Path("the-end").exists():
        break
    time.sleep({pause})
listeners.run_ended(run, None)
"""


def start_training(
    folder: Path, steps: int = 10, pause: float = 0.0, uri: str | None = None, before: str = ""
) -> subprocess.Popen:
    """A process that logs so many steps of a run, or until `the-end` is in the folder; first the lines of `before`."""
    return start_python(folder, "-c", before + SCRIPT.format(uri=uri, steps=steps, pause=pause))


@contextmanager
def server(port: int) -> Iterator[Callable[[], None]]:
    """An MLflow server on the current folder's store, which answers; call what this gives to kill it."""
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", find_store().uri]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--workers", "1"],
        env={**environment(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def kill() -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def listening() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until(listening, 120)
        yield kill
    finally:
        kill()
