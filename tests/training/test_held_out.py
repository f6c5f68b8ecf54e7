"""The losses of single held-out documents add up to what an evaluation says."""

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.data.tokenizers import Vocabulary
from gptlab.engines.engine import MeasuresEach
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.model.metric import Accuracy
from gptlab.optim.optimizers import Adam
from gptlab.training.held_out import document_nats, measured
from tests.models import encode, make_gpt
from tests.training.trainings import documents_of, make_training


@pytest.mark.parametrize("engine", [ScalarEngine(), XlaEngine(dtype="float64")], ids=["scalar", "xla"])
def test_documents_add_up_to_the_evaluation(engine) -> None:
    gpt = make_gpt()
    documents = encode(
        ["ab", "abcd", "d", "cabdda"], Vocabulary("abcdefghij", "character"), gpt.sizes.blockSize
    )
    session = engine.session(gpt, Adam(), OpTable())
    state = session.init(gpt.initial_weights(0), {})
    found = document_nats(session, state, documents)
    each = [
        session.evaluate(state, documents.tokens[i : i + 1], documents.lengths[i : i + 1])[0]
        for i in range(4)
    ]
    np.testing.assert_allclose(found, each, rtol=1e-9)


def test_what_is_asked_of_training_documents_is_of_as_many_the_first_ones():
    metrics = (("accuracy", Accuracy()),)
    training, rows = make_training(ScalarEngine(), evalEvery=6)
    training.session = ScalarEngine().session(training.session.definition, Adam(), OpTable())
    training.metrics = training.on_trained = metrics
    training.run()
    first, ended = documents_of(20)[:3], training.state
    for name, documents in (("train", first), ("val", training.held_out)):
        hits = [
            training.session.logits(ended, row[:length]).argmax(-1) == row[1 : length + 1]
            for row, length in zip(documents.tokens, documents.lengths.tolist(), strict=True)
        ]
        assert rows[-1][1][f"{name}/accuracy"] == pytest.approx(np.concatenate(hits).mean())
    assert rows[-1][1]["train/accuracy"] != rows[-1][1]["val/accuracy"], "they must be told apart"
    assert [step for step, row in rows if "train/accuracy" in row] == [6, 12]
    training, rows = make_training(ScalarEngine())
    training.run()
    assert "train/accuracy" not in rows[-1][1]


def test_an_engine_that_does_not_measure_is_told_apart():
    class Without:
        def evaluate(self, state, tokens, lengths):
            raise AssertionError("it is no yardstick where some tokens count")

    assert not isinstance(Without(), MeasuresEach)
    with pytest.raises(UserError, match=r"need an engine that measures: Without does not. Try engine=xla\."):
        measured(Without(), None, documents_of(2))
