"""An ablation from what is typed to what it found, by the machinery of sweeps: launchers, records, resuming, MLflow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptlab.ablation.ablating import Ablating
from gptlab.ablation.cells import SEED, WIDTH, Cells
from gptlab.ablation.finding import ablation_of
from gptlab.ablation.question import Question, question_of
from gptlab.ablation.result import Ablation
from gptlab.ablation.runs import Runs
from gptlab.ablation.scaling import scaling_of
from gptlab.command.line import CommandLine
from gptlab.config.schema import AblateConfig
from gptlab.errors import UserError
from gptlab.plugins.loading import Plugins
from gptlab.runs.equality import finished_runs
from gptlab.runs.files import ABLATION_PAGE
from gptlab.runs.finding import RUNS
from gptlab.sweeps.batches import Batches
from gptlab.sweeps.closing import OpenSweep
from gptlab.sweeps.record import JobRecord
from gptlab.sweeps.running import carry_out
from gptlab.sweeps.sweep import RESUME

if TYPE_CHECKING:
    from gptlab.tracking.parent import ParentRun

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
    parent: ParentRun | None = field(default=None, init=False)

    def run(self) -> int:
        """0, or 1 if a run failed. Raises UserError, and Stopped once what there is has been told."""
        overrides = self.line.flags.overrides
        self.question = question_of(self.settings, overrides, self.plugins.registry)
        self.batches = Batches(
            "an ablation",
            "; tune=train.learningRate=log(0.001,0.03,5) tries the same values for each arm",
            name_of(self.question),
            swept_keys(self.question),
            self.question.base,
            overrides,
            self.plugins,
            self.settings.sweep.resume,
        )
        self.jobs = self.batches.jobs
        self.cells = Cells(self.question, self.plugins)
        self._check_arms()
        plan = self.batches.plan(self.jobs)
        command = ["ablate", *self.arguments]
        return carry_out(plan, self.plugins, command, self._jobs, self._conclude, ABLATION_PAGE)

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

    def _jobs(self, sweep: OpenSweep) -> None:
        folder, swept = sweep.plan.folder, sweep.plan.swept
        before = {} if self.question.again else finished_runs(Path(RUNS))
        ablating = Ablating(self.question, self.cells, Runs(folder, swept, before), self.say)
        self.ablating = ablating
        self.parent = sweep.parent
        self.batches.launch(sweep, self.jobs, ablating.batches())

    def _conclude(self, folder: Path, records: list[JobRecord], name: str) -> tuple[str, dict[str, Any]]:
        if self.ablating is None:  # stopped before it began
            return "", {}
        again = [text for text in self.arguments if not text.startswith(f"{RESUME}=")]
        found = ablation_of(self.ablating, folder, name, ["ablate", *again])
        self.found = replace(found, runId="" if self.parent is None else self.parent.id)
        from gptlab.ablation.report import shown_in_mlflow, terminal, write_report

        laws = {arm.name: scaling_of(arm.sizes) for arm in self.found.arms if arm.sizes}
        files = write_report(self.found, folder, laws)
        return terminal(self.found, laws=laws), shown_in_mlflow(self.found, files)


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
