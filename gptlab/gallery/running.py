"""An entry from its file to its verdict, by the machinery of ablations and sweeps: cells, launchers, resuming."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptlab.ablation.arms import key_of, merged
from gptlab.ablation.cells import QUIET, SEED, Cell, Parts
from gptlab.ablation.runs import Runs
from gptlab.command.composing import explained
from gptlab.command.line import CommandLine
from gptlab.config.schema import GalleryConfig
from gptlab.errors import UserError, require
from gptlab.files import write_bytes, write_text
from gptlab.gallery.entry import MOST_SEEDS, Entry, override
from gptlab.gallery.measures import measured
from gptlab.gallery.quantities import Measured, found_of
from gptlab.gallery.result import Result
from gptlab.gallery.section import section
from gptlab.gallery.telling import json_text, shown_in_mlflow, told
from gptlab.plugins.loading import Plugins
from gptlab.runs.equality import finished_runs
from gptlab.runs.files import METRICS
from gptlab.runs.finding import RUNS
from gptlab.sweeps.batches import Batch, Batches, part_of
from gptlab.sweeps.closing import OpenSweep
from gptlab.sweeps.plan import config_of_job
from gptlab.sweeps.record import JobRecord
from gptlab.sweeps.running import carry_out
from gptlab.training.metric_rows import rows_in

if TYPE_CHECKING:
    from gptlab.command.composed_once import ComposedCells

OWN = ("seeds", "again", "hydra", "sweep", SEED)  # keys of the verb, and of how runs are launched
OF_LAUNCHING = ("hydra", "sweep", "again", "tracking", "progress")  # no part of what was found
ENDED = ("FINISHED", "DIVERGED")  # a loss above that of a guess is what some claims are about


@dataclass
class Gallery:
    """One entry, run once. typed: the overrides that a person gave, which stand in for the entry's own.

    found: once all its runs have ended.
    """

    entry: Entry
    settings: GalleryConfig
    line: CommandLine
    plugins: Plugins
    typed: list[str]
    arguments: list[str]
    say: Callable[[str], None]
    found: Result | None = field(default=None, init=False)
    runs: Runs | None = field(default=None, init=False)

    def run(self) -> int:
        """0 if the finding is reproduced, 1 if not. Raises UserError, and Stopped once what there is has been told."""
        count = self.entry.seeds if self.settings.seeds is None else self.settings.seeds
        require("seeds", count, at_least=1, at_most=MOST_SEEDS, example=self.entry.seeds)
        self.seeds = tuple(range(self.settings.seed, self.settings.seed + count))
        self._refuse_what_arms_differ_in()
        overrides = self.line.flags.overrides
        base = tuple(text for text in overrides if not is_own(text))
        batches = Batches(
            "the gallery",
            "",
            f"{self.entry.name}: {self.entry.claim}"[:250],
            self._swept(),
            base,
            list(overrides),
            self.plugins,
            self.settings.sweep.resume,
        )
        jobs = batches.jobs
        self.cells = self._composed(base)
        plan = batches.plan(jobs)

        def run_jobs(sweep: OpenSweep) -> None:
            before = {} if self.settings.again else finished_runs(Path(RUNS))
            self.runs = Runs(sweep.plan.folder, sweep.plan.swept, before)
            batches.launch(sweep, jobs, self._batches(self.runs))

        carry_out(plan, self.plugins, ["gallery", *self.arguments], run_jobs, self._conclude, page="")
        return 0 if self.found is not None and self.found.reproduced else 1

    def _refuse_what_arms_differ_in(self) -> None:
        entry = self.entry
        apart = {key_of(text) for words in entry.arms.values() for text in words}
        apart |= {entry.grid.key} if entry.grid is not None else set()
        for text in self.typed:
            if key_of(text) in apart:
                raise UserError(
                    f"{key_of(text)} is what the runs of {entry.name} differ in: leave it out, or copy the entry to "
                    f"experiments/gallery/ and change it there."
                )

    def _swept(self) -> tuple[str, ...]:
        entry = self.entry
        keys = [text.partition("=")[0] for words in entry.arms.values() for text in words]
        keys += [entry.grid.key] if entry.grid is not None else []
        return tuple(dict.fromkeys([*keys, SEED]))

    def _composed(self, base: Sequence[str]) -> dict[tuple[str, int], Cell]:
        """The runs as they are to be, whatever their seed, by arm and place in the grid. Raises UserError."""
        from gptlab.command.composed_once import ComposedCells  # which loads Hydra

        grid = self.entry.grid
        values = [()] if grid is None else [(override(grid.key, value),) for value in grid.values]
        found: dict[tuple[str, int], Cell] = {}
        configs = ComposedCells()
        for arm, words in self.entry.arms.items():
            for place, value in enumerate(values):
                found[arm, place] = self._cell(arm, [*merged(base, words, value)], configs)
        return found

    def _cell(self, arm: str, words: list[str], configs: ComposedCells) -> Cell:
        typed = set(map(key_of, words))
        words += [text for text in QUIET if key_of(text) not in typed]
        whole = [*words, f"{SEED}={self.seeds[0]}"]
        try:
            with explained(self.plugins, whole):
                composed = configs.config(whole)
            config = config_of_job(composed, self.plugins, whole)
            return Cell(arm, (), (), tuple(words), config, Parts(config, self.plugins))
        except UserError as error:
            raise UserError(f"the arm {arm} of {self.entry.name}: {error}") from None

    def _batches(self, runs: Runs) -> Iterator[Batch]:
        """A batch a seed, so that what is shown meanwhile, and what there is after Ctrl-C, is whole seeds."""
        cells, began, trained = list(self.cells.values()), time.monotonic(), 0
        for at, seed in enumerate(self.seeds, 1):
            missing = runs.missing((cell, seed) for cell in cells)
            if missing:
                yield [cell.job(seed) for cell, seed in missing]
                runs.read()
            trained += len(missing)
            left = len(runs.missing((cell, seed) for seed in self.seeds for cell in cells))
            seconds = left * (time.monotonic() - began) / trained if trained else 0.0
            rest = f", about {seconds:.0f} s left" if left and trained else ""
            self.say(f"seed {seed}: {at * len(cells)} of {len(cells) * len(self.seeds)} runs{rest}")

    def _conclude(self, folder: Path, records: list[JobRecord], name: str) -> tuple[str, dict[str, Any]]:
        runs, entry = self.runs, self.entry
        if runs is None:  # stopped before it began
            return "", {}
        runs.read()
        wanted = [(cell, seed) for cell in self.cells.values() for seed in self.seeds]
        if missing := runs.missing(wanted):
            done = len(wanted) - len(missing)
            return (
                f"{entry.name}: {done} of {len(wanted)} runs have ended, and no verdict can be given yet.",
                {},
            )
        result = self._result(runs)
        self.found = result
        from gptlab.gallery.drawing import svg

        folder.mkdir(parents=True, exist_ok=True)
        picture, numbers, page = "gallery.svg", "gallery.json", "gallery.md"
        write_text(folder / numbers, json_text(result) + "\n")
        write_bytes(folder / picture, svg(result))
        write_text(folder / page, section(result, picture))
        where = f"picture: {os.path.relpath(folder / picture)}"
        return f"{told(result)}\n{where}", shown_in_mlflow(result, [picture, numbers, page])

    def _result(self, runs: Runs) -> Result:
        entry, grid = self.entry, self.entry.grid
        places = range(1 if grid is None else len(grid.values))
        numbers: dict[str, list[list[dict[str, float]]]] = {}
        curves: dict[str, list[list[dict[str, list[tuple[int, float]]]]]] = {}
        broken: list[str] = []
        for arm in entry.arms:
            numbers[arm], curves[arm] = [], []
            for place in places:
                cell = self.cells[arm, place]
                parameters = cell.parts.parameters
                numbers[arm].append([])
                curves[arm].append([])
                for seed in self.seeds:
                    trained = runs.get(cell, seed)
                    assert trained is not None
                    rows = rows_in(Path(trained.run.folder) / METRICS)
                    whole = trained.run.status in ENDED
                    numbers[arm][place].append(measured(entry.measures, rows, whole, parameters))
                    curves[arm][place].append(
                        {
                            metric: [(step, row[metric]) for step, row in rows if metric in row]
                            for metric in entry.drawn_metrics
                        }
                    )
                    if not whole:
                        at = "" if grid is None else f" at {grid.values[place]:g}"
                        broken.append(f"{arm}{at}, seed {seed}: {trained.run.reason or trained.run.status}")
        by = None if grid is None or not grid.by else entry.measures[grid.by]
        table = Measured(numbers, None if grid is None else grid.values, by)
        typed = tuple(text for text in self.typed if part_of(text) not in OF_LAUNCHING)
        found = tuple(found_of(claim, table) for claim in entry.claims)
        return Result(entry, self.seeds, typed, table, curves, found, tuple(broken))


def is_own(text: str) -> bool:
    """Whether an override is of the verb, or of how runs are launched, and no part of what is trained."""
    return part_of(text) in OWN
