"""The cross-entropy of a large vocabulary, some words at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gptlab.autograd.ops import BUILTIN_OPS, OpTable
from gptlab.engines import xla_arithmetic, xla_programs, xla_streamed
from gptlab.engines.xla import XlaEngine
from gptlab.engines.xla_arithmetic import XlaArithmetic, cross_entropy
from gptlab.engines.xla_half import half_einsum
from gptlab.engines.xla_settings import jax_precision
from gptlab.optim.optimizers import Adam
from tests.models import assert_same_run, make_gpt, random_batches

ROWS, LENGTH, WIDTH = 3, 5, 4


@pytest.fixture
def parts_of_seven(monkeypatch):
    monkeypatch.setattr(xla_streamed, "PART", 7)


def numbers(words):
    random = np.random.default_rng(0)
    x, w = random.normal(size=(ROWS, LENGTH, WIDTH)) * 3, random.normal(size=(words, WIDTH)) * 3
    return x, w, random.integers(0, words, (ROWS, LENGTH)).astype(np.int32)


def losses_of(row, x, w, targets):
    """Of rows, each position with a weight of its own, and one that counts nothing."""
    shares = np.arange(x.shape[0] * x.shape[1]).reshape(x.shape[:2])
    return jnp.sum(jax.vmap(lambda x, t: row(x, w, t))(x, targets) * shares)


@pytest.mark.slow
@pytest.mark.parametrize("words", [3, 7, 14, 23])
def test_losses_and_gradients_are_those_of_all_logits_at_once(words, parts_of_seven):
    x, w, targets = numbers(words)
    with jax_precision("float64"):
        by_parts = lambda x, w, t: xla_streamed.streamed(jnp.einsum, x, w, t)  # noqa: E731
        at_once = lambda x, w, t: cross_entropy(x @ w.T, t)  # noqa: E731
        for which in (0, 1, (0, 1)):  # what is frozen has no gradient
            found, wanted = (
                jax.value_and_grad(lambda x, w, row=row: losses_of(row, x, w, targets), which)(x, w)
                for row in (by_parts, at_once)
            )
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12), found, wanted)


@pytest.mark.slow
def test_one_row_has_its_gradient_without_a_vmap(parts_of_seven):
    x, w, targets = numbers(20)
    with jax_precision("float64"):
        found, wanted = (
            jax.grad(lambda w, row=row: jnp.sum(row(w)))(w)
            for row in (
                lambda w: xla_streamed.streamed(jnp.einsum, x[0], w, targets[0]),
                lambda w: cross_entropy(x[0] @ w.T, targets[0]),
            )
        )
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


def test_logits_that_are_huge_or_no_numbers_are_as_at_once(parts_of_seven):
    x, w, targets = numbers(20)
    with jax_precision("float64"):
        big = xla_streamed.streamed(jnp.einsum, x[0] * 1e4, w, targets[0])
        np.testing.assert_allclose(big, cross_entropy(jnp.asarray(x[0] * 1e4 @ w.T), targets[0]), rtol=1e-12)
        x[0, 1, 0] = np.nan
        assert np.isnan(xla_streamed.streamed(jnp.einsum, x[0], w, targets[0])).tolist() == [False, True] + [
            False
        ] * (LENGTH - 2)


def test_no_array_has_a_number_for_each_position_and_word():
    x, w, t = jnp.ones((2, 512, 16)), jnp.ones((20_000, 16)), jnp.zeros((2, 512), jnp.int32)
    logits = 4 * 2 * 512 * 20_000

    def taken(row):
        gradient = jax.grad(lambda x, w: losses_of(row, x, w, t), (0, 1))
        return jax.jit(gradient).lower(x, w).compile().memory_analysis().temp_size_in_bytes

    assert taken(lambda x, w, t: xla_streamed.streamed(jnp.einsum, x, w, t)) < logits / 2
    assert taken(lambda x, w, t: cross_entropy(x @ w.T, t)) >= logits


def run(dtype="float64", **changes):
    gpt, optimizer = make_gpt(**changes), Adam()
    session = XlaEngine(dtype, remat=True).session(gpt, optimizer, OpTable())
    weights = gpt.initial_weights(0)
    xla_programs.train_program.cache_clear()
    state, metrics = session.train(
        session.init(weights, optimizer.init(weights)), random_batches(gpt, 8, 3), np.full(8, 0.01)
    )
    return session.export(state), metrics


@pytest.mark.slow
def test_a_run_is_the_same_run(monkeypatch, parts_of_seven):
    whole = run(tieEmbeddings=True)
    monkeypatch.setattr(xla_arithmetic, "STREAMED", 1)
    called = []
    monkeypatch.setattr(
        xla_arithmetic, "streamed", lambda *given: called.append(1) or xla_streamed.streamed(*given)
    )
    assert_same_run(run(tieEmbeddings=True), whole, rtol=1e-10)
    assert called
    xla_programs.train_program.cache_clear()


@pytest.mark.slow
def test_bfloat16_rounds_the_same_products(parts_of_seven):
    x, w, targets = (array.astype(np.float32) if array.dtype == float else array for array in numbers(20))
    at_once = cross_entropy(half_einsum("te,pe->tp", x[0], w), targets[0])
    np.testing.assert_allclose(xla_streamed.streamed(half_einsum, x[0], w, targets[0]), at_once, rtol=1e-6)


def test_which_logits_are_too_many():
    standard = XlaArithmetic(OpTable(), "float32")
    assert standard.streams(1024, 50_257) and not standard.streams(256, 50_257)
    assert not standard.streams(16, 597)
    for swapped in ("mul", "exp"):
        table = OpTable({swapped: BUILTIN_OPS["maximum" if swapped == "mul" else "relu"]})
        assert not XlaArithmetic(table, "float32").streams(1024, 50_257)
