"""Loss against the number of parameters on log axes, with a power law through the best of each size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gptlab.drawing.colors import FAINT, INK
from gptlab.sweeps.groups import groups_over_seeds
from gptlab.sweeps.power_law import FEWEST, FEWEST_WITH_FLOOR, PowerLaw
from gptlab.sweeps.record import JobRecord
from gptlab.sweeps.style import COLORS, as_png, few_log_marks, mark_values, new_figure, number, style
from gptlab.sweeps.values import finished


def best_of_sizes(records: Sequence[JobRecord], keys: Sequence[str]) -> list[tuple[int, float]]:
    """`(parameters, loss)` by size: the lowest loss that was reached at it, of seeds the mean."""
    by_size: dict[int, list[JobRecord]] = {}
    for record in finished(records):
        if record.parameters:
            by_size.setdefault(record.parameters, []).append(record)
    return [(size, groups_over_seeds(jobs, keys)[0].mean) for size, jobs in sorted(by_size.items())]


def by_parameters(
    records: Sequence[JobRecord],
    best: Sequence[tuple[int, float]],
    law: PowerLaw | None,
    title: str,
    measure: str,
) -> bytes:
    """A PNG; empty for fewer than two sizes."""
    if len(best) < 2:
        return b""
    figure = new_figure(8, 4.8)
    axes = figure.add_subplot()
    axes.set_xscale("log")
    axes.set_yscale("log")
    jobs = [(record.parameters, record.score) for record in finished(records) if record.parameters]
    if len(jobs) > len(best):
        axes.plot(
            *zip(*jobs, strict=True),
            "o",
            color=FAINT,
            alpha=max(0.15, min(0.8, 60 / len(jobs))),
            markersize=4.5,
            markeredgewidth=0,
            label="a job",
            zorder=2,
        )
    axes.plot(
        *zip(*best, strict=True), "o", color=COLORS[0], markersize=6.5, label="the best of its size", zorder=4
    )
    if law is not None:
        sizes = np.geomspace(best[0][0], best[-1][0], 200)
        axes.plot(sizes, law(sizes), color=INK, linewidth=1.4, linestyle="--", label=law.mathtext, zorder=3)
    style(axes, "parameters", f"{measure} (nats a token)", title)
    axes.grid(axis="x", color=FAINT, alpha=0.15, linewidth=0.8)
    mark_sizes(axes.xaxis, [size for size, _ in best])
    few_log_marks(axes.yaxis)
    axes.legend(frameon=False, fontsize=9, loc="best")
    return as_png(figure)


def mark_sizes(axis: Any, sizes: Sequence[int]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_minor_locator(NullLocator())
    decades = math.log10(sizes[-1] / sizes[0])
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 4 else (1.0,), numticks=20))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    mark_values(axis, {float(size): number(size) for size in sizes})


def law_sentence(best: Sequence[tuple[int, float]], law: PowerLaw | None) -> str:
    """What was fitted, to what, and why not more; empty for fewer than FEWEST sizes."""
    if len(best) < FEWEST:
        return ""
    if law is None:
        return f"No power law: over these {len(best)} sizes the loss does not fall with the parameters."
    fitted = (
        f"Power law: {law.formula}, fitted to the best of each of {law.sizes} sizes (b ± {law.errors[0]:.2g}"
    )
    if law.c:
        return f"{fitted}, c ± {law.errors[1]:.2g})."
    few = len(best) < FEWEST_WITH_FLOOR
    why = (
        f"fewer than {FEWEST_WITH_FLOOR} sizes tell none" if few else "these sizes do not tell one from zero"
    )
    return f"{fitted}); without a floor c: {why}."
