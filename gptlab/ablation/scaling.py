"""Whether a difference holds at other sizes: a law through the baseline's losses and one through the arm's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gptlab.ablation.result import AtSize
from gptlab.sweeps.by_parameters import FEWEST, PowerLaw, with_shared_floor, without_floor


@dataclass(frozen=True)
class Scaling:
    """baseline, arm: the laws, above one floor, or both without where the sizes tell none; None where there are none.
    refusal: why they must not be drawn beyond the sizes that were trained; empty if they may."""

    baseline: PowerLaw | None
    arm: PowerLaw | None
    refusal: str = ""


def scaling_of(sizes: Sequence[AtSize]) -> Scaling:
    """Of the sizes at which both have a loss."""
    known = [
        (at.parameters, at.baseline, at.arm)
        for at in sorted(sizes, key=lambda at: at.parameters)
        if at.baseline is not None and at.arm is not None
    ]
    count = len({at[0] for at in known})
    if count < FEWEST:
        few = f"{count} size{'' if count == 1 else 's'}"
        return Scaling(None, None, f"No extrapolation: {few} with a loss of both, and a law needs {FEWEST}.")
    parameters, before, after = np.array(known, dtype=float).T
    laws = laws_of(parameters, [before, after])
    if laws is None:
        return Scaling(
            None, None, "No extrapolation: over these sizes the loss does not fall with the parameters."
        )
    return Scaling(laws[0], laws[1], refusal_of(parameters, after - before))


def laws_of(parameters: np.ndarray, losses: Sequence[np.ndarray]) -> list[PowerLaw] | None:
    """One through each of the losses; None where one does not fall."""
    if any((line <= 0).any() for line in losses):
        return None
    straight = [law for line in losses if (law := without_floor(parameters, line)) is not None]
    if len(straight) < len(losses):
        return None
    return with_shared_floor([(parameters, line) for line in losses], straight) or straight


def refusal_of(parameters: np.ndarray, differences: np.ndarray) -> str:
    better, worse = parameters[differences < 0], parameters[differences > 0]
    if not len(better) or not len(worse):
        return ""
    at = [", ".join(f"{size:,.0f}" for size in some) for some in (better, worse)]
    return (
        f"No extrapolation: the arm is better at {at[0]} parameters and worse at {at[1]}, so these sizes do not tell "
        "which it is at others."
    )
