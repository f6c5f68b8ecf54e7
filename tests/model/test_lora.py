"""model/adapter=lora: rank-r matrices are trained, the model's own stay, and the two are merged for use."""

import numpy as np
import pytest

import gptlab
from gptlab.autograd.ops import OpTable
from gptlab.engines.engine import trained as without
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.model.adapted import Adapted, frozen_names
from gptlab.model.adapter import LoRA
from gptlab.optim.optimizers import Adam, AdamW
from gptlab.plugins.loading import load_plugins
from tests.models import BOOK, SMALL, assert_same_run, make_gpt, random_batches

ENGINES = {"xla": XlaEngine("float64"), "scalar": ScalarEngine()}
EVERYWHERE = ("attention.query", "mlp", "tokenEmbedding", "layers.1.attention.output")


@gptlab.op(samples=[(0.5, -1.5), (2.0, 3.0)])
def halfmul(xp, a, b):
    """a * b / 2."""
    return 0.5 * a * b, (0.5 * b, 0.5 * a)


def make_adapted(targets=("attention.query", "attention.value"), **changes):
    return Adapted(make_gpt(**changes), LoRA(rank=2, alpha=3.0, targets=targets))


def trained(engine, definition, steps, optimizer=None, ops=None):
    """As tests.models.trained, of the adapter alone; the session as well."""
    optimizer = optimizer or Adam()
    frozen = frozen_names([], definition)
    session = engine.session(definition, optimizer, ops or OpTable(), frozen)
    weights = definition.initial_weights(0)
    state = session.init(weights, optimizer.init(without(weights, frozen)))
    state, metrics = session.train(state, random_batches(definition, steps), np.full(steps, 0.01))
    return session, state, metrics


@pytest.mark.slow
@pytest.mark.parametrize(
    ("targets", "ops"),
    [(EVERYWHERE, {}), (("attention.query", "attention.value"), {"mul": halfmul})],
    ids=["standard", "swapped"],
)
def test_both_engines_train_the_adapters_alike(targets, ops):
    ends = []
    for engine in ENGINES.values():
        session, state, metrics = trained(engine, make_adapted(targets), 20, ops=OpTable(ops))
        ends.append((session.export(state), metrics))
        used = session.export(session.for_evaluation(state))
        ends.append((used, metrics))
    assert_same_run(ends[0], ends[2])
    assert_same_run(ends[1], ends[3])


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_it_begins_as_the_model_was_and_trains_nothing_else(engine):
    definition = make_adapted(EVERYWHERE, norm=("rmsnorm", {"scale": True}))
    base = definition.base
    tokens = np.array([10, 3, 1, 4])
    weights = definition.initial_weights(0)
    session = engine.session(definition, Adam(), OpTable())
    own = engine.session(base, Adam(), OpTable())
    begun = session.logits(session.init(weights, {}), tokens)
    np.testing.assert_array_equal(begun, own.logits(own.init(base.initial_weights(0), {}), tokens))

    session, state, _ = trained(engine, definition, 3, AdamW(weightDecay=0.3))
    exported = session.export(state)
    for name, start in base.initial_weights(0).items():
        assert np.asarray(exported.weights[name]).tobytes() == start.tobytes(), name
    adapters = [name for name in weights if name.startswith("adapter.")]
    assert list(exported.weights) == [*base.initial_weights(0), *adapters]
    assert all((exported.weights[name] != weights[name]).any() for name in adapters)
    assert {name for named in exported.optimizer.values() for name in named} == set(adapters)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_what_is_used_is_the_model_with_the_adapters_merged(engine):
    definition = make_adapted(EVERYWHERE)
    session, state, _ = trained(engine, definition, 5)
    weights = session.export(state).weights
    used = session.for_evaluation(state)
    merged = session.export(used).weights
    assert list(merged) == list(definition.base.declared_weights())
    changed = set(definition.adapter.adapted({n: a.shape for n, a in merged.items()}))
    for name, matrix in merged.items():
        wanted = weights[name]
        if name in changed:
            wanted = wanted + 1.5 * weights[f"adapter.{name}.B"] @ weights[f"adapter.{name}.A"]
            assert np.abs(matrix - weights[name]).max() > 1e-4
        np.testing.assert_allclose(matrix, wanted, rtol=1e-12, atol=1e-15)
    tokens = np.array([10, 3, 1, 4])
    plain = engine.session(definition.base, Adam(), OpTable())
    expected = plain.logits(plain.init(merged, {}), tokens)
    np.testing.assert_allclose(session.logits(state, tokens), expected, rtol=1e-12)
    np.testing.assert_allclose(session.logits(used, tokens), expected, rtol=1e-12)
    documents = random_batches(definition, 1)
    totals = [
        s.evaluate(x, documents.tokens[0], documents.lengths[0])[0]
        for s, x in ((session, state), (session, used), (plain, plain.init(merged, {})))
    ]
    np.testing.assert_allclose(totals, totals[0], rtol=1e-12)


