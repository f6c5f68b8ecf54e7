"""Small models for tests, made from the registry by name: every one freshly."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.data.documents import Cuts, Documents, stream_in_memory
from gptlab.data.tokenizers import Tokenizer
from gptlab.engines.engine import Batches, Metrics, State
from gptlab.model.gpt import GPT, STANDARD, settle_sizes
from gptlab.optim.optimizers import Adam
from gptlab.plugins.loading import load_plugins

SMALL = {"nLayer": 2, "nEmbd": 8, "nHead": 2, "headDim": None, "blockSize": 6, "vocabSize": 11}
ONE_LAYER = {**SMALL, "nLayer": 1}  # where depth says nothing: what is compiled is half as long
BOOK = {"nLayer": 2, "nEmbd": 32, "nHead": 4, "headDim": None, "blockSize": 16, "vocabSize": 597}
NAMES = {"nLayer": 1, "nEmbd": 16, "nHead": 4, "headDim": None, "blockSize": 16, "vocabSize": 27}


def make_gpt(sizes: dict[str, Any] = SMALL, **changes: Any) -> GPT:
    """`make_gpt(norm="layernorm")`; a component may be a name, (name, fields) or an instance."""
    registry = load_plugins(discover=False).registry
    parts: dict[str, Any] = {}
    for kind, standard in STANDARD.items():
        chosen = changes.pop(kind, standard)
        name, fields = (
            (chosen, {}) if isinstance(chosen, str) else chosen if isinstance(chosen, tuple) else ("", {})
        )
        parts[kind] = registry.get(kind, name)(**fields) if name else chosen
    return GPT(settle_sizes(**sizes), **parts, **changes)


def random_batches(gpt: GPT, steps: int, batch: int = 2, seed: int = 0) -> Batches:
    """Documents of random tokens and lengths, padded as the data room pads them."""
    generator = np.random.default_rng(seed)
    sizes = gpt.sizes
    longest = min(sizes.blockSize, 9)
    tokens = generator.integers(0, sizes.vocabSize, (steps, batch, longest + 1)).astype(np.int32)
    lengths = generator.integers(1, longest + 1, (steps, batch)).astype(np.int32)
    return Batches(tokens, lengths)


def trained(
    engine: Any, gpt: GPT, steps: int, *, optimizer: Any = None, ops: OpTable | None = None, batch: int = 2
) -> tuple[State, Metrics]:
    """The exported state and the metrics after so many steps on random documents."""
    optimizer = optimizer or Adam()
    session = engine.session(gpt, optimizer, ops or OpTable())
    weights = gpt.initial_weights(0)
    state = session.init(weights, optimizer.init(weights))
    rates = 0.01 * (1 - np.arange(steps) / steps)
    state, metrics = session.train(state, random_batches(gpt, steps, batch), rates)
    return session.export(state), metrics


def assert_same_run(one: tuple[State, Metrics], other: tuple[State, Metrics], rtol: float = 1e-9) -> None:
    """Losses, objectives, gradient norms and every parameter agree, relative to the size of the matrix's entries."""
    np.testing.assert_allclose(one[1].loss, other[1].loss, rtol=rtol)
    np.testing.assert_allclose(one[1].minimized, other[1].minimized, rtol=rtol)
    np.testing.assert_allclose(one[1].gradNorm, other[1].gradNorm, rtol=rtol)
    assert list(one[0].weights) == list(other[0].weights)
    for name, array in one[0].weights.items():
        scale = max(np.abs(array).max(), 0.01)  # a bias of keys has no gradient but what rounding gives
        np.testing.assert_allclose(array, other[0].weights[name], rtol=rtol, atol=rtol * scale, err_msg=name)


def encode(texts: Iterable[str], tokenizer: Tokenizer, blockSize: int) -> Documents:
    """`BOS w1 ... wn BOS` for each text; what does not fit into blockSize predictions is left off."""
    return Cuts(stream_in_memory(texts, tokenizer), blockSize, window=False).in_memory()


def windows(texts: Iterable[str], tokenizer: Tokenizer, blockSize: int) -> Documents:
    """Running text as documents of blockSize predictions each: the last token of one begins the next."""
    return Cuts(stream_in_memory(texts, tokenizer), blockSize, window=True).in_memory()


def pack(rows: list[list[int]], bos: int) -> Documents:
    """A table of these rows of tokens, each with its BOS before and after."""
    lengths = np.array([len(row) - 1 for row in rows], dtype=np.int32)
    tokens = np.full((len(rows), int(lengths.max(initial=0)) + 1), bos, dtype=np.int32)
    tokens[np.arange(tokens.shape[1]) <= lengths[:, None]] = [token for row in rows for token in row]
    return Documents(tokens, lengths)
