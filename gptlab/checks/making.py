"""Checks of reparametrizations: by what gradients they are trained, and that what they make is used as it is."""

from __future__ import annotations

from typing import Any

from gptlab.checks.check import Findings, difference
from gptlab.checks.models import all_ops, moved_weights, small_model
from gptlab.checks.parts import TOKENS, TRIALS, check_gradients, tried_on
from gptlab.checks.sequences import check_repeatable
from gptlab.checks.trials import Trial
from gptlab.engines.engine import Engine, State
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.model.component import has_exact_gradient
from gptlab.model.reparametrization import NoReparametrization
from gptlab.model.reparametrized import reparametrized
from gptlab.optim.optimizers import SGD
from gptlab.plugins.registry import Registry


def check_a_reparametrization(registry: Registry, reparametrization: Any, findings: Findings) -> None:
    """In the small model: that its weights are made, by what gradients, and that those made are used as they are."""
    if type(reparametrization) is NoReparametrization:
        with findings.trying("trains the model's own weights") as fails:
            own = moved_weights(small_model(registry))
            begun = reparametrization.begun(own)
            if list(begun) != list(own) or any(begun[name] is not own[name] for name in own):
                fails("the arrays that are trained are not the model's")
        return
    engines = tried_on(reparametrization)
    if not engines:
        return  # it is for engines that others have made
    ops = all_ops(registry)
    with findings.trying("makes the weights that the model has"):
        definition, _ = reparametrized(small_model(registry), reparametrization, ops)
        weights = moved_weights(definition)
    if not findings.checks[-1].passed:
        return
    trials: list[Trial] = [TRIALS[name](definition, ops) for name in engines]
    with findings.trying("made once, used as they are") as fails:
        engine: Engine = ScalarEngine() if trials[0].engine == "scalar" else XlaEngine("float64")
        session = engine.session(definition, SGD(), ops)
        made = session.export(session.for_evaluation(session.init(weights, {}))).weights
        logits = trials[0].logits(weights, TOKENS[:-1])
        if problem := difference(session.logits(State(made, {}), TOKENS[:-1]), logits, 1e-12):
            fails(f"logits of the weights that are made differ from those in training {problem}")
    check_gradients(trials, weights, has_exact_gradient(reparametrization), findings)
    check_repeatable(trials, weights, TOKENS, findings)
