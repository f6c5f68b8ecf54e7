"""What the pictures show, in words, for those who do not see them."""

from __future__ import annotations

from gptlab.ablation.report.pictures import CURVES, FOREST, RATES
from gptlab.ablation.report.tables import BASELINE, ranked, size_name
from gptlab.ablation.report.words import (
    digits_of,
    evidence,
    mean_loss,
    number_text,
    one_line,
    signed,
    values_text,
)
from gptlab.ablation.result import Ablation

MOST = 12  # arms that are told of


def alternative(ablation: Ablation, picture: str) -> str:
    """picture: its file's name."""
    arms, digits = ranked(ablation.arms)[:MOST], digits_of(ablation)
    if picture == FOREST:
        told = [
            f"{one_line(arm.name)} {arm.comparison.verdict}, {signed(arm.comparison.difference, digits)} "
            f"({evidence(arm.comparison, digits)})"
            for arm in arms
        ]
        return f"Forest plot of the differences to the baseline: {'; '.join(told)}."
    if picture == CURVES:
        means = [(one_line(name), mean_loss(setting)) for name, setting in ablation.settings[: MOST + 1]]
        told = [f"{name} {number_text(loss, 4)}" for name, loss in means]
        return f"Validation loss by step, mean over seeds; at the end: {', '.join(told)}."
    if picture == RATES:
        tunings = [(BASELINE, ablation.baselineTuning), *((one_line(arm.name), arm.tuning) for arm in arms)]
        told = [f"{name} best at {values_text(one.best)}" for name, one in tunings if one is not None]
        return f"Mean loss against the tuned values: {', '.join(told)}."
    told = []
    for arm in arms:
        found = [f"{size_name(at)} {signed(at.comparison.difference, digits)}" for at in arm.sizes]
        if found:
            told.append(f"{one_line(arm.name)} {', '.join(found)}")
    return f"Losses and differences to the baseline by size: {'; '.join(told)}."
