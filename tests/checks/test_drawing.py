"""check finds what draws at random in a way that depends on how its numbers are computed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from gptlab.checks.check import Findings
from gptlab.checks.drawing import check_drawing, draws_at_random
from gptlab.checks.models import all_ops, moved_weights, small_model
from gptlab.checks.parts import check_a_component
from gptlab.plugins.loading import load_plugins

REGISTRY = load_plugins().registry


@dataclass(frozen=True)
class Noisy:
    """An mlp that drops half of what comes in while training; how is its subclasses' business."""

    def weights(self, config: Any) -> dict[str, Any]:
        return {"output": (config.nEmbd, config.nEmbd)}

    def __call__(self, weights: Any, x: Any, activation: Any, context: Any) -> Any:
        if context.training:
            x = x.where(self.drawn(x, context) >= 0.5, 0.0)
        return x @ weights["output"].T

    def drawn(self, x: Any, context: Any) -> Any:
        return context.uniform(x.shape)


class Backwards(Noisy):
    """The first position of a row gets what was drawn for the last one."""

    def drawn(self, x: Any, context: Any) -> Any:
        return context.uniform(x.shape)[::-1]


class Always(Noisy):
    """It does not ask whether this is training."""

    def __call__(self, weights: Any, x: Any, activation: Any, context: Any) -> Any:
        return x.where(context.uniform(x.shape) >= 0.5, 0.0) @ weights["output"].T


class ByNumpy(Noisy):
    """A generator of its own, of which a resumed run knows nothing."""

    def drawn(self, x: Any, context: Any) -> Any:
        return np.random.default_rng().random(x.shape)


def found_in(
    component: Any, *, whole: bool = False, engines: tuple[str, ...] = ("scalar", "xla")
) -> dict[str, str]:
    """What was tried, with what is wrong: of what it draws, or of the whole component."""
    findings = Findings("mlp", "noisy", [])
    if whole:
        check_a_component(REGISTRY, "mlp", component, findings)
    else:
        definition = small_model(REGISTRY, mlp=component)
        check_drawing(definition, all_ops(REGISTRY), moved_weights(definition), engines, findings)
    return {check.what: check.problem for check in findings.checks}


@pytest.mark.slow
def test_what_draws_for_its_own_positions_draws_alike() -> None:
    assert found_in(Noisy()) == {"draws alike": ""}


@pytest.mark.slow
def test_what_draws_for_other_positions_is_found() -> None:
    problem = found_in(Backwards(), engines=("xla",))["draws alike"]
    assert "between each document in a row of its own and documents that share rows" in problem
    assert "the first axis of context.uniform is that of x" in problem


def test_what_draws_in_an_evaluation_is_found() -> None:
    assert "in training steps only" in found_in(Always(), whole=True)["weights fit their use"]


@pytest.mark.slow
def test_what_draws_by_a_generator_of_its_own_is_found() -> None:
    found = found_in(ByNumpy(), whole=True)
    assert "draws alike" not in found and "different bits (scalar engine)" in found["repeatable"]


def test_a_component_that_draws_nothing_is_not_trained_for_it() -> None:
    definition = small_model(REGISTRY)
    assert not draws_at_random(definition, all_ops(REGISTRY)) and found_in(REGISTRY.get("mlp", "mlp")()) == {}
