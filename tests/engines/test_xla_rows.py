"""Rows times a matrix: jax's own product in value and gradient, and under vmap one product of two matrices."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gptlab.engines.xla_rows import rows_times_matrix

B, T, K, M = 3, 4, 5, 6


def numbers(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(sum(shape)).standard_normal(shape, dtype=np.float32))


def squares(product):
    return lambda x, w: jnp.sum(product(x, w) ** 2)


def in_batch(product, axes):
    return lambda x, w: jnp.sum(jax.vmap(product, axes)(x, w) ** 2)


ONE = (numbers(T, K), numbers(K, M))
CASES = {
    "one row": (lambda product: squares(product), ONE),
    "a batch": (lambda product: in_batch(product, (0, None)), (numbers(B, T, K), ONE[1])),
    "a batch along another axis": (lambda product: in_batch(product, (1, None)), (numbers(T, B, K), ONE[1])),
    "a matrix each": (lambda product: in_batch(product, (0, 0)), (numbers(B, T, K), numbers(B, K, M))),
    "matrices alone": (lambda product: in_batch(product, (None, 0)), (ONE[0], numbers(B, K, M))),
    "models of batches": (
        lambda product: lambda x, w: jnp.sum(jax.vmap(in_batch(product, (0, None)))(x, w)),
        (numbers(2, B, T, K), numbers(2, K, M)),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_value_and_derivatives_are_those_of_a_product(case):
    make, (x, w) = CASES[case]
    own, plain = make(rows_times_matrix), make(jnp.matmul)
    for derivative in (lambda f: f, lambda f: jax.grad(f, (0, 1)), lambda f: jax.jacfwd(f, 1)):
        for found, expected in zip(
            jax.tree.leaves(jax.jit(derivative(own))(x, w)),
            jax.tree.leaves(derivative(plain)(x, w)),
            strict=True,
        ):
            np.testing.assert_allclose(found, expected, rtol=2e-5)
    direction = numbers(*w.shape) + 1

    def along(f):  # a product of the second derivatives, as an optimizer may want
        return jax.grad(lambda w: jnp.sum(jax.grad(f, 1)(x, w) * direction))(w)

    np.testing.assert_allclose(along(own), along(plain), rtol=2e-5)


def axes_summed(f, *arguments) -> set[int]:
    """How many axes the products of f sum over."""
    text = str(jax.make_jaxpr(f)(*arguments))
    return {len(axes.split(",")) for axes in re.findall(r"dimension_numbers=\(\(\[([\d, ]+)\]", text)}


def test_the_gradient_of_a_batch_sums_over_one_axis():
    x, w = numbers(B, T, K), ONE[1]
    gradient = jax.grad(in_batch(rows_times_matrix, (0, None)), 1)
    assert axes_summed(gradient, x, w) == {1}
    assert axes_summed(jax.grad(in_batch(jnp.matmul, (0, None)), 1), x, w) == {1, 2}  # what it is for


def test_half_rounds_what_is_multiplied_and_sums_the_batch_in_one_product():
    x, w = numbers(B, T, K), ONE[1]

    def half(x, w):
        return rows_times_matrix(x, w, True)

    found = jax.vmap(half, (0, None))(x, w)
    exact = jnp.matmul(x.astype(jnp.bfloat16).astype(jnp.float32), w.astype(jnp.bfloat16).astype(jnp.float32))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, exact, rtol=1e-5)
    assert not np.array_equal(found, jnp.matmul(x, w))
    shapes = str(jax.make_jaxpr(jax.grad(in_batch(half, (0, None)), 1))(x, w))
    assert f"[{B},{K},{M}]" not in shapes  # no gradient for each row of its own
