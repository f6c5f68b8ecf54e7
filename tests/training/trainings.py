"""Trainings of a tiny model on few documents, which keep what they log."""

import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.data.batches import Epochs
from gptlab.data.documents import Documents
from gptlab.optim.optimizers import Adam
from gptlab.optim.schedules import Linear
from gptlab.training.loop import Observer, Plan, Training
from tests.models import make_gpt, pack

TINY = {"nLayer": 1, "nEmbd": 4, "nHead": 2, "headDim": None, "blockSize": 4, "vocabSize": 6}
BOS = TINY["vocabSize"] - 1


def documents_of(count: int, seed: int = 0) -> Documents:
    """Different documents of 3 words among 0 ... 3."""
    words = np.random.default_rng(seed).permutation(64)[:count]
    return pack([[BOS, word // 16, word // 4 % 4, word % 4, BOS] for word in words.tolist()], BOS)


class Spy:
    """A session that does its work, and remembers what it was asked to train on."""

    def __init__(self, session):
        self._session = session
        self.rows, self.rates, self.chunks = [], [], []

    def __getattr__(self, name):
        return getattr(self._session, name)

    def train(self, state, batches, learning_rates):
        self.rows += batches.tokens.reshape(-1, batches.tokens.shape[-1]).tolist()
        self.rates += learning_rates.tolist()
        self.chunks.append(len(learning_rates))
        return self._session.train(state, batches, learning_rates)


class Told(Observer):
    """Keeps the rows; has the test's own functions called."""

    def __init__(self, on_chunk=lambda step, chunk: None, poll=lambda: None):
        self.rows = []
        self.on_chunk = on_chunk
        self.poll = poll

    def logged(self, step, metrics, state):
        self.rows.append((step, metrics))

    def chunk_ended(self, state, chunk):
        self.on_chunk(state.step, chunk)


def make_training(
    engine,
    numSteps=12,
    logEvery=5,
    evalEvery=0,
    batchSize=1,
    weights=None,
    train=None,
    held_out=None,
    **hooks,
):
    """A training with a spy for its session, and the list of what it logs."""
    gpt, optimizer, told = make_gpt(TINY), Adam(), Told(**hooks)
    session = Spy(engine.session(gpt, optimizer, OpTable()))
    weights = weights or gpt.initial_weights(0)
    training = Training(
        session,
        session.init(weights, optimizer.init(weights)),
        Plan(numSteps, 0.05, Linear(), logEvery, evalEvery),
        Epochs(documents_of(20) if train is None else train, batchSize, seed=3),
        documents_of(3, seed=1) if held_out is None else held_out,
        [told],
    )
    return training, told.rows
