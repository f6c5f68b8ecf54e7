"""The example plugin optaxadapter: the same numbers as optax's own, through arrays that a checkpoint can hold."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gptlab.checks import assert_passes
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.optim.optimizers import Adam
from gptlab.plugins.loading import load_plugins
from tests.models import make_gpt, trained

REGISTRY = load_plugins().registry
Optax = REGISTRY.get("optimizer", "optax")
# adan's fields are not in the order of the alphabet, lars scales before it adds up, chains are deeper
RULES = {"adamw": {"weight_decay": 0.3}, "adan": {}, "lars": {"momentum": 0.5}, "adafactor": {}, "sm3": {}}


def arrays(seed):
    generator = np.random.default_rng(seed)
    return {name: generator.normal(size=(4, 4)).astype(np.float32) for name in ("b", "a", "c")}


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_and_passes_the_checks():
    assert REGISTRY.owner("optimizer", "optax") == "optaxadapter"
    assert_passes("optaxadapter")


@pytest.mark.slow
def test_adam_is_gptlabs_adam_over_20_steps():
    gpt, rule = make_gpt(), Optax("adam", {"b1": 0.85, "b2": 0.99, "eps": 1e-8})
    (one, losses), (other, expected) = (
        trained(XlaEngine("float64"), gpt, 20, optimizer=optimizer) for optimizer in (rule, Adam())
    )
    np.testing.assert_allclose(losses.loss, expected.loss, rtol=1e-6)
    for name, array in one.weights.items():
        np.testing.assert_allclose(array, other.weights[name], rtol=1e-6, atol=1e-9, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "keywords"), RULES.items(), ids=RULES.keys())
def test_steps_through_a_checkpoint_are_optaxs_own(rule, keywords):
    ours, theirs = Optax(rule, keywords), getattr(optax, rule)(0.05, **keywords)
    params, state = arrays(0), ours.init(arrays(0))
    expected, tree = arrays(0), theirs.init(arrays(0))
    update = jax.jit(lambda *given: ours.update(jnp, *given))
    for step in range(1, 6):
        # What an engine does: one float type, names in the order of the alphabet.
        kept = {name: jnp.asarray(a, dtype=jnp.float32) for name, a in state["optax"].items()}
        params, state = update(params, arrays(step), {"optax": kept}, step, 0.05)
        moves, tree = theirs.update(arrays(step), tree, expected)
        expected = optax.apply_updates(expected, moves)
    for name, array in expected.items():
        np.testing.assert_allclose(params[name], array, rtol=2e-5, atol=1e-6, err_msg=name)
        assert (np.abs(params[name] - arrays(0)[name]) > 1e-4).any()


def test_the_learning_rate_is_that_of_the_step():
    sgd, start, grads = Optax("sgd"), arrays(0), arrays(1)
    for rate in (0.1, 0.003):
        params, _ = sgd.update(jnp, start, grads, sgd.init(start), 1, rate)
        np.testing.assert_allclose(params["a"], start["a"] - np.float32(rate) * grads["a"], rtol=1e-6)


def test_programs_are_kept_by_rule_and_keywords():
    one, same = (Optax("sgd", {"momentum": 0.5}) for _ in range(2))
    assert one == same and hash(one) == hash(same)
    assert one != Optax("sgd", {"momentum": 0.6}) and one != Optax("lion", {})


def test_a_wrong_rule_gets_the_nearest():
    with pytest.raises(UserError, match=r"^optimizer\.rule must be .*got adamm\. Try .*adam"):
        Optax("adamm")


@pytest.mark.parametrize(
    ("rule", "keywords", "named"),
    [("adam", {"beta1": 0.9}, "b1"), ("adam", {"b1": "much"}, "much"), ("momo", {}, "value")],
    ids=["no such keyword", "no number", "wants more than gradients"],
)
def test_keywords_that_do_not_fit_are_refused_before_step_1(rule, keywords, named):
    with pytest.raises(UserError, match=rf"^optimizer\.keywords must fit optax's {rule}\(.*{named}"):
        Optax(rule, keywords)


def test_without_optax_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optax", None)
    with pytest.raises(UserError, match="pip install optax"):
        Optax()
