"""Samples beyond blockSize: each token after a window of the last ones, the same on both engines and at any length."""

from itertools import pairwise

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.data.byte_tokenizers import ByteTokenizer
from gptlab.data.tokenizers import Vocabulary
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.optim.optimizers import SGD
from gptlab.training import sliding
from gptlab.training.generation import Sampling, generate, growing
from gptlab.training.samplers import MinP
from tests.models import SMALL, make_gpt

XLA = XlaEngine("float64")
ENGINES = {"xla": XLA, "scalar": ScalarEngine()}
LETTERS = Vocabulary(["\n", *"abcdefghi"], "character")
BLOCK = SMALL["blockSize"]
NEWLINE = 0


def session_of(engine, ends=False, **changes):
    """A model whose random weights are large enough for texts to vary. ends: whether it ends texts more than rarely."""
    gpt = make_gpt(initStd=0.3, **changes)
    weights = gpt.initial_weights(0)
    assert weights["output"].shape == (SMALL["vocabSize"], SMALL["nEmbd"])
    weights["output"][-1] *= ends  # the logit 0, of which some other is always above
    session = engine.session(gpt, SGD(), OpTable())
    return session, session.init(weights, {})


def drawn(engine, how, start=NEWLINE, **changes):
    return generate(*session_of(engine, **changes), LETTERS, BLOCK, how, start)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
@pytest.mark.parametrize("position", ["learned", "rope", "none"])
def test_the_likeliest_token_is_that_of_the_last_blockSize_ones_by_themselves(engine, position):
    session, state = session_of(engine, position=position)
    [text] = generate(session, state, LETTERS, BLOCK, Sampling(n=1, temperature=0, length=BLOCK + 9), NEWLINE)
    tokens = [NEWLINE, *LETTERS.encode_typed(text)]
    assert len(tokens) == BLOCK + 10
    for end in range(1, len(tokens)):
        window = np.array(tokens[max(0, end - BLOCK) : end], dtype=np.int32)
        assert session.logits(state, window)[-1].argmax() == tokens[end]


HOW = {
    "plain": Sampling(n=3, temperature=0.3, seed=1, length=25),
    "long prompt": Sampling(n=3, temperature=0.3, seed=2, prompt="abcdefghihgf", length=12),
    "penalty": Sampling(n=2, temperature=0.2, seed=3, repetitionPenalty=1.2, length=20),
    "minp": Sampling(n=2, temperature=0.4, seed=4, sampler=MinP(), length=20),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", HOW.values(), ids=HOW)
def test_both_engines_give_the_same_texts(how):
    one, other = (drawn(engine, how) for engine in ENGINES.values())
    assert one == other and len(one) == how.n
    assert all(text.startswith(how.prompt) for text in one)
    assert max(map(len, one)) == len(how.prompt) + how.length, "some reach it"


def test_a_session_that_cannot_slide_gives_the_same_by_generate_alone(monkeypatch):
    how = HOW["penalty"]
    whole = drawn(XLA, how)
    monkeypatch.setattr(sliding, "Slides", ScalarEngine)  # what no session is
    assert drawn(XLA, how) == whole


@pytest.mark.slow
def test_a_longer_text_begins_as_a_shorter_one_and_that_without_a_length_is_as_it_was():
    texts = [drawn(XLA, Sampling(n=4, temperature=0.3, seed=7, length=n)) for n in (2, BLOCK, 15, 40)]
    for shorter, longer in pairwise(texts):
        assert all(later.startswith(a) for a, later in zip(shorter, longer, strict=True))
    assert texts[1] == drawn(XLA, Sampling(n=4, temperature=0.3, seed=7))
    assert [max(map(len, some)) for some in texts] == [2, BLOCK, 15, 40]


@pytest.mark.slow
def test_a_text_ends_where_its_document_does():
    session, state = session_of(XLA, ends=True)
    how = Sampling(n=30, seed=1, temperature=1.0, length=40)
    lengths = sorted(map(len, generate(session, state, LETTERS, BLOCK, how)))
    assert lengths[0] < BLOCK < lengths[-1] and lengths[20] < 40 and len(set(lengths)) > 5


def test_texts_grow_a_few_tokens_at_a_time_to_what_generate_gives():
    session, state = session_of(XLA)
    how = Sampling(n=2, temperature=0.0, length=BLOCK + 2 * sliding.AT_ONCE + 1)
    seen = list(growing(session, state, LETTERS, BLOCK, how, NEWLINE))
    assert len(seen) == 4 and seen[-1] == generate(session, state, LETTERS, BLOCK, how, NEWLINE)
    assert [len(texts[0]) for texts in seen] == [BLOCK, BLOCK + 16, BLOCK + 32, BLOCK + 33]
    assert all(later.startswith(a) for one, two in pairwise(seen) for a, later in zip(one, two, strict=True))


def test_bytes_that_are_cut_off_at_a_time_are_whole_at_the_end():
    tokenizer = ByteTokenizer().build([])
    gpt = make_gpt({**SMALL, "vocabSize": tokenizer.vocabSize}, initStd=0.3)
    session = XLA.session(gpt, SGD(), OpTable())
    state = session.init(gpt.initial_weights(0), {})
    how = Sampling(n=2, temperature=0.0, prompt="é" * 10, length=3)
    assert all(text.startswith("é" * 10) for text in generate(session, state, tokenizer, BLOCK, how, 10))


def test_a_prompt_that_is_too_long_is_told_of_length_and_a_length_is_a_number_of_tokens():
    with pytest.raises(UserError, match=r"shorter than blockSize=6 tokens: it has 7.*length=100"):
        drawn(XLA, Sampling(prompt="abcdefg"))
    with pytest.raises(UserError, match=r"^length must be at least 1 token: got 0"):
        Sampling(length=0)
