"""A job's side of a sweep that Optuna steers: reporting its validation losses, and ending early if they are poor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptlab.errors import TrainingStopped
from gptlab.files import write_bytes
from gptlab.plugins.hookspecs import hookimpl
from gptlab.runs.run import Run
from gptlab.sweeps.record import DONE, PRUNED, JobRecord, finite
from gptlab.training.metric_rows import loss_text

if TYPE_CHECKING:
    import optuna

JOURNAL = "study.journal"  # in the sweep's folder: a JSON object a line
STUDY_FILES = TRIALS, IMPORTANCE, PICTURE = "trials.csv", "importance.csv", "importance.png"
MARK = "pruned"  # the attribute of a trial whose job was ended before its time: the reason
BEGIN = "gptlab.sweeps.study.begin_study"  # the storage whose trials can be asked


class Pruned(TrainingStopped):
    """The run is worse than the median of the jobs before it, and ends for that; it has not failed."""

    run_status = "KILLED"  # MLflow has no word for it


class Trial:
    """The trial of one job, and a listener of its run; `stop` raises Pruned between steps."""

    def __init__(self, folder: Path, number: int, startup: int | None):
        """startup: jobs that finish before this one may be pruned; None for never."""
        import optuna

        from gptlab.sweeps.study import study_of

        pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
        if startup is not None:
            # From step 1 on: at step 0 a run that starts from given weights has only their loss.
            pruner = optuna.pruners.MedianPruner(n_startup_trials=startup, n_warmup_steps=1)
        self._study = study_of(folder, pruner=pruner)
        self._number = number
        self._reason = ""

    @cached_property
    def trial(self) -> optuna.Trial:
        import optuna

        frozen = self._study.get_trials(deepcopy=False)[self._number]
        return optuna.Trial(self._study, frozen._trial_id)

    @hookimpl
    def gptlab_run_started(self, run: Run) -> None:
        for step, metrics in run.metrics:  # of a run that is resumed
            self._report(step, metrics)

    @hookimpl
    def gptlab_step_ended(self, run: Run, step: int, metrics: dict[str, float]) -> None:
        last = step == run.config["train"]["numSteps"]
        if self._report(step, metrics) and not last and self.trial.should_prune():
            best = min(loss for _, loss in finite(run.metrics, "val/loss"))
            self._reason = (
                f"pruned at step {step:,}: its validation loss so far, {loss_text(best)} at best, is above the "
                "median of the jobs before it"
            )

    def _report(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Whether there was a validation loss to report."""
        loss = metrics.get("val/loss", math.nan)
        if not math.isfinite(loss):
            return False
        self.trial.report(loss, step)
        return True

    def stop(self) -> None:
        """Polled between steps. Raises Pruned once the run is to end."""
        if self._reason:
            self.trial.set_user_attr(MARK, self._reason)
            raise Pruned(self._reason)

    def replay(self, record: JobRecord) -> None:
        """Report what a job that is over already had reported, when a sweep is resumed."""
        for step, loss in record.curves.get("val/loss", []):
            self.trial.report(loss, step)
        if record.status == PRUNED:
            self.trial.set_user_attr(MARK, record.reason)


def trial_of(sweeper: Mapping[str, Any], folder: Path, number: int) -> Trial | None:
    """The trial of the job `number` of the sweep in `folder`; None if `hydra.sweeper` asks no study.

    Hydra's sweeper begins a trial for each job, in the order of their numbers.
    """
    storage = sweeper.get("storage")
    if not isinstance(storage, Mapping) or storage.get("_target_") != BEGIN:
        return None
    return Trial(folder, number, storage.get("startup", 5) if storage.get("prune", True) else None)


def study_summary(folder: Path) -> str:
    """What the sweep's study shows, in a sentence, with its tables and picture written into the folder.

    Empty if the sweep has none. Raises OSError if they cannot be written.
    """
    if not (folder / JOURNAL).is_file():
        return ""
    from gptlab.sweeps.study import study_results

    try:
        text, files = study_results(folder)
    except ValueError:  # stopped before it began
        return ""
    for name, content in files.items():
        write_bytes(folder / name, content)
    return text


def objective(record: JobRecord | None) -> float:
    """What a sampler is told of a job: the lower the better; None: it was not begun.

    A job without a loss, or whose training broke down, is as bad as can be, so that a sampler keeps away from
    its values: a failed trial it would ignore, and Hydra's sweeper has no way to tell it of one that is not a number.
    """
    if record is None or record.status not in DONE or record.diverged or record.score is None:
        return math.inf
    return record.score
