"""Loss against one swept key: numbers on their axis, names as categories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from gptlab.drawing.colors import INK
from gptlab.sweeps.groups import Group, groups_over_seeds
from gptlab.sweeps.record import JobRecord
from gptlab.sweeps.style import (
    BAD,
    COLORS,
    LABEL,
    cut,
    loss_axis,
    mark_values,
    new_figure,
    outliers_above,
    plain,
    scale,
    shades,
    style,
)
from gptlab.sweeps.values import (
    SEED,
    distinct,
    finished,
    is_lost,
    labels,
    numbers,
    ranked,
    shown_value,
    spans_decades,
)

LINES = 8  # that can still be told apart
LEVEL = 14  # names whose marks stay level
SHOWN = 60  # names that have marks at all
NAMES = "names"


@dataclass(frozen=True)
class Place:
    """Where the values of a key stand on the axis; scale: NAMES, or matplotlib's linear, log, symlog."""

    of: dict[str, float]
    scale: str

    @property
    def named(self) -> bool:
        return self.scale == NAMES


def places(values: Sequence[str]) -> Place:
    found = numbers(values)
    if found is None:
        return Place({value: float(i) for i, value in enumerate(values)}, NAMES)
    positive = [number for number in found if number > 0]
    kind = "linear"
    if positive and min(found) >= 0 and spans_decades(positive):
        kind = "log" if len(positive) == len(found) else "symlog"  # with a zero, as of a weight decay
    return Place(dict(zip(values, found, strict=True)), kind)


def by_key(
    records: Sequence[JobRecord], key: str, swept: dict[str, list[str]], title: str, measure: str
) -> bytes:
    """A PNG of `measure`, the records' score, at each value of `key`; empty if no job has one.

    swept: `{key: values}` of all swept keys. The other ones are a line each setting if these are few,
    else dots with lines of their best and their mean. Over seeds: the mean, bars of a standard
    deviation, and each run as a dot.
    """
    records = [record for record in records if key in record.overrides]
    groups = each_job(records, swept) if key == SEED else groups_over_seeds(records, list(swept))
    if not groups:
        return b""
    place = places(swept[key])
    called = labels(swept)
    lines = settings(groups, {other: swept[other] for other in swept if other not in (key, SEED)})
    figure = new_figure(7, 4.8)
    axes = figure.add_subplot()
    if place.scale == "log":
        axes.set_xscale("log")
    elif place.scale == "symlog":
        axes.set_xscale("symlog", linthresh=min(x for x in place.of.values() if x > 0), linscale=0.5)
    if len(lines) <= LINES:
        at = _draw_lines(axes, lines, key, place, called)
    else:
        at = _draw_cloud(axes, groups, key, place)
    best = groups[0]
    if len(groups) > 1:
        ring: dict[str, Any] = {"color": INK, "fillstyle": "none", "markersize": 11, "linestyle": "none"}
        axes.plot(
            at[id(best)],
            best.mean,
            marker="o",
            label="the lowest" if key == SEED else "the best",
            zorder=5,
            **ring,
        )
    losses = [loss for group in groups for loss in group.losses]
    loss_axis(axes, losses)
    if above := sum(loss > outliers_above(losses) for loss in losses):
        note = f"{above:,} above the frame"
        axes.text(0.99, 0.01, note, transform=axes.transAxes, color=BAD, fontsize=8.5, ha="right")
    _mark_failures(axes, records, key, place)
    style(axes, called[key], f"{measure} (nats a token)", title)
    _name_values(axes, swept[key], place)
    _add_legend(figure, axes)
    return figure.png()


def each_job(records: Sequence[JobRecord], swept: dict[str, list[str]]) -> list[Group]:
    """The jobs as groups of one, lowest first."""
    return [
        Group({key: record.overrides.get(key, "") for key in swept}, [record.score or 0.0], 1)
        for record in ranked(finished(distinct(records)))
    ]


def settings(groups: Sequence[Group], others: dict[str, list[str]]) -> dict[tuple[str, ...], list[Group]]:
    """The groups by the values of the other keys, in the order of these values."""
    found: dict[tuple[str, ...], list[Group]] = {}
    for group in groups:
        found.setdefault(tuple(group.overrides.get(key, "") for key in others), []).append(group)
    ranks = [{value: rank for rank, value in enumerate(["", *order])} for order in others.values()]
    return dict(sorted(found.items(), key=lambda item: [ranks[i][v] for i, v in enumerate(item[0])]))


