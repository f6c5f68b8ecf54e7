"""The losses of single held-out documents add up to what an evaluation says."""

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.data.tokenizers import Vocabulary
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.optim.optimizers import Adam
from gptlab.training.held_out import document_nats
from tests.models import encode, make_gpt


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
