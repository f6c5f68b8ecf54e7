"""The gradient check: an op's local gradients against central differences, at the op's own samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gptlab.autograd.numbers import call
from gptlab.autograd.op import Op
from gptlab.errors import UserError

# The central difference's error is about h² f'''/6 + 1e-16 f/h; h = 1e-5 makes both about 1e-10.
STEP = 1e-5
TOLERANCE = 1e-4
SMALLEST = 1e-5  # below it a derivative drowns in that error


@dataclass(frozen=True)
class Disagreement:
    """One derivative that is not what the op says: at which inputs, with respect to which (from 0)."""

    op: str
    inputs: tuple[float, ...]
    argument: int
    claimed: float
    measured: float

    @property
    def relative(self) -> float:
        return abs(self.claimed - self.measured) / max(abs(self.claimed), abs(self.measured), SMALLEST)

    def __str__(self) -> str:
        return (
            f"op {self.op} at {self.inputs}: the derivative by input {self.argument} is given as "
            f"{self.claimed:.8g}, central differences say {self.measured:.8g} ({self.relative:.2%} off)"
        )


def check_op(op: Op, samples: Sequence[Sequence[float]] | None = None) -> list[Disagreement]:
    """Where the op's local gradients differ from central differences by more than 0.01%.

    Tried at `samples`, by default the op's own. An op with `exact_gradient=False` is only asked for
    the count and the finiteness of its gradients.

    Raises UserError if the op gives another count of gradients than it takes numbers, a value or a
    gradient that is no finite number at its own samples, or has no samples.
    """
    points = [tuple(map(float, point)) for point in (op.samples if samples is None else samples)]
    if not points:
        raise UserError(f"the op '{op.name}' must have samples to be checked at: @gptlab.op(samples=[...]).")
    found = []
    for point in points:
        _, gradients = evaluate(op, point)
        for i, claimed in enumerate(gradients if op.exact_gradient else ()):
            step = STEP * max(1.0, abs(point[i]))
            above, below = (shifted(op, point, i, sign * step) for sign in (1, -1))
            measured = (above - below) / (2 * step)
            disagreement = Disagreement(op.name, point, i, claimed, measured)
            if not disagreement.relative <= TOLERANCE:
                found.append(disagreement)
    return found


def evaluate(op: Op, point: Sequence[float]) -> tuple[float, tuple[float, ...]]:
    """The value and the gradients, made sure to be as many finite numbers as they must be."""
    value, gradients = call(op, *point)
    if len(gradients) != op.arity:
        raise UserError(
            f"the op '{op.name}' takes {op.arity} numbers and must give as many local gradients: "
            f"at {tuple(point)} it gave {len(gradients)}."
        )
    for number in (value, *gradients):
        if getattr(number, "shape", ()) != () or not math.isfinite(number):
            raise UserError(
                f"the op '{op.name}' must give finite numbers at its own samples: at {tuple(point)} it gave "
                f"the value {value} and the gradients {tuple(gradients)}."
            )
    return float(value), tuple(float(g) for g in gradients)


def shifted(op: Op, point: Sequence[float], argument: int, by: float) -> float:
    moved = list(point)
    moved[argument] += by
    return float(call(op, *moved)[0])
