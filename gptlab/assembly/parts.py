"""From a config to built objects: what a run needs, and what generation needs of it again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from gptlab.autograd.check import evaluate
from gptlab.autograd.op import Op
from gptlab.autograd.ops import BUILTIN_OPS, OpTable
from gptlab.data.beginning import first_token
from gptlab.data.bounds import bounds_of
from gptlab.data.content import content_of
from gptlab.data.datasets import Dataset
from gptlab.data.documents import Cuts, Documents
from gptlab.data.facts import DatasetFacts
from gptlab.data.fixed_vocabulary import FixedVocabulary
from gptlab.data.keys import document_keys
from gptlab.data.splitting import Sides, among, split, split_by_seed
from gptlab.data.tokenized import tokenize
from gptlab.data.tokenizers import Tokenizer
from gptlab.data.watching import make_watch
from gptlab.engines.engine import Frozen, Session
from gptlab.errors import UserError
from gptlab.model.adapted import Adapted, frozen_names
from gptlab.model.gpt import GPT, settle_sizes
from gptlab.model.trial import try_shapes
from gptlab.plugins.groups import GROUPS
from gptlab.plugins.registry import COMPONENT_KINDS, OWN, Registry, build

Settings = dict[str, Any]
SIZES = ("nLayer", "nEmbd", "nHead", "headDim", "blockSize")


@dataclass(frozen=True)
class Original:
    """What the weights that a run starts from have seen before.

    held_out: what was held out from them and still is; None, and a note why, if it cannot be had. sides: of
    all documents that are known.
    """

    held_out: Documents | None = None
    sides: Sides = field(default_factory=Sides)
    note: str = ""


@dataclass(frozen=True)
class Data:
    """A tokenizer and the documents that it encoded, a share of them held out.

    split: 16 hex digits of which ones. start: the token that a text begins after. notes: lines for a person.
    """

    tokenizer: Tokenizer
    train: Documents
    held_out: Documents
    facts: DatasetFacts
    split: str
    start: int
    original: Original
    notes: tuple[str, ...] = ()


def definition_of(config: Settings, registry: Registry, vocabSize: int) -> GPT:
    """The model that a config's `model` describes. Raises UserError for sizes that do not fit."""
    model = config["model"]
    sizes = settle_sizes(**{key: model[key] for key in SIZES}, vocabSize=vocabSize)
    parts = {kind: build(registry, kind, model[kind]) for kind in COMPONENT_KINDS}
    definition = GPT(
        sizes,
        **parts,
        initStd=model["initStd"],
        finalNorm=model["finalNorm"],
        tieEmbeddings=model["tieEmbeddings"],
    )
    try_shapes(definition, op_table(config, registry))  # what does not fit is found here, not in step 1
    return definition


def op_table(config: Settings, registry: Registry) -> OpTable:
    """The ops that a config's `ops` selects.

    Raises UserError for an unknown name, another arity, or an op that fails at its own samples.
    """
    registered = {name: registry.get("op", name) for name in registry.names("op")}
    replacements = {slot: registry.get("op", name) for slot, name in config["ops"].items() if name != slot}
    for op in replacements.values():
        for point in op.samples:
            evaluate(op, point)
    return OpTable(replacements, {n: op for n, op in registered.items() if n not in BUILTIN_OPS})


def trained_model(config: Settings, registry: Registry, definition: GPT) -> tuple[GPT | Adapted, Frozen]:
    """What is trained for a model, its adapter put on, and which of its weights are not.

    Raises UserError for an adapter that does not fit it, and for `train.freeze` as `frozen_names` does.
    """
    adapter = build(registry, "adapter", config["model"]["adapter"])
    shapes = {name: weight.shape for name, weight in definition.declared_weights().items()}
    trained = Adapted(definition, adapter) if adapter.weights(shapes) else definition
    return trained, frozen_names(config["train"]["freeze"], trained)


def session_of(
    config: Settings, registry: Registry, definition: GPT | Adapted, frozen: Frozen = frozenset()
) -> Session:
    engine = build(registry, "engine", config["engine"])
    optimizer = build(registry, "optimizer", config["optimizer"])
    engines = getattr(optimizer, "engines", None)
    if engines is not None and config["engine"]["name"] not in engines:
        raise UserError(
            f"optimizer={config['optimizer']['name']} needs engine={' or engine='.join(engines)}: "
            f"got engine={config['engine']['name']}."
        )
    also = {"frozen": frozen} if frozen else {}
    session: Session = engine.session(definition, optimizer, op_table(config, registry), **also)
    return session


def data_of(config: Settings, registry: Registry, vocabulary: FixedVocabulary | None = None) -> Data:
    """Reads, encodes and splits the data. Raises UserError for data that cannot be used.

    vocabulary: the one to use; by default the one that the tokenizer builds of the data. Long data is
    encoded once, into a file that is memory-mapped, and is never in memory as a whole. Documents that the
    weights of `config["original"]` have seen keep the side that they had there.
    """
    return data_and_sides(config, registry, vocabulary)[0]


