"""Checks of what a model is made of, ops, components and adapters: their gradients are measured, on both engines."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gptlab.autograd.check import check_op, evaluate
from gptlab.autograd.op import Op
from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.checks.check import Findings, difference
from gptlab.engines.engine import NamedArrays, State, causal_context
from gptlab.engines.scalar import ScalarSession
from gptlab.engines.scalar_arithmetic import ScalarArithmetic, as_values, grads_of
from gptlab.engines.xla_arithmetic import XlaArithmetic, differentiable
from gptlab.engines.xla_settings import jax_precision
from gptlab.model.adapted import Adapted
from gptlab.model.gpt import GPT, STANDARD, settle_sizes
from gptlab.optim.optimizers import SGD
from gptlab.plugins.registry import COMPONENT_KINDS, Registry

TOKENS = np.array([10, 3, 1, 4, 0, 10])
STEP = 1e-6
TOLERANCE = 1e-4
ENTRIES = 3  # of each weight, measured


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


def check_a_component(registry: Registry, kind: str, component: Any, findings: Findings) -> None:
    definition = small_model(registry, **{kind: component})
    session = session_of(registry, definition)
    weights: NamedArrays = {}
    with findings.trying("weights fit their use"):
        weights = definition.initial_weights(0)
        session.loss(weights, TOKENS)
    if not findings.checks[-1].passed:
        return
    check_gradients(session, weights, findings)
    with findings.trying("causal") as fails:
        whole, part = (session.logits(State(weights, {}), TOKENS[:n]) for n in (5, 3))
        if problem := difference(whole[:3], part, 1e-12):
            fails(f"logits depend on later tokens: with and without them {problem}")


def check_an_adapter(registry: Registry, adapter: Any, findings: Findings) -> None:
    base = small_model(registry)
    definition = Adapted(base, adapter)
    session = session_of(registry, definition)
    with findings.trying("begins as the model was") as fails:
        own, added = base.initial_weights(0), definition.adapter_weights(0)
        before = session_of(registry, base).logits(State(own, {}), TOKENS[:5])
        begun = session.logits(State(own | added, {}), TOKENS[:5])
        if problem := difference(begun, before, 1e-12):
            fails(f"logits differ before step 1 {problem}")
    if not findings.checks[-1].passed:
        return
    generator = np.random.default_rng(0)
    weights = definition.initial_weights(0)
    weights |= {n: a + 0.1 * generator.standard_normal(a.shape) for n, a in weights.items()}
    check_gradients(session, weights, findings)


def small_model(registry: Registry, **changed: Any) -> GPT:
    """changed: components other than the standard ones, by kind."""
    sizes = settle_sizes(nLayer=2, nEmbd=8, nHead=2, headDim=None, blockSize=6, vocabSize=11)
    parts = {kind: registry.get(kind, STANDARD[kind])() for kind in COMPONENT_KINDS if kind not in changed}
    return GPT(sizes, **parts, **changed, initStd=0.5)


def session_of(registry: Registry, definition: GPT | Adapted) -> ScalarSession:
    ops = OpTable(others={name: registry.get("op", name) for name in registry.names("op")})
    return ScalarSession(definition, SGD(), ScalarArithmetic(ops))


def check_gradients(session: ScalarSession, weights: NamedArrays, findings: Findings) -> None:
    """Of the loss, on both engines: against central differences, and against each other."""
    gradients: dict[str, NamedArrays] = {}
    for engine, gradient in (("scalar", scalar_gradient), ("xla", xla_gradient)):
        with findings.trying(f"gradient, {engine} engine") as fails:
            gradients[engine] = gradient(session, weights)
            for problem in against_differences(session, weights, gradients[engine]):
                fails(problem)
    with findings.trying("engines agree") as fails:
        for name in weights:
            if problem := difference(gradients["xla"][name], gradients["scalar"][name], 1e-8):
                fails(f"the gradients by {name} differ (xla, scalar) {problem}")


def scalar_gradient(session: ScalarSession, weights: NamedArrays) -> NamedArrays:
    values = {name: as_values(array) for name, array in weights.items()}
    session.loss(values, TOKENS).backward()
    return {name: grads_of(array) for name, array in values.items()}


def xla_gradient(session: ScalarSession, weights: NamedArrays) -> NamedArrays:
    arithmetic = XlaArithmetic(session.arithmetic.ops, "float64")

    def loss(named: dict[str, jax.Array]) -> jax.Array:
        tensors = {name: Tensor(array, arithmetic) for name, array in named.items()}
        context = causal_context(len(TOKENS) - 1)
        return jnp.mean(session.definition.losses(tensors, TOKENS[:-1], TOKENS[1:], context).data)

    with jax_precision("float64"):
        found = jax.jit(jax.grad(loss))({name: jnp.asarray(array) for name, array in weights.items()})
        return {name: np.asarray(array) for name, array in found.items()}


def against_differences(session: ScalarSession, weights: NamedArrays, gradients: NamedArrays) -> list[str]:
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
                ends.append(float(session.loss(moved, TOKENS)))
            measured = (ends[0] - ends[1]) / (2 * STEP)
            claimed = float(gradients[name][index])
            if not abs(claimed - measured) <= TOLERANCE * max(abs(measured), 1e-3 * scale):
                place = f"{name}[{','.join(str(int(i)) for i in index)}]"
                problems.append(
                    f"d loss / d {place} is given as {claimed:.6g}, central differences say {measured:.6g}"
                )
    return problems
