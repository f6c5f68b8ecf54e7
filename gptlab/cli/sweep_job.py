"""One job of a sweep, in whichever process a launcher runs it; what it leaves is its record, on disk."""

from __future__ import annotations

import os
import sys
import time
import traceback
import typing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptlab.cli.composing import plugins_here
from gptlab.cli.naming import run_name
from gptlab.cli.sweep_plan import settings_of_job
from gptlab.errors import TrainingStopped, UserError
from gptlab.experiments import GROUP as EXPERIMENT
from gptlab.plugins import Plugins
from gptlab.sweeps.earlier import earlier_of, restartable, trained_whole
from gptlab.sweeps.record import (
    DONE,
    FAILED,
    FINISHED,
    KILLED,
    PRUNED,
    RECORD,
    RUNNING,
    JobRecord,
    losses_of,
)
from gptlab.sweeps.sweep import STOP
from gptlab.sweeps.trial import Pruned, Trial, objective, trial_of
from gptlab.tracking.addresses import hide_in_config
from gptlab.tracking.orphans import own_process

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from gptlab.checkpoint import Checkpoint
    from gptlab.sweeps.member import Member, Seen

Settings = dict[str, Any]


@dataclass(frozen=True)
class SweepJob:
    """What Hydra calls for each job. Nothing in it is of the process that launches: it is pickled to others.

    folder: the sweep's, absolute. parent: the MLflow run of the sweep, if any. swept: the keys that
    differ from job to job. tracking: the sweep's own. process: the launching one, see orphans.own_process.
    resumed: when, if it goes on with an earlier one.
    """

    folder: str
    parent: str
    swept: tuple[str, ...]
    tracking: Settings
    process: str
    cwd: str
    resumed: str

    def __call__(self, config: DictConfig) -> float:
        """The job's score, which a sweeper may learn from; infinity if it has none."""
        from hydra.core.hydra_config import HydraConfig
        from omegaconf import OmegaConf

        here = own_process() == self.process
        if os.getcwd() != self.cwd:  # a worker's own, or where hydra.job.chdir has gone
            os.chdir(self.cwd)
        hydra = HydraConfig.get()
        # Unresolved: as typed.
        overrides = typing.cast("list[str]", OmegaConf.to_container(hydra.overrides.task))
        output = Path(hydra.runtime.output_dir)
        number = int(hydra.job.num)
        job = Job(self, overrides, number, output, trial_of(hydra.sweeper, Path(self.folder), number))
        try:
            record = job.run(config)
        except KeyboardInterrupt:
            if here:
                raise
            record = None  # the launching process has been asked to stop, too, and says so
        return objective(record)

    def differing(self, overrides: list[str]) -> dict[str, str]:
        """What sets a job apart: `{"model.nEmbd": "16"}`."""
        parts = [text.partition("=") for text in overrides]
        return {key.lstrip("+"): value for key, _, value in parts if key in self.swept}

    def name(self, overrides: list[str]) -> str:
        """What its run is called: what differs from run to run, the seed last, since a list cuts long names."""
        differing = [text for text in overrides if text.partition("=")[0] in self.swept]
        differing.sort(key=lambda text: text.startswith("seed="))
        if not differing:
            return run_name(overrides, in_sweep=True)
        return run_name(differing, in_sweep=f"+{EXPERIMENT}" not in self.swept)