def _draw_lines(
    axes: Any,
    lines: dict[tuple[str, ...], list[Group]],
    key: str,
    place: Place,
    called: dict[str, str],
) -> dict[int, float]:
    """Where each group was drawn, by its id."""
    at: dict[int, float] = {}
    one_key = len(lines) > 2 and all(len(values) == 1 for values in lines)
    ordered = one_key and numbers([values[0] for values in lines]) is not None
    colors = scale(len(lines)) if ordered else shades(len(lines))
    for i, (color, groups) in enumerate(zip(colors, lines.values(), strict=True)):
        groups = sorted(groups, key=lambda group: place.of[group.overrides[key]])
        # Names have room between them: bars of several lines stand side by side.
        shift = 0.5 * ((i + 0.5) / len(lines) - 0.5) if place.named else 0.0
        x = [place.of[group.overrides[key]] + shift for group in groups]
        at |= dict(zip(map(id, groups), x, strict=True))
        fixed = [k for k in groups[0].overrides if k not in (key, SEED)]
        label = " ".join(f"{called[k]}={shown_value(groups[0].overrides[k])}" for k in fixed)
        seeded = any(len(group.losses) > 1 for group in groups)
        bars = [group.deviation if len(group.losses) > 1 else 0.0 for group in groups]
        axes.errorbar(
            x,
            [group.mean for group in groups],
            bars if seeded else None,
            color=color,
            linewidth=0 if place.named else 1.6,
            elinewidth=1.4,
            capsize=3,
            marker="o",
            markersize=5,
            label=plain(cut(label, LABEL)) or None,
            zorder=3,
        )
        if seeded:
            dots = [(x, loss) for x, group in zip(x, groups, strict=True) for loss in group.losses]
            axes.plot(*zip(*dots, strict=True), ".", color=color, alpha=0.35, markersize=5, zorder=2)
    return at


def _draw_cloud(axes: Any, groups: Sequence[Group], key: str, place: Place) -> dict[int, float]:
    """Where each group was drawn, by its id."""
    means: dict[float, list[float]] = {}
    for group in groups:
        means.setdefault(place.of[group.overrides[key]], []).append(group.mean)
    dots = [(x, mean) for x, found in means.items() for mean in found]
    alpha = max(0.12, min(0.6, 60 / len(dots)))
    dot = {"marker": "o", "color": COLORS[0], "markersize": 5, "markeredgewidth": 0, "linestyle": "none"}
    axes.plot(*zip(*dots, strict=True), alpha=alpha, **dot)
    axes.plot([], [], alpha=0.6, label="each setting of the other keys", **dot)
    if len(means) < len(dots):
        x = sorted(means)
        marks = ("_", "_") if place.named else ("-", "--")
        lows, middles = [min(means[v]) for v in x], [fmean(means[v]) for v in x]
        axes.plot(x, lows, marks[0], color=COLORS[0], linewidth=1.8, markersize=22, label="their best")
        axes.plot(
            x, middles, marks[1], color=INK, alpha=0.5, linewidth=1.2, markersize=22, label="their mean"
        )
    return {id(group): place.of[group.overrides[key]] for group in groups}


def _mark_failures(axes: Any, records: Sequence[JobRecord], key: str, place: Place) -> None:
    """Crosses above the losses, with how many failed at each value."""
    lost = [record.overrides[key] for record in records if is_lost(record)]
    failed = Counter(value for value in lost if value in place.of)
    if not failed:
        return
    transform = axes.yaxis.get_transform()
    low, high = transform.transform(axes.get_ylim())
    axes.set_ylim(top=transform.inverted().transform(high + 0.09 * (high - low)))
    x = [place.of[value] for value in failed]
    top = axes.get_xaxis_transform()
    label = f"{sum(failed.values()):,} failed or diverged"
    axes.plot(x, [0.96] * len(x), "x", color=BAD, transform=top, label=label, zorder=4)
    for value, times in failed.items():
        if times > 1 and len(failed) <= LEVEL:
            beside = {
                "xytext": (7, 0),
                "textcoords": "offset points",
                "va": "center",
                "annotation_clip": False,
            }
            axes.annotate(
                f"{times:,}", (place.of[value], 0.96), xycoords=top, color=BAD, fontsize=8, **beside
            )


def _name_values(axes: Any, values: Sequence[str], place: Place) -> None:
    if not place.named:
        mark_values(axes.xaxis, {x: value for value, x in place.of.items()})
        return
    shown = values[:: -(-len(values) // SHOWN)]
    steep = len(values) > LEVEL or max(map(len, values)) * len(values) > 80
    axes.set_xticks(
        [place.of[value] for value in shown],
        [plain(cut(value or "(none)", 24)) for value in shown],
        rotation=45 if steep else 0,
        ha="right" if steep else "center",
    )
    axes.set_xlim(-0.5, len(values) - 0.5)


def _add_legend(figure: Any, axes: Any) -> None:
    handles, named = axes.get_legend_handles_labels()
    if handles:
        figure.set_figwidth(figure.get_figwidth() + 0.8 + 0.07 * max(map(len, named)))
        figure.legend(handles, named, frameon=False, fontsize=8.5, loc="outside right upper")
