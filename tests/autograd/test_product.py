"""Fused matrix products: their entries share rows and columns, and must look and differentiate as if they did not."""

import copy
import gc
import math
import weakref

import numpy as np
import pytest

from gptlab import Value
from gptlab.autograd.ops import OpTable
from gptlab.autograd.product import MatrixProduct, folded_product
from gptlab.autograd.tensor import Tensor
from gptlab.autograd.value import topological_order
from gptlab.engines.scalar_arithmetic import ScalarArithmetic, as_values, data_of

GENERATOR = np.random.default_rng(0)
X, W, V = (GENERATOR.normal(size=shape) for shape in ((3, 4), (4, 5), (5, 2)))
MASK = np.tril(np.ones((3, 4), dtype=bool))


def product(x, w, mask=None, fuse=True):
    arrays = ScalarArithmetic(OpTable(), fuse)
    return Tensor(x, arrays).matmul(Tensor(w, arrays), mask).data


def grads_of(values):
    return np.array([value.grad for value in values.flat]).reshape(values.shape)


@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
def test_each_entry_is_a_node_with_its_children_and_local_gradients(mask):
    x, w = as_values(X), as_values(W)
    entries = product(x, w, mask)
    for (i, j), entry in np.ndenumerate(entries):
        kept = [k for k in range(4) if mask is None or mask[i, k]]
        assert entry.children == (*(x[i, k] for k in kept), *(w[k, j] for k in kept))
        assert entry.local_grads == (*(W[k, j] for k in kept), *(X[i, k] for k in kept))
        assert entry.op == "dot"
        assert topological_order(entry) == [entry]


def chained(x, w, v, mask, fuse):
    """Products of products, on either side, and of one of them only some entries in what follows."""
    inner = product(x, w, mask, fuse)
    outer = product(inner, v, None, fuse)
    scores = product(inner, product(w.T, x.T, None, fuse), None, fuse)
    total = Value(0.0)
    for i, value in enumerate([*outer.flat, *inner[0, :2], scores[0, 0], scores[2, 1]]):
        total = total + value * value * (0.5 + i)
    return total


@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
def test_gradients_are_those_of_a_node_an_operation(mask):
    ends = []
    for fuse in (True, False):
        leaves = [as_values(a) for a in (X, W, V)]
        total = chained(*leaves, mask, fuse)
        total.backward()
        ends.append((total.data, [grads_of(leaf) for leaf in leaves]))
    assert ends[0][0] == ends[1][0]
    for one, other in zip(ends[0][1], ends[1][1], strict=True):
        assert np.abs(one).min() > 0 or mask is not None
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def test_the_numbers_are_to_the_bit_those_of_a_fold_whatever_the_shapes():
    whole = folded_product(X, W)
    assert whole.tolist() == [[sum(X[i, k] * W[k, j] for k in range(4)) for j in range(5)] for i in range(3)]
    assert folded_product(X[1:2], W[:, 3:]).tolist() == whole[1:2, 3:].tolist()


def test_backward_from_one_entry_leaves_what_it_was_not_made_from_alone():
    x, w, v = as_values(X), as_values(W), as_values(V)
    inner = product(x, w)
    outer = product(inner, v)
    inner[2, 0].grad = 7.0
    outer[0, 1].backward()
    assert not grads_of(x)[1:].any()
    assert grads_of(x)[0].all()
    assert not grads_of(v)[:, 0].any()
    assert inner[2, 0].grad == 7.0
    assert outer[0, 0].grad == 0.0
    assert [n.grad for n in inner[0]] == V[:, 1].tolist()


def test_an_infinity_reaches_only_what_it_is_part_of():
    numbers = X.copy()
    numbers[1, 2] = math.inf
    x, w = as_values(numbers), as_values(W)
    product(x, w)[0, 3].backward()
    assert grads_of(w)[:, 3].tolist() == X[0].tolist()
    x, w = as_values(numbers), as_values(W)
    masked = product(x, w, ~np.isinf(numbers))
    assert np.isfinite(data_of(masked)).all()
    sum(masked.flat, Value(0.0)).backward()
    assert np.isfinite(grads_of(w)).all()
    assert grads_of(x)[1, 2] == 0.0


