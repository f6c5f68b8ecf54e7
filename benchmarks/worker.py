"""One implementation in a process of its own, asked over a pipe: python -m benchmarks.worker CORES

The parent keeps several alive and asks them in turn, so that imports and compilation are outside of what
is timed. CORES is "one", which pins the process to one core before numpy, jax or torch are imported,
or "all". A request is a line of JSON, `{"do": method, ...}`; the answer is one too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


class WorkerFailed(Exception):
    """A worker's answer was an error, or it ended."""


class Missing(WorkerFailed):
    """What an implementation needs is not installed."""


class Worker:
    """The parent's side: `worker.ask("seconds", steps=20)`; to be closed, or used in a `with`."""

    def __init__(self, threads: str):
        from benchmarks.task import ROOT

        environment = {**os.environ, **(ONE_THREAD if threads == "one" else {})}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", threads],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        )

    def ask(self, do: str, **arguments: Any) -> Any:
        """Raises Missing or WorkerFailed."""
        from gptlab import strict_json

        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(strict_json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerFailed(f"the process ended with status {self._process.wait()} at {do}")
        answer = strict_json.loads(line)
        if "missing" in answer:
            raise Missing(answer["missing"])
        if "error" in answer:
            raise WorkerFailed(answer["error"])
        return answer["value"]

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Subject:
    """The worker's side: what it can be asked."""

    def trainer(
        self, implementation: str, task: dict[str, Any], dtype: str = "float32", maker: str = "make_task"
    ) -> int:
        """Make the implementation's trainer; bytes of memory held at most before. maker: of the task, see `makers`."""
        import gc

        from benchmarks.implementations import WITHOUT_COLLECTOR, make_trainer
        from benchmarks.machine import peak_memory

        if implementation in WITHOUT_COLLECTOR:
            gc.disable()
        made, definition = makers()[maker](**task)
        before = peak_memory()
        self._run = make_trainer(implementation, made, definition, dtype)
        return before

    def losses(self, steps: int) -> list[float]:
        return [float(loss) for loss in self._run(steps)]

    def seconds(self, steps: int) -> tuple[float, float]:
        """What the next `steps` steps take."""
        return clocked(lambda: self._run(steps))

    def generator(self, implementation: str, task: dict[str, Any], samples: int, trained: int) -> None:
        from benchmarks.sampling import make_generator

        self._generate = make_generator(implementation, task, samples, trained)

    def texts(self, temperature: float, seed: int) -> list[str]:
        return self._generate(temperature, seed)

    def generation_seconds(self, temperature: float, seed: int) -> tuple[float, float]:
        return clocked(lambda: self._generate(temperature, seed))

    def products(self, task: dict[str, Any]) -> None:
        from benchmarks.products import all_products, matrices_of

        made, _ = makers()["gpt2_task"](**task)
        self._products = all_products(made.batchSize * made.blockSize, matrices_of(made))
        self._products()

    def product_seconds(self) -> tuple[float, float]:
        return clocked(self._products)

    def causes(self, **arguments: Any) -> dict[str, float]:
        from benchmarks.instrumented import run_with_clocks

        return run_with_clocks(**arguments)

    def peak(self) -> int:
        """Bytes of memory held at most so far."""
        from benchmarks.machine import peak_memory

        return peak_memory()


def makers() -> dict[str, Callable[..., Any]]:
    """What makes (task, definition), by name."""
    from benchmarks.gpt2_task import gpt2_task
    from benchmarks.task import make_task, synthetic_task

    return {"make_task": make_task, "synthetic_task": synthetic_task, "gpt2_task": gpt2_task}


def clocked(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of the processor, all threads together."""
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    if sys.argv[1:] == ["one"] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    from gptlab import strict_json  # not before the process is pinned

    # The pipe is for answers alone; whatever else is printed goes to the terminal.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    subject = Subject()
    for line in sys.stdin:
        request = strict_json.loads(line)
        try:
            answer = {"value": getattr(subject, request.pop("do"))(**request)}
        except ImportError as error:
            answer = {"missing": str(error)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(strict_json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
