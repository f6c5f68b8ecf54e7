"""Listeners of a run: each is told what happens, and none can stop the run."""

from __future__ import annotations

import json
import sys
from typing import Any

import pluggy

from gptlab import hookspecs
from gptlab.errors import UserError
from gptlab.hookspecs import hookimpl
from gptlab.run import Run


class Listeners:
    """Calls the listener hooks of each named object; one that raises is reported and left out from then on."""

    def __init__(self) -> None:
        self._hooks: dict[str, Any] = {}

    def add(self, name: str, listener: Any) -> None:
        # A manager for each, so that an error is known to be this listener's and the others are still called.
        manager = pluggy.PluginManager("gptlab")
        manager.add_hookspecs(hookspecs)
        manager.register(listener, name)
        self._hooks[name] = manager.hook

    def run_started(self, run: Run) -> None:
        self._call("gptlab_run_started", run=run)

    def step_ended(self, run: Run, step: int, metrics: dict[str, float]) -> None:
        self._call("gptlab_step_ended", run=run, step=step, metrics=metrics)

    def run_ended(self, run: Run, error: BaseException | None) -> None:
        self._call("gptlab_run_ended", run=run, error=error)

    def _call(self, hook: str, **arguments: Any) -> None:
        for name, hooks in list(self._hooks.items()):
            try:
                getattr(hooks, hook)(**arguments)
            except Exception as error:
                if isinstance(error, UserError) and hook == "gptlab_run_started":
                    raise  # nothing has begun, and the person can mend it
                del self._hooks[name]
                message = f"gptlab: the listener '{name}' failed in {hook} and is left out from here on: "
                print(f"{message}{type(error).__name__}: {error}", file=sys.stderr, flush=True)


class FolderListener:
    """Keeps metrics.jsonl and samples.txt in the run's folder, a line as soon as it is known."""

    def __init__(self) -> None:
        self._samples_written = 0

    @hookimpl
    def gptlab_step_ended(self, run: Run, step: int, metrics: dict[str, float]) -> None:
        with (run.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **metrics}) + "\n")
        new = run.samples[self._samples_written :]
        self._samples_written += len(new)
        if new:
            with (run.folder / "samples.txt").open("a", encoding="utf-8") as file:
                file.writelines(f"step {at}: {text}\n" for at, texts in new for text in texts)
