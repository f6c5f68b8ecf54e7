"""Checks of a component: put into a small model, its gradients measured on both engines."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.checks.check import Findings, difference
from gptlab.engines.engine import Definition, causal_context
from gptlab.engines.scalar_arithmetic import ScalarArithmetic, as_values, data_of
from gptlab.engines.xla_arithmetic import XlaArithmetic
from gptlab.engines.xla_settings import jax_precision
from gptlab.model.gpt import GPT, STANDARD, settle_sizes
from gptlab.plugins.registry import COMPONENT_KINDS, Registry

TOKENS = np.array([10, 3, 1, 4, 0, 10])
STEP = 1e-6
TOLERANCE = 1e-4
ENTRIES = 3  # of each weight, measured


def small_model(registry: Registry, kind: str, component: Any) -> GPT:
    sizes = settle_sizes(nLayer=2, nEmbd=8, nHead=2, headDim=None, blockSize=6, vocabSize=11)
    parts = {k: registry.get(k, STANDARD[k])() for k in COMPONENT_KINDS if k != kind}
    return GPT(sizes, **{kind: component}, **parts, initStd=0.5)


def op_table(registry: Registry) -> OpTable:
    return OpTable(others={name: registry.get("op", name) for name in registry.names("op")})


def check_a_component(registry: Registry, kind: str, component: Any, findings: Findings) -> None:
    definition = small_model(registry, kind, component)
    ops = op_table(registry)
    gradients: dict[str, dict[str, np.ndarray]] = {}
    weights: dict[str, np.ndarray] = {}
    with findings.trying("weights fit their use"):
        weights = definition.initial_weights(0)
        forward(definition, weights, ops)
    if not findings.checks[-1].passed:
        return
    with findings.trying("gradient, scalar engine") as fails:
        gradients["scalar"] = scalar_gradient(definition, weights, ops)
        for problem in against_differences(definition, weights, ops, gradients["scalar"]):
            fails(problem)
    with findings.trying("gradient, xla engine") as fails:
        gradients["xla"] = xla_gradient(definition, weights, ops)
        for problem in against_differences(definition, weights, ops, gradients["xla"]):
            fails(problem)
    with findings.trying("engines agree") as fails:
        for name in weights:
            if problem := difference(gradients["xla"][name], gradients["scalar"][name], 1e-8):
                fails(f"the gradients by {name} differ (xla, scalar) {problem}")
    with findings.trying("causal") as fails:
        whole, part = (logits(definition, weights, ops, TOKENS[:n]) for n in (5, 3))
        if problem := difference(whole[:3], part, 1e-12):
            fails(f"logits depend on later tokens: with and without them {problem}")


def logits(
    definition: Definition, weights: dict[str, np.ndarray], ops: OpTable, tokens: np.ndarray
) -> np.ndarray:
    arithmetic = ScalarArithmetic(ops)
    tensors = {name: Tensor(arithmetic.constant(array), arithmetic) for name, array in weights.items()}
    return data_of(definition.logits(tensors, tokens, causal_context(len(tokens))).data)


def forward(definition: Definition, weights: dict[str, np.ndarray], ops: OpTable) -> float:
    """The mean loss of the document, by plain floats."""
    arithmetic = ScalarArithmetic(ops)
    tensors = {name: Tensor(arithmetic.constant(array), arithmetic) for name, array in weights.items()}
    losses = definition.losses(tensors, TOKENS[:-1], TOKENS[1:], causal_context(len(TOKENS) - 1))
    return float(data_of(losses.data).mean())


def scalar_gradient(
    definition: Definition, weights: dict[str, np.ndarray], ops: OpTable
) -> dict[str, np.ndarray]:
    arithmetic = ScalarArithmetic(ops)
    values = {name: as_values(array) for name, array in weights.items()}
    tensors = {name: Tensor(array, arithmetic) for name, array in values.items()}
    losses = definition.losses(tensors, TOKENS[:-1], TOKENS[1:], causal_context(len(TOKENS) - 1))
    true_arithmetic = ScalarArithmetic(OpTable())
    mean: Any = true_arithmetic.apply(
        "mul", true_arithmetic.fold("add", losses.data, 0), 1.0 / len(losses.data)
    )[()]
    mean.backward()
    return {n: np.array([v.grad for v in array.flat]).reshape(array.shape) for n, array in values.items()}


def xla_gradient(
    definition: Definition, weights: dict[str, np.ndarray], ops: OpTable
) -> dict[str, np.ndarray]:
    arithmetic = XlaArithmetic(ops, "float64")

    def loss(named: dict[str, jax.Array]) -> jax.Array:
        tensors = {name: Tensor(array, arithmetic) for name, array in named.items()}
        context = causal_context(len(TOKENS) - 1)
        return jnp.mean(definition.losses(tensors, TOKENS[:-1], TOKENS[1:], context).data)

    with jax_precision("float64"):
        found = jax.jit(jax.grad(loss))({name: jnp.asarray(array) for name, array in weights.items()})
        return {name: np.asarray(array) for name, array in found.items()}


def against_differences(
    definition: Definition, weights: dict[str, np.ndarray], ops: OpTable, gradients: dict[str, np.ndarray]
) -> list[str]:
    """Where a derivative differs from central differences, a few entries of each weight tried."""
    problems = []
    generator = np.random.default_rng(0)
    scale = max(float(np.abs(array).max()) for array in gradients.values())
    for name, array in weights.items():
        for flat in generator.choice(array.size, min(ENTRIES, array.size), replace=False):
            index = np.unravel_index(int(flat), array.shape)
            ends = []
            for sign in (1, -1):
                moved = {**weights, name: array.copy()}
                moved[name][index] += sign * STEP
                ends.append(forward(definition, moved, ops))
            measured = (ends[0] - ends[1]) / (2 * STEP)
            claimed = float(gradients[name][index])
            if not abs(claimed - measured) <= TOLERANCE * max(abs(measured), 1e-3 * scale):
                place = f"{name}[{','.join(str(int(i)) for i in index)}]"
                problems.append(
                    f"d loss / d {place} is given as {claimed:.6g}, central differences say {measured:.6g}"
                )
    return problems
