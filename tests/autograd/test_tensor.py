"""Tensor: each operation against numpy, with gradients, on both engines' arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.engines.scalar_arithmetic import ScalarArithmetic, as_values, data_of
from gptlab.engines.xla_arithmetic import XlaArithmetic
from gptlab.errors import UserError

GENERATOR = np.random.default_rng(0)
A = GENERATOR.normal(size=(3, 4))
B = GENERATOR.uniform(0.5, 2.0, size=(3, 4))
ROW = GENERATOR.uniform(0.5, 2.0, size=(4,))
COLUMN = GENERATOR.uniform(0.5, 2.0, size=(3, 1))
W = GENERATOR.normal(size=(4, 5))
STACK = GENERATOR.normal(size=(2, 4, 3))
MASK = np.array([[True, False, True, True], [False, True, False, False], [True, True, True, True]])
HEADS = GENERATOR.normal(size=(3, 2, 4))
OTHER_HEADS = GENERATOR.normal(size=(5, 2, 4))
CHANCES = GENERATOR.uniform(size=(2, 3, 5))
SEEN = np.tril(np.ones((3, 5), dtype=bool), 2)
SHARES = np.exp(CHANCES) * SEEN

CASES = {
    "a+b": (lambda x, y: x + y, A, B),
    "a-b": (lambda x, y: x - y, A, B),
    "a*b": (lambda x, y: x * y, A, B),
    "a/b": (lambda x, y: x / y, A, B),
    "b**a": (lambda x, y: y**x, A, B),
    "row": (lambda x, y: x * y + y, A, ROW),
    "column": (lambda x, y: x / y - y, A, COLUMN),
    "numbers": (lambda x, y: 2 - (3 * x + 1) / 4 + 2 / y - -x, A, B),
    "a@w": (lambda x, y: x @ y, A, W),
    "stack@": (lambda x, y: x @ y, STACK, A),
    "@stack": (lambda x, y: y @ x, STACK, A),
    "T": (lambda x, y: x @ y.T, A, B),
    "sum": (lambda x, y: (x * y).sum(0), A, B),
    "sum-keep": (lambda x, y: x / y.sum(-1, keepdims=True), A, B),
    "mean": (lambda x, y: (x * y).mean(-1), A, B),
    "reshape": (lambda x, y: x.reshape(2, 6).swapaxes(0, 1) * 2 + y.reshape(6, 2), A, B),
    "index": (lambda x, y: x[1:, ::2] * y[:2, 1:3], A, B),
    "take": (lambda x, y: x.take(np.array([2, 0, 2])) * y, A, B),
    "pick": (lambda x, y: (x * y).pick(np.array([3, 0, 1])), A, B),
    "argmax": (lambda x, y: (x * y).pick((x * y).argmax()), A, B),
    "where": (lambda x, y: (x * x).where(MASK, y), A, B),
    "concatenate": (lambda x, y: x.concatenate(y, axis=0) * 2, A, B),
    "softmax": (lambda x, y: x.softmax(MASK) * y, A, B),
    "scores": (lambda x, y: x.einsum("thd,shd->hts", y), HEADS, OTHER_HEADS),
    "heads": (lambda x, y: x.einsum("hts,shd->thd", y), CHANCES, OTHER_HEADS),
    "attend": (lambda x, y: x.attend(y, SEEN), CHANCES, OTHER_HEADS),
    "one-row": (lambda x, y: x.einsum("thd,shd->hts", y), HEADS[:1], OTHER_HEADS),
    "one-row's-heads": (lambda x, y: x.einsum("hts,shd->thd", y), CHANCES[:, :1], OTHER_HEADS),
    "products": (lambda x, y: (p := x.products(y, y * 2, x[:2]))[0].concatenate(p[1], p[2]), A, B),
}
NUMPY = {
    "b**a": lambda: B**A,
    "a@w": lambda: A @ W,
    "stack@": lambda: STACK @ A,
    "@stack": lambda: A @ STACK,
    "T": lambda: A @ B.T,
    "numbers": lambda: 2 - (3 * A + 1) / 4 + 2 / B + A,
    "sum": lambda: (A * B).sum(0),
    "sum-keep": lambda: A / B.sum(-1, keepdims=True),
    "mean": lambda: (A * B).mean(-1),
    "reshape": lambda: A.reshape(2, 6).swapaxes(0, 1) * 2 + B.reshape(6, 2),
    "index": lambda: A[1:, ::2] * B[:2, 1:3],
    "take": lambda: A[[2, 0, 2]] * B,
    "pick": lambda: (A * B)[[0, 1, 2], [3, 0, 1]],
    "argmax": lambda: (A * B).max(-1),
    "where": lambda: np.where(MASK, A * A, B),
    "concatenate": lambda: np.concatenate([A, B]) * 2,
    "softmax": lambda: np.exp(A) * MASK / (np.exp(A) * MASK).sum(-1, keepdims=True) * B,
    "scores": lambda: np.einsum("thd,shd->hts", HEADS, OTHER_HEADS),
    "heads": lambda: np.einsum("hts,shd->thd", CHANCES, OTHER_HEADS),
    "attend": lambda: np.einsum("hts,shd->thd", SHARES / SHARES.sum(-1, keepdims=True), OTHER_HEADS),
    "one-row": lambda: np.einsum("thd,shd->hts", HEADS[:1], OTHER_HEADS),
    "one-row's-heads": lambda: np.einsum("hts,shd->thd", CHANCES[:, :1], OTHER_HEADS),
    "products": lambda: np.concatenate([A @ B.T, 2 * A @ B.T, A @ A[:2].T], axis=1),
}


def scalar_result(function, x, y, fuse):
    """(value, gradients) of the sum of squares, so that every entry has a gradient of its own."""
    arrays = ScalarArithmetic(OpTable(), fuse)
    leaves = [as_values(x), as_values(y)]
    result = function(*[Tensor(leaf, arrays) for leaf in leaves])
    arrays.fold("add", (result * result).data.reshape(-1), 0)[()].backward()
    return data_of(result.data), [
        np.array([v.grad for v in leaf.flat]).reshape(leaf.shape) for leaf in leaves
    ]


def xla_result(function, x, y):
    arrays = XlaArithmetic(OpTable(), "float64")

    def loss(x, y):
        result = function(Tensor(x, arrays), Tensor(y, arrays)).data
        return jnp.sum(result * result), result

    with jax.enable_x64(True):
        grads, result = jax.grad(loss, argnums=(0, 1), has_aux=True)(jnp.asarray(x), jnp.asarray(y))
        return np.asarray(result), [np.asarray(g) for g in grads]


@pytest.mark.parametrize(("function", "x", "y"), CASES.values(), ids=CASES.keys())
def test_both_engines_agree_in_values_and_gradients(function, x, y):
    value, grads = xla_result(function, x, y)
    for fuse in (True, False):
        other, other_grads = scalar_result(function, x, y, fuse)
        np.testing.assert_allclose(value, other, rtol=1e-12, atol=1e-14)
        for one, two in zip(grads, other_grads, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", NUMPY)
def test_values_are_numpys(name):
    np.testing.assert_allclose(scalar_result(*CASES[name], True)[0], NUMPY[name](), rtol=1e-12)


@pytest.mark.parametrize(
    "make", [lambda: ScalarArithmetic(OpTable()), lambda: XlaArithmetic(OpTable(), "float32")]
)
def test_no_gradient_flows_through_the_largest(make):
    arrays = make()
    if isinstance(arrays, ScalarArithmetic):
        assert all(isinstance(x, float) for x in arrays.largest(as_values(A), -1).flat)
    else:
        gradient = jax.grad(lambda x: jnp.sum(arrays.largest(x, -1)))(jnp.asarray(A, dtype="float32"))
        assert not gradient.any()


@pytest.mark.parametrize(
    "make", [lambda: ScalarArithmetic(OpTable()), lambda: XlaArithmetic(OpTable(), "float32")]
)
def test_argmax_is_the_first_of_the_largest_as_indices(make):
    x = Tensor(make().constant([[1.0, 3.0, 3.0], [2.0, -1.0, 0.5]]), make())
    np.testing.assert_array_equal(x.argmax(), [1, 0])
    np.testing.assert_array_equal(x.argmax(0), [1, 0, 0])


@pytest.mark.parametrize(
    "make", [lambda: ScalarArithmetic(OpTable()), lambda: XlaArithmetic(OpTable(), "float32")]
)
def test_masked_entries_take_no_part(make):
    x = Tensor(make().constant(A), make())
    total = np.asarray(x.sum(-1, mask=MASK).data, dtype=float)
    np.testing.assert_allclose(total, (A * MASK).sum(-1), rtol=1e-6)
    product = np.asarray(x.matmul(x.constant(W), MASK).data, dtype=float)
    np.testing.assert_allclose(product, (A * MASK) @ W, rtol=1e-5)


@pytest.mark.parametrize("equation", ["td,sd->", "td,sd->tsd", "thd,shd->hs", "tt,sd->ts", "ab,cd->ac"])
def test_einsum_sums_one_index(equation):
    x = Tensor(ScalarArithmetic(OpTable()).constant(A), ScalarArithmetic(OpTable()))
    with pytest.raises(UserError, match="einsum must sum one index") as error:
        x.einsum(equation, x)
    assert equation in str(error.value)


def test_an_op_is_applied_by_name_and_an_unknown_one_named():
    x = Tensor(ScalarArithmetic(OpTable()).constant(A), ScalarArithmetic(OpTable()))
    np.testing.assert_array_equal(data_of(x.apply("relu").data), np.maximum(A, 0))
    with pytest.raises(UserError, match=r"no op is named 'rellu'. Did you mean relu"):
        x.apply("rellu")


def test_float32_stays_float32_beside_python_numbers():
    x = Tensor(jnp.ones((2, 2), dtype="float32"), XlaArithmetic(OpTable(), "float32"))
    assert ((2 * x - 1) / 3 + x**0.5 @ x.T).apply("exp").data.dtype == jnp.float32
