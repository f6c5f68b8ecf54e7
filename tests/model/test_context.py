"""What components are told: the layer, the tokens, what earlier layers carry; without asking, nothing."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import gptlab
from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.checks import check_names
from gptlab.engines.context import causal_context
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.scalar_arithmetic import ScalarArithmetic
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.inspection.tapped import look
from gptlab.model.gpt import GPT
from gptlab.model.in_context import takes_context
from gptlab.model.position import Position
from gptlab.model.summary import summarize
from gptlab.model.trial import Named, try_shapes
from gptlab.optim.optimizers import SGD
from gptlab.plugins.loading import Plugins, load_plugins
from tests.context_parts import PLUGIN
from tests.models import assert_same_run, make_gpt, trained

ASKING = {
    "firstvalues": "attention",
    "hiddenresidual": "mlp",
    "tokenvalues": "mlp",
    "depthscaled": "norm",
    "sharper": "activation",
}
ENGINES = [ScalarEngine(), XlaEngine("float64")]


@pytest.fixture
def plugins(tmp_path, monkeypatch) -> Plugins:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "mine.py").write_text(PLUGIN)
    monkeypatch.chdir(tmp_path)
    return load_plugins(quiet=True)


SLOW = ("hiddenresidual", "sharper")  # of each kind one is tried each time


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in ASKING]
)
def test_a_component_that_asks_passes_every_check(plugins, name):
    checks = check_names(plugins, [name])
    assert [f"{check.what}: {check.problem}" for check in checks if not check.passed] == []
    assert {"engines agree", "causal", "documents share a row", "cached", "repeatable"} <= {
        check.what for check in checks
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "failing"),
    [
        ("peeking", {"causal", "documents share a row", "cached"}),
        ("previous", {"documents share a row", "cached"}),
    ],
)
def test_tokens_of_other_positions_are_found_out(plugins, name, failing):
    assert {check.what for check in check_names(plugins, [name]) if not check.passed} == failing


def all_of_them(plugins: Plugins) -> GPT:
    """A model in which each kind asks."""
    kinds = {kind: name for name, kind in ASKING.items() if name != "tokenvalues"}
    parts = {kind: plugins.registry.get(kind, name)() for kind, name in kinds.items()}
    return make_gpt(**parts, finalNorm=True, initStd=0.4)


@pytest.mark.slow
def test_both_engines_train_alike_with_all_of_them(plugins):
    gpt = all_of_them(plugins)
    scalar, xla = (trained(engine, gpt, 4) for engine in ENGINES)
    assert_same_run(xla, scalar)
    without = make_gpt(finalNorm=True, initStd=0.4)
    assert np.abs(scalar[1].loss - trained(ENGINES[1], without, 4)[1].loss).min() > 1e-3


def greedy(xp: Any, logits: Any, uniform: Any) -> Any:
    return xp.argmax(logits)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES, ids=["scalar", "xla"])
def test_the_cache_generates_what_the_whole_row_says(plugins, engine):
    gpt = all_of_them(plugins)
    session = engine.session(gpt, SGD(), OpTable())
    weights = gpt.initial_weights(1)
    state = session.init(weights, SGD().init(weights))
    (made,) = session.generate(state, greedy, np.array([10, 3]), np.zeros((1, 6)), {})
    row = [10, 3]
    for t in range(1, 6):
        following = int(np.argmax(session.logits(state, np.array(row))[-1]))
        assert made[t] == following
        if following == 10:
            break
        row.append(following)
    assert len(row) > 3, "too short a text to tell"


SEEN: list[tuple[int | None, int, tuple[str, ...]]] = []


@dataclass(frozen=True)
class Watching:
    """x; writes down what it is told."""

    def weights(self, config):
        return {}

    def __call__(self, weights, x, context):
        SEEN.append((context.layer, len(context.tokens), tuple(context.carried)))
        context.carried[f"from {context.layer}"] = x
        return x


@pytest.fixture
def seen():
    SEEN.clear()
    return SEEN


def once(tokens: int) -> list[tuple[int | None, int, tuple[str, ...]]]:
    """What one pass over so many tokens tells the norms of two layers and those around them."""
    names = ["from None", "from 0", "from 1"]
    told = [(None, 0), (0, 1), (0, 2), (1, 2), (1, 3), (None, 3)]
    return [(layer, tokens, tuple(names[:count])) for layer, count in told]


@pytest.mark.parametrize("engine", ENGINES, ids=["scalar", "xla"])
def test_each_pass_has_what_is_carried_for_itself(seen, engine):
    gpt = make_gpt(norm=Watching(), finalNorm=True)
    session = engine.session(gpt, SGD(), OpTable())
    weights = gpt.initial_weights(0)
    state = session.init(weights, SGD().init(weights))
    session.logits(state, np.array([1, 2, 3, 4]))
    assert seen == once(4)
    seen.clear()
    session.generate(state, greedy, np.array([10, 1, 2]), np.zeros((1, 3)), {})
    passes = [seen[i : i + 6] for i in range(0, len(seen), 6)]
    assert len(passes) > 1 and all(one == once(1) for one in passes)


def test_the_same_context_twice_carries_nothing_over(seen):
    gpt = make_gpt(norm=Watching(), finalNorm=True)
    arrays, context = ScalarArithmetic(OpTable()), causal_context(3)
    named = {n: Tensor(arrays.constant(a), arrays) for n, a in gpt.initial_weights(0).items()}
    for _ in range(2):
        gpt.losses(named, np.array([1, 2, 3]), np.array([2, 3, 4]), context)
    assert seen == 2 * once(3)
    assert context.layer is None and context.tokens is None and not context.carried


def test_what_nobody_wrote_is_an_error_that_says_what_there_is(plugins):
    gpt = make_gpt(mlp=plugins.registry.get("mlp", "unwritten")())
    with pytest.raises(UserError) as error:
        try_shapes(gpt, OpTable())
    said = str(error.value)
    assert said.startswith("the model's mlp Unwritten does not work")
    assert "got 'valeu', there is value. Did you mean value?" in said and "\n" not in said
    with pytest.raises(UserError, match="there is nothing yet"):
        causal_context(1).carried["value"]


@pytest.mark.slow
def test_summary_and_inspection_tell_the_context_as_well(plugins):
    gpt, ops = all_of_them(plugins), OpTable()
    summary = summarize(gpt, ops, SGD())
    assert {"layers.1.attention", "layers.1.mlp", "finalNorm"} <= {part.name for part in summary.parts}
    assert all(part.forward > 0 for part in summary.parts if part.name.startswith("layers"))
    weights = gpt.initial_weights(0)
    seen = look(gpt, ops, weights, np.array([10, 3, 1]), np.array([3, 1, 4]))
    session = ENGINES[1].session(gpt, SGD(), ops)
    logits = session.logits(session.init(weights, SGD().init(weights)), np.array([10, 3, 1]))
    np.testing.assert_allclose(seen.logits, logits, rtol=1e-9)
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(
        seen.lens[-1], shares, rtol=1e-9
    )  # by way of the norm at the end, which asks, too
    assert np.isfinite(seen.lens).all()


def test_who_asks_is_known_by_the_argument_and_through_wrappers(plugins):
    asking = plugins.registry.get("norm", "depthscaled")()
    plain = plugins.registry.get("norm", "rmsnorm")()
    assert takes_context(asking) and takes_context(Named("norm", asking))
    assert not takes_context(plain) and not takes_context(Named("norm", plain))
    assert takes_context(lambda x, context: x) and not takes_context(lambda x: x)
    for kind in ("norm", "mlp", "activation"):
        own = [e.value for e in load_plugins(discover=False).registry if e.kind == kind]
        assert own and not any(takes_context(cls()) for cls in own)


def test_a_model_by_hand_takes_a_function_that_asks():
    model = gptlab.create_model(
        vocabSize=5, activation=lambda x, context: x.apply("relu") * float(context.layer)
    )
    assert np.isfinite(model.logits([4, 1, 2])).all()


@dataclass(frozen=True)
class Asking(Position):
    """Each of its methods asks for all that there is."""

    def weights(self, config):
        return {"turn": (config.headDim,), "slope": (1,)}

    def embed(self, weights, x, positions, context):
        assert context.layer is None and len(context.tokens) == len(positions)
        return x + weights.slope

    def rotate(self, heads, positions, config, context, weights):
        return heads * weights.turn * (1.0 + context.layer)

    def bias(self, scores, positions, key_positions, weights, context):
        return scores - weights["slope"] * float(context.layer)


@pytest.mark.slow
def test_a_position_has_weights_and_the_context_in_all_that_it_does():
    gpt = make_gpt(position=Asking(), initStd=0.5)
    scalar = trained(ScalarEngine(), gpt, 3)
    assert_same_run(trained(XlaEngine("float64"), gpt, 3), scalar)
    start = gpt.initial_weights(0)
    assert all(np.abs(scalar[0].weights[name] - start[name]).min() > 0 for name in ("turn", "slope"))
    seen = look(gpt, OpTable(), start, np.arange(4), np.arange(1, 5))
    session = ScalarEngine().session(gpt, SGD(), OpTable())
    np.testing.assert_allclose(
        seen.logits, session.logits(session.init(start, {}), np.arange(4)), rtol=1e-9, atol=1e-12
    )
