"""The numbers behind `inspect`: attention, lens, norms and attributions against what they are defined as."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.data.tokenizers import Vocabulary
from gptlab.engines.engine import Batches
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.inspection.inspection import Inspection, inspect, read_inspection, write_inspection
from gptlab.model.attention import CausalAttention, NoAttention
from gptlab.model.gpt import STANDARD
from gptlab.optim.optimizers import SGD
from gptlab.plugins.loading import load_plugins
from gptlab.plugins.registry import COMPONENT_KINDS
from tests.models import SMALL, make_gpt

WORDS = Vocabulary(["the", "cat", "dog", "runs", "to", "a", "big", "park", "and", "sleeps"], "word")
TEXT = "the cat sleeps and"
IDS = np.array([WORDS.bos, *WORDS.encode(TEXT), WORDS.bos], np.int32)
REGISTRY = load_plugins().registry
# Which attend by no matrix of shares.
WITHOUT_SHARES = (
    NoAttention,
    *(REGISTRY.get("attention", name) for name in ("baseconv", "mingru", "retnet")),
)
OPS = {name: REGISTRY.get("op", name) for name in REGISTRY.names("op")}


def components() -> list[Any]:
    """Every component that is registered, those of plugins included, each in an otherwise standard model."""
    found = [(k, name) for k in COMPONENT_KINDS for name in REGISTRY.names(k) if name != STANDARD[k]]
    return [pytest.param({kind: REGISTRY.get(kind, name)()}, id=f"{kind}={name}") for kind, name in found]


VARIANTS = [
    pytest.param({"finalNorm": True, "norm": ("layernorm", {"scale": True})}, id="finalNorm"),
    pytest.param({"tieEmbeddings": True, "position": "rope"}, id="tied, rope"),
    pytest.param({"attention": ("causal", {"nKVHead": 1})}, id="nKVHead=1"),
]


def looked(gpt: Any = None, text: str = TEXT, ops: OpTable | None = None, seed: int = 0) -> Inspection:
    gpt = gpt or model()
    return inspect(gpt, ops or OpTable(), gpt.initial_weights(seed), WORDS, text)


def model(**changes: Any) -> Any:
    """Weights large enough for attention to have preferences."""
    return make_gpt(**{"initStd": 0.4, **changes})


def one_layer(**changes: Any) -> Any:
    gpt = model(**changes)
    return replace(gpt, sizes=replace(gpt.sizes, nLayer=1))


def session_of(gpt: Any, engine: Any = None, ops: OpTable | None = None) -> tuple[Any, Any]:
    session = (engine or XlaEngine("float64")).session(gpt, SGD(), ops or OpTable())
    weights = gpt.initial_weights(0)
    return session, session.init(weights, SGD().init(weights))


def mean_loss(gpt: Any) -> float:
    """By the scalar engine's floats, which need no compiling."""
    session, state = session_of(gpt, ScalarEngine())
    total, count = session.evaluate(state, IDS[None], np.array([len(IDS) - 1], np.int32))
    return float(total / count)


