"""What stands around an optimizer: against plain numbers, with every optimizer, on both engines."""

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.engines.engine import runtime_fields, with_fields
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.updating import updated
from gptlab.engines.xla import XlaEngine
from gptlab.engines.xla_layout import FlatLayout, SeparateLayout, layout_of
from gptlab.optim.optimizers import SGD, Adam, AdamW
from gptlab.optim.transforms import Averaged, ByName, Clipped, Decayed, Scaled
from gptlab.plugins.loading import load_plugins
from tests.models import SMALL, assert_same_run, make_gpt, random_batches, trained

REGISTRY = load_plugins().registry
OPTIMIZERS = [name for name in REGISTRY.names("optimizer") if name != "optax"]  # which numpy cannot run
NAMES = ("matrix", "other", "vector")


def arrays(seed):
    generator = np.random.default_rng(seed)
    return {
        "matrix": generator.normal(size=(3, 4)),
        "other": generator.normal(size=(2, 2)),
        "vector": generator.normal(size=5),
    }


def norm_of(named):
    return np.sqrt(sum((array**2).sum() for array in named.values()))


def steps_of(optimizer, steps=5, rate=0.1, scale=1.0):
    """The params after each step on gradients drawn by the step, and the states."""
    params, rows = arrays(0), []
    state = optimizer.init(params)
    for step in range(1, steps + 1):
        grads = {name: scale * array for name, array in arrays(step).items()}
        params, state = updated(
            optimizer, np, params, grads, state, step, rate, again=lambda _, g=grads: (1.0, g), loss=1.0
        )
        rows.append((params, state))
    return rows


def alike(one, other):
    return all(one[name].tobytes() == other[name].tobytes() for name in one)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_is_short_is_not_clipped_to_the_bit_and_what_is_long_has_the_length(name):
    optimizer = REGISTRY.get("optimizer", name)()
    longest = max(norm_of(arrays(step)) for step in range(1, 6))
    plain, never, halved = (
        steps_of(one) for one in (optimizer, Clipped(optimizer, 1.001 * longest), Clipped(optimizer, 0.1))
    )
    assert alike(plain[-1][0], never[-1][0])
    assert not alike(plain[-1][0], halved[-1][0])
    # Far above the limit a gradient's length does not matter any more.
    longer = steps_of(Clipped(optimizer, 0.1), scale=7.0)
    for key, array in longer[-1][0].items():
        np.testing.assert_allclose(array, halved[-1][0][key], rtol=1e-9, atol=1e-12)


def test_the_norm_is_that_of_all_weights_together():
    (moved, _), *_ = steps_of(Clipped(SGD(), 0.5), rate=1.0)
    moves = {name: array - moved[name] for name, array in arrays(0).items()}
    np.testing.assert_allclose(norm_of(moves), 0.5, rtol=1e-12)


