"""Listeners of a run: each is told what happens, and none can stop the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from gptlab.calling import warn
from gptlab.errors import UserError
from gptlab.plugins import hookspecs

if TYPE_CHECKING:
    from gptlab.runs.run import Run


class Listeners:
    """Calls the listener hooks of each named object; one that raises is reported and left out from then on."""

    def __init__(self, report: Callable[[str], None] = warn) -> None:
        self._hooks: dict[str, Any] = {}
        self._report = report

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

    def checkpoint_saved(self, run: Run, folder: Path, step: int, removed: list[Path]) -> None:
        self._call("gptlab_checkpoint_saved", run=run, folder=folder, step=step, removed=removed)

    def inspected(self, run: Run, step: int, inspection: Any) -> None:
        self._call("gptlab_inspected", run=run, step=step, inspection=inspection)

    def hear(self, hook: str) -> bool:
        """Whether any of them would do something at this hook."""
        return any(getattr(hooks, hook).get_hookimpls() for hooks in self._hooks.values())

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
                reason = f"{type(error).__name__}: {error}"
                self._report(f"the listener '{name}' failed in {hook} and is left out from here on: {reason}")
