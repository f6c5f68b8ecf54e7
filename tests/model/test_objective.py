"""The losses of objectives by their formulas, and the cap on logits that is the model's."""

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.data.tokenizers import CharTokenizer
from gptlab.engines.context import causal_context
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.scalar_arithmetic import ScalarArithmetic, data_of
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.model.component import Part
from gptlab.model.objective import Answers, AnswersAfter, NextToken, judged_by
from gptlab.optim.optimizers import SGD
from tests.models import assert_same_run, make_gpt, trained

LOGITS = np.random.default_rng(0).normal(size=(5, 7))
TOKENS, TARGETS = np.array([6, 1, 3, 2, 3]), np.array([1, 3, 2, 3, 6])


def judged(objective, context=None):
    arrays = ScalarArithmetic(OpTable())
    logits = Tensor(arrays.constant(LOGITS), arrays)
    context = context or causal_context(5)
    return judged_by(objective, Part({}), logits, logits, TOKENS, TARGETS, context)


def test_smoothing_is_a_target_spread_over_all_tokens_and_z_loss_the_square_of_the_normalizer():
    normalizers = np.log(np.exp(LOGITS).sum(-1))
    likelihoods = LOGITS - normalizers[:, None]
    wanted = np.full((5, 7), 0.2 / 7)
    wanted[np.arange(5), TARGETS] += 0.8
    found = data_of(judged(NextToken(zLoss=0.3, labelSmoothing=0.2)).losses.data)
    np.testing.assert_allclose(found, -(wanted * likelihoods).sum(-1) + 0.3 * normalizers**2, rtol=1e-12)
    assert judged(NextToken()).counts is None


def test_an_answer_is_what_follows_the_first_token_of_its_kind():
    assert judged(AnswersAfter(token=3)).counts.tolist() == [False, False, True, True, True]
    assert not judged(AnswersAfter(token=5)).counts.any()
    tokenizer = CharTokenizer().build(["12+3=15"])
    assert Answers(zLoss=0.1).for_tokens(tokenizer) == AnswersAfter(0.1, 0.0, tokenizer.encode("=")[0])
    with pytest.raises(UserError, match=r"must be one token: '15' is 2\. Try objective\.after='1'"):
        Answers(after="15").for_tokens(tokenizer)


def test_a_penalty_of_another_shape_is_refused_also_where_it_has_no_effect():
    context = causal_context(5)
    with pytest.raises(UserError, match=r"'big' must have one number for each of 5 positions: got \(5, 7\)"):
        context.penalty("big", judged(NextToken()).logits)


@pytest.mark.slow
def test_a_cap_holds_logits_below_it_wherever_they_are_asked_for():
    gpt, plain = make_gpt(softCap=0.05), make_gpt()
    weights = gpt.initial_weights(0)
    assert weights.keys() == plain.initial_weights(0).keys()
    for engine in (ScalarEngine(), XlaEngine("float64")):
        capped, free = (
            each.session(model, SGD(), OpTable()) for each, model in ((engine, gpt), (engine, plain))
        )
        found = capped.logits(capped.init(weights, {}), TOKENS)
        expected = 0.05 * np.tanh(free.logits(free.init(weights, {}), TOKENS) / 0.05)
        np.testing.assert_allclose(found, expected, rtol=1e-10)
        assert np.abs(found).max() < 0.05
    assert_same_run(trained(XlaEngine("float64"), gpt, 3), trained(ScalarEngine(), gpt, 3))
