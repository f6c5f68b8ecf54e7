"""The tables of an ablation, as every form of its report shows them: headers, and cells of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gptlab.ablation.report.bars import BLANK, Scale, bar, heading, scale_of
from gptlab.ablation.report.words import (
    NONE,
    digits_of,
    interval_text,
    mean_loss,
    number_text,
    one_line,
    p_text,
    signed,
    times,
    values_text,
    verdict_words,
)
from gptlab.ablation.result import Ablation, ArmResult, AtSize, Comparison, SeedRun, Setting, Speedup, Tuning
from gptlab.sweeps.style import number
from gptlab.sweeps.values import short

INTERVAL = "95% interval"
ARM, BAR, DIFFERENCE, VERDICT = "arm", "bar", "difference", "verdict"
BASELINE = "baseline"


@dataclass(frozen=True)
class Table:
    """left: the columns that are texts. bars: the column that is drawn, if there is one."""

    headers: list[str]
    rows: list[list[str]]
    left: tuple[int, ...] = (0,)
    bars: int | None = None

    def beside(self, other: Table) -> Table:
        """Both in one: `other` without its first column, which is the same."""
        n = len(self.headers) - 1
        rows = [[*one, *two[1:]] for one, two in zip(self.rows, other.rows, strict=True)]
        left = (*self.left, *(i + n for i in other.left if i))
        return Table([*self.headers, *other.headers[1:]], rows, left, self.bars)

    def without_bars(self) -> Table:
        if (at := self.bars) is None:
            return self
        rows = [row[:at] + row[at + 1 :] for row in self.rows]
        left = tuple(i - (i > at) for i in self.left if i != at)
        return Table(self.headers[:at] + self.headers[at + 1 :], rows, left)


def ranked(arms: Sequence[ArmResult]) -> list[ArmResult]:
    """Best first: the lowest difference; those that failed last, and of these the ones without any at the end."""

    def place(arm: ArmResult) -> tuple[bool, bool, float]:
        difference = arm.comparison.difference
        return arm.comparison.verdict == "failed", difference is None, difference or 0.0

    return sorted(arms, key=place)


def result_cells(comparison: Comparison, epsilon: float, scale: Scale, digits: int) -> list[str]:
    return [
        bar(comparison, scale),
        signed(comparison.difference, digits),
        interval_text(comparison.low, comparison.high, digits),
        p_text(comparison.p),
        verdict_words(comparison, epsilon),
    ]


def result_headers(scale: Scale, digits: int) -> list[str]:
    return [heading(scale, digits) or BAR, DIFFERENCE, INTERVAL, "p", VERDICT]


def verdicts(ablation: Ablation) -> Table:
    """An arm a row, best first; the baseline last."""
    arms, digits = ranked(ablation.arms), digits_of(ablation)
    scale = scale_of([arm.comparison for arm in arms])
    rows = [
        [
            one_line(arm.name),
            *result_cells(arm.comparison, ablation.epsilon, scale, digits),
            seeds_of(arm.setting),
        ]
        for arm in arms
    ]
    rows.append([BASELINE, BLANK * scale.width, NONE, NONE, NONE, "", seeds_of(ablation.baseline)])
    return Table([ARM, *result_headers(scale, digits), "seeds"], rows, (0, 1, 5), 1)


def seeds_of(setting: Setting) -> str:
    """`12`, or `10 of 12` where runs broke down."""
    good, runs = len(setting.losses), len(setting.runs)
    return str(runs) if good == runs else f"{good} of {runs}"


def costs(ablation: Ablation) -> Table:
    """The loss, what a run costs, and how much sooner it reaches the baseline's final loss; rows as of `verdicts`."""
    found = [(one_line(arm.name), arm.setting, arm.speedup) for arm in ranked(ablation.arms)]
    found.append((BASELINE, ablation.baseline, Speedup(1.0, 1.0, 1.0)))
    stepped = len({setting.costs.steps for _, setting, _ in found}) > 1
    rows = [
        [
            name,
            number_text(mean_loss(setting), 4),
            f"{setting.costs.parameters:,}",
            *([f"{setting.costs.steps:,}"] if stepped else []),
            number(setting.costs.flops),
            f"{setting.costs.seconds:.3g}",
            *map(times, (speedup.steps, speedup.flops, speedup.seconds)),
        ]
        for name, setting, speedup in found
    ]
    headers = [ARM, "mean loss", "parameters", *(["steps"] if stepped else []), "FLOPs", "seconds"]
    return Table([*headers, "speedup in steps", "in FLOPs", "in s"], rows)


