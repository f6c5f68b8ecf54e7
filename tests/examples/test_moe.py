"""The example plugin moe: one expert a position, a router that learns, both engines, installed alone."""

import subprocess
import sys
import zipfile

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.checks import assert_passes
from gptlab.checks.check import Findings
from gptlab.checks.parts import check_a_component
from gptlab.engines.context import causal_context
from gptlab.engines.engine import Batches
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.scalar_arithmetic import ScalarArithmetic, as_values, data_of
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.model.activation import Relu
from gptlab.optim.optimizers import Adam
from gptlab.plugins.loading import load_plugins
from tests.models import assert_same_run, make_gpt, random_batches, trained
from tests.repository import ROOT

REGISTRY = load_plugins().registry
Switch = REGISTRY.get("mlp", "moe")
FOLDER = ROOT / "plugins" / "moe"
EXPERTS, WIDTH, HIDDEN = 3, 4, 8

GENERATOR = np.random.default_rng(0)
WEIGHTS = {
    "router": GENERATOR.normal(size=(EXPERTS, WIDTH)),
    "hidden": GENERATOR.normal(size=(EXPERTS, HIDDEN, WIDTH)),
    "output": GENERATOR.normal(size=(EXPERTS, WIDTH, HIDDEN)),
}
X = GENERATOR.normal(size=(12, WIDTH))
SHARES = np.exp(X @ WEIGHTS["router"].T)
SHARES /= SHARES.sum(-1, keepdims=True)
CHOSEN = SHARES.argmax(-1)


def answers(weights, x):
    arrays = ScalarArithmetic(OpTable())
    tensors = {name: Tensor(array, arrays) for name, array in weights.items()}
    return Switch(nExpert=EXPERTS)(tensors, Tensor(arrays.constant(x), arrays), Relu())


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("mlp", "moe") == "moe"
    assert_passes("moe")


def test_each_position_has_the_answer_of_its_expert_times_the_routers_probability():
    y = data_of(answers(WEIGHTS, X).data)
    for t, n in enumerate(CHOSEN):
        hidden = np.maximum(WEIGHTS["hidden"][n] @ X[t], 0)
        np.testing.assert_allclose(y[t], SHARES[t, n] * (WEIGHTS["output"][n] @ hidden), rtol=1e-12)
    assert set(CHOSEN) == set(range(EXPERTS))


@pytest.mark.parametrize("t", range(4))
def test_gradient_reaches_the_chosen_expert_alone_and_all_of_the_router(t):
    values = {name: as_values(array) for name, array in WEIGHTS.items()}
    y = answers(values, X[t : t + 1])
    (y * y).sum().sum().data[()].backward()
    reached = {name: np.array([[v.grad != 0 for v in row.flat] for row in a]) for name, a in values.items()}
    assert list(reached["hidden"].any(1).nonzero()[0]) == [CHOSEN[t]]
    assert list(reached["output"].any(1).nonzero()[0]) == [CHOSEN[t]]
    assert reached["router"].all()


def test_the_router_is_trained():
    gpt = make_gpt(mlp=Switch())
    before, (after, _) = gpt.initial_weights(0), trained(ScalarEngine(), gpt, 5)
    assert np.abs(after.weights["layers.0.mlp.router"] - before["layers.0.mlp.router"]).min() > 1e-4


@pytest.mark.slow
def test_both_engines_train_alike_with_it():
    gpt = make_gpt(mlp=Switch())
    scalar = trained(ScalarEngine(), gpt, 5)
    assert_same_run(trained(XlaEngine("float64"), gpt, 5), scalar)


def test_the_imbalance_is_one_where_experts_are_chosen_alike_and_their_number_where_one_is():
    experts, context = np.eye(EXPERTS)[np.arange(12) % EXPERTS], causal_context(12)
    arrays = ScalarArithmetic(OpTable())
    spread, alone = (
        Tensor(arrays.constant(p), arrays) for p in (experts * 0 + 1 / EXPERTS, experts[[0] * 12])
    )
    switch = Switch(nExpert=EXPERTS)
    even = switch.imbalance(spread, np.arange(12) % EXPERTS, context).data
    one = switch.imbalance(alone, np.zeros(12, dtype=int), context).data
    np.testing.assert_allclose(even, 1.0)
    np.testing.assert_allclose(one, EXPERTS)