def test_it_clips_as_optax_does():
    optax = pytest.importorskip("optax")
    grads = arrays(3)
    single = {name: array.astype(np.float32) for name, array in grads.items()}
    found, _ = optax.clip_by_global_norm(0.7).update(single, ())
    (moved, _), *_ = [Clipped(SGD(), 0.7).update(np, arrays(0), grads, SGD().init(grads), 1, 1.0, None, 0.0)]
    for name, array in arrays(0).items():
        np.testing.assert_allclose(array - moved[name], found[name], rtol=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weights_with_a_rate_of_their_own_go_as_alone_at_that_rate(name):
    """Also of schedule-free, whose weights are made anew from its state each step."""
    optimizer, groups = REGISTRY.get("optimizer", name)(), (("matrix",), ("other", "vector"))
    rows = steps_of(ByName(groups, (Scaled(optimizer, 3.0), optimizer)))
    fast, others = (steps_of(ByName(groups, (optimizer, optimizer)), rate=rate) for rate in (0.3, 0.1))
    np.testing.assert_allclose(rows[-1][0]["matrix"], fast[-1][0]["matrix"], rtol=1e-9, atol=1e-12)
    for key in ("other", "vector"):
        assert rows[-1][0][key].tobytes() == others[-1][0][key].tobytes()
    assert not np.allclose(rows[-1][0]["matrix"], others[-1][0]["matrix"])
    assert list(rows[-1][0]) == list(NAMES)


def test_parts_that_ask_again_get_their_own_gradient_with_the_others_where_they_are():
    seen = []

    def again(params):
        seen.append(params)
        return 1.0, {name: 2 * array for name, array in params.items()}

    sam = REGISTRY.get("optimizer", "samsgd")(radius=0.5)
    optimizer = ByName((("matrix",), ("other", "vector")), (sam, SGD()))
    params, grads = arrays(0), arrays(1)
    moved, _ = optimizer.update(np, params, grads, optimizer.init(params), 1, 0.1, again, 1.0)
    assert len(seen) == 1 and list(seen[0]) == list(NAMES)
    there = params["matrix"] + 0.5 * grads["matrix"] / np.sqrt((grads["matrix"] ** 2).sum())
    np.testing.assert_allclose(seen[0]["matrix"], there, rtol=1e-9)
    assert seen[0]["vector"] is params["vector"]
    np.testing.assert_allclose(moved["matrix"], params["matrix"] - 0.1 * 2 * there, rtol=1e-9)


def test_decay_is_that_of_adamw_and_takes_vectors_as_well():
    one, other = steps_of(Decayed(Adam(), 0.3)), steps_of(AdamW(weightDecay=0.3))
    assert alike(
        {n: one[-1][0][n] for n in ("matrix", "other")}, {n: other[-1][0][n] for n in ("matrix", "other")}
    )
    assert abs(one[-1][0]["vector"]).sum() != abs(other[-1][0]["vector"]).sum()
    (moved, _), *_ = steps_of(Decayed(SGD(), 0.5), scale=0.0)
    np.testing.assert_allclose(moved["vector"], 0.95 * arrays(0)["vector"], rtol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_average_is_that_of_the_weights_to_use_a_step_back_counting_less(name):
    optimizer = REGISTRY.get("optimizer", name)()
    plain, rows = steps_of(optimizer), steps_of(Averaged(optimizer, 0.8))
    own = getattr(optimizer, "evaluation_weights", None)
    used = [own(np, *row) if own else row[0] for row in plain]
    for count in (1, 3, 5):
        params, state = rows[count - 1]
        assert alike(params, plain[count - 1][0]), "training goes on as without"
        found = Averaged(optimizer, 0.8).evaluation_weights(np, params, state)
        for key, array in found.items():
            expected = np.average(
                [row[key] for row in used[:count]], axis=0, weights=0.8 ** np.arange(count)[::-1]
            )
            np.testing.assert_allclose(array, expected, rtol=1e-10, atol=1e-14)


def test_what_is_clipped_only_has_no_other_weights_to_evaluate():
    params = arrays(0)
    for optimizer in (Clipped(Adam(), 1.0), ByName((NAMES,), (Scaled(Adam(), 2.0),))):
        assert optimizer.evaluation_weights(np, params, optimizer.init(params)) is None
    free = REGISTRY.get("optimizer", "schedulefree")()
    both = ByName((("matrix",), ("other", "vector")), (Scaled(free, 2.0), Adam()))
    params, state = steps_of(both)[-1]
    found = both.evaluation_weights(np, params, state)
    assert (
        found["matrix"].tobytes() == state["0.x"]["matrix"].tobytes() and found["vector"] is params["vector"]
    )


def test_floats_of_all_that_is_nested_are_run_time_fields_and_only_they_differ():
    def chain(clip, beta1, rate):
        parts = (Scaled(Decayed(Adam(beta1), 0.1), rate), Adam(beta1))
        return Averaged(Clipped(ByName((("matrix",), ("other", "vector")), parts), clip), 0.9)

    one, other = chain(1.0, 0.9, 2.0), chain(2.0, 0.8, 3.0)
    fields = runtime_fields(one)
    assert {"average", "inner.clip", "inner.inner.parts.0.rate", "inner.inner.parts.0.inner.decay"} <= set(
        fields
    )
    assert fields["inner.inner.parts.1.beta1"] == 0.9
    assert with_fields(one, runtime_fields(other)) == other and one == chain(1.0, 0.9, 2.0)
    empty = [with_fields(each, dict.fromkeys(runtime_fields(each), 0.0)) for each in (one, other)]
    assert empty[0] == empty[1] and hash(empty[0]) == hash(empty[1])
    assert empty[0] != with_fields(chain(1.0, 0.9, 2.0).inner, dict.fromkeys(runtime_fields(one.inner), 0.0))


def test_what_is_laid_out_flat_stays_so_but_for_parts_by_name():
    weights = arrays(0)
    for optimizer, layout in (
        (Averaged(Clipped(Adam(), 1.0), 0.9), FlatLayout),
        (Clipped(ByName((NAMES,), (Adam(),)), 1.0), SeparateLayout),
        (Clipped(REGISTRY.get("optimizer", "muon")(), 1.0), SeparateLayout),
    ):
        assert type(layout_of(optimizer, weights)) is layout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adam", "schedulefree", "sam"])
def test_both_engines_agree_over_20_steps(name):
    gpt = make_gpt({**SMALL, "nLayer": 1, "nEmbd": 4})
    names = tuple(gpt.declared_weights())
    inner = REGISTRY.get("optimizer", name)()
    parts = ByName((names[:2], names[2:]), (Scaled(inner, 2.0), inner))
    for optimizer in (Averaged(Clipped(inner, 0.5), 0.9), Averaged(Clipped(parts, 0.5), 0.9)):
        runs = [
            trained(engine, gpt, 20, optimizer=optimizer) for engine in (ScalarEngine(), XlaEngine("float64"))
        ]
        assert_same_run(*runs, rtol=1e-10)
        for key, named in runs[0][0].optimizer.items():
            for weight, array in named.items():
                np.testing.assert_allclose(array, runs[1][0].optimizer[key][weight], rtol=1e-8, atol=1e-12)


def test_the_norm_that_is_logged_is_that_before_clipping():
    gpt = make_gpt({**SMALL, "nLayer": 1, "nEmbd": 4})
    plain, clipped = (
        trained(ScalarEngine(), gpt, 1, optimizer=one)[1] for one in (SGD(), Clipped(SGD(), 1e-3))
    )
    assert plain.gradNorm[0] == clipped.gradNorm[0] > 1e-3


@pytest.mark.parametrize("engine", [ScalarEngine(), XlaEngine("float64")], ids=["scalar", "xla"])
def test_an_engine_evaluates_the_average(engine):
    gpt, optimizer = make_gpt({**SMALL, "nLayer": 1, "nEmbd": 4}), Averaged(Adam(), 0.5)
    session = engine.session(gpt, optimizer, OpTable())
    weights = gpt.initial_weights(0)
    state, _ = session.train(
        session.init(weights, optimizer.init(weights)), random_batches(gpt, 3), np.full(3, 0.05)
    )
    at, used = session.export(state), session.export(session.for_evaluation(state))
    for name, array in used.weights.items():
        np.testing.assert_array_equal(array, at.optimizer["train.average"][name])
        assert (array != at.weights[name]).any()
