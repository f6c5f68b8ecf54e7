"""`inspect` of models whose components have other sizes than the standard ones: shown, or left out with a word."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.data.tokenizers import Vocabulary
from gptlab.inspection.inspection import Inspection, inspect, read_inspection, write_inspection
from gptlab.inspection.page import numbers, page
from gptlab.inspection.pictures import attention_picture
from gptlab.inspection.table import inspection_html, table
from gptlab.model.block import PreNorm
from tests.models import make_gpt
from tests.recurrent import Several

WORDS = Vocabulary(["the", "cat", "dog", "runs", "to", "a", "big", "park", "and", "sleeps"], "word")
TEXT = "the cat sleeps and"


@dataclass(frozen=True)
class Widening(PreNorm):
    """Twice as wide after the first layer, as wide as before after the second."""

    def __call__(self, weights: Any, x: Any, model: Any, context: Any) -> Any:
        width = model.sizes.nEmbd
        made = super().__call__(weights, x[:, :width], model, context)
        return made.concatenate(made * 0.5) if x.shape[-1] == width else made


@dataclass(frozen=True)
class Streams(PreNorm):
    """Two streams (2, T, E) between the layers."""

    def __call__(self, weights: Any, x: Any, model: Any, context: Any) -> Any:
        made = super().__call__(weights, x if x.ndim == 2 else x[0] + x[1], model, context)
        pair = made.reshape(1, *made.shape)
        return pair.concatenate(pair * 0.5, axis=0) if x.ndim == 2 else made


@dataclass(frozen=True)
class Listed(PreNorm):
    """A list of Tensors between the layers."""

    def __call__(self, weights: Any, x: Any, model: Any, context: Any) -> Any:
        if isinstance(x, list):
            return super().__call__(weights, x[0] + x[1], model, context)
        made = super().__call__(weights, x, model, context)
        return [made, made * 0.5]


@dataclass(frozen=True)
class Pooled(PreNorm):
    """One state of all positions (E,) between the layers: no model of language, but one that computes."""

    def __call__(self, weights: Any, x: Any, model: Any, context: Any) -> Any:
        if x.ndim == 2:
            return super().__call__(weights, x, model, context).sum(0)
        spread = x.reshape(1, x.shape[-1]) + x.constant(np.zeros((len(context.positions), x.shape[-1])))
        return super().__call__(weights, spread, model, context)


@dataclass(frozen=True)
class Uneven(PreNorm):
    """Attention twice in a layer whose input is as it came, once in the other; the block of the model is its own."""

    def __call__(self, weights: Any, x: Any, model: Any, context: Any) -> Any:
        assert isinstance(model.block, Uneven)
        width = model.sizes.nEmbd
        if x.shape[-1] == width:
            attended = model.attend(weights, x, context)
            return x.concatenate(model.attend(weights, attended, context))
        return super().__call__(weights, x[:, :width], model, context)


@dataclass(frozen=True)
class NoAttention(PreNorm):
    """The mlp alone."""

    def __call__(self, weights: Any, x: Any, model: Any, context: Any) -> Any:
        return x + model.feed(weights, x)


AFTER = "the logit lens is not shown after layer 0: the output takes no hidden state of that shape."
SIZES = "the hidden states have different sizes: 8 at the embedding, 16 after layer 0, 8 after layer 1."
AWAY = "the hidden state after layer 0 is not shown: it is not of the text's positions."
BLOCKS = {
    Widening(): [SIZES, AFTER],
    Streams(): [SIZES, AFTER],
    Listed(): [AWAY, AFTER],
    Pooled(): [AWAY, AFTER],
    Uneven(): [
        "the layers have different numbers of heads (4 in layer 0, 2 in layer 1): what a layer lacks is empty.",
        SIZES,
        AFTER,
    ],
    NoAttention(): [
        "attention is not shown: CausalAttention asks no Tensor for attend(...) or softmax(...)."
    ],
}


def looked(block: Any) -> Inspection:
    gpt = make_gpt(initStd=0.4, block=block)
    assert (gpt.sizes.nEmbd, gpt.sizes.nLayer, gpt.sizes.nHead) == (8, 2, 2)
    return inspect(gpt, OpTable(), gpt.initial_weights(0), WORDS, TEXT)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: type(block).__name__)
def test_what_can_be_seen_of_other_sizes_is_shown_and_the_rest_has_a_word(block, tmp_path) -> None:
    seen = looked(block)
    assert list(seen.notes) == BLOCKS[block]
    there = np.array([AWAY not in seen.notes, True])
    assert np.isfinite(seen.losses).all()
    for norms in (seen.hiddenNorms, seen.gradientNorms):
        assert (np.isfinite(norms[1:]).all(1) == there).all()
        assert (norms[0] > 0).all()
    np.testing.assert_allclose(seen.lens[-1], seen.probabilities, rtol=1e-4)
    assert np.isfinite(seen.lens[1]).all() == (AFTER not in seen.notes)
    assert np.isfinite(seen.attributions).all()
    # Every form of it.
    write_inspection(seen, tmp_path / "kept")
    np.testing.assert_array_equal(read_inspection(tmp_path / "kept").lens, seen.lens)
    shown = numbers(seen)
    assert [bool(entry["candidates"][0]) for entry in shown["lens"]] == [True, AFTER not in seen.notes, True]
    assert "</html>" in page(seen, "other sizes")
    assert seen.notes[0].partition("(")[0] in inspection_html(seen).replace("&#x27;", "'")
    assert seen.notes[0] in table(seen, 3, "other sizes").replace("\n", " ")
    assert bool(attention_picture(seen, "other sizes")) == (not isinstance(block, NoAttention))


@pytest.mark.slow
def test_what_a_step_of_a_scan_takes_a_softmax_over_is_no_attention() -> None:
    gpt = make_gpt(initStd=0.4, attention=Several())
    seen = inspect(gpt, OpTable(), gpt.initial_weights(0), WORDS, TEXT)
    assert list(seen.notes) == [
        "attention is not shown: Several asks no Tensor for attend(...) or softmax(...)."
    ]
    assert np.isfinite(seen.losses).all() and np.isfinite(seen.attributions).all()


def test_a_wider_hidden_state_has_its_own_length_and_a_narrower_one_ends_in_zeros() -> None:
    seen = looked(Widening())
    assert seen.hidden.shape == (3, 5, 16)
    np.testing.assert_allclose(seen.hidden[1, :, 8:], 0.5 * seen.hidden[1, :, :8], rtol=1e-5)
    assert not seen.hidden[[0, 2], :, 8:].any()
    np.testing.assert_allclose(seen.hiddenNorms[1], np.linalg.norm(seen.hidden[1], axis=-1), rtol=1e-6)