def tuned(ablation: Ablation) -> Table | None:
    """At the baseline's setting, and each at its own best; None if nothing was tuned."""
    arms = [arm for arm in ranked(ablation.arms) if arm.tuning is not None or arm.untuned is not None]
    if not arms:
        return None
    digits = digits_of(ablation)

    def cells(comparison: Comparison | None) -> list[str]:
        if comparison is None:
            return [NONE, NONE]
        difference = signed(comparison.difference, digits)
        if comparison.low is not None:
            difference += f" ({interval_text(comparison.low, comparison.high, digits)})"
        return [difference, verdict_words(comparison, ablation.epsilon)]

    rows = [
        [one_line(arm.name), *cells(arm.untuned), *cells(arm.comparison), *choice_cells(arm.tuning)]
        for arm in arms
    ]
    rows.append([BASELINE, NONE, "", NONE, "", *choice_cells(ablation.baselineTuning)])
    headers = [
        *(ARM, "at the baseline's setting", VERDICT, "each at its own best", VERDICT, "best values"),
        "sensitivity",
    ]
    return Table(headers, rows, (0, 2, 4, 5))


def choice_cells(tuning: Tuning | None) -> list[str]:
    """The values chosen, and how much the loss rises a factor of two away from them."""
    if tuning is None:
        return [NONE, NONE]
    return [
        values_text(tuning.best) + (" (at the edge)" if tuning.edge else ""),
        number_text(tuning.sensitivity, 4),
    ]


def sizes(ablation: Ablation) -> Table | None:
    """The difference at each size, arm by arm; None if there is but the one of the question."""
    found = [(arm, at) for arm in ranked(ablation.arms) for at in arm.sizes]
    if not found:
        return None
    digits = digits_of(ablation)
    scale = scale_of([at.comparison for _, at in found])
    rows = [
        [
            one_line(arm.name),
            size_name(at),
            f"{at.parameters:,}",
            number_text(at.baseline, 4),
            number_text(at.arm, 4),
            *result_cells(at.comparison, ablation.epsilon, scale, digits),
            str(at.comparison.seeds),
        ]
        for arm, at in found
    ]
    headers = [ARM, "size", "parameters", BASELINE, "arm's loss", *result_headers(scale, digits), "seeds"]
    return Table(headers, rows, (0, 1, 5, 9), 5)


def size_name(at: AtSize) -> str:
    """`nEmbd=16` for `model.nEmbd=16`."""
    parts = [override.partition("=") for override in at.size]
    return " ".join(one_line(f"{short(key)}{equals}{value}") for key, equals, value in parts) or NONE


def failed_runs(ablation: Ablation) -> list[tuple[str, SeedRun]]:
    """Those that broke down, with whose they are."""
    settings = [(BASELINE, ablation.baseline), *((arm.name, arm.setting) for arm in ranked(ablation.arms))]
    return [(name, run) for name, setting in settings for run in setting.runs if run.loss is None]


def failure_lines(ablation: Ablation) -> list[str]:
    """`failed: gelu, seeds 4 and 5: the loss is no longer finite`, a line for each arm and reason."""
    seeds: dict[tuple[str, str], list[int]] = {}
    for name, run in failed_runs(ablation):
        reason = one_line(run.reason, 200) or "no reason was kept"
        seeds.setdefault((one_line(name), reason), []).append(run.seed)
    return [f"failed: {name}, {seeds_named(found)}: {reason}" for (name, reason), found in seeds.items()]


def seeds_named(seeds: Sequence[int]) -> str:
    words = [str(seed) for seed in seeds]
    if len(words) == 1:
        return f"seed {words[0]}"
    return f"seeds {', '.join(words[:-1])} and {words[-1]}"
