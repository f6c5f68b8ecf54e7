"""The hooks through which anything is added to gptlab, its own names included.

Registering hooks return nothing and get a `register` callback, so that an error is raised
at the plugin's own line. Listener hooks fire once a run or once a logged step, never per op.
"""

from collections.abc import Callable
from typing import Any

import pluggy

hookspec = pluggy.HookspecMarker("gptlab")
hookimpl = pluggy.HookimplMarker("gptlab")


@hookspec
def gptlab_register_ops(register: Callable[..., None]) -> None:
    """Call `register(op)` for each `gptlab.Op` (what `@gptlab.op` makes of a function)."""


@hookspec
def gptlab_register_components(register: Callable[..., None]) -> None:
    """Call `register(kind, name, cls)`: kind is activation, norm, mlp, attention, position, block, adapter or
    reparametrization."""


@hookspec
def gptlab_register_inits(register: Callable[..., None]) -> None:
    """Call `register(name, cls)`: a `gptlab.Init`, whose `start(name, weight, generator)` gives a weight's entries."""


@hookspec
def gptlab_register_objectives(register: Callable[..., None]) -> None:
    """Call `register(name, cls)`: a frozen dataclass, called as `objective(weights, hidden, logits, tokens, targets,
    context) -> losses, counts`."""


@hookspec
def gptlab_register_metrics(register: Callable[..., None]) -> None:
    """Call `register(name, cls)`: a frozen dataclass, called as `metric(xp, logits, tokens, targets, counts) -> right,
    counts`."""


@hookspec
def gptlab_register_optimizers(register: Callable[..., None]) -> None:
    """Call `register(name, cls)`: a frozen dataclass with `init` and `update`."""


@hookspec
def gptlab_register_schedules(register: Callable[..., None]) -> None:
    """Call `register(name, cls)`: a frozen dataclass, called as `schedule(step, numSteps) -> factor`."""


@hookspec
def gptlab_register_samplers(register: Callable[..., None]) -> None:
    """Call `register(name, cls)`: a `gptlab.Sampler`, whose `choose(xp, logits, uniform, seen)` gives a token."""


@hookspec
def gptlab_register_datasets(register: Callable[..., None]) -> None:
    """Call `register(name, cls)`: a `gptlab.Dataset`, whose `documents()` gives texts, in a list or anew each time."""


@hookspec
def gptlab_register_tokenizers(register: Callable[..., None]) -> None:
    """Call `register(name, cls)`: a frozen dataclass with `build(documents)` and `restore(state)`."""


@hookspec
def gptlab_register_engines(register: Callable[..., None]) -> None:
    """Call `register(name, cls)`: a frozen dataclass that follows `gptlab.engines.engine.Engine`."""


@hookspec
def gptlab_register_tracking(register: Callable[..., None]) -> None:
    """Call `register(name, cls)`: a frozen dataclass whose `start()` is a `gptlab.tracking.tracker.Tracker`."""


@hookspec
def gptlab_register_listeners(register: Callable[..., None]) -> None:
    """Call `register(name, cls)`: a frozen dataclass whose `begin(run)` makes what listens to one run."""


@hookspec
def gptlab_register_verbs(register: Callable[..., None]) -> None:
    """Call `register(name, cls)`: a frozen dataclass that is called, `verb()`, and returns an exit status or None."""


@hookspec
def gptlab_run_started(run: Any) -> None:
    """A run's model and data are built; step 1 has not begun. `run` is a `gptlab.runs.run.Run`."""


@hookspec
def gptlab_evaluated(run: Any, step: int, model: Any, metrics: dict[str, float]) -> dict[str, float] | None:
    """`step` has been evaluated, which `metrics` tells; the numbers returned are logged as `LISTENER/NAME`.

    `model` is a `gptlab.launch.evaluated_model.EvaluatedModel`.
    """


@hookspec
def gptlab_step_ended(run: Any, step: int, metrics: dict[str, float]) -> None:
    """A logged step (counted from 1) has ended with these metrics; `run.metrics` already has them."""


@hookspec
def gptlab_checkpoint_saved(run: Any, folder: Any, step: int, removed: list[Any]) -> None:
    """The checkpoint of `step` is whole in `folder`; `removed` are those deleted for it, as paths."""


@hookspec
def gptlab_inspected(run: Any, step: int, inspection: Any) -> None:
    """The model has been looked into after `step`: what it makes of one text, a `gptlab.inspection` Inspection."""


@hookspec
def gptlab_run_ended(run: Any, error: BaseException | None) -> None:
    """The run is over; `error` is what ended it: None, an exception, or KeyboardInterrupt."""
