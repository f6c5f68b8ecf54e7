"""The small models that components are tried in: all parts but one the standard ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.engines.engine import NamedArrays
from gptlab.model.gpt import GPT, STANDARD, settle_sizes
from gptlab.model.trains_others import TrainsOthers
from gptlab.plugins.registry import COMPONENT_KINDS, Registry


def small_model(registry: Registry, blockSize: int = 6, vocabSize: int = 11, **changed: Any) -> GPT:
    """changed: components other than the standard ones, by kind."""
    sizes = settle_sizes(nLayer=2, nEmbd=8, nHead=2, headDim=None, blockSize=blockSize, vocabSize=vocabSize)
    parts = {kind: registry.get(kind, STANDARD[kind])() for kind in COMPONENT_KINDS if kind not in changed}
    return GPT(sizes, **parts, **changed, initStd=0.5)


def all_ops(registry: Registry) -> OpTable:
    """The standard ones, and all others for components to apply by name."""
    return OpTable(others={name: registry.get("op", name) for name in registry.names("op")})


def moved_weights(definition: GPT | TrainsOthers) -> NamedArrays:
    """Initial weights, each a little elsewhere: what starts at 0, as gates do, would hide what is behind it."""
    generator = np.random.default_rng(0)
    start = definition.initial_weights(0)
    return {name: array + 0.1 * generator.standard_normal(array.shape) for name, array in start.items()}
