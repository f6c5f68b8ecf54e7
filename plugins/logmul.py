"""Does a GPT learn if it multiplies without a multiplier?

Mitchell's logarithmic multiplication: write |a| = 2^m (1 + f) and read m + f as log2 |a|. Adding two
such logarithms and reading the sum back takes shifts and additions only. The product is exact where
a or b is a power of two, and too small by up to 1/9 in between.

Source: J. N. Mitchell, "Computer Multiplication and Division Using Binary Logarithms", 1962.
Use:    python -m gptlab +experiment=logmul          (or ops.mul=logmul with anything else)
        python -m gptlab +experiment=logmulst        (the same, straight-through gradients)
"""

from typing import Any

import gptlab


def taken_apart(xp: Any, x: Any) -> tuple[Any, Any]:
    """(±2^m, f) of x = ±2^m (1 + f) with 0 <= f < 1; (0, 0) of 0. Both are exact.

    By frexp: floor(log2(x)) is one too much just below a power of two, and exp2 of a whole number
    is no power of two in XLA's float32. Each ends in a division, which XLA never repeats: what
    follows is fused into the product of two matrices, but this is done once for each entry of them.
    """
    mantissa, _ = xp.frexp(x)  # ±(1 + f) / 2
    power = x / xp.where(x == 0, 1.0, 2.0 * xp.abs(mantissa))
    return power, (x - power) / xp.where(x == 0, 1.0, power)


def product(xp: Any, a: Any, b: Any) -> tuple[Any, tuple[Any, Any]]:
    """±2^(m+n) · max(1 + f + g, 2 (f + g)), and its derivatives: the logarithm carries at f + g = 1."""
    (p, f), (q, g) = taken_apart(xp, a), taken_apart(xp, b)
    both = f + g
    slope = xp.where(both > 1.0, 2.0, 1.0)
    return p * q * xp.maximum(1.0 + both, 2.0 * both), (slope * q, slope * p)


# Two ops, since the gradient is half of the question. What is computed is continuous and has a
# derivative but at its kinks (a or b a power of two, and f + g = 1), so that logmul can have its exact
# one: a power of two with a sign, and the backward pass only shifts as well. But that derivative jumps
# between half and twice the true product's, and learning suffers. With the true product's gradients,
# which are then an estimate (straight-through), it does not.


@gptlab.op(samples=[(0.6, -1.6), (2.9, 3.4), (-1.3, -0.3), (1.4, 1.9), (5.0, 0.01)])
def logmul(xp: Any, a: Any, b: Any) -> Any:
    """a * b by adding logarithms (Mitchell 1962), with its own exact gradient: ±2^n, doubled at a carry."""
    return product(xp, a, b)


@gptlab.op(samples=[(0.6, -1.6), (1.5, 1.5), (-2.0, 0.0)], exact_gradient=False)
def logmulst(xp: Any, a: Any, b: Any) -> Any:
    """a * b by adding logarithms (Mitchell 1962), with the gradients of the true product."""
    return product(xp, a, b)[0], (b, a)


@gptlab.hookimpl
def gptlab_register_ops(register: Any) -> None:
    register(logmul)
    register(logmulst)
