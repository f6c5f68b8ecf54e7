"""The example plugin muon: what it does to singular values, and to whom."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptlab.checks import assert_passes
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.optim.optimizers import Adam
from gptlab.plugins.loading import load_plugins
from tests.models import assert_same_run, make_gpt, trained

REGISTRY = load_plugins().registry
Muon = REGISTRY.get("optimizer", "muon")
orthogonalized = sys.modules[Muon.__module__].orthogonalized


def matrix_of(rows, columns, values, seed):
    """A random matrix with these singular values, and its U and V."""
    generator = np.random.default_rng(seed)
    left = np.linalg.qr(generator.normal(size=(rows, rows)))[0][:, : len(values)]
    right = np.linalg.qr(generator.normal(size=(columns, columns)))[0][:, : len(values)]
    return left @ np.diag(values) @ right.T, left, right


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("optimizer", "muon") == "muon"
    assert_passes("muon")


@given(
    rows=st.integers(1, 12),
    columns=st.integers(1, 12),
    scale=st.floats(1e-3, 1e3),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_singular_values_come_to_lie_where_the_author_says_and_directions_stay(
    rows, columns, scale, seed, data
):
    count = min(rows, columns)
    values = scale * np.array(data.draw(st.lists(st.floats(0.02, 1), min_size=count, max_size=count)))
    matrix, left, right = matrix_of(rows, columns, values, seed)
    between = left.T @ orthogonalized(np, matrix, 5) @ right
    found = np.diag(between)
    # Jordan: "S' is diagonal with S_ii' ~ Uniform(0.5, 1.5)"
    assert ((found > 0.5) & (found < 1.5)).all()
    np.testing.assert_allclose(between, np.diag(found), atol=1e-9)


def test_fewer_rounds_are_not_enough_for_a_small_singular_value():
    matrix, _, _ = matrix_of(4, 4, [1, 1, 1, 0.01], 0)
    least = [np.linalg.svd(orthogonalized(np, matrix, rounds))[1].min() for rounds in (1, 5)]
    assert least[0] < 0.1 and least[1] > 0.5


def test_a_stack_of_matrices_is_as_many_matrices():
    stack = np.random.default_rng(0).normal(size=(3, 6, 4))
    each = [orthogonalized(np, matrix, 5) for matrix in stack]
    np.testing.assert_allclose(orthogonalized(np, stack, 5), each, rtol=1e-12)


def test_a_tall_matrix_moves_further_by_the_root_of_its_ratio():
    params = {"tall": np.zeros((8, 2)), "wide": np.zeros((2, 8))}
    gradient = np.random.default_rng(0).normal(size=(8, 2))
    muon = Muon()
    moved, _ = muon.update(np, params, {"tall": gradient, "wide": gradient.T}, muon.init(params), 1, 0.1)
    np.testing.assert_allclose(moved["wide"], -0.1 * orthogonalized(np, gradient.T, 5), rtol=1e-4)
    np.testing.assert_allclose(moved["tall"], 2 * moved["wide"].T, rtol=1e-12)


def test_the_momentum_is_nesterovs():
    muon, generator = Muon(momentum=0.6), np.random.default_rng(0)
    params, gradients = {"hidden": np.zeros((3, 4))}, generator.normal(size=(2, 3, 4))
    state = muon.init(params)
    for step, g in enumerate(gradients, start=1):
        before = params["hidden"]
        params, state = muon.update(np, params, {"hidden": g}, state, step, 0.1)
    kept = 0.6 * (0.4 * gradients[0]) + 0.4 * gradients[1]
    expected = before - 0.1 * orthogonalized(np, 0.6 * kept + 0.4 * gradients[1], 5)
    np.testing.assert_allclose(params["hidden"], expected, rtol=1e-12)


def test_embeddings_output_and_vectors_move_as_adam_moves_them_and_hidden_matrices_do_not():
    weights, generator = make_gpt().initial_weights(0), np.random.default_rng(1)
    weights |= {"layers.0.scale": np.ones(8)}
    muon, adam = Muon(adamScale=0.5), Adam()
    ends = []
    gradients = [{name: generator.normal(size=w.shape) for name, w in weights.items()} for _ in range(3)]
    for optimizer, rate in ((muon, 0.02), (adam, 0.01)):
        params, state = weights, optimizer.init(weights)
        for step, grads in enumerate(gradients, start=1):
            params, state = optimizer.update(np, params, grads, state, step, rate)
        ends.append(params)
    same = {name for name in weights if np.allclose(ends[0][name], ends[1][name], rtol=1e-12)}
    others = {"tokenEmbedding", "positionEmbedding", "output"}
    assert same == others | {"layers.0.scale"}


@pytest.mark.slow
def test_both_engines_agree_over_5_steps():
    gpt = make_gpt()
    runs = [trained(engine, gpt, 5, optimizer=Muon()) for engine in (ScalarEngine(), XlaEngine("float64"))]
    assert_same_run(*runs)


@pytest.mark.parametrize(
    ("field", "value"), [("momentum", 1.0), ("beta2", -0.1), ("adamScale", 0.0), ("rounds", 0)]
)
def test_a_field_out_of_range_is_refused(field, value):
    with pytest.raises(
        UserError, match=rf"^optimizer\.{field} must be .*got {value}\. Try optimizer\.{field}="
    ):
        Muon(**{field: value})
