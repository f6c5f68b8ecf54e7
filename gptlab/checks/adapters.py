"""Checks of an adapter: put on a small model, its gradients measured on both engines."""

from __future__ import annotations

from typing import Any

import numpy as np

from gptlab.checks.check import Findings, difference
from gptlab.checks.components import (
    TOKENS,
    against_differences,
    logits,
    op_table,
    scalar_gradient,
    small_model,
    xla_gradient,
)
from gptlab.model.adapted import Adapted
from gptlab.model.gpt import STANDARD
from gptlab.plugins.registry import Registry


def check_an_adapter(registry: Registry, adapter: Any, findings: Findings) -> None:
    base = small_model(registry, "norm", registry.get("norm", STANDARD["norm"])())
    definition = Adapted(base, adapter)
    ops = op_table(registry)
    with findings.trying("begins as the model was") as fails:
        weights = base.initial_weights(0)
        own = logits(base, weights, ops, TOKENS[:5])
        begun = logits(definition, weights | definition.adapter_weights(0), ops, TOKENS[:5])
        if problem := difference(begun, own, 1e-12):
            fails(f"logits differ before step 1 {problem}")
    if not findings.checks[-1].passed:
        return
    generator = np.random.default_rng(0)
    weights = definition.initial_weights(0)
    weights |= {n: a + 0.1 * generator.standard_normal(a.shape) for n, a in weights.items()}
    gradients: dict[str, dict[str, np.ndarray]] = {}
    for engine, gradient in (("scalar", scalar_gradient), ("xla", xla_gradient)):
        with findings.trying(f"gradient, {engine} engine") as fails:
            gradients[engine] = gradient(definition, weights, ops)
            for problem in against_differences(definition, weights, ops, gradients[engine]):
                fails(problem)
    with findings.trying("engines agree") as fails:
        for name in weights:
            if problem := difference(gradients["xla"][name], gradients["scalar"][name], 1e-8):
                fails(f"the gradients by {name} differ (xla, scalar) {problem}")
