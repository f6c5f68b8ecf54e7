"""Sweeps whose jobs gptlab chooses itself, batch by batch: Hydra launches them, and no sweeper of Hydra's is asked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gptlab.command import sweepers
from gptlab.command.composing import compose_job, explained
from gptlab.command.line import CommandLine, read_command_line
from gptlab.config.typed import Config
from gptlab.errors import UserError
from gptlab.plugins.loading import Plugins
from gptlab.sweeps.closing import OpenSweep
from gptlab.sweeps.plan import (
    BASIC,
    Plan,
    at_once,
    check_trainable,
    config_of_job,
    facts_of,
    one_a_core,
)
from gptlab.sweeps.record import read_records
from gptlab.sweeps.running import running_jobs, with_folder
from gptlab.sweeps.side_by_side import SideBySide
from gptlab.sweeps.sweep import STOP, sweep_folder_of

Batch = Sequence[Sequence[str]]  # of each job its overrides


@dataclass(frozen=True)
class Batches:
    """What a verb that chooses its jobs has typed. what: it is, as `an ablation`; instead: to type for a sweeper."""

    what: str
    instead: str
    name: str
    swept: tuple[str, ...]
    base: tuple[str, ...]
    typed: list[str]
    plugins: Plugins
    resume: str | None

    @property
    def jobs(self) -> CommandLine:
        """The line that describes the jobs but for what sets them apart, as a sweep's launcher is to read it."""
        hydras = [text for text in self.typed if part_of(text) in ("hydra", "sweep")]
        hydras = [text for text in hydras if not text.startswith("sweep.")]
        return read_command_line(["-m", *self.base, *hydras], "train", single=True)

    def plan(self, jobs: CommandLine) -> Plan:
        """Raises UserError for a sweeper of Hydra's, a launcher that there is not, and what cannot be trained."""
        overrides = [*jobs.flags.overrides]
        with explained(self.plugins, overrides):
            config = compose_job(jobs.flags, overrides)
            facts = facts_of(config.hydra)
            sweeper = config.hydra.sweeper._target_
            del config._content["hydra"]  # type: ignore[union-attr]
        if sweeper != sweepers.BASIC:
            raise UserError(
                f"{self.what} chooses its own runs and takes no Hydra sweeper: got {sweeper.rpartition('.')[2]}. "
                f"Leave it out{self.instead}."
            )
        checked: Config = config_of_job(config, self.plugins, overrides)
        check_trainable(checked, self.plugins)
        sweepers.check_launcher(facts.launcher)
        folder = Path(os.path.abspath(facts.folder if self.resume is None else sweep_folder_of(self.resume)))
        return Plan(
            folder,
            self.name,
            self.swept,
            list(self.typed),
            checked.description,
            checked.tracking,
            checked.engine.name,
            facts.launcher == BASIC,
            self.resume is not None,
            checked.anyway,
            at_once=at_once(checked, facts, usual=one_a_core()),
        )

    def launch(self, sweep: OpenSweep, jobs: CommandLine, batches: Iterable[Batch]) -> None:
        """Have them run, each batch once the one before has ended."""
        from gptlab.command.hydra_insides import run_batches

        folder = sweep.plan.folder
        # Hydra composes a job anew, with what is typed of hydra itself; the ready file that this adds to is the job's.
        ready = [text for text in jobs.flags.overrides if part_of(text) == "sweep"]
        with running_jobs(sweep, jobs.flags.overrides, self.plugins) as job:
            begun = len(read_records(folder, running=True))
            arguments = with_folder(jobs, jobs.arguments, folder)
            beside = job if isinstance(job, SideBySide) else None
            whole = (
                [[*ready, *overrides] for overrides in batch] for batch in until_stopped(batches, folder)
            )
            run_batches(arguments, job, whole, begun, beside)


def part_of(override: str) -> str:
    """`hydra` of `hydra/launcher=joblib`: what it is of, before the first dot and the first slash."""
    return override.partition("=")[0].lstrip("+~").partition(".")[0].partition("/")[0]


def until_stopped(batches: Iterable[Batch], folder: Path) -> Iterator[Batch]:
    """No more of them once the jobs were asked to stop."""
    for batch in batches:
        yield batch
        if (folder / STOP).exists():
            return