class Job:
    """One job from its config to its record."""

    def __init__(self, sweep: SweepJob, overrides: list[str], number: int, output: Path, trial: Trial | None):
        self.sweep = sweep
        self.trial = trial
        self.overrides = overrides
        self.root = Path(sweep.folder)
        self.output = output
        differing = sweep.differing(overrides)
        self.earlier = earlier_of(self.root, sweep.resumed, differing, output) if sweep.resumed else None
        self.folder = output if self.earlier is None else self.root / self.earlier.folder
        self.record = JobRecord(
            number,
            sweep.name(overrides),
            differing,
            os.path.relpath(self.folder, self.root),
            RUNNING,
            runId="" if self.earlier is None else self.earlier.runId,
        )

    def run(self, config: DictConfig) -> JobRecord | None:
        """The record that it leaves; None if the sweep was asked to stop before it began."""
        from gptlab.folders import remove

        if self.folder != self.output:
            remove(self.output, set())
        if self.earlier is not None and self.earlier.status in DONE:
            print(f"{self.record.name}: finished before", flush=True)
            if self.trial is not None:
                self.trial.replay(self.earlier)
            return self.earlier
        if (self.root / STOP).exists():
            if self.earlier is None:
                remove(self.output, set())  # which Hydra has made
            return None
        from gptlab.sweeps.member import Seen

        began = time.monotonic()
        seen = Seen()
        self.record.write(self.folder)
        try:
            record = self._train(config, seen) or replace(self.record, status=FINISHED)
        except Pruned as reason:
            print(f"{self.record.name}: {reason}", flush=True)
            record = replace(self.record, status=PRUNED, reason=str(reason))
        except (UserError, TrainingStopped) as error:
            self._say(str(error))
            refused = seen.run is None and isinstance(error, UserError)
            record = replace(self.record, status=FAILED, reason=str(error), refused=refused)
        except KeyboardInterrupt as stop:
            self._stopped(stop, seen, time.monotonic() - began)
            raise
        except Exception as error:
            # Of gptlab's own, or of a machine that has no memory left: the others go on all the same.
            self._say(traceback.format_exc())
            record = replace(self.record, status=FAILED, reason=f"{type(error).__name__}: {error}")
        return self._left(record, seen, config, time.monotonic() - began)

    def _train(self, config: DictConfig, seen: Seen) -> JobRecord | None:
        """Train; the whole record if that had been done already, and had only not been noted."""
        plugins = plugins_here()
        settings = settings_of_job(config, plugins, self.overrides)
        settings.pop("sweep")
        # Only now: a wrong config must not wait for what training needs to be imported.
        from gptlab.cli.asked import asked_of
        from gptlab.launch import launch
        from gptlab.reports import closing

        name = self.record.name
        checkpoint, known = (None, "") if self.earlier is None else restartable(self.folder, self.earlier)
        member = self._member(seen, known)
        if checkpoint is not None:
            if (done := trained_whole(checkpoint, self.record)) is not None:
                return replace(done, runId=self._noted(config, done))
            settings = self._continued(checkpoint, settings, plugins)
        asked = asked_of(settings, self.overrides) if settings["initFrom"] is not None else None
        outcome = launch(settings, plugins, self.folder, name, checkpoint, asked, member)
        if settings["progress"] != "none":
            print(closing(outcome.run, in_sweep=True), flush=True)
        return None

    def _continued(self, checkpoint: Checkpoint, settings: Settings, plugins: Plugins) -> Settings:
        from gptlab.cli.resuming import settings_to_resume

        return settings_to_resume(checkpoint, settings, self.overrides, plugins)

    def _member(self, seen: Seen, run_id: str) -> Member:
        from gptlab.sweeps.member import Member, StopFile
        from gptlab.tracking.parent import PARENT

        tags = {PARENT: self.sweep.parent} if self.sweep.parent else {}
        stop_file, trial = StopFile(self.root / STOP), self.trial
        if trial is None:
            return Member(tags, {"sweep": seen}, stop_file, run_id)

        def stop() -> None:
            stop_file()
            trial.stop()

        return Member(tags, {"sweep": seen, "optuna": trial}, stop, run_id)

    def _say(self, message: str) -> None:
        print(f"gptlab: {self.record.name}: {message}", file=sys.stderr, flush=True)

    def _stopped(self, stop: KeyboardInterrupt, seen: Seen, seconds: float) -> None:
        """Keep that it was interrupted; of one that had not begun, nothing."""
        from gptlab.folders import remove_if_unused

        if seen.run is None and self.earlier is None:
            (self.folder / RECORD).unlink(missing_ok=True)
            remove_if_unused(self.folder, set())
            return
        reason = " ".join(["stopped by", str(stop) or "Ctrl-C"])
        self._write(replace(self.record, status=KILLED, reason=reason), seen, seconds)

    def _left(self, record: JobRecord, seen: Seen, config: DictConfig, seconds: float) -> JobRecord:
        if seen.run is None and record.status == FAILED:
            record = replace(record, runId=self._noted(config, record))
        return self._write(record, seen, seconds)

    def _write(self, record: JobRecord, seen: Seen, seconds: float) -> JobRecord:
        earlier = 0.0 if self.earlier is None else self.earlier.seconds
        record = replace(record, seconds=earlier + seconds)
        if seen.run is not None:
            record = replace(record, runId=seen.run.id or record.runId, **losses_of(seen.run))
        record.write(self.folder)
        return record

    def _noted(self, config: DictConfig, record: JobRecord) -> str:
        """The MLflow run of a job that had none, or that was not told of its end."""
        if self.sweep.tracking["name"] != "mlflow":
            return record.runId
        from omegaconf import OmegaConf

        from gptlab.tracking.sweeping import note_child

        told = hide_in_config(typing.cast("Settings", OmegaConf.to_container(config)))
        told.pop("sweep", None)
        parent, tracking = self.sweep.parent, self.sweep.tracking
        return note_child(tracking, parent, record.name, told, record.status, record.reason, record.runId)