def test_the_product_of_the_adapters_obeys_a_swapped_op():
    """With half of each product, B A and its scale, an adapter's share is a quarter of what it would be."""
    definition = make_adapted()
    weights = definition.initial_weights(0)
    weights |= {n: np.full(a.shape, 0.1) for n, a in weights.items() if n.endswith(".B")}
    shares = []
    for swap in ({}, {"mul": halfmul}):
        for engine in ENGINES.values():
            session = engine.session(definition, Adam(), OpTable(swap))
            used = session.export(session.for_evaluation(session.init(weights, {}))).weights
            name = "layers.0.attention.query"
            shares.append(np.asarray(used[name]) - weights[name])
    np.testing.assert_allclose(shares[1], shares[0], rtol=1e-9)
    for swapped in shares[2:]:
        np.testing.assert_allclose(swapped, shares[0] / 4, rtol=1e-9)


@pytest.mark.slow
def test_an_average_of_the_weights_is_merged_too():
    """Schedule-free evaluates other weights than it trains at: those of the adapters are merged."""
    optimizer = load_plugins().registry.get("optimizer", "schedulefree")()
    ends = []
    for engine in ENGINES.values():
        session, state, metrics = trained(engine, make_adapted(), 8, optimizer)
        ends.append((session.export(session.for_evaluation(state)), metrics))
        at_y = session.export(state).weights
        name = "layers.0.attention.query"
        merged_at_y = at_y[name] + 1.5 * at_y[f"adapter.{name}.B"] @ at_y[f"adapter.{name}.A"]
        assert np.abs(ends[-1][0].weights[name] - merged_at_y).max() > 1e-5
    assert_same_run(*ends)


def test_the_counts_are_those_of_rank_times_both_sides():
    definition = Adapted(make_gpt(BOOK), LoRA())
    adapter = [m for m in definition.matrices() if m.part == "adapter"]
    assert sum(m.count for m in adapter) == 2 * 2 * (4 * 32 + 32 * 4)
    assert sum(m.count for m in definition.matrices()) == 63_296 + 1_024
    assert len(frozen_names([], definition)) == len(make_gpt(BOOK).declared_weights())
    assert adapter[0].name == "adapter.layers.0.attention.query.A"


@pytest.mark.slow
def test_it_passes_its_own_check():
    from gptlab.checks.report import assert_passes

    assert_passes("lora")


def test_equal_definitions_share_a_program():
    assert make_adapted() == make_adapted()
    assert hash(make_adapted()) == hash(make_adapted())
    assert make_adapted() != make_adapted(("attention.key",))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"rank": 0}, ["model.adapter.rank must be at least 1", "got 0"]),
        ({"alpha": 0.0}, ["model.adapter.alpha"]),
        ({"alpha": float("nan")}, ["model.adapter.alpha"]),
        ({"targets": []}, ["model.adapter.targets must name a matrix"]),
        ({"targets": ["attention.quer"]}, ["'attention.quer'", "Did you mean attention.query"]),
        ({"targets": ["ayers.0"]}, ["'ayers.0'"]),
        ({"targets": ["embeddingNorm"]}, ["'embeddingNorm'"]),  # a vector
    ],
    ids=["rank", "alpha", "nan", "no target", "misspelt", "part of a word", "vector"],
)
def test_what_cannot_be_adapted_is_refused(fields, words):
    gpt = make_gpt(norm=("rmsnorm", {"scale": True}))
    with pytest.raises(UserError) as refused:
        Adapted(gpt, LoRA(**fields)).declared_weights()
    for word in words:
        assert word in str(refused.value)


def test_a_target_that_is_frozen_by_name_is_refused():
    with pytest.raises(UserError, match=r"both name layers\.1\.attention\.query"):
        frozen_names(["layers.1.attention.query"], make_adapted())
    assert frozen_names(["tokenEmbedding"], make_adapted()) == frozen_names([], make_adapted())
    assert make_adapted().sizes.nEmbd == SMALL["nEmbd"]