def test_a_second_backward_adds_to_leaves_alone():
    x, w, v = as_values(X), as_values(W), as_values(V)
    total = chained(x, w, v, None, True)
    total.backward()
    once = grads_of(x)
    total.backward()
    np.testing.assert_allclose(grads_of(x), 2 * once, rtol=1e-15)


def test_a_copied_entry_passes_its_own_gradient_on():
    x, w = as_values(X), as_values(W)
    entry = product(x, w)[0, 0]
    (entry * 2 + copy.copy(entry) * 3).backward()
    np.testing.assert_allclose(grads_of(x)[0], 5 * W[:, 0], rtol=1e-15)


def test_constants_are_no_children_and_leave_no_node():
    arrays = ScalarArithmetic(OpTable())
    mixed = as_values(X)
    mixed[:, 1] = X[:, 1].tolist()
    entry = product(mixed, arrays.constant(W))[0, 0]
    assert entry.children == (mixed[0, 0], mixed[0, 2], mixed[0, 3])
    assert entry.local_grads == (W[0, 0], W[2, 0], W[3, 0])
    plain = product(arrays.constant(X), arrays.constant(W))
    assert plain.dtype == float
    assert data_of(product(mixed, as_values(W))).tolist() == plain.tolist()


ONE = as_values(np.ones((1, 1)))
SEEN = np.ones((1, 1), dtype=bool)
# What makes the next (1, 1) Value of a chain: every kind of node, and every place in a product.
LINKS = {
    "operator": lambda arrays, x: np.array([[x[0, 0] * 1.0]], dtype=object),
    "op": lambda arrays, x: arrays.apply("mul", x, 1.0),
    "sum": lambda arrays, x: arrays.sum(x, 0, True),
    "difference": lambda arrays, x: arrays.subtract(x, 0.0),
    "quotient": lambda arrays, x: arrays.divide(x, 1.0),
    "product from the left": lambda arrays, x: arrays.matmul(x, ONE),
    "product from the right": lambda arrays, x: arrays.matmul(ONE, x),
    "masked product": lambda arrays, x: arrays.matmul(x, ONE, SEEN),
    "product with a constant": lambda arrays, x: arrays.matmul(x, np.ones((1, 1))),
}


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [*([kind] for kind in LINKS), list(LINKS)], ids=[*LINKS, "all in turn"])
def test_a_chain_of_any_depth_meets_no_recursion_limit_and_is_freed_without_the_collector(kinds):
    class Watched(Value):
        __slots__ = ("__weakref__",)

    arrays = ScalarArithmetic(OpTable())
    start = chain = np.array([[Watched(1.0)]], dtype=object)
    for i in range(12_000):  # beyond what Python 3.13 lets C recurse to, 10,000
        chain = LINKS[kinds[i % len(kinds)]](arrays, chain)
    gc.disable()
    try:
        chain[0, 0].backward()
        assert start[0, 0].grad == 1.0
        watched = weakref.ref(start[0, 0])
        del start, chain
        assert watched() is None
    finally:
        gc.enable()


def test_no_array_of_objects_holds_the_graph():
    # Nothing limits the depth at which arrays of objects are freed, on any Python.
    shared = product(as_values(X), as_values(W), MASK)[0, 0].product
    held = [getattr(shared, name) for name in MatrixProduct.__slots__]
    assert not [array for array in held if isinstance(array, np.ndarray) and array.dtype == object]


def test_there_is_one_product_for_all_entries():
    x, w = as_values(X), as_values(W)
    (shared,) = {entry.product for entry in product(x, w).flat}
    assert isinstance(shared, MatrixProduct)
