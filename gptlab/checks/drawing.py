"""Checks of what a component draws at random while training: it must be the same however the numbers are computed."""

from __future__ import annotations

from typing import Any

import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.checks.check import Findings, difference
from gptlab.engines.context import causal_context
from gptlab.engines.draws import Draws, key_of, threefry
from gptlab.engines.engine import Batches, NamedArrays
from gptlab.engines.packing import choose_shape
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.model.trial import ShapeArithmetic, zeros
from gptlab.optim.optimizers import SGD

LENGTHS = np.array([[2, 1, 3, 2], [1, 3, 2, 2]], dtype=np.int32)  # of the documents of two steps
LONGEST = 6
SAME = 1e-8  # relative, of what is computed in another order
SEED = 3


def draws_at_random(definition: Any, ops: OpTable) -> bool:
    """Whether a training step of it asks for random numbers."""
    draws = Draws(np, threefry, key_of(SEED), 1, 0)
    shapes = {name: weight.shape for name, weight in definition.declared_weights().items()}
    arithmetic = ShapeArithmetic(ops)
    tensors = {name: Tensor(zeros(shape), arithmetic) for name, shape in shapes.items()}
    definition.logits(tensors, np.zeros(2, dtype=np.int32), causal_context(2, draws))
    return bool(draws.counts)


def check_drawing(
    definition: Any, ops: OpTable, weights: NamedArrays, engines: tuple[str, ...], findings: Findings
) -> None:
    """Two steps of four documents, of what draws: in shared rows, in a row each, resumed, on the scalar engine."""
    if not draws_at_random(definition, ops):
        return
    tokens = np.random.default_rng(0).integers(0, 11, (2, 4, LONGEST + 1)).astype(np.int32)
    population = LENGTHS.ravel()
    assert choose_shape(population, 4, LONGEST) is not None
    alone = Batches(tokens, LENGTHS, seed=SEED)
    ways: dict[str, NamedArrays] = {}
    if "xla" in engines:
        xla = XlaEngine("float64")
        ways["each document in a row of its own"] = after(xla, definition, ops, weights, [alone])
        shared = Batches(tokens, LENGTHS, population, seed=SEED)
        ways["documents that share rows"] = after(xla, definition, ops, weights, [shared])
        parts = [Batches(tokens[i : i + 1], LENGTHS[i : i + 1], seed=SEED) for i in range(2)]
        ways["a run that is resumed after step 1"] = after(xla, definition, ops, weights, parts)
    if "scalar" in engines:
        ways["the scalar engine"] = after(ScalarEngine(), definition, ops, weights, [alone])
    with findings.trying("draws alike") as fails:
        (first, reference), *others = ways.items()
        for way, found in others:
            for name, array in reference.items():
                if problem := difference(found[name], array, SAME):
                    fails(
                        f"after two steps {name} differs between {first} and {way} {problem}. What is drawn for a "
                        "position must be used at that position: the first axis of context.uniform is that of x"
                    )


def after(
    engine: Any, definition: Any, ops: OpTable, weights: NamedArrays, parts: list[Batches]
) -> NamedArrays:
    """The weights after these batches, one call after the other."""
    optimizer = SGD()
    session = engine.session(definition, optimizer, ops)
    state = session.init(weights, optimizer.init(weights))
    for part in parts:
        ended, _ = session.train(state, part, np.full(len(part.tokens), 0.1))
        exported = session.export(ended)
        state = session.init(exported.weights, exported.optimizer, exported.step)
    found: NamedArrays = session.export(state).weights
    return found
