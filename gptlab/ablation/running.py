"""An ablation from what is typed to what it found, by the machinery of sweeps: launchers, records, resuming, MLflow."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gptlab.ablation.ablating import Ablating, Batch
from gptlab.ablation.arms import key_of
from gptlab.ablation.cells import SEED, WIDTH, Cells
from gptlab.ablation.finding import ablation_of
from gptlab.ablation.question import Question, question_of
from gptlab.ablation.result import Ablation
from gptlab.ablation.runs import Runs
from gptlab.ablation.scaling import scaling_of
from gptlab.command import sweepers
from gptlab.command.composing import compose_job, explained
from gptlab.command.line import CommandLine, read_command_line
from gptlab.config.schema import AblateConfig
from gptlab.errors import UserError
from gptlab.plugins.loading import Plugins
from gptlab.runs.equality import finished_runs
from gptlab.runs.finding import RUNS
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
from gptlab.sweeps.record import JobRecord, read_records
from gptlab.sweeps.running import carry_out, running_jobs, with_folder
from gptlab.sweeps.side_by_side import SideBySide
from gptlab.sweeps.sweep import RESUME, STOP, sweep_folder_of

TAKEN = ("train.numSteps", "train.evalEvery")  # by `match`


@dataclass
class Ablate:
    """One ablation. found: once it has ended, however it did."""

    settings: AblateConfig
    line: CommandLine
    plugins: Plugins
    arguments: list[str]
    say: Callable[[str], None]
    found: Ablation | None = field(default=None, init=False)
    ablating: Ablating | None = field(default=None, init=False)
    runId: str = field(default="", init=False)  # of the parent run

    def run(self) -> int:
        """0, or 1 if a run failed. Raises UserError, and Stopped once what there is has been told."""
        overrides = self.line.flags.overrides
        self.question = question_of(self.settings, overrides, self.plugins.registry)
        self.jobs = jobs_line(self.question, overrides)
        self.cells = Cells(self.question, self.plugins)
        self._check_arms()
        plan = self._plan()
        return carry_out(plan, self.plugins, ["ablate", *self.arguments], self._jobs, self._conclude)

    def _check_arms(self) -> None:
        """Raises UserError for an arm that cannot be trained, or compared, at some size or setting: before any is."""
        question = self.question
        seen: dict[str, str] = {}
        for size in question.sizes:
            for setting in question.settings:
                self.cells.baseline(size, setting)
                for arm in question.arms:
                    self.cells.of(arm.name, arm.overrides, size, setting)
        for arm in question.arms:
            config = repr(self.cells.of(arm.name, arm.overrides, question.sizes[-1]).config)
            if config in seen:
                raise UserError(
                    f"each arm must differ from the others: '{seen[config]}' and '{arm.name}' are the same."
                )
            seen[config] = arm.name

    def _plan(self) -> Plan:
        question, overrides = self.question, [*self.jobs.flags.overrides]
        with explained(self.plugins, overrides):
            config = compose_job(self.jobs.flags, overrides)
            facts = facts_of(config.hydra)
            sweeper = config.hydra.sweeper._target_
            del config._content["hydra"]  # type: ignore[union-attr]
        if sweeper != sweepers.BASIC:
            raise UserError(
                "an ablation chooses its runs by itself, and takes no sweeper of Hydra's: got "
                f"{sweeper.rpartition('.')[2]}. Leave it out; tune=train.learningRate=log(0.001,0.03,5) tries the same "
                "values for each arm."
            )
        checked = config_of_job(config, self.plugins, overrides)
        check_trainable(checked, self.plugins)
        sweepers.check_launcher(facts.launcher)
        resume = self.settings.sweep.resume
        folder = Path(os.path.abspath(facts.folder if resume is None else sweep_folder_of(resume)))
        return Plan(
            folder,
            name_of(question),
            swept_keys(question),
            list(self.line.flags.overrides),
            checked.description,
            checked.tracking,
            facts.launcher == BASIC,
            resume is not None,
            checked.anyway,
            at_once=at_once(checked, facts, usual=one_a_core()),
        )

    def _jobs(self, sweep: OpenSweep) -> None:
        from gptlab.command.hydra_insides import run_batches

        folder, swept = sweep.plan.folder, sweep.plan.swept
        before = {} if self.question.again else finished_runs(Path(RUNS))
        ablating = Ablating(self.question, self.cells, Runs(folder, swept, before), self.say)
        self.ablating = ablating
        # Hydra composes a job anew, with what is typed of hydra itself; the ready file that this adds to is the job's.
        ready = [text for text in self.jobs.flags.overrides if key_of(text) == "sweep"]
        self.runId = "" if sweep.parent is None else sweep.parent.id
        with running_jobs(sweep, self.jobs.flags.overrides, self.plugins) as job:
            begun = len(read_records(folder, running=True))
            arguments = with_folder(self.jobs, self.jobs.arguments, folder)
            beside = job if isinstance(job, SideBySide) else None
            wanted = until_stopped(ablating.batches(), folder)
            batches = ([[*ready, *overrides] for overrides in batch] for batch in wanted)
            run_batches(arguments, job, batches, begun, beside)

    def _conclude(self, folder: Path, records: list[JobRecord], name: str) -> tuple[str, dict[str, Any]]:
        if self.ablating is None:  # stopped before it began
            return "", {}
        again = [text for text in self.arguments if not text.startswith(f"{RESUME}=")]
        found = ablation_of(self.ablating, folder, name, ["ablate", *again])
        self.found = replace(found, runId=self.runId)
        from gptlab.ablation.report import shown_in_mlflow, terminal, write_report

        laws = {arm.name: scaling_of(arm.sizes) for arm in self.found.arms if arm.sizes}
        files = write_report(self.found, folder, laws)
        return terminal(self.found, laws=laws), shown_in_mlflow(self.found, files)


def until_stopped(batches: Iterable[Batch], folder: Path) -> Iterator[Batch]:
    """No more of them once the jobs were asked to stop."""
    for batch in batches:
        yield batch
        if (folder / STOP).exists():
            return


def jobs_line(question: Question, overrides: list[str]) -> CommandLine:
    """The line that describes the baseline, as a sweep's launcher is to read it."""
    hydras = [
        text for text in overrides if key_of(text).partition(".")[0].partition("/")[0] in ("hydra", "sweep")
    ]
    hydras = [text for text in hydras if not text.startswith("sweep.")]
    return read_command_line(["-m", *question.base, *hydras], "train", single=True)


def swept_keys(question: Question) -> tuple[str, ...]:
    """The keys, as typed, whose values may differ from job to job."""
    changes = [arm.overrides for arm in question.arms] + list(question.sizes) + list(question.settings)
    keys = [text.partition("=")[0] for some in changes for text in some]
    keys += TAKEN if question.match in ("flops", "seconds") else ()
    keys += (WIDTH,) if question.match == "params" else ()
    return tuple(dict.fromkeys([*keys, SEED]))


def name_of(question: Question) -> str:
    """`layernorm, gelu against tiny`: short, since a list of runs cuts names."""
    from gptlab.sweeps.naming import run_name

    return f"{', '.join(arm.name for arm in question.arms)} against {run_name(list(question.base), in_sweep=False)}"[
        :250
    ]
