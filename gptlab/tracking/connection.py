"""The training process's connection to MLflow's (`worker`), a pipe.

One such process serves all runs of a training process, one after the other: a sweep loads MLflow once.
"""

import os
import queue
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gptlab import strict_json
from gptlab.own_process import start
from gptlab.signals import before_end

Message = dict[str, Any]  # what goes through the pipe, as JSON

# What MLflow is told unless the user has said otherwise. It reads most of this when it is imported.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_UV_AUTO_DETECT": "false",  # a lock file in the current folder says nothing of the model
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # what fails is queued and tried again anyway
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "GIT_PYTHON_REFRESH": "quiet",
    "OMP_NUM_THREADS": "1",
}
# Settings of a run that somebody else has open: this run is another one.
FOREIGN = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME")

AT_ONCE = 1  # ends that are being written beside the run that trains: a process of MLflow's each


class Connection:
    """A running MLflow process: `send` never waits, `receive` gives its answers in order."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.owed = 0  # answers that were asked for and that nobody has waited for yet
        self._outbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._process = start("gptlab.tracking.worker", env=environment(), encoding="utf-8")
        self._writer, reader = (
            threading.Thread(target=work, name=f"mlflow{work.__name__}", daemon=True)
            for work in (self._write, self._read)
        )
        self._writer.start()
        reader.start()

    def send(self, **message: Any) -> None:
        """Queue a message; a thread of its own writes it into the pipe."""
        self._outbox.put(message)

    def receive(self, timeout: float) -> Message | None:
        """The next answer; None if there is none within `timeout` seconds.

        `{"is": "gone", "message": ..., "killed": ...}` once the process has ended; killed: by a signal.
        """
        try:
            return self._inbox.get(timeout=timeout) if timeout > 0 else self._inbox.get_nowait()
        except queue.Empty:
            return None

    @property
    def is_usable(self) -> bool:
        """Whether its process lives. A forked process has its parent's connections, but not its parent's threads."""
        return self.owner == os.getpid() and self._process.poll() is None

    def finish(self) -> None:
        """Let the process end once it has written what it was sent; does not wait for that."""
        self._outbox.put(None)

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def leave(self, timeout: float = 5.0) -> bool:
        """Let the process end by itself, after this one too; whether it has got all that it was sent, and lives."""
        self.finish()
        self._writer.join(timeout)
        return not self._writer.is_alive() and self._process.poll() is None

    def close(self, timeout: float = 5.0) -> None:
        """End the process: at once if it has nothing to write, else it has `timeout` seconds for that."""
        self.finish()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _write(self) -> None:
        assert self._process.stdin is not None
        # Where the process is gone, the reading thread tells of it.
        with suppress(BrokenPipeError, ValueError), self._process.stdin as pipe:
            while (message := self._outbox.get()) is not None:
                print(strict_json.dumps(message), file=pipe, flush=True)

    def _read(self) -> None:
        assert self._process.stdout is not None and self._process.stderr is not None
        with self._process.stdout as replies, self._process.stderr as errors:
            for line in replies:
                self._inbox.put(strict_json.loads(line))
            # Standard error is silenced once the process runs: what is here kept it from running.
            last = errors.read().strip().rpartition("\n")[2]
            killed = self._process.wait() < 0
        self._inbox.put({"is": "gone", "message": last, "killed": killed})


class Connections:
    """The connections of this process: one that is idle serves the next run, while others write the ends of theirs."""

    def __init__(self) -> None:
        self._idle: list[Connection] = []
        self.of_sweep: Connection | None = None  # that has its parent run open, and is sent its short jobs
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._ends: list[threading.Thread] | None = None  # None: ends are waited for

    def warm_up(self) -> None:
        """Start an MLflow process, which begins to load MLflow, unless one is idle or a sweep has one."""
        if not self.has_sweep:
            self.keep(self.take())

    @property
    def has_sweep(self) -> bool:
        """Whether a process of MLflow's has a sweep of this process's open."""
        return self.of_sweep is not None and self.of_sweep.is_usable

    def send_job(self, store: Message, folder: Path, fresh: bool) -> bool:
        """Have a sweep's job that is over sent by the process that has the sweep; False if there is none."""
        connection = self.of_sweep
        if connection is None or not connection.is_usable:
            return False
        connection.send(do="send_job", store=store, folder=str(folder), fresh=fresh)
        return True

    def take(self) -> Connection:
        """The idle one if there is one, or else a new one."""
        with self._lock:
            while self._idle:
                if (connection := self._idle.pop()).is_usable:
                    return connection
        return Connection()

    def keep(self, connection: Connection) -> None:
        """Let the next run have it."""
        with self._lock:
            self._idle.append(connection)

    def close(self) -> None:
        """End the idle MLflow process, if any."""
        with self._lock:
            if self.of_sweep is not None:
                self._idle.append(self.of_sweep)
                self.of_sweep = None
            while self._idle:
                if (connection := self._idle.pop()).is_usable:
                    connection.close()

    @property
    def in_a_row(self) -> bool:
        """Whether ends are waited for at the end of `in_background` only: many runs are one command's."""
        return self._ends is not None

    def end(self, finish: Callable[[], None]) -> None:
        """Do `finish`: at once, or within `in_background` in a thread, which waits its turn."""
        if self._ends is None:
            finish()
            return
        with self._turn:  # jobs side by side
            while len(self._ends) >= AT_ONCE:
                self._ends.pop(0).join()
            thread = threading.Thread(target=finish, name="mlflow-end", daemon=True)
            self._ends.append(thread)
            thread.start()

    @contextmanager
    def in_background(self) -> Iterator[None]:
        """Ends within it are written beside what follows them, and all of them are when it is over."""
        outer, self._ends = self._ends, []
        try:
            yield
        finally:
            threads, self._ends = self._ends, outer
            for thread in threads:
                thread.join()


# One for this process: a sweep's jobs share it, and Hydra hands them nothing but their config.
connections = Connections()
before_end(connections.close)


def environment() -> dict[str, str]:
    """The environment for a process that loads MLflow; what the user has set there wins."""
    given = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    # What warns here is not ours, and must not become an error because gptlab is being tested.
    return {**ENVIRONMENT, **given, "PYTHONWARNINGS": "ignore"}
