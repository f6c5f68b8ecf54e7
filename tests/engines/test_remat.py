"""engine.remat: what is computed again in the backward pass is what was computed in the forward pass."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gptlab.autograd.ops import BUILTIN_OPS, OpTable
from gptlab.engines import xla_arithmetic
from gptlab.engines.xla import XlaEngine
from gptlab.engines.xla_remat import recomputed
from gptlab.model.block import PreNorm
from gptlab.model.norm import RMSNorm
from gptlab.optim.optimizers import Adam
from tests.models import assert_same_run, make_gpt, random_batches

STEPS = 8


@dataclass(frozen=True)
class Handing(RMSNorm):
    """Writes into the context in each layer, reads what an earlier one wrote, draws, and adds a penalty."""

    def __call__(self, weights, x, context):
        y = super().__call__(weights, x)
        if context.layer is None:
            return y
        if "handed" in context.carried:
            y = y + context.carried["handed"] * 0.5
        context.carried["handed"] = y * y
        context.penalty("size", (y * y).mean() * 0.01)
        return context.drop(y, 0.1)


@dataclass(frozen=True)
class Twofold(PreNorm):
    """Hands two Tensors from the first layer to the second."""

    def __call__(self, weights, x, model, context):
        if isinstance(x, list):
            return super().__call__(weights, x[0] + x[1], model, context)
        made = super().__call__(weights, x, model, context)
        return [made, made * 0.5]


def run(remat, ops=None, **changes):
    gpt, optimizer = make_gpt(**changes), Adam()
    session = XlaEngine("float64", remat=remat).session(gpt, optimizer, ops or OpTable())
    weights = gpt.initial_weights(0)
    batches = random_batches(gpt, STEPS, 3)
    state, metrics = session.train(
        session.init(weights, optimizer.init(weights)), batches, np.full(STEPS, 0.01)
    )
    return session.export(state), metrics


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "ops"),
    [
        ({"dropout": 0.2, "marked": True}, None),
        ({"norm": Handing()}, None),
        ({"block": Twofold()}, None),
        ({}, OpTable({"mul": BUILTIN_OPS["maximum"]})),
    ],
    ids=["dropout and answers", "carried, penalties, draws", "two streams", "swapped"],
)
def test_a_step_is_what_it_is_where_everything_is_kept(changes, ops, monkeypatch):
    layers = []
    monkeypatch.setattr(xla_arithmetic, "recomputed", lambda *given: layers.append(1) or recomputed(*given))
    again, kept = run(True, ops, **changes), run(False, ops, **changes)
    assert_same_run(again, kept, rtol=1e-12)
    assert len(layers) >= 2  # one a layer, as often as the program is traced


def temporary(function, *arguments):
    """Bytes that the compiled gradient of a function takes."""
    program = jax.jit(jax.grad(function)).lower(*arguments).compile()
    return program.memory_analysis().temp_size_in_bytes


def test_a_layer_that_is_computed_again_is_not_kept():
    """Eight layers that are wide inside. jax.checkpoint is what this is worth writing for: here it keeps them all."""

    def wide(w, x):
        return x + jnp.tanh(x @ w) @ w.T

    def loss(layer):
        def of(weights, x, step):
            for w in weights:
                x = layer(w, x, step)
            return jnp.sum(jax.vmap(jnp.sum)(x) ** 2)

        return of

    def again(w, x, step):
        return jax.vmap(lambda row: recomputed(lambda: [wide(w, row)], step >= 1)[0])(x)

    arguments = [jnp.ones((16, 1024)) for _ in range(8)], jnp.ones((4, 256, 16)), 1
    kept = temporary(loss(lambda w, x, step: wide(w, x)), *arguments)
    checkpointed = temporary(loss(lambda w, x, step: jax.checkpoint(wide)(w, x)), *arguments)
    assert temporary(loss(again), *arguments) < kept / 2
    assert checkpointed > kept / 2  # else it would do
