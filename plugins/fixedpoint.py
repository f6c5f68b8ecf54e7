"""How many bits after the binary point does learning need?

Each sum and each product is rounded to a multiple of 2^-k, as a fixed-point adder and multiplier
would (to the nearest, ties to even; the whole part has no limit). A rounded result is flat almost
everywhere, so the gradients are those of the true sum and product: straight-through.

Source: Gupta et al., "Deep Learning with Limited Numerical Precision", 2015; the gradients: Bengio,
Léonard, Courville, "Estimating or Propagating Gradients Through Stochastic Neurons", 2013.
Use:    python -m gptlab +experiment=fixedpoint      (or ops.mul=fixedmul8 ops.add=fixedadd8)
Sweep:  python -m gptlab --multirun +experiment=book ops.mul=fixedmul16,fixedmul12,fixedmul8
"""

from functools import cache
from typing import Any

import gptlab

BITS = (4, 6, 8, 10, 12, 14, 16)  # what k may be: for each the ops fixedadd{k} and fixedmul{k}


@cache  # of so many bits the same two, and so the same compiled program, however often they are registered
def fixed_ops(bits: int) -> tuple[gptlab.Op, gptlab.Op]:
    """The sum and the product rounded to `bits` bits after the point."""
    scale = 2.0**bits

    def rounded(xp: Any, x: Any) -> Any:
        return xp.round(x * scale) * (1.0 / scale)  # both factors are powers of two: only round rounds

    def fixedadd(xp: Any, a: Any, b: Any) -> Any:
        return rounded(xp, a + b), (1.0, 1.0)

    def fixedmul(xp: Any, a: Any, b: Any) -> Any:
        return rounded(xp, a * b), (b, a)

    fixedadd.__doc__ = f"a + b rounded to a multiple of 2^-{bits}; gradients as if it were not."
    fixedmul.__doc__ = f"a * b rounded to a multiple of 2^-{bits}; gradients as if it were not."
    samples = [(0.5, -1.5), (2.3, 3.1), (-0.01, 0.7)]
    add, mul = (
        gptlab.op(name=f"{function.__name__}{bits}", samples=samples, exact_gradient=False)(function)
        for function in (fixedadd, fixedmul)
    )
    return add, mul


@gptlab.hookimpl
def gptlab_register_ops(register: Any) -> None:
    for bits in BITS:
        for op in fixed_ops(bits):
            register(op)
