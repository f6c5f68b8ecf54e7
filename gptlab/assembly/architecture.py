"""A model as a config describes it: its definition and its ops, tried on shapes before anything is read or drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gptlab.assembly.layers import changes_of, check_length, made
from gptlab.assembly.optimizing import optimizer_of
from gptlab.autograd.check import evaluate
from gptlab.autograd.op import Op
from gptlab.autograd.ops import BUILTIN_OPS, OpTable
from gptlab.config.typed import Chosen, ModelConfig
from gptlab.engines.engine import engines_of
from gptlab.engines.spreading import Spreads
from gptlab.errors import UserError
from gptlab.model.gpt import GPT, STANDARD, settle_sizes
from gptlab.model.memory import check_weights_fit
from gptlab.model.model import Model
from gptlab.model.trial import try_shapes
from gptlab.optim.optimizers import SGD
from gptlab.plugins.loading import load_plugins
from gptlab.plugins.registry import COMPONENT_KINDS, GROUPS, Registry, build

# Ids of a vocabulary that is not known yet: what fits does so for any. Not 1, which fits everything.
SOME = 3


@dataclass(frozen=True)
class Architecture:
    """applied: the ops that the components apply by names of their own, beside the slots."""

    definition: GPT
    ops: OpTable
    applied: tuple[str, ...]

    @classmethod
    def of(
        cls, model: ModelConfig, ops: Mapping[str, str], registry: Registry, vocabSize: int = SOME
    ) -> Architecture:
        """What a config's `model` and `ops` select.

        Raises UserError for an unknown name, sizes that do not fit, an op that `op_table` refuses, and components
        that do not work with the weights that they declare.
        """
        sizes = settle_sizes(
            nLayer=model.nLayer,
            nEmbd=model.nEmbd,
            nHead=model.nHead,
            headDim=model.headDim,
            blockSize=model.blockSize,
            vocabSize=vocabSize,
            bias=model.bias,
        )
        definition = GPT(
            sizes,
            **{kind: build(registry, kind, getattr(model, kind)) for kind in COMPONENT_KINDS},
            initStd=model.initStd,
            embeddingNorm=model.embeddingNorm,
            finalNorm=model.finalNorm,
            tieEmbeddings=model.tieEmbeddings,
            dropout=model.dropout,
            softCap=model.softCap,
            layers=changes_of(model, registry),
            init=build(registry, "init", init_chosen(model)),
        )
        check_weights_fit(definition)
        check_init(definition)
        table = op_table(ops, registry)
        applied = try_shapes(definition, table)  # what does not fit is found here, not in step 1
        return cls(definition, table, tuple(name for name in applied if name not in BUILTIN_OPS))

    def with_vocabulary(self, vocabSize: int) -> Architecture:
        """Raises UserError for one with which the model does not fit into memory."""
        sizes = replace(self.definition.sizes, vocabSize=vocabSize)
        definition = replace(self.definition, sizes=sizes)
        check_weights_fit(definition)
        return replace(self, definition=definition)


def init_chosen(model: ModelConfig) -> Chosen:
    """`normal` for a run from before there were others."""
    return model.init if isinstance(model.init, Chosen) else Chosen(name="normal")


def reparametrization_chosen(model: ModelConfig) -> Chosen:
    """`none` for a run from before there were others."""
    return model.reparametrization if isinstance(model.reparametrization, Chosen) else Chosen(name="none")


def check_init(definition: GPT) -> None:
    """Raises UserError for an init that is not for this model."""
    shapes = definition.shapes
    definition.init.zeroed(shapes)
    definition.init.rates(shapes)


def op_table(chosen: Mapping[str, str | Op], registry: Registry) -> OpTable:
    """The ops of a model: by its slot, the name of the op that is there, or the op.

    Raises UserError for an unknown name, another arity, or an op that fails at its own samples.
    """
    registered = {name: registry.get("op", name) for name in registry.names("op")}
    replacements = {
        slot: registry.get("op", op) if isinstance(op, str) else op
        for slot, op in chosen.items()
        if op != slot
    }
    for op in replacements.values():
        for point in op.samples:
            evaluate(op, point)
    return OpTable(replacements, {n: op for n, op in registered.items() if n not in BUILTIN_OPS})


def engine_and_optimizer(
    engine: Chosen, optimizer: Chosen, components: Iterable[tuple[str, Chosen]], registry: Registry
) -> tuple[Any, Any]:
    """The first two as they are selected. components: of the model, each with its kind.

    Raises UserError for an optimizer or a component that the engine cannot run.
    """
    built = build(registry, "engine", engine), optimizer_of(optimizer, registry)
    for kind, chosen in [("optimizer", optimizer), *components]:
        names = engines_of(registry.entry(kind, chosen.name).value)
        check_runs_on(engine.name, names, f"{GROUPS[kind]}={chosen.name}")
    return built


def on_one_device(engine: Any) -> Any:
    """The same engine, as weights are read with that were trained anywhere."""
    return engine.alone() if isinstance(engine, Spreads) else engine


def check_runs_on(engine: str, names: tuple[str, ...] | None, part: str) -> None:
    """Raises UserError unless the engine is one of those that a part names."""
    if names is not None and engine not in names:
        raise UserError(f"{part} needs engine={' or engine='.join(names)}: got engine={engine}.")


def create_model(
    *,
    vocabSize: int,
    nLayer: int = 1,
    nEmbd: int = 16,
    nHead: int = 4,
    headDim: int | None = None,
    blockSize: int = 16,
    bias: bool = False,
    seed: int = 0,
    engine: Any = "scalar",
    ops: dict[str, Any] | None = None,
    registry: Registry | None = None,
    **changes: Any,
) -> Model:
    """A model with fresh weights; by default one of scalar `Value`s.

    engine: a name, or an engine. ops: replacements by slot, `{"mul": "halfmul"}`, names or ops.
    registry: where names are looked up; by default what `load_plugins` finds. Further keywords are a
    component by its kind (`norm="layernorm"`, or an instance), `init` likewise; `initStd`,
    `embeddingNorm`, `finalNorm`,
    `tieEmbeddings`, `dropout`, `softCap`; and `layers`, the components of each layer by kind where it has others:
    `[{"attention": "none"}, {}]`.

    Raises UserError for unknown names, for sizes that do not fit, and for a component that the engine cannot run.

    >>> model = create_model(vocabSize=27)
    >>> len(model.params)
    4192
    >>> model.params[0] is model.weights.tokenEmbedding[0, 0]
    True
    """
    registry = registry or load_plugins().registry
    sizes = settle_sizes(
        nLayer=nLayer,
        nEmbd=nEmbd,
        nHead=nHead,
        headDim=headDim,
        blockSize=blockSize,
        vocabSize=vocabSize,
        bias=bias,
    )
    parts = {kind: named(registry, kind, changes.pop(kind, STANDARD[kind])) for kind in COMPONENT_KINDS}
    entries = changes.pop("layers", None)
    if entries is not None:
        check_length("layers", entries, nLayer)
    layers = made(entries or (), lambda kind, part: named(registry, kind, part))
    init = named(registry, "init", changes.pop("init", "normal"))
    definition = GPT(sizes, **parts, **changes, layers=layers, init=init)
    check_weights_fit(definition)
    check_init(definition)
    table = op_table(ops or {}, registry)
    runs_on = named(registry, "engine", engine)
    own = next(
        (e.name for e in registry if e.kind == "engine" and e.value is type(runs_on)), type(runs_on).__name__
    )
    for kind, part in [*parts.items(), *(part for changed in layers for part in changed)]:
        check_runs_on(own, engines_of(part), f"the {kind} {type(part).__name__}")
    session = runs_on.session(definition, SGD(), table)
    weights = definition.initial_weights(seed)
    return Model(definition, session, session.init(weights, SGD().init(weights)))


def named(registry: Registry, kind: str, chosen: Any) -> Any:
    return registry.get(kind, chosen)() if isinstance(chosen, str) else chosen
