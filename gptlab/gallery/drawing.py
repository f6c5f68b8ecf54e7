"""The picture of an entry, its panels side by side, as one SVG file."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gptlab.ablation.report.bands import band
from gptlab.drawing.colors import FAINT, INK
from gptlab.gallery.measures import PARAMETERS
from gptlab.gallery.panels import BARS, CURVES, DIFFERENCES, GRID, SIZES, Panel
from gptlab.gallery.quantities import summed_up
from gptlab.gallery.result import Result
from gptlab.sweeps.by_parameters import mark_sizes, without_floor
from gptlab.sweeps.style import drawing, few_log_marks, mark_values, new_figure, plain, shades, style

if TYPE_CHECKING:
    from gptlab.drawing.picture import Picture

HEIGHT, WIDTH = 4.2, 5.4  # inches, of a panel
MOST_MARKED = 40  # points of a line that are marked each


def svg(result: Result) -> bytes:
    """The same numbers give the same bytes."""
    import matplotlib

    file = io.BytesIO()
    salt = result.entry.name
    with drawing(), matplotlib.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        picture(result).savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def picture(result: Result) -> Picture:
    panels = result.entry.picture
    arms = list(result.entry.arms)
    colors = dict(zip(arms, shades(len(arms)), strict=True))
    figure = new_figure(WIDTH * max(1, len(panels)), HEIGHT + 0.35)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for scale, name in ((axes.set_xscale, panel.x), (axes.set_yscale, panel.y)):
            if name == "log":
                scale("log")
        DRAW[panel.kind](axes, panel, result, colors)
        for name, value in (panel.lines or {}).items():
            axes.axhline(value, color=FAINT, linestyle="--", linewidth=1.1)
            axes.annotate(
                plain(name),
                (0.01, value),
                xycoords=("axes fraction", "data"),
                ha="left",
                va="bottom",
                fontsize=8,
                color=INK,
            )
        if panel.top is not None:
            axes.set_ylim(top=panel.top)
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        figure.legend(
            list(handles.values()),
            list(handles),
            loc="outside lower center",
            ncols=min(5, len(handles)),
            frameon=False,
            fontsize=9,
            labelcolor=INK,
        )
    return figure


def draw_curves(axes: Any, panel: Panel, result: Result, colors: dict[str, Any]) -> None:
    """The mean over seeds with its 95% band; with a grid, of each arm the best value's."""
    metric = panel.names[0]
    for arm, color in colors.items():
        runs = [dict(one[metric]) for one in result.curves[arm][chosen_place(result, arm)]]
        found = band([run for run in runs if run])
        if found is None:
            continue
        marker = "o" if len(found.steps) <= MOST_MARKED and panel.x == "linear" else None
        axes.plot(
            found.steps,
            found.means,
            color=color,
            linewidth=1.7,
            marker=marker,
            markersize=2.5,
            label=plain(arm),
        )
        ends = np.array([found.lows, found.highs])
        if not metric.endswith("loss") and all(0 <= value <= 1 for run in runs for value in run.values()):
            ends = ends.clip(0, 1)  # of a share
        axes.fill_between(found.steps, *ends, color=color, alpha=0.18, linewidth=0)
    style(axes, "step", words_of(metric), panel.title)


def chosen_place(result: Result, arm: str) -> int:
    """Of the grid, where the arm's first measure that a claim is about is best."""
    if result.measured.grid is None:
        return 0
    measure = result.entry.claims[0].operands[0].measure
    return result.measured.best_place(arm, measure)


def draw_differences(axes: Any, panel: Panel, result: Result, colors: dict[str, Any]) -> None:
    measure = result.entry.measures[panel.names[0]]
    first, *others = colors
    table = {
        arm: result.measured.of(arm, measure.name)[result.measured.best_place(arm, measure)] for arm in colors
    }
    for place, arm in enumerate(others):
        values = table[arm] - table[first]
        mean, low, high = summed_up(values, geometric=False)
        side = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else [0.0]
        axes.plot(place + np.array(side), values, "o", color=colors[arm], alpha=0.45, markersize=4.5)
        ends = None if low is None or high is None else [[mean - low], [high - mean]]
        axes.errorbar(
            [place + 0.25],
            [mean],
            ends,
            color=colors[arm],
            marker="o",
            markersize=7,
            capsize=4,
            label=plain(arm),
        )
    axes.axhline(0.0, color=INK, linewidth=1.2)
    axes.set_xlim(-0.6, len(others) - 0.4)
    axes.set_xticks(range(len(others)), [plain(arm) for arm in others])
    style(
        axes,
        "",
        f"{measure.words}: less that of {first}",
        panel.title or "each seed, and their mean",
    )


