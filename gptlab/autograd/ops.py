"""The op table: each built-in op with its derivative beside it.

`add mul pow log exp relu` are what everything else is derived from: -a = a * -1, a - b = a + (-b),
a / b = a * b**-1, sqrt(a) = a**0.5. `tanh` and `maximum` are here because activations want them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from gptlab.autograd.op import Op, op
from gptlab.errors import UserError, unknown_name


@op(samples=[(0.5, -1.5), (2.0, 3.0)])
def add(xp: Any, a: Any, b: Any) -> Any:
    """a + b."""
    return a + b, (1.0, 1.0)


@op(samples=[(0.5, -1.5), (2.0, 3.0)])
def mul(xp: Any, a: Any, b: Any) -> Any:
    """a * b."""
    return a * b, (b, a)


@op(samples=[(0.5, -1.5), (2.0, 3.0), (1.7, -0.5)])
def pow_(xp: Any, a: Any, b: Any) -> Any:
    """a ** b; the gradient to b is taken as 0 where a <= 0, since log(a) is not real there.

    a ** 0 is 1 for every a, NaN and infinities too, and its gradient to a is 0.
    """
    y = xp.pow(a, b)
    is_zero = b == 0  # of one number a plain bool
    # Not a ** -1, which may be infinite, where it is multiplied by b = 0.
    to_a = b * xp.pow(a, b - 1.0 if is_zero is False else xp.where(is_zero, b, b - 1.0))
    log_a = xp.log(xp.where(a > 0, a, 1.0))
    # Not 0 times y, which may be infinite at a = 0.
    return y, (to_a, xp.where((a <= 0) & (y == y), 0.0, y * log_a))


@op(samples=[(0.3,), (1.0,), (7.5,)])
def log(xp: Any, a: Any) -> Any:
    """The natural logarithm."""
    return xp.log(a), (1.0 / a,)


@op(samples=[(-2.0,), (0.0,), (1.5,)])
def exp(xp: Any, a: Any) -> Any:
    """e ** a."""
    y = xp.exp(a)
    return y, (y,)


@op(samples=[(-1.2,), (0.7,), (3.0,)])
def relu(xp: Any, a: Any) -> Any:
    """max(a, 0), with gradient 0 at 0; NaN, and so is its gradient, at NaN."""
    y = xp.where(a <= 0, 0.0, a)
    return y, (xp.where(y > 0, 1.0, y),)


@op(samples=[(-1.2,), (0.0,), (0.7,)])
def tanh(xp: Any, a: Any) -> Any:
    """The hyperbolic tangent."""
    y = xp.tanh(a)
    return y, (1.0 - y * y,)


@op(samples=[(0.5, -1.5), (2.0, 3.0)])
def maximum(xp: Any, a: Any, b: Any) -> Any:
    """The larger of a and b; where they are equal the gradient goes to a. NaN, gradients too, if one is."""
    first = a >= b
    y = xp.where(first | (a != a), a, b)
    to_a = xp.where(first, 1.0, xp.where(y == y, 0.0, y))
    return y, (to_a, 1.0 - to_a)


BUILTIN_OPS: dict[str, Op] = {o.name: o for o in (add, mul, pow_, log, exp, relu, tanh, maximum)}


class OpTable:
    """Which op each name stands for in one model: the built-in ones, some of them replaced.

    `OpTable({"mul": halfmul})` puts halfmul wherever components multiply. `others` are ops that
    components may apply by their own names, beside the replaceable slots.

    Raises UserError if a slot does not exist or the replacement takes another count of numbers.
    """

    def __init__(self, replacements: Mapping[str, Op] | None = None, others: Mapping[str, Op] | None = None):
        self._ops = {**(others or {}), **BUILTIN_OPS}
        for slot, replacement in (replacements or {}).items():
            if slot not in BUILTIN_OPS:
                raise unknown_name("built-in op", slot, BUILTIN_OPS)
            wanted = BUILTIN_OPS[slot].arity
            if replacement.arity != wanted:
                raise UserError(
                    f"ops.{slot} must be an op of {wanted} numbers, got '{replacement.name}', which takes "
                    f"{replacement.arity}."
                )
            self._ops[slot] = replacement
        self.swapped = {s: o for s, o in self._ops.items() if s in BUILTIN_OPS and o is not BUILTIN_OPS[s]}

    def __getitem__(self, name: str) -> Op:
        try:
            return self._ops[name]
        except KeyError:
            raise unknown_name("op", name, self._ops) from None

    def standard(self, *slots: str) -> bool:
        """True if none of these slots holds a replacement, so that an engine may fuse them."""
        return not any(slot in self.swapped for slot in slots)

    def items(self) -> Iterable[tuple[str, Op]]:
        """Each name and the op that it stands for."""
        return self._ops.items()

    def key(self) -> tuple[Op, ...]:
        """What a program compiled for this table depends on."""
        return tuple(self._ops.values())
