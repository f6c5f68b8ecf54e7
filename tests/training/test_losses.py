"""What a loss is: one average, in nats a predicted token, whatever the documents, the batch and the engine."""

import numpy as np
import pytest

from gptlab.autograd.op import op
from gptlab.autograd.ops import OpTable
from gptlab.data.batches import Epochs
from gptlab.data.documents import Documents
from gptlab.engines.engine import Batches, trained
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.model.adapted import frozen_names
from gptlab.optim.optimizers import SGD
from tests.models import make_gpt

ENGINES = {"xla": XlaEngine("float64"), "float32": XlaEngine(), "scalar": ScalarEngine()}
each_engine = pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES.keys())
SIZES = {"nLayer": 1, "nEmbd": 8, "nHead": 2, "headDim": None, "blockSize": 9, "vocabSize": 11}


@op(samples=[(0.5,), (3.0,)])
def half_log(xp, a):
    """log(a) / 2: what the training minimizes is then no cross-entropy."""
    return 0.5 * xp.log(a), (0.5 / a,)


def documents_of(count: int) -> Documents:
    """Of 1 to 9 predictions each, so that a mean over documents is far from one over their tokens."""
    generator = np.random.default_rng(5)
    tokens = generator.integers(0, SIZES["vocabSize"], (count, SIZES["blockSize"] + 1)).astype(np.int32)
    return Documents(tokens, generator.integers(1, SIZES["blockSize"] + 1, count).astype(np.int32))


def both(engine, batch: int, ops: OpTable | None = None, population: np.ndarray | None = None, frozen=()):
    """(the loss of a training step on documents, that of an evaluation on the same, the metrics)."""
    gpt = make_gpt(SIZES)
    fixed = frozen_names(list(frozen), gpt)
    session = engine.session(gpt, SGD(), ops or OpTable(), fixed)
    weights = {name: 8 * array for name, array in gpt.initial_weights(3).items()}  # losses far apart
    moments = SGD().init(trained(weights, fixed))
    documents = documents_of(batch)
    total, count = session.evaluate(session.init(weights, {}), documents.tokens, documents.lengths)
    batches = Batches(documents.tokens[None], documents.lengths[None], population)
    _, metrics = session.train(session.init(weights, moments), batches, np.full(1, 0.1))
    return metrics.loss[0], total / count, metrics


@each_engine
@pytest.mark.parametrize("batch", [1, 2, 12])
@pytest.mark.parametrize("swap", [{}, {"log": half_log}], ids=["standard", "swapped"])
def test_train_and_val_loss_are_the_same_average_of_the_same_documents(engine, batch, swap):
    train, val, metrics = both(engine, batch, OpTable(swap))
    assert train == pytest.approx(val, rel=1e-5 if engine == XlaEngine() else 1e-12)
    apart = batch > 1 or bool(swap)
    assert (metrics.objective is not None) == apart
    if apart:
        assert abs(metrics.minimized[0] - train) > 0.01, "else this test could not tell them apart"


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [(), ("tokenEmbedding", "layers")], ids=["all", "frozen"])
def test_in_rows_that_documents_share_as_well(frozen):
    lengths = documents_of(12).lengths
    train, val, metrics = both(XlaEngine("float64"), 12, population=lengths, frozen=frozen)
    plain_train, _, plain = both(XlaEngine("float64"), 12)
    assert train == pytest.approx(val, rel=1e-12) and train == pytest.approx(plain_train, rel=1e-12)
    assert metrics.minimized[0] == pytest.approx(plain.minimized[0], rel=1e-12)


@pytest.mark.slow
def test_a_longer_chunk_tells_each_step_its_own():
    gpt, documents = make_gpt(SIZES), documents_of(12)
    session = XlaEngine("float64").session(gpt, SGD(), OpTable())
    batches = Epochs(documents, 3, 0).chunk(0, 4)
    weights = gpt.initial_weights(0)
    _, metrics = session.train(session.init(weights, SGD().init(weights)), batches, np.zeros(4))
    state = session.init(weights, {})  # which no step has changed, at a rate of 0
    for tokens, lengths, loss in zip(batches.tokens, batches.lengths, metrics.loss, strict=True):
        total, count = session.evaluate(state, tokens, lengths)
        assert loss == pytest.approx(total / count, rel=1e-12)
