"""The listener `early`: a run that gets no better, or is good enough, ends before its last step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptlab.errors import UserError, require
from gptlab.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    from gptlab.runs.run import Run

PATIENCE = 5  # evaluations, where nobody has said how many


@dataclass(frozen=True)
class Early:
    """Early stopping: ends a run whose metric has not improved for `patience` evaluations, or has reached a threshold.

    metric: a number that evaluations log. mode: min if less of it is better, else max. patience: left out it is 5, and
    no limit where `reaches` is given. minDelta: an improvement must be larger. reaches: the value at which the
    run ends; the step of that evaluation is logged as early/reached.
    """

    metric: str = "val/loss"
    mode: str = "min"
    patience: int | None = None
    minDelta: float = 0.0
    reaches: float | None = None

    def __post_init__(self) -> None:
        if self.mode not in ("min", "max"):
            raise UserError(
                f"listener.early.mode must be min or max: got {self.mode}. Try listener.early.mode=min."
            )
        if self.patience is not None:
            require(
                "listener.early.patience", self.patience, at_least=1, unit="evaluations", example=PATIENCE
            )
        require("listener.early.minDelta", self.minDelta, at_least=0, example=0.001)

    def begin(self, run: Run) -> Watching:
        return Watching(self, run)


class Watching:
    """What has been seen of one run; of one that is resumed, from its first step on."""

    def __init__(self, settings: Early, run: Run):
        self.settings = settings
        self.sign = 1.0 if settings.mode == "min" else -1.0
        self.best = float("inf")  # of sign · metric
        self.without = 0  # evaluations since the best one
        self.patience = settings.patience
        if settings.patience is None and settings.reaches is None:
            self.patience = PATIENCE
        every = run.config["train"]["evalEvery"]
        for step, metrics in run.metrics:
            if settings.metric in metrics and every and step % every == 0:
                self.see(metrics[settings.metric])

    def see(self, value: float) -> None:
        if self.sign * value < self.best - self.settings.minDelta:
            self.best, self.without = self.sign * value, 0
        else:
            self.without += 1

    @hookimpl
    def gptlab_evaluated(self, run: Run, step: int, metrics: dict[str, float]) -> dict[str, float]:
        settings = self.settings
        if settings.metric not in metrics:
            raise UserError(
                f"listener.early.metric must be what evaluations log: got {settings.metric}. "
                f"Try one of {', '.join(metrics)}."
            )
        value = metrics[settings.metric]
        self.see(value)
        if settings.reaches is not None and self.sign * value <= self.sign * settings.reaches:
            run.stop(f"{settings.metric} has reached {settings.reaches:g}")
            return {"reached": float(step)}
        if self.patience is not None and self.without >= self.patience:
            best = self.sign * self.best
            run.stop(f"{settings.metric} has not improved on {best:.4g} for {self.without} evaluations")
        return {}