@pytest.mark.slow
def test_with_a_balance_it_passes_the_checks_and_both_engines_and_shared_rows_train_alike():
    switch = Switch(balance=0.1)
    findings = Findings("mlp", "moe", [])
    check_a_component(REGISTRY, "mlp", switch, findings)
    assert [check for check in findings.checks if not check.passed] == []
    gpt, found = make_gpt(mlp=switch), []
    batches = random_batches(gpt, 5, 6)
    for engine, population in (
        (ScalarEngine(), None),
        (XlaEngine("float64"), None),
        (XlaEngine("float64"), np.random.default_rng(0).integers(1, 5, 500)),
    ):
        session, weights = engine.session(gpt, Adam(), OpTable()), gpt.initial_weights(0)
        state = session.init(weights, Adam().init(weights))
        chunk = Batches(batches.tokens, batches.lengths, population)
        state, metrics = session.train(state, chunk, np.full(5, 0.01))
        found.append((session.export(state), metrics))
    for other in found[1:]:
        assert_same_run(other, found[0], rtol=1e-10)
        np.testing.assert_allclose(
            other[1].numbers["penalty/balance"], found[0][1].numbers["penalty/balance"], rtol=1e-10
        )


def loads(balance):
    """How many positions each expert of layer 0 has, of a model trained with such a balance."""

    class Watched(Switch):
        def probabilities(self, weights, x):
            found = super().probabilities(weights, x)
            chosen.append(found.argmax())
            return found

    gpt = make_gpt(mlp=Switch(balance=balance))
    session, weights = XlaEngine().session(gpt, Adam(), OpTable()), gpt.initial_weights(0)
    state = session.init(weights, Adam().init(weights))
    batches = random_batches(gpt, 300, 8)
    state, _ = session.train(state, batches, np.full(300, 0.01))
    chosen: list[np.ndarray] = []
    watched = ScalarEngine().session(make_gpt(mlp=Watched()), Adam(), OpTable())
    its = watched.init(session.export(state).weights, {})
    documents = zip(batches.tokens[:6].reshape(-1, 7), batches.lengths[:6].ravel().tolist(), strict=True)
    for row, length in documents:
        watched.logits(its, row[:length])
    return np.bincount(np.concatenate(chosen[::2]), minlength=Switch().nExpert)


@pytest.mark.slow
def test_a_balance_has_experts_used_more_evenly():
    without, balanced = loads(0.0), loads(0.1)
    assert without.sum() == balanced.sum() > 100
    assert balanced.min() > 2 * without.min()
    assert balanced.std() < 0.6 * without.std()


def test_more_experts_are_that_many_mlps_and_a_router():
    one, five = (
        sum(m.count for m in make_gpt(mlp=Switch(nExpert=n)).matrices() if m.part == "mlp") for n in (1, 5)
    )
    assert one == 2 * (8 * 32 * 2 + 8)
    assert five == 5 * one


def test_no_experts_is_an_error():
    with pytest.raises(UserError, match=r"model\.mlp\.nExpert must be at least 1: got 0"):
        Switch(nExpert=0)


@pytest.mark.slow
def test_its_wheel_is_the_plugin_with_its_experiment(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", tmp_path, FOLDER], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("gptlab_moe-*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    assert (tmp_path / "site/gptlab_moe/experiments/moe.yaml").is_file()
    code = (
        "from importlib.metadata import distribution\n"
        "point, = distribution('gptlab-moe').entry_points.select(group='gptlab')\n"
        "import gptlab.plugins.loading as plugins\n"
        "source = plugins.Source(point.name, 'installed', '', point.load)\n"
        "found = plugins.load_plugins([source], discover=False).registry\n"
        "print(found.owner('mlp', 'moe'), found.get('mlp', 'moe').__module__)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{tmp_path / 'site'}:{FOLDER.parents[1]}"},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert result.stdout.split() == ["moe", "gptlab_moe.switch"]
