"""A run in a few facts: as a line, and as a notebook shows it, with its curve."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from gptlab.drawing.colors import TRAIN, VALIDATION
from gptlab.errors import UserError
from gptlab.loaded.views import Curve, Curves
from gptlab.training.metric_rows import loss_text
from gptlab.training.smoothing import SMOOTHED

if TYPE_CHECKING:
    from gptlab.loaded.loaded import Loaded

COMPONENTS = ("attention", "mlp", "norm", "activation", "position", "block")
WIDTH, HEIGHT = 320, 72  # pixels, of the curves
MOST = 200  # points of a curve that are drawn
LOSSES = ((SMOOTHED, TRAIN), ("val/loss", VALIDATION))


def facts_of(run: Loaded) -> dict[str, str]:
    """What a person knows a run by, as far as it is known."""
    sizes, config = run.definition.sizes, run.config
    metrics = known_metrics(run)
    facts = {
        "model": f"nLayer={sizes.nLayer} nEmbd={sizes.nEmbd} nHead={sizes.nHead} blockSize={sizes.blockSize}",
        "parameters": f"{run.parameters:,}",
        "vocabulary": f"{sizes.vocabSize:,}",
    }
    if run.step is not None:
        facts["step"] = f"{run.step:,}"
    for label, name in (("smoothed loss", SMOOTHED), ("validation loss", "val/loss")):
        if name in metrics:
            facts[label] = loss_text(float(metrics[name].values[-1]))
    if "data" in config:
        facts["data"] = str(config["data"]["name"])
    facts["engine"] = str((run._engine or config["engine"])["name"])
    if run.folder is not None:
        facts["folder"] = str(run.folder)
    return facts


def run_html(run: Loaded) -> str:
    """A heading, the facts as a table, and the losses as small curves; takes the page's own colours."""
    facts = facts_of(run)
    parts = run.config["model"]
    facts["parts"] = ", ".join(str(parts[kind]["name"]) for kind in COMPONENTS if kind in parts)
    question = str(run.config.get("description") or "")
    cell = "text-align:left;padding:1px 12px 1px 0"
    rows = "".join(
        f'<tr><th style="{cell}">{escape(name)}</th><td style="{cell}">{escape(value)}</td></tr>'
        for name, value in facts.items()
    )
    return (
        f"<div><p><b>{escape(run.name)}</b> {escape(question)}</p>"
        f'<table style="border-collapse:collapse"><tbody>{rows}</tbody></table>{curves_svg(known_metrics(run))}</div>'
    )


def known_metrics(run: Loaded) -> Curves:
    """None for a run whose store does not answer: that is no reason not to show the rest."""
    try:
        return run.metrics
    except UserError:
        return Curves()


def curves_svg(metrics: Curves) -> str:
    """Training and validation loss over the steps, from 0 up; nothing if there are no two points of either."""
    drawn = [(thinned(metrics[name]), color) for name, color in LOSSES if name in metrics]
    drawn = [(curve, color) for curve, color in drawn if len(curve) > 1]
    if not drawn:
        return ""
    last = max(curve[-1][0] for curve, _ in drawn) or 1
    highest = max(value for curve, _ in drawn for _, value in curve) or 1.0
    lines = "".join(
        '<polyline fill="none" stroke-width="1.5" stroke="{}" points="{}"/>'.format(
            color,
            " ".join(f"{WIDTH * s / last:.1f},{HEIGHT * (1 - max(0.0, v) / highest):.1f}" for s, v in curve),
        )
        for curve, color in drawn
    )
    label = "training and validation loss, step by step"
    return f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{label}">{lines}</svg>'


def thinned(curve: Curve) -> list[tuple[int, float]]:
    """At most MOST of the finite points."""
    pairs = zip(curve.steps.tolist(), curve.values.tolist(), strict=True)
    points = [(step, value) for step, value in pairs if math.isfinite(value)]
    every = max(1, math.ceil(len(points) / MOST))
    return points[::-every][::-1]
