"""A whole command with clocks at its seams: python -m benchmarks.timeline FILE WORDS..., which gptlab gets.

FILE gets the samples of the clocks and the spans between them, as JSON. Nothing is imported for it that the command
would not import: a seam is clocked once the import that brings it is over.
"""

from __future__ import annotations

import builtins
import functools
import gc
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

BEGINNING, END = "Python begins", "Python ends"
JAX, HYDRA, OTHERS = "importing jax", "importing Hydra", "importing gptlab and the rest"
READING, COMPOSING, BUILDING = "reading the command, plugins", "composing", "building: data, model, state"
TRACING, LOADING = "tracing", "loading programs"
STEPS, EVALUATION, SAMPLES = "steps", "evaluation", "samples"
INSPECTION, FOLDER, MLFLOW = "inspection", "writing the folder", "waiting for MLflow"
REST = "the rest"
ROWS = (
    *(BEGINNING, JAX, HYDRA, OTHERS, READING, COMPOSING, BUILDING, TRACING, LOADING),
    *(STEPS, EVALUATION, SAMPLES, INSPECTION, FOLDER, MLFLOW, REST, END),
)
# By the first part of a module's name; what such a one imports is its own doing.
IMPORTS = {"jax": JAX, "jaxlib": JAX, "hydra": HYDRA, "omegaconf": HYDRA, "antlr4": HYDRA}
# Where the rooms meet: a module, what is called there, and what its time is booked under.
SEAMS = (
    ("gptlab.command.line", "read_command_line", READING),
    ("gptlab.command.composing", "prepared", READING),
    ("gptlab.command.composed_once", "ComposedOnce.load_configuration", COMPOSING),
    ("gptlab.launch.experiment", "Experiment.__init__", BUILDING),
    ("gptlab.launch.experiment", "Experiment.state", BUILDING),
    ("gptlab.launch.launch", "run_of", BUILDING),
    ("gptlab.engines.xla_session", "XlaSession.train", STEPS),
    ("gptlab.engines.xla_session", "XlaSession.evaluate", EVALUATION),
    ("gptlab.launch.observers", "generate", SAMPLES),
    ("gptlab.launch.observers", "inspect_ids", INSPECTION),
    ("gptlab.runs.saving", "Saver.save", FOLDER),
    ("gptlab.runs.folder", "RunFolder.begin", FOLDER),
    ("gptlab.runs.recording", "FolderListener.gptlab_step_ended", FOLDER),
    ("gptlab.tracking.tracker", "Tracker.gptlab_run_ended", MLFLOW),
)
# What jax tells of itself, once it is over.
EVENTS = {
    "/jax/core/compile/jaxpr_trace_duration": TRACING,
    "/jax/core/compile/jaxpr_to_mlir_module_duration": TRACING,
    "/jax/core/compile/backend_compile_duration": LOADING,
}

Span = tuple[str, float, float]  # a name, from when, until when
Sample = tuple[float, float]  # the time of day and the processor's time of this process, in seconds


class Recorder:
    """Keeps spans of the main thread, and how far both clocks were at their ends."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.samples: list[Sample] = []
        self._importing = [""]
        self._waiting = list(SEAMS)

    def now(self) -> float:
        wall = time.time()
        self.samples.append((wall, time.process_time()))
        return wall

    def around(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                return function(*arguments, **named)
            began = self.now()
            try:
                return function(*arguments, **named)
            finally:
                self.spans.append((name, began, self.now()))

        return timed

    def on_event(self, event: str, seconds: float, **about: Any) -> None:
        """What jax reports of itself: a duration that ends now."""
        if event in EVENTS and threading.current_thread() is threading.main_thread():
            end = self.now()
            self.spans.append((EVENTS[event], end - seconds, end))

    def importing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """The `__import__` that clocks what is new, and after which seams are clocked that it has brought."""

        def clocked(name: str, *arguments: Any, **named: Any) -> Any:
            outer, new = self._importing[-1], name not in sys.modules
            kind = IMPORTS.get(name.partition(".")[0], OTHERS)
            # What jax or Hydra import is theirs, and what a plain module imports may be one of them.
            own = new and kind != outer and outer not in (JAX, HYDRA)
            if own:
                self._importing.append(kind)
                began = self.now()
            try:
                return original(name, *arguments, **named)
            finally:
                if own:
                    self._importing.pop()
                    self.spans.append((kind, began, self.now()))
                if new:  # before whoever imports it takes from it what is to be clocked
                    self.patch()

        return clocked

    def patch(self) -> None:
        """Clock the seams that there are by now."""
        for seam in list(self._waiting):
            module, path, name = seam
            *owners, last = path.split(".")
            owner: Any = sys.modules.get(module)
            for part in owners:
                owner = getattr(owner, part, None)
            if owner is not None and hasattr(owner, last):
                self._waiting.remove(seam)
                setattr(owner, last, self.around(getattr(owner, last), name))
        monitoring = sys.modules.get("jax.monitoring")
        if monitoring is not None and not getattr(self, "_listens", False) and "jax" not in self._importing:
            self._listens = True
            monitoring.register_event_duration_secs_listener(self.on_event)


def shares(
    spans: list[Span], samples: list[Sample], began: float, ended: float
) -> dict[str, tuple[float, float]]:
    """`{name: (wall seconds, seconds of the processor)}` of a command that took from `began` to `ended`.

    Where spans lie in one another the time is that of the one that began last; what none covers is the rest. Together
    they are the wall time. The processor's time between two samples is taken for even.
    """
    import numpy as np

    walls, processor = (np.array(each) for each in zip(*sorted(samples), strict=True))
    inside = [(name, max(a, began), min(b, ended)) for name, a, b in spans if b > began and a < ended]
    edges = sorted({began, ended, *(edge for _, *both in inside for edge in both)})
    found: dict[str, tuple[float, float]] = {}
    for a, b in pairwise(edges):
        over = [span for span in inside if span[1] <= a and span[2] >= b]
        name = max(over, key=lambda span: (span[1], -span[2]))[0] if over else REST
        used = float(np.interp(b, walls, processor) - np.interp(a, walls, processor))
        wall, before = found.get(name, (0.0, 0.0))
        found[name] = wall + b - a, before + used
    return found


def main(arguments: list[str]) -> int:
    path, *words = arguments
    recorder = Recorder()
    began = recorder.now()
    gc.set_threshold(50_000, *gc.get_threshold()[1:])  # as gptlab/__main__.py does
    builtins.__import__ = recorder.importing(builtins.__import__)
    sys.argv = ["gptlab", *words]
    from gptlab.cli import main as command

    status = command()
    ended = recorder.now()
    from gptlab import strict_json

    told = {"began": began, "ended": ended, "spans": recorder.spans, "samples": recorder.samples}
    Path(path).write_text(strict_json.dumps(told), encoding="utf-8")
    gc.freeze()
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
