"""Does squaring what relu lets through help at this size?

An architecture search over transformer programs found this one change to be worth the most.

Source: So et al., "Primer: Searching for Efficient Transformers for Language Modeling", 2021.
Use:    python -m gptlab +experiment=squaredrelu     (or model/activation=squaredrelu)
"""

from dataclasses import dataclass
from typing import Any

import gptlab


@dataclass(frozen=True)
class SquaredRelu:
    """max(x, 0)² (So et al. 2021, "Primer")."""

    def __call__(self, x: gptlab.Tensor) -> gptlab.Tensor:
        positive = x.apply("relu")
        return positive * positive


@gptlab.hookimpl
def gptlab_register_components(register: Any) -> None:
    register("activation", "squaredrelu", SquaredRelu)
