"""The laws through the losses of several sizes, as a report takes them from whoever fitted them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from gptlab.ablation.report.words import one_line

LINE = 400


class Law(Protocol):
    """The loss by number of parameters, and how it is written: `L = 4.1 · N^-0.381 + 1.92`."""

    @property
    def formula(self) -> str: ...

    def __call__(self, parameters: np.ndarray) -> np.ndarray: ...


class Laws(Protocol):
    """Of the baseline and of one arm, None where there is none; refusal: why they say nothing of other sizes."""

    @property
    def baseline(self) -> Law | None: ...

    @property
    def arm(self) -> Law | None: ...

    @property
    def refusal(self) -> str: ...


def law_lines(laws: Mapping[str, Laws] | None) -> list[str]:
    """A line an arm. laws: by the arms' names."""
    lines = []
    for name, one in (laws or {}).items():
        told = [
            f"{whose} {law.formula}" for whose, law in (("baseline", one.baseline), ("arm", one.arm)) if law
        ]
        said = " ".join(filter(None, [f"{', '.join(told)}." if told else "", one.refusal]))
        if said:
            lines.append(f"{one_line(name)}: {one_line(said, LINE)}")
    return lines
