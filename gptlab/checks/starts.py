"""Checks of inits and samplers: where a model begins, and how a token is drawn from what it says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.checks.check import Findings, difference
from gptlab.checks.models import small_model
from gptlab.checks.trials import ScalarTrial
from gptlab.engines.engine import takes_seen
from gptlab.engines.xla_settings import jax_precision
from gptlab.model.init import Init
from gptlab.plugins.registry import Registry
from gptlab.training.samplers import Sampler, chooser_of

VOCABULARY = 11
TOKENS = np.array([10, 3, 1, 4, 0, 10])


def check_an_init(registry: Registry, init: Any, findings: Findings) -> None:
    with findings.trying("is an Init") as fails:
        if not isinstance(init, Init):
            fails("it must be a gptlab.Init: class NAME(gptlab.Init)")
    if not findings.checks[-1].passed:
        return
    definition = small_model(registry, init=init)
    with findings.trying("weights of the declared shapes, finite"):
        weights = definition.initial_weights(0)
        wrong = [name for name, array in weights.items() if not np.isfinite(array).all()]
        if wrong or not np.isfinite(ScalarTrial(definition, OpTable()).loss(weights, TOKENS)):
            raise ValueError(f"numbers that are not finite, in {', '.join(wrong) or 'the loss'}")
    if not findings.checks[-1].passed:
        return
    with findings.trying("the seed's alone") as fails:
        again = definition.initial_weights(0)
        if differing := unlike(weights, again):
            fails(
                f"a second start gives a different {differing[0]}: draw from the generator that is given, and keep "
                "no state"
            )
        if not unlike(weights, definition.initial_weights(1)):
            fails("another seed gives the same weights")
    with findings.trying("each weight by itself") as fails:
        shared = replace(definition, finalNorm=True, position=registry.get("position", "none")())
        other = shared.initial_weights(0)
        common = {name: array for name, array in weights.items() if name in other}
        if differing := unlike(common, other):
            fails(f"{differing[0]} starts differently when the model has other weights beside it")
    with findings.trying("rates of weights that there are") as fails:
        rates = init.rates(definition.shapes)
        if unknown := [name for name in rates if name not in weights]:
            fails(f"rates() names {unknown[0]}, which is not a weight")
        if bad := [name for name, rate in rates.items() if not (np.isfinite(rate) and rate > 0)]:
            fails(f"rates() must give positive numbers: got {rates[bad[0]]} for {bad[0]}")


def unlike(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> list[str]:
    """The weights of the first that are not the same to the bit in the second."""
    return [name for name, array in one.items() if array.tobytes() != other[name].tobytes()]


def check_a_sampler(sampler: Any, findings: Findings) -> None:
    with findings.trying("is a Sampler") as fails:
        if not isinstance(sampler, Sampler):
            fails("it must be a gptlab.Sampler: class NAME(gptlab.Sampler)")
    if not findings.checks[-1].passed:
        return
    choose, settings = chooser_of(sampler, 1.0)
    cases = list(drawing_cases(takes_seen(choose)))
    drawn: list[int] = []
    with findings.trying("draws a token of the vocabulary") as fails:
        for logits, *known in cases:
            token = np.asarray(choose(np, logits, *known, **settings))
            if token.shape or not np.issubdtype(token.dtype, np.integer) or not 0 <= token < len(logits):
                fails(f"of {len(logits)} tokens it drew {token}")
            else:
                drawn.append(int(token))
    if not findings.checks[-1].passed:
        return
    with findings.trying("engines agree") as fails, jax_precision("float64"):
        columns = [np.array(column) for column in zip(*cases, strict=True)]
        # The fields are inputs of the program, as they are when it generates.
        compiled = jax.jit(lambda given, *all_: jax.vmap(lambda *case: choose(jnp, *case, **given))(*all_))
        if problem := difference(
            compiled({k: jnp.asarray(v) for k, v in settings.items()}, *columns), drawn, 0.0
        ):
            fails(f"what jax and numpy draw differs {problem}")
    with findings.trying("the same twice") as fails:
        if [int(choose(np, *case, **settings)) for case in cases] != drawn:
            fails("the same number draws a different token: draw by `uniform` alone, and keep no state")


def drawing_cases(with_seen: bool) -> Iterator[tuple[Any, ...]]:
    """logits (V,), a number in [0, 1), and how often each token is there already, from flat to certain."""
    generator = np.random.default_rng(0)
    for scale in (0.0, 0.3, 3.0, 30.0, 1e4):
        for uniform in (0.0, *generator.random(18), np.nextafter(1.0, 0.0)):
            logits, seen = generator.normal(size=VOCABULARY) * scale, generator.integers(0, 3, VOCABULARY)
            seen[-1] = 0
            yield (logits, uniform, seen) if with_seen else (logits, uniform)
