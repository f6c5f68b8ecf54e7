"""The example plugin soap: its steps by the paper, its axes, and that rounding errors do not choose them."""

import sys

import numpy as np
import pytest

from gptlab.checks import assert_passes
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.optim.optimizers import Adam
from gptlab.plugins.loading import load_plugins
from tests.models import SMALL, assert_same_run, make_gpt, trained

REGISTRY = load_plugins().registry
SOAP = REGISTRY.get("optimizer", "soap")
refreshed = sys.modules[SOAP.__module__].refreshed
SHAPES = {"wide": (3, 5), "stack": (2, 4, 3), "long": (3, 20), "vector": (5,)}


def steps_of(optimizer, steps):
    """The params and the state after each step, and the gradients."""
    generator = np.random.default_rng(0)
    params = {name: generator.normal(size=shape) for name, shape in SHAPES.items()}
    state, rows, gradients = optimizer.init(params), [(params, {})], []
    for step in range(1, steps + 1):
        gradients.append({name: generator.normal(size=shape) for name, shape in SHAPES.items()})
        params, state = optimizer.update(np, params, gradients[-1], state, step, 0.1)
        rows.append((params, state))
    return rows, gradients


def by_the_paper(weight, gradients, beta1, beta2, eps, every, damping):
    """Algorithm 3 on one matrix, with Adam's corrections of the means; Gram and Schmidt in place of QR."""
    rows, columns = weight.shape
    q_left, q_right = np.eye(rows), np.eye(columns)
    left, right = np.zeros((rows, rows)), np.zeros((columns, columns))
    m, v = np.zeros(weight.shape), np.zeros(weight.shape)
    for t, g in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * (q_left.T @ g @ q_right) ** 2
        step = q_left.T @ m @ q_right / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps)
        weight = weight - 0.1 * q_left @ step @ q_right.T
        left = beta2 * left + (1 - beta2) * g @ g.T
        right = beta2 * right + (1 - beta2) * g.T @ g
        if t % every == 0:
            q_left = orthonormal(left @ q_left / (np.trace(left) / rows) + damping * q_left)
            q_right = orthonormal(right @ q_right / (np.trace(right) / columns) + damping * q_right)
    return weight


def orthonormal(matrix):
    columns = []
    for column in matrix.T:
        for _ in range(2):  # twice is enough (Kahan)
            for other in columns:
                column = column - (other @ column) * other
        columns.append(column / np.linalg.norm(column))
    return np.array(columns).T


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("optimizer", "soap") == "soap"
    assert_passes("soap")


def test_a_matrix_moves_as_the_paper_says_and_a_stack_as_so_many_matrices():
    rows, gradients = steps_of(SOAP(0.8, 0.9, 1e-6, every=3, largest=10, damping=1e-3), 8)
    (start, _), (end, _) = rows[0], rows[-1]
    arguments = 0.8, 0.9, 1e-6, 3, 1e-3
    expected = by_the_paper(start["wide"], [g["wide"] for g in gradients], *arguments)
    np.testing.assert_allclose(end["wide"], expected, rtol=1e-9)
    for i in range(2):
        expected = by_the_paper(start["stack"][i], [g["stack"][i] for g in gradients], *arguments)
        np.testing.assert_allclose(end["stack"][i], expected, rtol=1e-9)


def test_it_is_adam_until_the_axes_turn_and_for_vectors_and_long_matrices_always():
    soap, _ = steps_of(SOAP(every=4, largest=10), 6)
    adam, _ = steps_of(Adam(), 6)
    for step in range(1, 7):
        same = {n for n, p in adam[step][0].items() if np.allclose(p, soap[step][0][n], rtol=1e-12)}
        assert same == ({"long", "vector"} if step > 4 else set(SHAPES))


def test_the_axes_come_to_be_the_eigenvectors_largest_first():
    generator = np.random.default_rng(0)
    vectors = np.linalg.qr(generator.normal(size=(5, 5)))[0]
    gram = vectors @ np.diag([10.0, 5.0, 2.0, 1.0, 0.3]) @ vectors.T
    basis = np.eye(5)
    for _ in range(60):
        basis = refreshed(np, basis, gram, 1e-4)
    np.testing.assert_allclose(np.abs(vectors.T @ basis), np.eye(5), atol=1e-9)


@pytest.mark.parametrize(("damping", "small"), [(1e-4, True), (0.0, False)])
def test_rounding_errors_do_not_choose_the_axes_of_a_gram_of_rank_2(damping, small):
    generator = np.random.default_rng(0)
    factor = generator.normal(size=(6, 2))
    gram = factor @ factor.T
    noise = 1e-15 * generator.normal(size=(6, 6))
    one, other = (refreshed(np, np.eye(6), g, damping) for g in (gram, gram + noise))
    np.testing.assert_allclose(one.T @ one, np.eye(6), atol=1e-12)
    assert (np.abs(one - other).max() < 1e-9) == small


def test_where_there_was_no_gradient_the_axes_stay():
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    np.testing.assert_allclose(refreshed(np, basis, np.zeros((4, 4)), 1e-4), basis, atol=1e-12)


@pytest.mark.slow
def test_both_engines_agree_over_20_steps():
    gpt, optimizer = make_gpt({**SMALL, "nLayer": 1, "nEmbd": 4}), SOAP(every=3)
    runs = [
        trained(engine, gpt, 20, optimizer=optimizer) for engine in (ScalarEngine(), XlaEngine("float64"))
    ]
    assert_same_run(*runs, rtol=1e-10)


@pytest.mark.parametrize(
    ("field", "value"),
    [("beta1", 1.0), ("beta2", -0.1), ("epsAdam", 0.0), ("every", 0), ("largest", -1), ("damping", 0.0)],
)
def test_a_field_out_of_range_is_refused(field, value):
    with pytest.raises(
        UserError, match=rf"^optimizer\.{field} must be .*got {value}\. Try optimizer\.{field}="
    ):
        SOAP(**{field: value})
