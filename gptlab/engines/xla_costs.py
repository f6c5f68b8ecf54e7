"""What a model costs on the xla engine: floating-point operations and activations, part by part.

Counted from the traced program itself, equation by equation, so that whatever a component does is counted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from gptlab.autograd.ops import OpTable
from gptlab.engines.context import causal_context
from gptlab.engines.engine import (
    Definition,
    Frozen,
    NamedArrays,
    Optimizer,
    OptState,
    trained,
)
from gptlab.engines.updating import updated
from gptlab.engines.xla_arithmetic import XlaArithmetic
from gptlab.engines.xla_programs import tensors
from gptlab.engines.xla_rows import rows_times_matrix_p
from gptlab.engines.xla_settings import jax_precision

Shapes = Mapping[str, tuple[int, ...]]
SCOPE = "part:"  # how a name that `scope` opens begins, to be told from the names that jax and others open
# Moves numbers, makes none. Whatever is not here, and gives floats, is arithmetic; so is a choice (relu, maximum).
# fmt: off
MOVES = frozenset({
    "broadcast_in_dim", "concatenate", "convert_element_type", "copy", "copy_p", "device_put", "dynamic_slice",
    "dynamic_update_slice", "expand_dims", "full", "gather", "iota", "optimization_barrier", "pad",
    "reduce_precision", "reshape", "rev", "scatter", "slice", "sort", "split", "squeeze", "stop_gradient",
    "top_k", "transpose",
})
# fmt: on
BODIES = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # where the equations of a call are


@dataclass
class Flops:
    """Floating-point operations: those within matrix products, a multiply-add being two, and all others."""

    products: int = 0
    others: int = 0

    @property
    def total(self) -> int:
        return self.products + self.others

    def add(self, more: Flops, times: int = 1) -> None:
        self.products += more.products * times
        self.others += more.others * times


@dataclass
class Counted:
    """By part; `at_least` if there is a loop in it whose turns are known only when it runs: counted once."""

    parts: dict[str, Flops] = field(default_factory=dict)
    at_least: bool = False

    def add(self, part: str, flops: Flops, times: int = 1) -> None:
        self.parts.setdefault(part, Flops()).add(flops, times)

    def add_all(self, more: Counted, times: int = 1) -> None:
        for part, flops in more.parts.items():
            self.add(part, flops, times)
        self.at_least |= more.at_least

    @property
    def total(self) -> Flops:
        result = Flops()
        for flops in self.parts.values():
            result.add(flops)
        return result


def counted(jaxpr: Any, part: str = "", used: list[bool] | None = None) -> Counted:
    """The operations of a jaxpr that its outputs (those that are `used`) depend on.

    An elementwise operation counts one a number, be it a sum or a logarithm; a reduction one less than the
    numbers that it reduces. Comparisons and whole numbers count nothing. `part`: where it is called from.
    """
    result = Counted()
    needed = set(arrays(jaxpr.outvars if used is None else compress(jaxpr.outvars, used)))
    # Backwards, since what nothing needs is not computed: of an op's local gradients in a forward pass, say.
    for eqn in reversed(jaxpr.eqns):
        given = [v in needed for v in eqn.outvars]
        if any(given) or eqn.effects:
            needed |= set(arrays(eqn.invars))
            result.add_all(cost_of(eqn, part_of(eqn, part), given))
    return result


def cost_of(eqn: Any, part: str, used: list[bool]) -> Counted:
    name, params, result = eqn.primitive.name, eqn.params, Counted()
    if name == "scan":
        result.add_all(counted(params["jaxpr"].jaxpr, part), params["length"])
    elif name == "while":
        result.add_all(counted(params["cond_jaxpr"].jaxpr, part))
        result.add_all(counted(params["body_jaxpr"].jaxpr, part))
        result.at_least = True
    elif name == "cond":
        ways = [counted(branch.jaxpr, part, used) for branch in params["branches"]]
        result.add_all(max(ways, key=lambda way: way.total.total))
    elif (body := body_of(eqn)) is not None:
        result.add_all(counted(body, part, used))
    else:
        result.add(part, own_cost(eqn))
    return result


def body_of(eqn: Any) -> Any:
    """What a call (jit, custom_jvp, remat, ...) calls; None for a primitive."""
    for key in BODIES:
        body = eqn.params.get(key)
        body = getattr(body, "jaxpr", body)
        if hasattr(body, "eqns") and len(body.outvars) == len(eqn.outvars) and eqn.primitive.name != "reduce":
            return body
    return None


def own_cost(eqn: Any) -> Flops:
    name = eqn.primitive.name
    made = sum(math.prod(v.aval.shape) for v in eqn.outvars if jnp.issubdtype(v.aval.dtype, jnp.floating))
    if not made or name in MOVES:
        return Flops()
    inputs = [math.prod(v.aval.shape) for v in eqn.invars]
    if name == "dot_general":
        (summed, _), _ = eqn.params["dimension_numbers"]
        return Flops(products=2 * made * math.prod(eqn.invars[0].aval.shape[i] for i in summed))
    if name == rows_times_matrix_p.name:
        return Flops(products=2 * made * eqn.invars[0].aval.shape[-1])
    if name == "conv_general_dilated":
        kernel = eqn.invars[1].aval.shape
        outputs = kernel[eqn.params["dimension_numbers"].rhs_spec[0]]
        return Flops(products=2 * made * math.prod(kernel) // outputs)
    if name.startswith("reduce"):
        return Flops(others=inputs[0] - made)
    if name.startswith("scatter"):  # of numbers that are added, multiplied, ...: one for each of them
        return Flops(others=inputs[2])
    return Flops(others=made)


def part_of(eqn: Any, outer: str) -> str:
    """The innermost part that the equation, or a gradient of it, was written in."""
    found = re.findall(rf"{SCOPE}([^/()]+)", str(eqn.source_info.name_stack))
    return found[-1] if found else outer


def kept(jaxpr: Any, varying: int) -> dict[str, int]:
    """Bytes by part of the outputs that depend on any of the last `varying` inputs, each array once.

    Of the pullback of a loss that is what the backward pass needs of this document; the weights are
    there anyway.
    """
    varies = set(jaxpr.invars[-varying:])
    made_in: dict[Any, str] = {}
    for eqn in jaxpr.eqns:
        if any(v in varies for v in arrays(eqn.invars)):
            varies |= set(eqn.outvars)
            made_in |= dict.fromkeys(eqn.outvars, part_of(eqn, ""))
    result: dict[str, int] = {}
    for v in dict.fromkeys(arrays(jaxpr.outvars)):
        if v in made_in:
            size = math.prod(v.aval.shape) * v.aval.dtype.itemsize
            result[made_in[v]] = result.get(made_in[v], 0) + size
    return result


def arrays(variables: Any) -> Iterator[Any]:
    return (v for v in variables if not isinstance(v, Literal))


@dataclass(frozen=True)
class Costs:
    """Of one document of T positions, by part: the forward pass to the logits; loss and gradient; kept bytes.

    kept: what the backward pass needs of the forward pass, before XLA computes some of it again.
    """

    forward: Counted
    training: Counted
    kept: dict[str, int]


def scope(part: str) -> Any:
    """A context manager: what is traced within it is counted for this part."""
    return jax.named_scope(SCOPE + part)


def model_costs(
    definition: Definition, ops: OpTable, shapes: Shapes, frozen: Frozen, positions: int, dtype: str
) -> Costs:
    """Traced, not run: no number is computed. definition: with its parts in `scope`s."""
    arithmetic, context = XlaArithmetic(ops, dtype), causal_context(positions)
    dtype = arithmetic.dtype

    def forward(named: NamedArrays, tokens: Any) -> Any:
        return definition.logits(tensors(named, arithmetic), tokens, context).data

    def loss(some: NamedArrays, others: NamedArrays, tokens: Any, targets: Any) -> Any:
        named = tensors({name: {**some, **others}[name] for name in shapes}, arithmetic)
        return jnp.mean(definition.losses(named, tokens, targets, context).data)

    def pullback(some: NamedArrays, others: NamedArrays, tokens: Any, targets: Any) -> Any:
        return jax.vjp(lambda w: loss(w, others, tokens, targets), some)[1]

    with jax_precision(dtype):
        weights = {name: jax.ShapeDtypeStruct(shape, dtype) for name, shape in shapes.items()}
        row = jax.ShapeDtypeStruct((positions,), jnp.int32)
        given = trained(weights, frozen), {name: weights[name] for name in frozen}, row, row
        return Costs(
            counted(jaxpr_of(forward, weights, row)),
            counted(jaxpr_of(jax.value_and_grad(loss), *given)),
            kept(jaxpr_of(pullback, *given), varying=2),
        )


def update_costs(optimizer: Optimizer, shapes: Shapes, dtype: str) -> tuple[Counted, int]:
    """The optimizer's update of weights of these shapes, and how often it asks for the gradient again."""
    asked = 0

    def again(params: NamedArrays) -> Any:
        nonlocal asked
        asked += 1
        return jnp.zeros((), dtype), params

    def update(params: NamedArrays, grads: NamedArrays, state: OptState, step: Any, rate: Any) -> Any:
        return updated(optimizer, jnp, params, grads, state, step, rate, again=again, loss=rate)

    with jax_precision(dtype):
        weights = {name: jax.ShapeDtypeStruct(shape, dtype) for name, shape in shapes.items()}
        state, number = initial(optimizer, shapes, dtype), jax.ShapeDtypeStruct((), dtype)
        return counted(jaxpr_of(update, weights, weights, state, number, number)), asked


def initial(optimizer: Optimizer, shapes: Shapes, dtype: str) -> OptState:
    """The optimizer's state for weights of zeros, which take no memory until somebody writes to them."""
    return optimizer.init({name: np.zeros(shape, dtype) for name, shape in shapes.items()})


def jaxpr_of(function: Callable[..., Any], *arguments: Any) -> Any:
    return jax.make_jaxpr(function)(*arguments).jaxpr
