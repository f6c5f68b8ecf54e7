"""create_model: a model in one call, for a REPL, a notebook or a test."""

from __future__ import annotations

from typing import Any

from gptlab.assembly.architecture import op_table
from gptlab.model.gpt import GPT, STANDARD, settle_sizes
from gptlab.model.model import Model
from gptlab.optim.optimizers import SGD
from gptlab.plugins.loading import load_plugins
from gptlab.plugins.registry import COMPONENT_KINDS, Registry


def create_model(
    *,
    vocabSize: int,
    nLayer: int = 1,
    nEmbd: int = 16,
    nHead: int = 4,
    headDim: int | None = None,
    blockSize: int = 16,
    seed: int = 0,
    engine: Any = "scalar",
    ops: dict[str, Any] | None = None,
    registry: Registry | None = None,
    **changes: Any,
) -> Model:
    """A model with fresh weights; by default one of scalar `Value`s.

    engine: a name, or an engine. ops: replacements by slot, `{"mul": "halfmul"}`, names or ops.
    registry: where names are looked up; by default what `load_plugins` finds. Further keywords are a
    component by its kind (`norm="layernorm"`, or an instance) and `initStd`, `finalNorm`,
    `tieEmbeddings`.

    Raises UserError for unknown names and for sizes that do not fit.

    >>> model = create_model(vocabSize=27)
    >>> len(model.params)
    4192
    >>> model.params[0] is model.weights.tokenEmbedding[0, 0]
    True
    """
    registry = registry or load_plugins().registry
    sizes = settle_sizes(
        nLayer=nLayer, nEmbd=nEmbd, nHead=nHead, headDim=headDim, blockSize=blockSize, vocabSize=vocabSize
    )
    parts = {kind: named(registry, kind, changes.pop(kind, STANDARD[kind])) for kind in COMPONENT_KINDS}
    definition = GPT(sizes, **parts, **changes)
    table = op_table(ops or {}, registry)
    session = named(registry, "engine", engine).session(definition, SGD(), table)
    weights = definition.initial_weights(seed)
    return Model(definition, session, session.init(weights, SGD().init(weights)))


def named(registry: Registry, kind: str, chosen: Any) -> Any:
    return registry.get(kind, chosen)() if isinstance(chosen, str) else chosen
