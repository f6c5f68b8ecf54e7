"""One job of a sweep, in whichever process a launcher runs it; what it leaves is its record, on disk."""

from __future__ import annotations

import os
import time
import traceback
import typing
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, count
from pathlib import Path
from signal import SIGINT
from typing import TYPE_CHECKING, Any

from gptlab.calling import warn
from gptlab.command.as_typed import unquoted
from gptlab.command.composing import plugins_here
from gptlab.config.addresses import hide_in_config
from gptlab.config.experiments import GROUP as EXPERIMENT
from gptlab.errors import TrainingStopped, UserError
from gptlab.files import Lock
from gptlab.plugins.hookspecs import hookimpl
from gptlab.runs.checkpoint.folder import CHECKPOINTS, Checkpoint
from gptlab.runs.files import METRICS, SAMPLES
from gptlab.runs.folder import RunFolder
from gptlab.runs.resuming import newest_of
from gptlab.runs.run import Run
from gptlab.signals import Stopped
from gptlab.streams import guarded, show
from gptlab.sweeps.launcher import Launcher, leave
from gptlab.sweeps.naming import run_name
from gptlab.sweeps.plan import config_of_job
from gptlab.sweeps.record import (
    DONE,
    FAILED,
    FINISHED,
    KILLED,
    PRUNED,
    RECORD,
    RUNNING,
    JobRecord,
    earlier_of,
    losses_in,
    read_record,
)
from gptlab.sweeps.trial import Pruned, Trial, objective, trial_of
from gptlab.tracking.orphans import is_gone, own_process

if TYPE_CHECKING:
    from omegaconf import DictConfig

Settings = dict[str, Any]


@dataclass(frozen=True)
class SweepJob:
    """What Hydra calls for each job. Nothing in it is of the process that launches: it is pickled to others.

    folder: the sweep's, absolute. parent: the MLflow run of the sweep, if any; empty while it is being made.
    swept: the keys that differ from job to job. tracking: the sweep's own. process: the launching one, see
    orphans.own_process. resumed: when, if it goes on with an earlier one. there: the names in the sweep's folder before
    it began: what else Hydra makes in it is nobody's but the sweep's. rank: by which loss, see SweepConfig.
    commit: that it was begun at, or gone on with; git takes as long as a small model's training.
    """

    folder: str
    parent: str | None
    swept: tuple[str, ...]
    tracking: Settings
    process: str
    cwd: str
    resumed: str
    there: tuple[str, ...]
    rank: str
    commit: str

    def __call__(self, config: DictConfig) -> float:
        """The job's score, which a sweeper may learn from; infinity if it has none."""
        here = own_process() == self.process
        if os.getcwd() != self.cwd:  # a worker's own, or where hydra.job.chdir has gone
            os.chdir(self.cwd)
        # In another process, too, what a run prints is no reason to end it.
        with guarded(forgives=True):
            score = objective(self._record(config, here))
        if not here and is_gone(self.process):
            leave()
        return score

    def made(self, given_up: Callable[[], bool] | None = None) -> Job:
        """The job whose turn it is by Hydra's own config. given_up: of one that goes on beside others, see Job."""
        from hydra.core.hydra_config import HydraConfig
        from omegaconf import OmegaConf

        hydra = HydraConfig.get()
        # Unresolved: as typed.
        overrides = typing.cast("list[str]", OmegaConf.to_container(hydra.overrides.task))
        output = Path(hydra.runtime.output_dir)
        number = int(hydra.job.num)
        trial = trial_of(hydra.sweeper, Path(self.folder), number)
        return Job(self, overrides, number, output, trial, given_up)

    def _record(self, config: DictConfig, here: bool) -> JobRecord | None:
        if not here and is_gone(self.process):
            return None  # it was still in the queue
        return self.done(self.made(), config)

    def done(self, job: Job, config: DictConfig) -> JobRecord | None:
        """What it leaves; None if it was asked to stop, in another process than the one that asks, which says so."""
        try:
            return job.do(config)
        except KeyboardInterrupt:
            if own_process() == self.process:
                raise
            return None

    def name(self, overrides: list[str]) -> str:
        """What its run is called: what differs from run to run, the seed last, since a list cuts long names."""
        differing = [text for text in overrides if text.partition("=")[0] in self.swept]
        differing.sort(key=lambda text: text.startswith("seed="))
        if not differing:
            return run_name(overrides, in_sweep=True)
        return run_name(differing, in_sweep=f"+{EXPERIMENT}" not in self.swept)


def differing(overrides: Sequence[str], swept: Sequence[str]) -> dict[str, str]:
    """What sets a job apart: `{"model.nEmbd": "16"}`. swept: the keys that do."""
    parts = [text.partition("=") for text in overrides]
    return {key.lstrip("+"): unquoted(value) for key, _, value in parts if key in swept}