def check(gpt: Any, found: Inspection, ops: OpTable | None = None) -> None:
    """All that must hold whatever the components are."""
    length, sizes = len(IDS) - 1, gpt.sizes
    session, state = session_of(gpt, ops=ops)
    np.testing.assert_allclose(found.logits, session.logits(state, IDS[:-1]), rtol=1e-9, atol=1e-12)
    shares = np.exp(found.logits) / np.exp(found.logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(found.probabilities, shares, rtol=1e-9)
    np.testing.assert_allclose(found.losses, -np.log(shares[np.arange(length), IDS[1:]]), rtol=1e-9)
    assert found.attention.shape == (sizes.nLayer, sizes.nHead, length, length)
    assert (found.attention[..., ~np.tril(np.ones((length, length), bool))] == 0).all()
    assert found.lens.shape == (sizes.nLayer + 1, length, sizes.vocabSize)
    np.testing.assert_allclose(found.lens[-1], found.probabilities, rtol=1e-9)
    np.testing.assert_allclose(found.lens.sum(-1), 1.0, rtol=1e-12)
    assert found.weightNames == list(gpt.declared_weights())
    assert (found.hiddenNorms > 0).all() and (found.gradientNorms > 0).all()
    assert found.notes == ()


@pytest.mark.slow
@pytest.mark.parametrize("changes", VARIANTS)
def test_a_model_is_seen_as_it_is_run(changes: dict[str, Any]) -> None:
    gpt = model(**changes)
    found = looked(gpt)
    check(gpt, found)
    np.testing.assert_allclose(found.attention.sum(-1), 1.0, rtol=1e-12)
    assert not np.allclose(found.lens[0], found.lens[-1], atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("changes", components())
def test_every_component_is_seen(changes: dict[str, Any]) -> None:
    gpt = one_layer(**changes)
    found = looked(gpt)
    if isinstance(changes.get("attention"), WITHOUT_SHARES):
        assert found.attention.size == 0 and "attention is not shown" in found.notes[0]
        return
    check(gpt, found)
    np.testing.assert_allclose(found.attention.sum(-1), 1.0, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("swap", [{"mul": "halfmul"}, {"exp": "padeexp"}, {"add": "maximum"}], ids=str)
def test_swapped_ops_are_seen(swap: dict[str, str]) -> None:
    known = {**OPS, "halfmul": halfmul()}
    ops = OpTable({slot: known[name] for slot, name in swap.items()})
    gpt = one_layer()
    found = looked(gpt, ops=ops)
    session, state = session_of(gpt, ops=ops)
    np.testing.assert_allclose(found.logits, session.logits(state, IDS[:-1]), rtol=1e-9, atol=1e-12)
    assert (found.attention[..., ~np.tril(np.ones((5, 5), bool))] == 0).all()
    np.testing.assert_allclose(found.lens[-1], found.probabilities, rtol=1e-9)


def halfmul() -> Any:
    import gptlab

    return gptlab.op(samples=[(0.5, -1.5)])(lambda xp, a, b: (0.5 * a * b, (0.5 * b, 0.5 * a)))


def test_the_scalar_engine_gives_the_same() -> None:
    gpt = one_layer()
    session, state = session_of(gpt, ScalarEngine())
    np.testing.assert_allclose(looked(gpt).logits, session.logits(state, IDS[:-1]), rtol=1e-9)


def test_attention_is_that_of_the_formula() -> None:
    gpt = model(position="none", norm="none")
    weights, found = gpt.initial_weights(0), looked(gpt)
    x = weights["tokenEmbedding"][IDS[:-1]]
    np.testing.assert_allclose(found.hidden[0], x)
    query, key = (x @ weights[f"layers.0.attention.{name}"].T for name in ("query", "key"))
    heads, dim = gpt.sizes.nHead, gpt.sizes.headDim
    for head in range(heads):
        part = slice(head * dim, (head + 1) * dim)
        scores = query[:, part] @ key[:, part].T / np.sqrt(dim)
        scores[np.triu_indices(len(x), 1)] = -np.inf
        shares = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
        np.testing.assert_allclose(found.attention[0, head], shares, rtol=1e-9)


@dataclass(frozen=True)
class Scaled:
    """The only block of a model, with what comes in times a factor at each position."""

    block: Any
    factors: tuple[float, ...]

    def weights(self, gpt: Any) -> Any:
        return self.block.weights(gpt)

    def __call__(self, weights: Any, x: Any, gpt: Any, context: Any) -> Any:
        return self.block(weights, x * x.constant(np.array(self.factors)[:, None]), gpt, context)


def test_attributions_are_the_derivatives_of_the_loss_by_the_scale_of_each_token() -> None:
    gpt = one_layer()
    found, step = looked(gpt), 1e-4

    def loss(change: np.ndarray) -> float:
        return mean_loss(replace(gpt, block=Scaled(gpt.block, tuple(1 + change))))

    def derivative(direction: np.ndarray) -> float:
        return (loss(step * direction) - loss(-step * direction)) / (2 * step)

    assert found.loss == pytest.approx(mean_loss(gpt), rel=1e-12)
    assert found.attributions.sum() == pytest.approx(derivative(np.ones(5)), rel=1e-6)
    for t in (0, 3):
        assert found.attributions[t] == pytest.approx(derivative(np.eye(5)[t]), rel=1e-5)


@pytest.mark.slow
def test_gradients_are_those_of_training() -> None:
    gpt = model()
    found = looked(gpt)
    session, state = session_of(gpt)
    batches = Batches(IDS[None, None], np.array([[5]], np.int32))
    _, metrics = session.train(state, batches, np.array([0.0]))
    norms = np.array(list(found.weightGradientNorms.values()))
    assert np.sqrt((norms**2).sum()) == pytest.approx(metrics.gradNorm[0], rel=1e-9)
    # Of the last hidden state the gradient is known: (p - target) · output / T.
    error = found.probabilities - np.eye(gpt.sizes.vocabSize)[IDS[1:]]
    wanted = np.linalg.norm(error @ gpt.initial_weights(0)["output"] / 5, axis=-1)
    np.testing.assert_allclose(found.gradientNorms[-1], wanted, rtol=1e-9)
    np.testing.assert_allclose(found.hiddenNorms, np.sqrt((found.hidden**2).sum(-1)))


def test_what_is_shown_beside_the_numbers() -> None:
    found = looked()
    assert found.text == TEXT
    assert found.tokens == ["BOS", "the", "cat", "sleeps", "and"]
    assert found.targets == ["the", "cat", "sleeps", "and", "BOS"]
    assert found.vocabulary == [*WORDS.pieces, "BOS"]
    assert found.loss == pytest.approx(found.losses.mean())
    np.testing.assert_allclose(
        found.losses, [-np.log(row[i]) for row, i in zip(found.probabilities, IDS[1:], strict=True)]
    )


@dataclass(frozen=True)
class Mean(CausalAttention):
    """Attention without a softmax: the mean of all that came before."""

    def __call__(self, weights: Any, x: Any, position: Any, context: Any, config: Any) -> Any:
        value = x.products(weights["query"], weights["key"], weights["value"])[2]
        count = np.tril(np.ones((x.shape[0], x.shape[0])))
        return x.constant(count / count.sum(-1, keepdims=True)) @ value @ weights["output"].T


def test_attention_that_cannot_be_seen_says_so() -> None:
    found = looked(model(attention=Mean()))
    assert found.attention.shape == (2, 0, 5, 5)
    assert any("Mean" in note for note in found.notes)


@pytest.mark.slow
def test_float32_weights_are_seen_in_float32() -> None:
    gpt = model()
    weights = {name: array.astype(np.float32) for name, array in gpt.initial_weights(0).items()}
    found = inspect(gpt, OpTable(), weights, WORDS, TEXT)
    assert {found.logits.dtype, found.attention.dtype, found.attributions.dtype} == {np.dtype(np.float32)}
    np.testing.assert_allclose(found.logits, looked(gpt).logits, rtol=1e-3, atol=1e-4)


def test_a_text_that_fills_the_block() -> None:
    words = " ".join(WORDS.pieces[: SMALL["blockSize"]])
    found = looked(text=words)
    assert found.targets == words.split()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "text must not be empty"),
        ("  ", "text must not be empty"),
        (" ".join(["cat"] * 7), "at most blockSize=6 tokens: it has 7"),
        ("the kat", "'kat' is not in the vocabulary"),
    ],
)
def test_texts_that_cannot_be_looked_at(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        looked(text=text)


def test_an_inspection_is_kept_in_a_file_and_read_again(tmp_path: Any) -> None:
    found, path = looked(), tmp_path / "inspect" / "step-000001.npz"
    write_inspection(found, path)
    again = read_inspection(path)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    for name, value in vars(found).items():
        other = getattr(again, name)
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, other)
        elif name == "weights":
            assert list(value) == list(other)
            for one in value:
                np.testing.assert_array_equal(value[one], other[one])
        else:
            assert value == other
