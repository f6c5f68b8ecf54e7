"""The tasks of `scale`: GPT-2s of nanoGPT's sizes on random characters, every row full."""

from __future__ import annotations

import numpy as np

from benchmarks.task import Task
from gptlab.model.gpt import GPT, STANDARD, settle_sizes
from gptlab.model.init import Scaled
from gptlab.model.norm import LayerNorm
from gptlab.plugins.loading import load_plugins

VOCABULARY = 65  # nanoGPT's, of Shakespeare's characters


def gpt2_of(sizes: dict[str, int]) -> GPT:
    """As `+size=baby` composes it: GPT-2's parts, no biases, tied embeddings."""
    registry = load_plugins(discover=False).registry
    names = {**STANDARD, "activation": "gelu"}
    parts = {kind: registry.get(kind, name)() for kind, name in names.items()} | {
        "norm": LayerNorm(scale=True)
    }
    return GPT(
        settle_sizes(**sizes, headDim=None),
        **parts,
        embeddingNorm=False,
        finalNorm=True,
        tieEmbeddings=True,
        init=Scaled(),
    )


def gpt2_task(
    nLayer: int,
    nEmbd: int,
    nHead: int,
    blockSize: int,
    batchSize: int,
    vocabSize: int = VOCABULARY,
    documents: int = 480,
) -> tuple[Task, GPT]:
    """nanoGPT's optimizer too: AdamW with weight decay 0.1, and gradients no longer than 1."""
    sizes = {"nLayer": nLayer, "nEmbd": nEmbd, "nHead": nHead, "blockSize": blockSize, "vocabSize": vocabSize}
    definition = gpt2_of(sizes)
    tokens = np.random.default_rng(0).integers(0, vocabSize, (documents, blockSize + 1), dtype=np.int32)
    return Task(
        f"nanoGPT {nLayer} x {nEmbd}, {batchSize} x {blockSize} positions",
        **sizes,
        batchSize=batchSize,
        weights=definition.initial_weights(0),
        tokens=tokens,
        lengths=np.full(documents, blockSize, dtype=np.int32),
        learningRate=1e-3,
        beta1=0.9,
        beta2=0.99,
        weightDecay=0.1,
        clip=1.0,
    ), definition