class Job:
    """One job from its config to its record; listens to its run, which may end in an error and is to be known then.

    given_up: of one that goes on beside others, whether it is to stop.
    """

    def __init__(
        self,
        sweep: SweepJob,
        overrides: list[str],
        number: int,
        output: Path,
        trial: Trial | None,
        given_up: Callable[[], bool] | None = None,
    ):
        self.sweep = sweep
        self.trial = trial
        self._given_up = given_up
        self.overrides = overrides
        self.root = Path(sweep.folder)
        self.output = output
        self.run: Run | None = None  # once it begins
        self._began = time.monotonic()
        self.launcher = Launcher(self.root, sweep.process)
        apart = differing(overrides, sweep.swept)
        self.earlier = earlier_of(self.root, sweep.resumed, apart, output) if sweep.resumed else None
        self.folder = output if self.earlier is None else self.root / self.earlier.folder
        self.record = JobRecord(
            number,
            sweep.name(overrides),
            apart,
            os.path.relpath(self.folder, self.root),
            RUNNING,
            runId="" if self.earlier is None else self.earlier.runId,
            rank=sweep.rank,
        )

    def do(self, config: DictConfig) -> JobRecord | None:
        """The record that it leaves; None if the sweep was asked to stop before it began."""
        if self.folder != self.output:
            self._remove_output()
        if self.earlier is not None and self.earlier.status in DONE:
            return self._finished_before(self.earlier)
        if self.launcher.asks_to_stop:
            if self.earlier is None:
                self._remove_output()
            return None
        with ExitStack() as place:
            try:
                place.enter_context(self._hold_folder())
            except UserError as error:
                return self._refuse_folder(error, config)
            if self.earlier is not None and self.earlier.status in DONE:  # by now
                return self._finished_before(self.earlier)
            return self._run(config)

    def _finished_before(self, record: JobRecord) -> JobRecord:
        show(f"{self.record.name}: finished before")
        if self.trial is not None:
            self.trial.replay(record)
        return replace(record, rank=self.sweep.rank)

    def stop(self) -> None:
        """Polled between steps: raises Stopped once the process that launched the sweep asks for it, or is gone, Pruned
        for a run that is poor."""
        if self._given_up is not None and self._given_up():
            raise Stopped(SIGINT)
        self.launcher.poll()
        if self.trial is not None:
            self.trial.stop()

    @hookimpl
    def gptlab_run_started(self, run: Run) -> None:
        self.run = run

    def _remove_output(self) -> None:
        """Take back the folder that Hydra has made, unless somebody else may have, or it is of use."""
        from gptlab.runs.claiming import remove_empty

        below = [place for place in (self.output, *self.output.parents) if self.root in place.parents]
        if below and below[-1].name not in self.sweep.there:
            remove_empty(below)

    def _hold_folder(self) -> AbstractContextManager[object]:
        """The job's folder, claimed for its run; or held, if it is to go on there."""
        from gptlab.runs.claiming import check_free_for_run, claimed

        if self.earlier is not None:
            return self._wait_for_folder(self.earlier)
        if self.root not in self.folder.parents:
            raise UserError(
                f"a job's folder must lie in its sweep's, {os.path.relpath(self.root)}: "
                f"{os.path.relpath(self.folder)} does not. Leave hydra.sweep.subdir out, or choose another"
            )
        return claimed(self.folder, partial(check_free_for_run, key="hydra.sweep.subdir="))

    def _wait_for_folder(self, earlier: JobRecord) -> Lock:
        """The folder of a job that has begun before, with the record that whoever was last at it has left."""
        place = self.launcher.wait_for(self.folder, self.record.name)
        with suppress(UserError, OSError, ValueError, LookupError, TypeError):
            found = read_record(self.folder / RECORD)
            self.earlier = replace(found, folder=earlier.folder)
            self.record = replace(self.record, runId=found.runId)
        return place

    def _refuse_folder(self, error: UserError, config: DictConfig) -> JobRecord:
        """The record of a job whose folder is another's, or not to be had: in one that is nobody's."""
        self._say(str(error))
        if self.earlier is None:
            self._remove_output()
            self.folder = unused_folder(self.root, self.record.number)
        place = os.path.relpath(self.folder, self.root)
        record = replace(self.record, folder=place, status=FAILED, reason=str(error), refused=True)
        if self.earlier is not None:
            return record  # whoever holds its folder keeps its record, too
        return self._leave(record, config)

    def _run(self, config: DictConfig) -> JobRecord:
        try:
            self.record.write(self.folder)
            self._train(config)
            record = replace(self.record, status=FINISHED)
        except Pruned as reason:
            show(f"{self.record.name}: {reason}")
            record = replace(self.record, status=PRUNED, reason=str(reason))
        except (UserError, TrainingStopped) as error:
            self._say(str(error))
            refused = self.run is None and isinstance(error, UserError)
            record = replace(self.record, status=FAILED, reason=str(error), refused=refused)
        except KeyboardInterrupt as stop:
            self._leave_stopped(stop)
            raise
        except Exception as error:
            # Of gptlab's own, or of a machine that has no memory left: the others go on all the same.
            self._say(traceback.format_exc())
            record = replace(self.record, status=FAILED, reason=f"{type(error).__name__}: {error}")
        return self._leave(record, config)

    def _train(self, config: DictConfig) -> None:
        """Train, or go on, were it only to close what has taken its last step."""
        plugins = plugins_here()
        checked = config_of_job(config, plugins, self.overrides)
        # Only now: a wrong config must not wait for what training needs to be imported.
        from gptlab.command.composing import requested_of
        from gptlab.launch.launch import JobContext, launch
        from gptlab.launch.reports import closing
        from gptlab.launch.resuming import config_to_resume
        from gptlab.tracking.facts import PARENT

        checkpoint, run_id = self._restart()
        if checkpoint is not None:
            checked = config_to_resume(checkpoint, checked, self.overrides, plugins)
        requested = requested_of(checked, self.overrides) if checked.initFrom is not None else None
        tags = {} if self.sweep.parent is None else {PARENT: self.sweep.parent}
        listeners = {"sweep": self} if self.trial is None else {"sweep": self, "optuna": self.trial}
        job = JobContext(
            tags, listeners, self.stop, run_id, alone=self._given_up is None, commit=self.sweep.commit
        )
        name = self.record.name
        run = launch(checked, plugins, self.folder, name, checkpoint, requested, job, held=True)
        if checked.progress != "none":
            told = closing(run, in_sweep=True)
            show(told if job.alone else f"{name}: {told}")

    def _restart(self) -> tuple[Checkpoint | None, str]:
        """The checkpoint to go on from; without one the folder is cleared, and the MLflow run to begin again is told.

        Raises UserError if there are checkpoints and all of them are damaged.
        """
        if self.earlier is None:
            return None, ""
        if any((self.folder / CHECKPOINTS).glob("step-*")):
            return newest_of(self.folder), ""
        for name in (METRICS, SAMPLES):
            (self.folder / name).unlink(missing_ok=True)
        return None, self.earlier.runId or RunFolder(self.folder).id

    def _say(self, message: str) -> None:
        warn(f"{self.record.name}: {message}")

    def _leave_stopped(self, stop: KeyboardInterrupt) -> None:
        """Keep that it was interrupted; of one that had not begun, nothing."""
        if self.run is None and self.earlier is None:
            (self.folder / RECORD).unlink(missing_ok=True)
            self._remove_output()
            return
        reason = " ".join(["stopped by", str(stop) or "Ctrl-C"])
        self._write(replace(self.record, status=KILLED, reason=reason))

    def _leave(self, record: JobRecord, config: DictConfig) -> JobRecord:
        if self.run is None and record.status == FAILED and self.sweep.tracking["name"] == "mlflow":
            record = replace(record, runId=self._note(config, record))
        return self._write(record)

    def _note(self, config: DictConfig, record: JobRecord) -> str:
        """The MLflow run of a job that had none, or that was not told of its end."""
        from omegaconf import OmegaConf

        from gptlab.tracking.parent import note_child

        told = hide_in_config(typing.cast("Settings", OmegaConf.to_container(config)))
        told = {key: value for key, value in told.items() if key not in ("sweep", "anyway")}
        tracking, parent = self.sweep.tracking, self.sweep.parent
        return note_child(tracking, parent, self.folder, record.name, told, record.reason, record.runId)

    def _write(self, record: JobRecord) -> JobRecord:
        earlier = 0.0 if self.earlier is None else self.earlier.seconds
        record = replace(record, seconds=earlier + time.monotonic() - self._began)
        if self.run is not None:
            total = self.run.parameter_counts()["total"]
            record = replace(record, runId=self.run.id or record.runId, diverged=self.run.diverged)
            record = replace(record, parameters=total, **losses_in(self.run.metrics))
        try:
            record.write(self.folder if self.run is None else self.run.folder)  # which may have been moved
        except OSError as error:
            self._say(
                f"its record could not be written ({error.strerror}): the sweep does not know that it ended."
            )
            return replace(record, status=FAILED, reason=f"its record could not be written: {error.strerror}")
        return record


def unused_folder(root: Path, number: int) -> Path:
    """A folder of the sweep's that was not there before, for the record of a job that got none of its own."""
    for name in chain([f"refused-{number}"], (f"refused-{number}-{n}" for n in count(2))):
        with suppress(FileExistsError):
            (root / name).mkdir()
            return root / name
    raise AssertionError("count ends")
