"""An op: a differentiable scalar function, written once as numbers in, number and local gradients out."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gptlab.errors import UserError

Forward = Callable[..., tuple[Any, Sequence[Any]]]


@dataclass(frozen=True, eq=False)
class Op:
    """A named function `(xp, x1, ..., xn) -> (y, (dy/dx1, ..., dy/dxn))`, elementwise.

    `xp` is the array namespace that the engine computes with: it has the names of the Python
    array API standard (`exp`, `log`, `where`, `maximum`, `round` ...). The local gradients are the
    op's own: they need not be the true derivative (a straight-through estimator is one that is
    not; such an op says so with `exact_gradient=False`, and the gradient check leaves it alone).
    Ops are compared by identity: a program compiled for one is never reused for another.
    """

    name: str
    forward: Forward
    arity: int
    samples: tuple[tuple[float, ...], ...] = ()
    exact_gradient: bool = True

    def __call__(self, xp: Any, *xs: Any) -> tuple[Any, Sequence[Any]]:
        return self.forward(xp, *xs)

    def __repr__(self) -> str:
        return f"<op {self.name}/{self.arity}>"

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.forward.__doc__


def op(
    function: Forward | None = None,
    *,
    samples: Sequence[Sequence[float]] = (),
    name: str | None = None,
    exact_gradient: bool = True,
) -> Any:
    """Decorate `def f(xp, a, b): return y, (dy_da, dy_db)` to make an `Op` named after it.

    `samples` are the points at which the gradient check compares the local gradients with central
    differences; keep them away from kinks and poles. A trailing underscore in the function's name
    is dropped, so that `def pow_` does not hide Python's own.

    Raises UserError if the function takes no number, a variable count of them, or samples of another count.
    """

    def make(forward: Forward) -> Op:
        parameters = list(inspect.signature(forward).parameters.values())
        op_name = name or forward.__name__.rstrip("_")
        fixed = all(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
        if len(parameters) < 2 or not fixed:
            raise UserError(
                f"the op '{op_name}' must take the array namespace and then a fixed count of numbers, "
                f"got {forward.__name__}{inspect.signature(forward)}. Write def {forward.__name__}(xp, a, b)."
            )
        arity = len(parameters) - 1
        points = tuple(tuple(float(x) for x in point) for point in samples)
        for point in points:
            if len(point) != arity:
                raise UserError(
                    f"each sample of the op '{op_name}' must have {arity} numbers, one an input: got {point}."
                )
        return Op(op_name, forward, arity, points, exact_gradient)

    return make if function is None else make(function)