def draw_grid(axes: Any, panel: Panel, result: Result, colors: dict[str, Any]) -> None:
    """Each seed faint, the mean in full; a ring around the best."""
    assert result.measured.grid is not None and result.entry.grid is not None
    grid, measure = np.array(result.measured.grid), result.entry.measures[panel.names[0]]
    axes.set_xscale("log")
    for arm, color in colors.items():
        table = result.measured.of(arm, measure.name)
        table = np.where(np.isfinite(table), table, np.nan)
        for seed in table.T:
            axes.plot(grid, seed, color=color, linewidth=0.7, alpha=0.35)
        means = table.mean(1)
        axes.plot(grid, means, "o-", color=color, linewidth=1.7, markersize=4, label=plain(arm))
        if np.isfinite(means).any():
            best = result.measured.best_place(arm, measure)
            axes.plot(
                grid[best],
                means[best],
                "o",
                color=color,
                fillstyle="none",
                markersize=11,
                markeredgewidth=1.5,
            )
    style(axes, result.entry.grid.key, measure.words, panel.title)
    mark_values(axes.xaxis, {float(value): f"{value:g}" for value in grid})


def draw_sizes(axes: Any, panel: Panel, result: Result, colors: dict[str, Any]) -> None:
    """Mean over seeds against parameters, and the power law through them."""
    measure = result.entry.measures[panel.names[0]]
    points = []
    for arm, color in colors.items():
        table = result.measured.of(arm, measure.name)
        losses = table[result.measured.best_place(arm, measure)] - panel.floor
        size = float(result.measured.of(arm, PARAMETERS)[0, 0])
        axes.plot([size] * len(losses), losses, "o", color=color, alpha=0.35, markersize=4)
        axes.plot(size, losses.mean(), "o", color=color, markersize=7, label=plain(arm))
        points.append((size, float(losses.mean())))
    axes.set_xscale("log")
    axes.set_yscale("log")
    sizes, means = (np.array(column) for column in zip(*sorted(points), strict=True))
    law = without_floor(sizes, means) if len(sizes) > 2 and (means > 0).all() else None
    if law is not None:
        x = np.geomspace(sizes[0], sizes[-1], 50)
        axes.plot(x, law(x), "--", color=INK, linewidth=1.3, label=law.mathtext)
    above = f", less {panel.floor:.3f}" if panel.floor else ""
    style(axes, "parameters", f"{measure.words}{above}", panel.title)
    mark_sizes(axes.xaxis, list(map(int, sizes)))
    few_log_marks(axes.yaxis)


def draw_bars(axes: Any, panel: Panel, result: Result, colors: dict[str, Any]) -> None:
    """Measures side by side, a bar an arm, with the standard deviation over seeds."""
    width = 0.8 / len(colors)
    for i, (arm, color) in enumerate(colors.items()):
        place = chosen_place(result, arm)
        columns = [result.measured.of(arm, name)[place] for name in panel.names]
        columns = [column[np.isfinite(column)] for column in columns]
        means = [float(column.mean()) if len(column) else 0.0 for column in columns]
        spread = [float(column.std(ddof=1)) if len(column) > 1 else 0.0 for column in columns]
        at = np.arange(len(columns)) + (i - (len(colors) - 1) / 2) * width
        axes.bar(at, means, width * 0.92, yerr=spread, color=color, ecolor=INK, capsize=2, label=plain(arm))
    axes.set_xticks(range(len(panel.names)), [plain(name) for name in panel.names])
    style(axes, "", shared_words([result.entry.measures[name].words for name in panel.names]), panel.title)


def shared_words(words: Sequence[str]) -> str:
    return words[0] if len(set(words)) == 1 else "mean over seeds"


def words_of(metric: str) -> str:
    return f"{metric} (nats a token)" if metric.endswith(("/loss", "/smoothedLoss")) else metric


DRAW: dict[str, Callable[[Any, Panel, Result, dict[str, Any]], None]] = {
    CURVES: draw_curves,
    DIFFERENCES: draw_differences,
    GRID: draw_grid,
    SIZES: draw_sizes,
    BARS: draw_bars,
}
