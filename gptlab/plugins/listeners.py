"""Listeners of a run: each is told what happens, and none can stop the run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from gptlab.calling import warn
from gptlab.errors import UserError
from gptlab.plugins import hookspecs
from gptlab.plugins.loading import LISTENING as HEARD
from gptlab.plugins.loading import Plugins, hook_error
from gptlab.plugins.registry import LISTENER, OWN_NUMBERS, build

if TYPE_CHECKING:
    from gptlab.runs.run import Run


Make = Callable[["Run"], Any]  # what listens to a run
NUMBER = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)


def maker_of(plugins: Plugins, name: str, fields: Mapping[str, Any]) -> Make:
    """What makes the listener of this name for a run: of its fields one that is registered, or a plugin with hooks.

    Raises UserError for a name that is neither or both, and for fields that do not fit.
    """
    if name in plugins.registry.names(LISTENER) and not plugins.listens(name):
        settings = build(plugins.registry, LISTENER, {"name": name, **fields})
        begin = getattr(settings, "begin", None)
        if not callable(begin):
            raise UserError(
                f"the listener '{name}' must have begin(run), which returns what listens to one run: "
                f"{type(settings).__name__} has none."
            )
        return partial(begin)
    module = plugins.listener(name)
    return lambda run: module


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
        manager.check_pending()
        self._hooks[name] = manager.hook

    def begin(self, name: str, make: Make, run: Run) -> None:
        """Add what `make` gives for this run. Raises UserError for what has no hooks, or hooks that there are not."""
        try:
            listener = make(run)
            self.add(name, listener)
        except pluggy.PluginValidationError as error:
            raise UserError(f"the listener '{name}' must fit the hooks: {hook_error(error)}") from None
        except UserError:
            raise  # nothing has begun, and the person can mend it
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            self._report(f"the listener '{name}' failed in begin and is left out: {reason}")
            return
        if not any(getattr(self._hooks[name], hook).get_hookimpls() for hook in HEARD):
            raise UserError(
                f"the begin(run) of the listener '{name}' must return an object with hooks: got {listener!r}. Is "
                "@gptlab.hookimpl missing above one of its methods?"
            )

    def run_started(self, run: Run) -> None:
        self._call("gptlab_run_started", run=run)

    def step_ended(self, run: Run, step: int, metrics: dict[str, float]) -> None:
        self._call("gptlab_step_ended", run=run, step=step, metrics=metrics)

    def evaluated(self, run: Run, step: int, model: Any, metrics: Mapping[str, float]) -> dict[str, float]:
        """The numbers that the listeners make of an evaluation, each under its listener: `{"early/reached": 500.0}`.

        metrics: what the evaluation gave; each listener gets with it the numbers of those before.
        """
        found: dict[str, float] = {}

        def keep(name: str, results: list[Any]) -> None:
            found.update(numbers_of(name, results))

        for name in list(self._hooks):
            self._tell(
                name,
                "gptlab_evaluated",
                keep,
                run=run,
                step=step,
                model=model,
                metrics={**metrics, **found},
            )
        return found

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
        for name in list(self._hooks):
            self._tell(name, hook, **arguments)

    def _tell(
        self, name: str, hook: str, keep: Callable[[str, list[Any]], None] | None = None, **arguments: Any
    ) -> None:
        try:
            results = getattr(self._hooks[name], hook)(**arguments)
            if keep is not None:
                keep(name, results)
        except Exception as error:
            if isinstance(error, UserError) and hook == "gptlab_run_started":
                raise  # nothing has begun, and the person can mend it
            del self._hooks[name]
            reason = f"{type(error).__name__}: {error}"
            self._report(f"the listener '{name}' failed in {hook} and is left out from here on: {reason}")


def numbers_of(listener: str, results: list[Any]) -> dict[str, float]:
    """What it returned, under its name. Raises TypeError for what are no numbers with names."""
    found = {}
    for given in results:
        if not isinstance(given, Mapping):
            raise TypeError(f"it must return {{name: number}}, or None: got {given!r}")
        if listener in OWN_NUMBERS:
            raise TypeError(
                f"numbers that begin with {listener}/ are gptlab's own: give the listener another name"
            )
        for name, value in given.items():
            if not isinstance(name, str) or not NUMBER.fullmatch(name):
                raise TypeError(f"a number's name must be letters, digits, _, . and -: got {name!r}")
            found[f"{listener}/{name}"] = float(value)
    return found
