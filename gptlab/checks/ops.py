"""Checks of an op: its gradients, and that both engines compute the same of it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from gptlab.autograd.check import check_op, evaluate
from gptlab.autograd.op import Op
from gptlab.checks.check import Findings, difference
from gptlab.engines.xla_arithmetic import differentiable
from gptlab.engines.xla_settings import jax_precision


def check_an_op(op: Op, findings: Findings) -> None:
    with findings.trying("gradient" if op.exact_gradient else "gradient (its own)") as fails:
        for disagreement in check_op(op):
            fails(str(disagreement))
    with findings.trying("engines agree") as fails:
        scalar = [evaluate(op, point) for point in op.samples]
        columns = [np.array(column) for column in zip(*op.samples, strict=True)]
        with jax_precision("float64"):
            arrays = [jnp.asarray(column) for column in columns]
            function = differentiable(op)
            if problem := difference(jax.jit(function)(*arrays), [value for value, _ in scalar]):
                fails(f"xla and scalar values differ {problem}")
            for i in range(op.arity):
                gradient = jax.grad(lambda *xs: jnp.sum(function(*xs)), argnums=i)(*arrays)
                if problem := difference(gradient, [gradients[i] for _, gradients in scalar]):
                    fails(f"xla and scalar derivatives by input {i} differ {problem}")
