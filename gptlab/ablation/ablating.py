"""An ablation, batch by batch: what is tuned, then the noise of the baseline, then seeds until each arm is decided."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean

from gptlab.ablation.arms import Arm, merged
from gptlab.ablation.cells import Cell, Cells
from gptlab.ablation.judging import Judged, judge
from gptlab.ablation.noise import noise_of
from gptlab.ablation.question import Question
from gptlab.ablation.report.words import noise_line
from gptlab.ablation.result import Comparison, Setting, Tuning
from gptlab.ablation.runs import Runs, Wanted
from gptlab.ablation.tuning import tuning_of
from gptlab.errors import UserError
from gptlab.statistics.sequential import looks_of
from gptlab.training.metric_rows import loss_text

Batch = list[list[str]]
Size = tuple[str, ...]
BASELINE = Arm("", ())
TUNING_SEEDS = 3
APART = 10_000  # from the seeds that arms are judged on to those that they are tuned on
CALIBRATION = 100  # steps at least, to see how long one takes


@dataclass
class Table:
    """The arms that are judged together: at one size, each at the baseline's setting or (tuned) at its own best."""

    size: Size
    tuned: bool
    baseline: Cell
    arms: list[tuple[Arm, Cell]]
    seeds: tuple[int, ...]
    judged: list[Judged] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)  # of each arm, the seeds that it is judged by

    def is_open(self, arm: int) -> bool:
        return not self.judged or not self.judged[arm].decided


