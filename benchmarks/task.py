"""What every implementation trains, number for number: sizes, initial weights, documents, Adam's settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gptlab.data.datasets import Names, Sentences
from gptlab.data.documents import Cuts, Documents, stream_in_memory
from gptlab.data.tokenizers import CharTokenizer, Tokenizer, WordTokenizer
from gptlab.model.gpt import GPT, settle_sizes
from gptlab.plugins.loading import load_plugins

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Task:
    """Step s (from 0) trains on documents s * batchSize ... (s + 1) * batchSize - 1, in order, round and round.

    weights: float64 arrays by name, in the order of DESIGN §2. tokens: (N, blockSize + 1), padded with
    BOS; lengths: (N,), predictions in each. The learning rate of step s is learningRate * (1 - s / numSteps).
    weightDecay: AdamW's, on matrices; 0 is Adam. clip: the longest gradient, of all weights together.
    """

    name: str
    nLayer: int
    nEmbd: int
    nHead: int
    blockSize: int
    vocabSize: int
    batchSize: int
    weights: dict[str, np.ndarray]
    tokens: np.ndarray
    lengths: np.ndarray
    numSteps: int = 1_000_000
    learningRate: float = 0.01
    beta1: float = 0.85
    beta2: float = 0.99
    epsAdam: float = 1e-8
    weightDecay: float = 0.0
    clip: float | None = None

    def rows(self, start: int, steps: int) -> np.ndarray:
        """(steps, batchSize): the documents of steps start ... start + steps - 1."""
        first = start * self.batchSize
        positions = np.arange(first, first + steps * self.batchSize) % len(self.tokens)
        return positions.reshape(steps, self.batchSize)


def documents_of(data: str, blockSize: int) -> tuple[Documents, Tokenizer]:
    """`names` by characters or `sentences` by words."""
    texts, factory = (
        (Names().documents(), CharTokenizer())
        if data == "names"
        else (Sentences().documents(), WordTokenizer())
    )
    tokenizer = factory.build(texts)
    return Cuts(stream_in_memory(texts, tokenizer), blockSize, window=False).in_memory(), tokenizer


def definition_of(sizes: dict[str, int]) -> GPT:
    """The standard model: the components that gptlab's configs begin with."""
    from gptlab.model.gpt import STANDARD

    registry = load_plugins(discover=False).registry
    parts = {kind: registry.get(kind, name)() for kind, name in STANDARD.items()}
    return GPT(settle_sizes(**sizes, headDim=None), **parts)


def make_task(
    data: str,
    nLayer: int,
    nEmbd: int,
    batchSize: int,
    nHead: int = 4,
    blockSize: int = 16,
    learningRate: float = 0.01,
) -> tuple[Task, GPT]:
    """A task, and gptlab's definition of its model."""
    documents, tokenizer = documents_of(data, blockSize)
    vocabSize = tokenizer.vocabSize
    sizes = {"nLayer": nLayer, "nEmbd": nEmbd, "nHead": nHead, "blockSize": blockSize, "vocabSize": vocabSize}
    definition = definition_of(sizes)
    order = np.random.default_rng(0).permutation(len(documents))
    tokens = np.full((len(documents), blockSize + 1), vocabSize - 1, dtype=np.int32)
    tokens[:, : documents.tokens.shape[1]] = documents.tokens[order]
    name = f"{data} nLayer={nLayer} nEmbd={nEmbd} batchSize={batchSize}"
    return Task(
        name,
        **sizes,
        batchSize=batchSize,
        weights=definition.initial_weights(0),
        tokens=tokens,
        lengths=documents.lengths[order],
        learningRate=learningRate,
    ), definition


def synthetic_task(
    nLayer: int,
    nEmbd: int,
    blockSize: int,
    batchSize: int,
    nHead: int = 4,
    vocabSize: int = 256,
    documents: int = 1024,
) -> tuple[Task, GPT]:
    """Random documents, each of blockSize predictions: no padding, whatever the blockSize."""
    sizes = {"nLayer": nLayer, "nEmbd": nEmbd, "nHead": nHead, "blockSize": blockSize, "vocabSize": vocabSize}
    definition = definition_of(sizes)
    tokens = np.random.default_rng(0).integers(0, vocabSize - 1, (documents, blockSize + 1), dtype=np.int32)
    tokens[:, 0] = vocabSize - 1
    name = f"synthetic nLayer={nLayer} nEmbd={nEmbd} blockSize={blockSize} batchSize={batchSize}"
    lengths = np.full(documents, blockSize, dtype=np.int32)
    weights = definition.initial_weights(0)
    return Task(
        name, **sizes, batchSize=batchSize, weights=weights, tokens=tokens, lengths=lengths
    ), definition
