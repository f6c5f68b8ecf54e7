"""Checks of what a model is made of, ops, components and adapters: their gradients are measured, on both engines."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gptlab.autograd.check import check_op, evaluate
from gptlab.autograd.op import Op
from gptlab.checks.check import Findings, difference
from gptlab.checks.drawing import check_drawing
from gptlab.checks.models import all_ops, moved_weights, small_model
from gptlab.checks.sequences import check_repeatable, check_sequences
from gptlab.checks.trials import ScalarTrial, Trial, XlaTrial
from gptlab.engines.engine import NamedArrays, engines_of
from gptlab.engines.xla_arithmetic import differentiable
from gptlab.engines.xla_settings import jax_precision
from gptlab.model.adapted import Adapted
from gptlab.model.component import has_exact_gradient
from gptlab.plugins.registry import Registry

TOKENS = np.array([10, 3, 1, 4, 0, 10])
STEP = 1e-6
TOLERANCE = 1e-4
ENTRIES = 3  # of each weight, measured
TRIALS = {"scalar": ScalarTrial, "xla": XlaTrial}


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
    engines = tried_on(component)
    definition = small_model(registry, **{kind: component})
    ops = all_ops(registry)
    weights: NamedArrays = {}
    trials: list[Trial] = [TRIALS[name](definition, ops) for name in engines]
    if not trials:
        return  # it is for engines that others have made
    with findings.trying("weights fit their use"):
        weights = moved_weights(definition)
        trials[0].loss(weights, TOKENS)
    if not findings.checks[-1].passed:
        return
    check_gradients(trials, weights, has_exact_gradient(component), findings)
    check_sequences(registry, kind, component, engines, findings)
    check_drawing(definition, ops, weights, engines, findings)
    check_repeatable(trials, weights, TOKENS, findings)


def check_an_adapter(registry: Registry, adapter: Any, findings: Findings) -> None:
    base = small_model(registry)
    definition = Adapted(base, adapter)
    ops = all_ops(registry)
    trials: list[Trial] = [TRIALS[name](definition, ops) for name in tried_on(adapter)]
    if not trials:
        return
    with findings.trying("begins as the model was") as fails:
        own, added = base.initial_weights(0), definition.adapter_weights(0)
        before = TRIALS[trials[0].engine](base, ops).logits(own, TOKENS[:5])
        begun = trials[0].logits(own | added, TOKENS[:5])
        if problem := difference(begun, before, 1e-12):
            fails(f"logits differ before step 1 {problem}")
    if not findings.checks[-1].passed:
        return
    weights = moved_weights(definition)
    check_gradients(trials, weights, has_exact_gradient(adapter), findings)
    check_repeatable(trials, weights, TOKENS, findings)


def tried_on(component: Any) -> tuple[str, ...]:
    """The engines of `TRIALS` that it is for."""
    wanted = engines_of(component)
    return tuple(name for name in TRIALS if wanted is None or name in wanted)


def check_gradients(
    trials: list[Trial],
    weights: NamedArrays,
    exact: bool,
    findings: Findings,
    tokens: np.ndarray = TOKENS,
) -> None:
    """Of the loss, on each engine: against central differences where it is to be exact, and against each other."""
    gradients: dict[str, NamedArrays] = {}
    measured: Measured | None = None if exact else []
    for trial in trials:
        with findings.trying(f"gradient{'' if exact else ' (its own)'}, {trial.engine} engine") as fails:
            gradients[trial.engine] = found = trial.gradient(weights, tokens)
            for name in weights:
                if not np.isfinite(found[name]).all():
                    fails(f"the gradient by {name} must be finite, and some entries are not")
            measured = central_differences(trials[0], weights, tokens) if measured is None else measured
            for problem in against(measured, found):
                fails(problem)
    if len(gradients) < 2:
        return
    with findings.trying("engines agree") as fails:
        for name in weights:
            if problem := difference(gradients["xla"][name], gradients["scalar"][name], 1e-8):
                fails(f"the gradients by {name} differ (xla, scalar) {problem}")


Measured = list[tuple[str, tuple[int, ...], float]]  # of a weight, at an index


def central_differences(trial: Trial, weights: NamedArrays, tokens: np.ndarray) -> Measured:
    """Of a few entries of each weight."""
    found: Measured = []
    generator = np.random.default_rng(0)
    for name, array in weights.items():
        for flat in generator.choice(array.size, min(ENTRIES, array.size), replace=False):
            index = tuple(int(i) for i in np.unravel_index(int(flat), array.shape))
            ends = []
            for sign in (1, -1):
                moved = {**weights, name: array.copy()}
                moved[name][index] += sign * STEP
                ends.append(trial.loss(moved, tokens))
            found.append((name, index, (ends[0] - ends[1]) / (2 * STEP)))
    return found


def against(measured: Measured, gradients: NamedArrays) -> list[str]:
    """Where derivatives differ from what was measured."""
    problems = []
    scale = max(float(np.abs(array).max()) for array in gradients.values())
    for name, index, slope in measured:
        claimed = float(gradients[name][index])
        if not abs(claimed - slope) <= TOLERANCE * max(abs(slope), 1e-3 * scale):
            place = f"{name}[{','.join(map(str, index))}]"
            problems.append(
                f"d loss / d {place} is given as {claimed:.6g}, central differences say {slope:.6g}"
            )
    return problems
