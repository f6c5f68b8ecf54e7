"""Parts of a model taken out: against models whose weights say the same, on every kind of architecture."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.data.documents import Documents
from gptlab.data.tokenizers import Vocabulary
from gptlab.errors import UserError
from gptlab.inspection.inspection import inspect
from gptlab.inspection.interventions import Interventions
from gptlab.model.block import PreNorm
from gptlab.model.gpt import GPT
from gptlab.plugins.loading import load_plugins
from tests.models import make_gpt
from tests.recurrent import Several

WORDS = Vocabulary(["the", "cat", "dog", "runs", "to", "a", "big", "park", "and", "sleeps"], "word")
TEXT, OTHER = "the cat sleeps and", "a dog runs to"
HEADS, DIM = 2, 4


@dataclass(frozen=True)
class Twice(PreNorm):
    """Asks for its attention two times, and for no mlp."""

    def __call__(self, weights: Any, x: Any, model: Any, context: Any) -> Any:
        return x + model.attend(weights, x, context) + model.attend(weights, x * 0.5, context)


def plugin(kind: str, name: str) -> Any:
    return load_plugins().registry.get(kind, name)()


def models() -> dict[str, GPT]:
    causal = make_gpt().attention
    return {
        "standard": make_gpt(initStd=0.4),
        "llama": make_gpt(
            initStd=0.4,
            position="rope",
            mlp="swiglu",
            activation="silu",
            finalNorm=True,
            attention=replace(causal, nKVHead=1),
        ),
        "pattern": make_gpt(
            initStd=0.4,
            layers=((), (("mlp", make_gpt(mlp="swiglu").mlp), ("norm", make_gpt(norm="layernorm").norm))),
        ),
        "window": make_gpt(initStd=0.4, attention=plugin("attention", "sliding")),
        "parallel": make_gpt(initStd=0.4, block=plugin("block", "parallelblock")),
    }


MODELS = models()


def asked(gpt: GPT, weights: dict[str, np.ndarray] | None = None, **more: Any) -> Interventions:
    return Interventions(gpt, OpTable(), weights or gpt.initial_weights(0), WORDS, **more)


def documents(*texts: str) -> Documents:
    rows = [[WORDS.bos, *WORDS.encode(text), WORDS.bos] for text in texts]
    lengths = np.array([len(row) - 1 for row in rows])
    tokens = np.array([row + [WORDS.bos] * (lengths.max() + 1 - len(row)) for row in rows], np.int32)
    return Documents(tokens, lengths.astype(np.int32))


def zeroed(gpt: GPT, part: str) -> dict[str, np.ndarray]:
    """The weights with those set to 0 by which the part adds to the hidden state."""
    weights = {name: array.copy() for name, array in gpt.initial_weights(0).items()}
    words = part.split(".")
    output = weights[f"layers.{words[1]}.{'mlp' if words[2] == 'mlp' else 'attention'}.output"]
    if words[2] == "head":
        head = int(words[3])
        output[:, head * DIM : (head + 1) * DIM] = 0
    else:
        output[...] = 0
    return weights


@pytest.mark.parametrize("name", MODELS)
def test_a_part_put_to_zero_is_the_model_whose_output_weights_are_zero(name: str) -> None:
    gpt = MODELS[name]
    for part in ("layers.1.head.1", "layers.0.head.0", "layers.0.mlp", "layers.1.attention"):
        found = asked(gpt).without(part, TEXT)
        in_weights = asked(gpt, zeroed(gpt, part)).without("layers.0.mlp", TEXT)
        np.testing.assert_allclose(found.lossesWithout, in_weights.losses, atol=1e-6)
        assert np.abs(found.effects).max() > 1e-3
        assert found.parts == [part]


@pytest.mark.slow
def test_the_losses_are_those_of_an_inspection() -> None:
    gpt = MODELS["llama"]
    seen = inspect(gpt, OpTable(), gpt.initial_weights(0), WORDS, TEXT)
    found = asked(gpt).without("layers.0.mlp", TEXT)
    np.testing.assert_allclose(found.losses, seen.losses, atol=1e-6)
    np.testing.assert_allclose(found.probabilities, seen.probabilities, atol=1e-6)
    assert (found.text, found.tokens, found.targets) == (seen.text, seen.tokens, seen.targets)


def test_all_heads_at_once_are_their_attention() -> None:
    ask = asked(MODELS["llama"])
    heads = ask.without(["layers.0.head.0", "layers.0.head.1"], TEXT)
    whole = ask.without("layers.0.attention", TEXT)
    np.testing.assert_allclose(heads.lossesWithout, whole.lossesWithout, atol=1e-12)


@pytest.mark.parametrize("name", ["standard", "llama"])
def test_a_text_patched_from_itself_is_as_it_was_and_from_another_one_is_not(name: str) -> None:
    ask = asked(MODELS[name])
    for part in ("layers.1.head.1", "layers.0.mlp", "layers.0.attention"):
        assert np.abs(ask.without(part, TEXT, source=TEXT).effects).max() < 1e-9
        found = ask.without(part, TEXT, source=OTHER)
        assert np.abs(found.effects).max() > 1e-4
        assert found.filled == f'as in "{OTHER}"'


def test_everything_of_another_text_patched_in_after_the_last_layer_gives_its_predictions() -> None:
    # The one layer's hidden state is embedding + attention + mlp: with equal embeddings the patch gives all of it.
    gpt = make_gpt({**vars(MODELS["standard"].sizes), "nLayer": 1}, initStd=0.4)
    weights = gpt.initial_weights(0)
    weights["tokenEmbedding"][:] = weights["tokenEmbedding"][0]
    ask = asked(gpt, weights)
    found = ask.without(["layers.0.attention", "layers.0.mlp"], TEXT, source=OTHER)
    there = ask.activations(OTHER)["logits"]
    np.testing.assert_allclose(
        np.log(found.probabilitiesWithout), there - np.log(np.exp(there).sum(-1))[:, None], atol=1e-6
    )


@pytest.mark.slow
def test_a_mean_is_over_all_positions_of_the_documents_and_that_of_a_constant_is_it() -> None:
    gpt, texts = MODELS["standard"], ["the cat", "a big dog runs to", "and"]
    ask = asked(gpt, documents=documents(*texts))
    means = ask.means()
    every = [ask.activations(text) for text in texts]
    for place in ("layers.0.heads", "layers.1.mlp", "layers.1.attention"):
        np.testing.assert_allclose(
            means[place], np.concatenate([one[place] for one in every]).mean(0), rtol=1e-5, atol=1e-6
        )
    # With a hidden matrix of zeros an mlp with biases adds one constant, which is its mean.
    constant = make_gpt({**vars(gpt.sizes), "bias": True}, initStd=0.4)
    weights = constant.initial_weights(0)
    weights["layers.0.mlp.hidden"][:] = 0
    weights["layers.0.mlp.outputBias"][:] = np.arange(8)
    ask = asked(constant, weights, documents=documents(*texts))
    np.testing.assert_allclose(ask.means()["layers.0.mlp"], np.arange(8), rtol=1e-6)
    np.testing.assert_allclose(ask.without("layers.0.mlp", TEXT, "mean").effects, 0, atol=1e-6)
    assert np.abs(ask.without("layers.0.mlp", TEXT, "zero").effects).max() > 0.1


@pytest.mark.slow
def test_the_table_has_each_part_as_it_is_taken_out_alone() -> None:
    gpt, texts = MODELS["standard"], ["the cat", "a big dog runs to", "and"]
    ask = asked(gpt, documents=documents(*texts))
    found = ask.effects(TEXT)
    assert found.parts == [
        f"layers.{i}.{part}" for i in (0, 1) for part in ("head.0", "head.1", "attention", "mlp")
    ]
    for i, part in enumerate(found.parts):
        assert found.onText[i] == pytest.approx(ask.without(part, TEXT).effect, abs=1e-6)
        alone = [ask.without(part, text) for text in texts]
        effects = np.concatenate([one.effects for one in alone])
        assert found.onHeldOut[i] == pytest.approx(effects.mean(), abs=1e-6)
    losses = np.concatenate([one.losses for one in alone])
    assert found.heldOutLoss == pytest.approx(losses.mean(), abs=1e-6)
    assert found.heads(found.onText).shape == (2, 2)
    assert found.heads(found.onText)[1, 0] == found.of("layers.1.head.0")["onText"]
    assert (
        "layers.1" in repr(found) and "held-out documents" in repr(found) and "<table" in found._repr_html_()
    )


def test_only_what_counts_is_in_the_mean_of_the_documents() -> None:
    some = documents("the cat", "a big dog runs to")
    counted = np.zeros((2, some.width - 1), bool)
    counted[1, 2] = True
    ask = asked(MODELS["standard"], documents=Documents(some.tokens, some.lengths, counted))
    found, alone = ask.effects(), ask.without("layers.0.mlp", "a big dog runs to")
    assert found.of("layers.0.mlp") == {"onHeldOut": pytest.approx(alone.effects[2], abs=1e-6)}
    assert (found.onText, found.text) == (None, None)


def test_activations_have_names_and_shapes_and_add_up() -> None:
    found = asked(MODELS["llama"]).activations(TEXT)
    T, E, V = 5, 8, 11
    layer = {
        "query": (T, 2, 4),
        "key": (T, 1, 4),
        "value": (T, 1, 4),
        "shares": (2, T, T),
        "heads": (T, 2, 4),
    }
    layer |= {"attention": (T, E), "mlp": (T, E), "output": (T, E)}
    shapes = (
        {"embedding": (T, E)}
        | {f"layers.{i}.{n}": s for i in (0, 1) for n, s in layer.items()}
        | {"logits": (T, V)}
    )
    assert {name: array.shape for name, array in found.items()} == shapes
    assert list(found) == list(shapes)
    added = found["layers.0.output"] + found["layers.1.attention"] + found["layers.1.mlp"]
    np.testing.assert_allclose(added, found["layers.1.output"], rtol=1e-6)
    np.testing.assert_allclose(found["layers.0.shares"].sum(-1), 1, rtol=1e-6)


def refusal(ask: Interventions, part: Any, text: str = TEXT, **more: Any) -> str:
    with pytest.raises(UserError) as raised:
        ask.without(part, text, **more)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_what_there_is_not_is_refused_by_name() -> None:
    ask = asked(MODELS["standard"])
    assert "a layer of this model must be 0 to 1: got layers.2.mlp. Try without=layers.1.mlp." in refusal(
        ask, "layers.2.mlp"
    )
    assert "a head of layer 1 must be 0 to 1: got layers.1.head.2" in refusal(ask, "layers.1.head.2")
    assert "got 'layers.0.mpl'. Did you mean" in refusal(ask, "layers.0.mpl")
    assert "as many tokens as the text, 5 positions: 'a dog' has 3" in refusal(
        ask, "layers.0.mlp", source="a dog"
    )
    assert "must be zero or mean: got median" in refusal(ask, "layers.0.mlp", fill="median")
    assert "there are none" in refusal(ask, "layers.0.mlp", fill="mean")
    assert "got both" in refusal(ask, "layers.0.mlp", fill="mean", source=OTHER)
    assert "got none" in refusal(ask, [])


def test_what_cannot_be_taken_apart_is_refused_by_the_name_of_the_component() -> None:
    several = asked(make_gpt(initStd=0.4, attention=Several()))
    assert "layers.0.head.0 cannot be taken out: Several asks for no context.attend" in refusal(
        several, "layers.0.head.0"
    )
    assert np.abs(several.without("layers.0.attention", TEXT).effects).max() > 1e-6
    twice = asked(make_gpt(initStd=0.4, block=Twice()))
    assert "Twice computes it 2 times in a pass" in refusal(twice, "layers.0.attention")
    assert "Twice asks for no mlp" in refusal(twice, "layers.0.mlp")
    with pytest.raises(UserError, match="no part of this model can be taken out"):
        twice.effects(TEXT)
