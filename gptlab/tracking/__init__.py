"""MLflow as a listener of the training loop: what a config selects with `tracking=mlflow`.

Nothing here loads MLflow, and the rest of this room is loaded only when a run starts: commands that
track nothing, or are told that they are mistyped, do not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptlab.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    from gptlab.tracking.tracker import Tracker


@dataclass(frozen=True)
class MLflowTracking:
    """Each run is an MLflow run, in `mlflow.db` of the current folder unless `uri` says otherwise.

    uri: the store, as sqlite:////path/mlflow.db or http://host:port; null for mlflow.db here, or MLFLOW_TRACKING_URI.
    experimentName: the MLflow experiment that runs go into.
    logModel: at its end a run logs its model as an MLflow model, which mlflow.pyfunc loads.
    wait: the command ends once MLflow has all of the run. Without it MLflow's process sends the rest by itself.
    """

    uri: str | None = None
    experimentName: str = "gptlab"
    logModel: bool = True
    wait: bool = False

    def start(self) -> Tracker:
        """The listener to register for one run."""
        from gptlab.tracking.tracker import Tracker

        return Tracker(self)


@dataclass(frozen=True)
class NoTracking:
    """Nothing is logged to MLflow."""

    def start(self) -> NoTracker:
        """A listener that does nothing."""
        return NoTracker()


class NoTracker:
    """Has the methods of `Tracker` that the caller calls itself; listens to nothing."""

    def prepare(self) -> None:
        """Nothing to prepare."""

    def wait_until_reachable(self) -> None:
        """Nothing to reach."""

    def wait_until_ready(self, timeout: float = 0.0) -> None:
        """Always ready."""


@hookimpl
def gptlab_register_tracking(register: Callable[..., None]) -> None:
    register("mlflow", MLflowTracking)
    register("none", NoTracking)