class Ablating:
    """What is known by now, and which runs are wanted next. say: tells a person, a line at a time."""

    def __init__(self, question: Question, cells: Cells, runs: Runs, say: Callable[[str], None]):
        self.question = question
        self.cells = cells
        self.runs = runs
        self.looks = looks_of(len(question.seeds), len(question.arms))
        self.tables: list[Table] = []
        self.tunings: dict[tuple[str, Size], Tuning] = {}
        self.notes: list[str] = []
        self._say = say
        self._began = time.monotonic()
        self._trained = 0
        self._seconds = 0.0  # of wall time, in which they were trained
        self._steps: dict[tuple[str, Size], float] = {}  # of an arm that is to take as long as the baseline

    @cached_property
    def main(self) -> Size:
        """The size of the question itself: the baseline's own, if it is among the sizes, or else the last."""
        own = self.cells.baseline().config
        sizes = self.question.sizes
        return next((size for size in sizes if self.cells.baseline(size).config == own), sizes[-1])

    def batches(self) -> Iterator[Batch]:
        """The jobs' overrides, batch after batch: what comes next depends on what the last ones left."""
        question = self.question
        if question.budget is not None:
            yield from self._measured(question.budget)
        if question.match == "seconds":
            yield from self._calibrated(question.arms)
        if question.tunes:
            yield from self._tuned([BASELINE, *question.arms])
        yield from self._first(self._cell(BASELINE, self.main, tuned=False))
        yield from self._decided(self._tables_of(question.arms, question.seeds))
        if question.stack:
            yield from self._stacked()

    def _batch(self, wanted: Iterable[tuple[Cell, int]]) -> Iterator[Batch]:
        missing: Wanted = self.runs.missing(wanted)
        if missing:
            began = time.monotonic()
            yield [cell.job(seed) for cell, seed in missing]
            self._seconds += time.monotonic() - began
            self._trained += len(missing)
            self.runs.read()

    def _measured(self, budget: float) -> Iterator[Batch]:
        """One run of the baseline, by which a budget is seen to be too small before it is spent."""
        seeds = self.question.seeds[: self.looks[0]]
        baseline = self.cells.baseline(self.main)
        yield from self._batch([(baseline, seeds[0])])
        left = len(self.runs.missing((baseline, seed) for seed in seeds))
        if self._lasts(left) > budget:
            needed = self._lasts(left) * (2 + len(self.question.arms))
            raise UserError(
                f"budget={budget:g}s is too small for the noise of the baseline alone: {len(seeds)} seeds take about "
                f"{self._lasts(left):.0f} s. Try budget={needed:.0f}s, or fewer steps with train.numSteps="
            )

    def _lasts(self, count: int) -> float:
        """Seconds, about, that so many more runs take."""
        return count * self._seconds / self._trained if self._trained else 0.0

    def _fits(self, count: int) -> bool:
        budget = self.question.budget
        return budget is None or time.monotonic() - self._began + self._lasts(count) <= budget

    def _calibrated(self, arms: Sequence[Arm]) -> Iterator[Batch]:
        """How long a step of each arm takes, beside the baseline's in the same batch."""
        seed, pairs = self.question.seeds[0] + 2 * APART, []
        for size in self.question.sizes:
            for arm in (BASELINE, *arms):
                whole = self._plain(arm, size)
                short = self.cells.with_steps(whole, max(CALIBRATION, whole.config.train.numSteps // 10))
                pairs.append((arm, size, short))
        yield from self._batch((short, seed) for _, _, short in pairs)
        speeds = {}
        for arm, size, short in pairs:
            seconds = self.runs.setting(short, [seed]).costs.seconds
            if not seconds:
                raise UserError(
                    f"the speed of {arm.name or 'the baseline'} could not be measured: its run failed"
                )
            speeds[arm.name, size] = short.config.train.numSteps / seconds
        for (name, size), speed in speeds.items():
            steps = self.cells.baseline(size).config.train.numSteps
            self._steps[name, size] = steps * speed / speeds["", size]

    def _plain(self, arm: Arm, size: Size, setting: Sequence[str] = ()) -> Cell:
        if not arm.overrides:
            return self.cells.baseline(size, tuple(setting))
        return self.cells.of(arm.name, arm.overrides, size, tuple(setting))

    def _cell(self, arm: Arm, size: Size, tuned: bool) -> Cell:
        """The arm at the baseline's setting, or at its own best."""
        best = self.tunings[arm.name, size].best if tuned else {}
        cell = self._plain(arm, size, [f"{key}={value}" for key, value in best.items()])
        steps = self._steps.get((arm.name, size))
        return cell if steps is None or not arm.overrides else self.cells.with_steps(cell, steps)

    def _tuned(self, arms: Sequence[Arm]) -> Iterator[Batch]:
        """The best setting of each arm at each size, on seeds that no arm is judged on."""
        question = self.question
        seeds = [question.seeds[0] + APART + i for i in range(TUNING_SEEDS)]
        places = [(arm, size) for arm in arms for size in question.sizes]
        cells = {
            (arm.name, size): [self._plain(arm, size, setting) for setting in question.settings]
            for arm, size in places
        }
        yield from self._batch((cell, seed) for some in cells.values() for cell in some for seed in seeds)
        for (name, size), some in cells.items():
            points = [
                (s.tuned, mean_of(s.losses, len(seeds)))
                for s in (self.runs.setting(cell, seeds) for cell in some)
            ]
            found = tuning_of(points)
            self.tunings[name, size] = found
            at = " ".join(filter(None, [name or "baseline", *size]))
            best = " ".join(f"{key}={value}" for key, value in found.best.items())
            self._say(f"tuned {at}: {best or 'no value works'}")
            if found.edge:
                self.notes.append(f"{at}: the best value is at the edge of what was tried. Type {found.edge}")

    def _first(self, baseline: Cell) -> Iterator[Batch]:
        """The noise of the baseline, before anything is compared with it."""
        seeds = self.question.seeds[: self.looks[0]]
        yield from self._batch((baseline, seed) for seed in seeds)
        losses = self.runs.setting(baseline, seeds).losses
        if len(losses) < 2:
            raise UserError(
                "an ablation needs a baseline that can be trained: of its first "
                f"{len(seeds)} seeds {len(losses)} ended with a loss. See {self.runs.folder.name}"
            )
        noise = noise_of(list(losses.values()), len(self.question.seeds), arms=len(self.question.arms))
        self._say(noise_line(noise))

    def _tables_of(self, arms: Sequence[Arm], seeds: tuple[int, ...]) -> list[Table]:
        kinds = (False, True) if self.question.tunes else (False,)
        return [
            Table(
                size,
                tuned,
                self._cell(BASELINE, size, tuned),
                [(arm, self._cell(arm, size, tuned)) for arm in arms],
                seeds,
            )
            for size in self.question.sizes
            for tuned in kinds
        ]

    def _decided(self, tables: list[Table]) -> Iterator[Batch]:
        """Seeds, look by look, for the arms that are not decided yet."""
        self.tables += tables
        for seen in self.looks:
            wanted = []
            for table in tables:
                open_arms = [
                    cell
                    for i, (_, cell) in enumerate(table.arms)
                    if not table.judged or not table.judged[i].decided
                ]
                if open_arms:
                    seeds = table.seeds[:seen]
                    wanted += [(cell, seed) for cell in (table.baseline, *open_arms) for seed in seeds]
            missing = self.runs.missing(wanted)
            if not wanted:
                break
            if not self._fits(len(missing)):
                self.notes.append(
                    f"the budget of {self.question.budget:g} s ended it before {seen} seeds; what is undecided may "
                    "just need more seeds"
                )
                for table in tables:
                    self._judge(table, ended=True)
                break
            yield from self._batch(wanted)
            for table in tables:
                self._judge(table, seen)
            self._tell(tables, seen)

    def _judge(self, table: Table, seen: int = 0, ended: bool = False) -> None:
        """By the seeds that were looked at, whatever other runs there are: a decision is not taken twice.

        ended: whether no more seeds come, so that all of the error that is left may be spent.
        """
        if not ended:
            before = table.seen or [0] * len(table.arms)
            table.seen = [seen if table.is_open(i) else before[i] for i in range(len(table.arms))]
        if not table.seen:
            return
        baseline = self._losses(table.baseline, table.seeds[: max(table.seen)])
        arms = [
            self._losses(cell, table.seeds[:count])
            for (_, cell), count in zip(table.arms, table.seen, strict=True)
        ]
        looks = [look for look in self.looks if not ended or look <= max(table.seen)]
        table.judged = judge(baseline, arms, looks, self.question.epsilon, table.seeds)

    def setting_of(self, arm: Arm, size: Size, tuned: bool) -> Setting:
        """The runs that an arm is judged by."""
        table = self._table(arm, size, tuned)
        at = next(i for i, (one, _) in enumerate(table.arms) if one == arm)
        seen = table.seen[at] if table.seen else self.looks[0]
        return self.runs.setting(table.arms[at][1], table.seeds[:seen])

    def baseline_of(self, arm: Arm | None, size: Size, tuned: bool) -> Setting:
        """The baseline on the seeds that this arm was judged on; for None, those that most arms were."""
        table = None if not self.tables else self._table(arm, size, tuned)
        seeds = self.question.seeds if table is None else table.seeds
        seen = self.looks[0] if table is None else max([self.looks[0], *table.seen])
        return self.runs.setting(self._cell(BASELINE, size, tuned), seeds[:seen])

    def _table(self, arm: Arm | None, size: Size, tuned: bool) -> Table:
        return next(
            table
            for table in self.tables
            if (table.size, table.tuned) == (size, tuned)
            and (arm is None or arm in [one for one, _ in table.arms])
        )

    def comparison_of(self, arm: Arm, size: Size, tuned: bool) -> Comparison:
        """What is known of an arm by now; of one that has not been looked at, that it is undecided."""
        table = self._table(arm, size, tuned)
        at = next(i for i, (one, _) in enumerate(table.arms) if one == arm)
        if table.judged:
            return table.judged[at].comparison
        return Comparison(0, None, None, None, None, None, "undecided", len(self.question.seeds))

    def _losses(self, cell: Cell, seeds: Sequence[int]) -> dict[int, float | None]:
        return {run.seed: run.loss for run in self.runs.setting(cell, seeds).runs}

    def _tell(self, tables: list[Table], seen: int) -> None:
        for table in tables:
            if table.size != self.main or table.tuned != self.question.tunes:
                continue
            for (arm, _), judged, count in zip(table.arms, table.judged, table.seen, strict=True):
                found = judged.comparison
                if count == seen:
                    size = "no loss" if found.difference is None else f"{loss_text(found.difference, 4)} nats"
                    self._say(f"{seen} seeds: {arm.name}: {size}, {found.verdict}")

    def _stacked(self) -> Iterator[Batch]:
        """An arm with all that were better at once, since gains need not add, on seeds that chose none of them."""
        table = next(t for t in self.tables if t.size == self.main and t.tuned == self.question.tunes)
        better = [
            arm
            for (arm, _), judged in zip(table.arms, table.judged, strict=True)
            if judged.comparison.verdict == "better"
        ]
        if len(better) < 2:
            self.notes.append(
                f"stack: {len(better)} arm{'' if len(better) == 1 else 's'} better, nothing to stack"
            )
            return
        stack = Arm(
            f"stack: {' + '.join(arm.name for arm in better)}", tuple(merged(*(a.overrides for a in better)))
        )
        if self.question.match == "seconds":
            yield from self._calibrated([stack])
        if self.question.tunes:
            yield from self._tuned([stack])
        seeds = tuple(seed + APART // 2 for seed in self.question.seeds)
        yield from self._decided(self._tables_of([stack], seeds))


def mean_of(losses: dict[int, float], count: int) -> float | None:
    """None where a run broke down: a setting that may break is no best one."""
    return fmean(losses.values()) if len(losses) == count else None