def data_and_sides(
    config: Settings, registry: Registry, vocabulary: FixedVocabulary | None
) -> tuple[Data, Sides]:
    """The data, and the sides of all documents that the weights trained on it will have seen."""
    original = original_of(config, registry, vocabulary)
    dataset: Dataset = build(registry, "dataset", config["data"])
    factory = vocabulary or build(registry, "tokenizer", config["tokenizer"])
    settings = vocabulary.settings() if vocabulary else config["tokenizer"]
    tokenized = tokenize(dataset.documents(), factory, settings, make_watch(config["progress"]))
    blockSize = config["model"]["blockSize"]
    documents = Cuts(tokenized.stream, blockSize, dataset.window)
    keys, table = tokenized.keys(blockSize, dataset.window), documents.in_memory()
    how = {"valFraction": dataset.valFraction, "shuffle": dataset.shuffle, "seed": config["seed"]}
    if dataset.splitSeed is None:
        parts = split_by_seed(table, keys, **how)
    else:
        parts = split(table, keys, splitSeed=dataset.splitSeed, before=original.sides, **how)
    notes = []
    if original.note:
        notes.append(original.note)
    if parts.kept:
        name = config["original"]["run"]
        notes.append(
            f"{parts.kept:,} documents are known to {name}: each stays trained on, or held out, as it was there"
        )
    if parts.lack:
        notes.append(f"no validation: nothing of the data can be held out, since {parts.lack}")
    facts = {"unigramEntropy": tokenized.unigram_entropy(blockSize, dataset.window)}
    entropy = dataset.entropy_per_word()
    # The source's own entropy is a bound only for its own words, in documents that are whole.
    if entropy is not None and config["tokenizer"]["name"] == "word" and documents.width <= blockSize:
        facts["entropyPerWord"] = entropy
        if len(parts.held_out) and dataset.nats("") is not None:
            nats = cast("Callable[[str], float]", dataset.nats)
            facts |= bounds_of(parts.held_out, table, tokenized.tokenizer, nats)
    name = config["data"]["name"]
    counts = len(documents), len(parts.train), len(parts.held_out)
    described = DatasetFacts(name, dataset.source, tokenized.digest, *counts, facts)
    tokenizer = tokenized.tokenizer
    start = first_token(tokenized.stream, tokenizer, dataset.window)
    data = Data(
        tokenizer, parts.train, parts.held_out, described, parts.digest, start, original, tuple(notes)
    )
    return data, parts.sides


def original_of(config: Settings, registry: Registry, vocabulary: FixedVocabulary | None) -> Original:
    """What the weights of `config["original"]` have seen: its data again, split as it was then."""
    settings = config.get("original")
    if settings is None:
        return Original()
    if None in (settings["data"], settings["digest"], vocabulary):
        return unknown("which data the weights were trained on is not known")
    earlier = {
        **config,
        "seed": settings["seed"],
        "data": {"splitSeed": None, **settings["data"]},
        "original": settings.get("original"),
    }
    try:
        # The model is that of the source, and so are blockSize and the documents that it cuts.
        data, sides = data_and_sides(earlier, registry, vocabulary)
    except (UserError, LookupError, TypeError, AttributeError) as error:
        return unknown(f"the data that the weights were trained on cannot be had again: {error}")
    if settings["digest"] != data.facts.digest:
        return unknown("the data that the weights were trained on has changed since")
    if settings.get("split") not in (None, data.split):
        return unknown("which of their data the weights were trained on cannot be told any more")
    if not len(data.held_out):
        return Original(
            None, sides, "no val/originalLoss: the run that the weights come from held out nothing"
        )
    rows = np.flatnonzero(among(document_keys(data.held_out, data.tokenizer), sides.held_out))
    if not len(rows):
        return Original(None, sides, "no val/originalLoss: what was held out then was trained on as well")
    return Original(data.held_out[rows], sides)


def unknown(reason: str) -> Original:
    said = f"no val/originalLoss: {reason}"
    return Original(note=f"{said}; what they were trained on may be among what is held out now")


def digest(texts: Iterable[str]) -> str:
    """16 hex digits of the SHA-256 of the documents in order."""
    return content_of(texts).joined[:16]


def brought_by_plugins(config: Settings, registry: Registry) -> dict[str, str]:
    """Of the names that a config uses, `"op halfmul": "half"`: those that a plugin brought, and which.

    Besides, `"plugin half": DIGEST` of each of those plugins. Listeners are none: they change nothing of a model.
    """
    selected = [("op", name) for name in (*config["ops"].values(), *ops_applied(config, registry))]
    selected += [(kind, config["model"][kind]["name"]) for kind in (*COMPONENT_KINDS, "adapter")]
    selected += [(kind, config[group]["name"]) for kind, group in GROUPS.items() if "/" not in group]
    owners = {f"{kind} {name}": registry.owner(kind, name) for kind, name in selected}
    brought = {name: owner for name, owner in owners.items() if owner != OWN}
    digests = {f"plugin {owner}": registry.digest(owner) for owner in brought.values()}
    return brought | {name: digest for name, digest in digests.items() if digest}


def ops_applied(config: Settings, registry: Registry) -> list[str]:
    """The ops that the model's components apply by names of their own, beside the slots."""
    ops = AskedOps(op_table(config, registry))
    try_shapes(definition_of(config, registry, vocabSize=1), ops)
    return [name for name in ops.asked if name not in BUILTIN_OPS]


class AskedOps(OpTable):
    """A table of ops that keeps which of them were asked for."""

    def __init__(self, ops: OpTable):
        vars(self).update(vars(ops))
        self.asked: dict[str, None] = {}

    def __getitem__(self, name: str) -> Op:
        op = super().__getitem__(name)
        self.asked[name] = None
        return op
