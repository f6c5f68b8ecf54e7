"""engine.dtype=bfloat16: matrix products between float32 numbers."""

import numpy as np
import pytest

from gptlab.autograd.ops import BUILTIN_OPS, OpTable
from gptlab.engines.xla import XlaEngine
from gptlab.engines.xla_settings import jax_precision
from gptlab.errors import UserError
from gptlab.optim.optimizers import Adam
from tests.models import make_gpt, random_batches


def run(dtype, steps=200, **changes):
    gpt = make_gpt(**changes)
    session, weights = XlaEngine(dtype).session(gpt, Adam(), OpTable()), gpt.initial_weights(0)
    state = session.init(weights, Adam().init(weights))
    batches = random_batches(gpt, steps, 2)
    state, metrics = session.train(state, batches, np.full(steps, 0.003))
    return session, state, metrics, batches


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"mlp": "swiglu", "attention": ("causal", {"nKVHead": 1})}])
def test_two_hundred_steps_are_nearly_those_of_float32(changes):
    (session, state, half, batches), (whole, its, full, _) = (
        run("bfloat16", **changes),
        run("float32", **changes),
    )
    difference = np.abs(half.loss - full.loss)
    assert 0 < difference.max() < 0.05 and difference[:10].max() < 0.005
    exported = session.export(state)
    arrays = [
        *exported.weights.values(),
        *(a for named in exported.optimizer.values() for a in named.values()),
    ]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}
    logits, same = (
        session.logits(state, batches.tokens[0, 0, :-1]),
        whole.logits(its, batches.tokens[0, 0, :-1]),
    )
    assert logits.dtype == np.float32 and np.abs(logits - same).max() < 0.2


@pytest.mark.slow
def test_a_product_and_its_gradients_are_of_rounded_numbers_summed_in_float32():
    import jax
    import jax.numpy as jnp

    from gptlab.engines.xla_half import half_matmul

    def rounded(x):
        return np.asarray(jnp.asarray(x, jnp.bfloat16).astype(jnp.float32)).astype(float)

    with jax_precision("float32"):
        rng = np.random.default_rng(0)
        for shapes in (((5, 7), (7, 3)), ((2, 5, 7), (7, 3)), ((2, 5, 7), (2, 7, 3))):
            x, w = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)
            found, back = jax.vjp(half_matmul, x, w)
            expected = rounded(x) @ rounded(w)
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
            assert np.abs(np.asarray(found) - np.asarray(x) @ np.asarray(w)).max() > 1e-4
            given = rng.normal(size=found.shape).astype(np.float32)
            dx, dw = back(jnp.asarray(given))
            np.testing.assert_allclose(
                dx, rounded(given) @ np.swapaxes(rounded(w), -1, -2), rtol=1e-4, atol=1e-4
            )
            whole = np.swapaxes(rounded(x), -1, -2) @ rounded(given)
            expected = whole.sum(0) if whole.ndim > len(shapes[1]) else whole
            np.testing.assert_allclose(dw, expected, rtol=1e-4, atol=1e-4)


def test_where_there_are_no_products_it_is_refused():
    gpt, table = make_gpt(), OpTable({"mul": BUILTIN_OPS["maximum"]})
    with pytest.raises(
        UserError, match=r"engine\.dtype=bfloat16 is for matrix products, and with add or mul swapped"
    ):
        XlaEngine("bfloat16").session(gpt, Adam(), table)
    with pytest.raises(
        UserError, match=r"engine\.dtype must be one of float32, float64, bfloat16: got float16"
    ):
        XlaEngine("float16")
