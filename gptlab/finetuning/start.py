"""What a run takes over from the weights that it starts from, and whether what was asked of the model fits them."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from gptlab.assembly.architecture import Architecture
from gptlab.config.typed import Chosen, Config, ModelConfig, Origin, as_dict, typed
from gptlab.data.fixed_vocabulary import FixedVocabulary
from gptlab.errors import UserError
from gptlab.exchange.finding import find_run
from gptlab.exchange.loading import known_plugins, restored, sense_of
from gptlab.exchange.standard import standard_config
from gptlab.model.gpt import GPT
from gptlab.model.objective import of_objective
from gptlab.model.trains_others import TrainsOthers
from gptlab.plugins.code import say_changed_plugins
from gptlab.plugins.registry import COMPONENT_KINDS, GROUPS, Registry, build
from gptlab.runs.checkpoint.arrays import check_shapes
from gptlab.runs.checkpoint.folder import Checkpoint
from gptlab.runs.finding import may_change
from gptlab.runs.folder import RunFolder
from gptlab.runs.saved_run import SavedRun, Settings, with_vocabulary

RUNS_OWN = ("adapter", "reparametrization")  # whatever weights it starts from
NONE = object()  # in place of the value of a key that is not there


@dataclass(frozen=True)
class Start:
    """Where a run begins.

    config: the run's, with the model, the ops and the tokenizer of the source. vocabulary: None if the
    weights carry none and no corpus was named: the data's own. source, model: None for a run that is resumed. name:
    of the source. notes: lines for a person.
    """

    config: Config
    vocabulary: FixedVocabulary | None
    name: str
    source: SavedRun | None = None
    model: Architecture | None = None
    notes: tuple[str, ...] = ()

    def weights(self, definition: GPT | TrainsOthers, seed: int) -> dict[str, np.ndarray]:
        """The weights to train at, in the model's order; an adapter's own start as they always do.

        Raises UserError with both shapes, matrix by matrix, if the source's are not of this model.
        """
        base = definition.base if isinstance(definition, TrainsOthers) else definition
        shapes = {name: shape for name, shape in base.shapes.items() if not of_objective(name)}
        assert self.source is not None
        found = self.source.weights
        table = found.get("tokenEmbedding")
        if table is not None and table.shape[0] != base.sizes.vocabSize:
            raise UserError(
                f"the vocabulary must match the weights: {self.name} has vocabSize={table.shape[0]}, and the data "
                f"gives {base.sizes.vocabSize} (the document mark counts). {self.name} carries no vocabulary: add "
                "tokenizer.path=CORPUS, the text that it was trained on."
            )
        check_shapes(found, shapes, Path(self.name))
        # The source's own objective was another one, or is begun anew.
        own = {name: found[name] for name in shapes} | base.objective_weights(seed)
        return definition.started(own, seed) if isinstance(definition, TrainsOthers) else own

    def tags(self) -> dict[str, str]:
        """What the run came from, as MLflow keeps it."""
        origin = self.config.original
        step = None if origin is None else origin.step
        return {"initFrom": self.name} | ({} if step is None else {"initFrom.step": str(step)})


def beginning_of(
    config: Config, registry: Registry, requested: Mapping[str, Any] | None, checkpoint: Checkpoint | None
) -> Start | None:
    """What `initFrom` gives a run; of a run that is resumed, what it gave it then. None without initFrom."""
    if checkpoint is None and config.original is not None:
        raise UserError("original is set by initFrom, to the data of the run that it names: leave it out.")
    if config.initFrom is None:
        return None
    if checkpoint is None:
        return starting_weights(config, config.initFrom, registry, requested)
    assert config.original is not None
    state, name = checkpoint.state["tokenizer"], config.original.run
    return Start(config, FixedVocabulary(state, registry.get("tokenizer", state["name"])(), name), name)


def starting_weights(
    config: Config, reference: str, registry: Registry, requested: Mapping[str, Any] | None = None
) -> Start:
    """What `reference`, the config's initFrom, names: found and read.

    requested: what somebody asked of the model, the ops and the tokenizer, `{"model.nEmbd": 32}`, as opposed
    to what is in the config by default. Raises UserError for a source that cannot be found or read, and
    for one that is not what was asked.
    """
    with find_run(reference, config.tracking) as source:
        pass  # in memory by now
    # What is told of it must still be it tomorrow.
    name = source.name if may_change(reference) else reference
    theirs = source.config or standard_config(source.sizes)
    say_changed_plugins(registry, source.plugins, name)
    with known_plugins(registry, source.plugins):
        with sense_of(name):
            model = taken_model(config.model, theirs["model"], registry)
            taken = replace(config, model=model, ops={**config.ops, **theirs["ops"]})
            if source.config is not None:
                taken.tokenizer = Chosen(source.config["tokenizer"])
        check_agrees(config, taken, requested or {}, source, name, registry)
        with sense_of(name):
            tried = Architecture.of(model, taken.ops, registry, source.sizes["vocabSize"])
            vocabulary, notes = vocabulary_of(taken.tokenizer, source, name, registry)
    known = source.config or {}
    taken.original = Origin(
        run=name,
        step=source.step,
        seed=known.get("seed"),
        data=known.get("data"),
        digest=source.dataset.get("digest"),
        split=source.dataset.get("split"),
        original=known.get("original"),
    )
    at = "" if source.step is None else f", step {source.step}"
    run = {} if source.folder is None else RunFolder(source.folder).identity()
    lost = "; that run had diverged, and its weights are of no use" if run.get("diverged") else ""
    return Start(taken, vocabulary, name, source, tried, (f"starts from {name}{at}{lost}", *notes))


def taken_model(own: ModelConfig, theirs: Mapping[str, Any], registry: Registry) -> ModelConfig:
    """The source's `model`, with the run's own adapter and reparametrization.

    What it does not mention is the run's, or at its default.
    """
    parts = {kind: filled(kind, theirs[kind], registry) for kind in COMPONENT_KINDS}
    # Of a run from before there were these.
    alike: dict[str, Any] = {
        "layers": None,
        "pattern": None,
        "softCap": None,
        "init": filled("init", {"name": "normal"}, registry),
    }
    kept = {kind: getattr(own, kind) for kind in RUNS_OWN}
    return typed(ModelConfig, {**vars(own), **alike, **theirs, **parts, **kept})


def filled(kind: str, chosen: dict[str, Any], registry: Registry) -> dict[str, Any]:
    part = build(registry, kind, chosen)
    values = {f.name: getattr(part, f.name) for f in fields(part)}
    return {"name": chosen["name"], **values, **chosen}


def vocabulary_of(
    tokenizer: Chosen, source: SavedRun, name: str, registry: Registry
) -> tuple[FixedVocabulary | None, tuple[str, ...]]:
    """The source's vocabulary, or that of tokenizer.path; None, and a note, if neither is there."""
    state = source.tokenizer
    if state is None and tokenizer.get("path") is not None:
        state = with_vocabulary(
            source, tokenizer.name, build(registry, "tokenizer", tokenizer).build([])
        ).tokenizer
    if state is None:
        note = "carries no vocabulary: that of the data is used (tokenizer.path=CORPUS builds it from another text)"
        return None, (f"{name} {note}",)
    restored(state, registry)
    return FixedVocabulary(state, registry.get("tokenizer", state["name"])(), name), ()


def check_agrees(
    config: Config,
    taken: Config,
    requested: Mapping[str, Any],
    source: SavedRun,
    name: str,
    registry: Registry,
) -> None:
    """Raises UserError for each key of `requested` whose value the source has otherwise.

    config: what the command describes; taken: the same with the source's model, ops and tokenizer. Where
    the matrices would be others, both shapes are in the error.
    """
    rows, has = [], as_dict(taken)
    for key, value in requested.items():
        theirs = value_at(has, key)
        if key == "model.headDim" and theirs is None:
            theirs = source.sizes["headDim"]
        if theirs != value:
            rows.append(
                f"{as_typed(key, value)} (it has {'none' if theirs is NONE or theirs is None else theirs})"
            )
    if not rows:
        return
    shapes = differing_shapes(changed(has, as_dict(config), requested), has, source, registry)
    matrices = f" Matrix by matrix: {'; '.join(shapes)}." if shapes else ""
    raise UserError(
        f"initFrom takes the model, the ops and the vocabulary of {name} as they are, and this asks for "
        f"{', '.join(rows)}. Leave it out, or train without initFrom.{matrices}"
    )


def changed(taken: Settings, config: Settings, requested: Mapping[str, Any]) -> Settings:
    """The source's model, but as it was asked for."""
    result = deepcopy(taken)
    for key, value in requested.items():
        *parents, last = key.split(".")
        if last == "name":  # another component, whose fields are its own
            *parents, last = parents
            value = value_at(config, ".".join([*parents, last]))
        node = result
        for word in parents:
            node = node.setdefault(word, {})
        node[last] = value
    return result


def value_at(config: Settings, key: str) -> Any:
    node: Any = config
    for word in key.split("."):
        if not isinstance(node, dict) or word not in node:
            return NONE
        node = node[word]
    return node


def as_typed(key: str, value: Any) -> str:
    """The key as somebody would type it: `model/norm=layernorm`."""
    owner, _, last = key.rpartition(".")
    group = owner.replace(".", "/")
    return f"{group if last == 'name' and group in GROUPS.values() else key}={value}"


def differing_shapes(wanted: Settings, taken: Settings, source: SavedRun, registry: Registry) -> list[str]:
    """The matrices that would have another shape; none if what was asked is no model at all."""
    vocabSize = source.sizes["vocabSize"]
    try:
        requested, has = (
            Architecture.of(typed(ModelConfig, s["model"]), s["ops"], registry, vocabSize).definition.shapes
            for s in (wanted, taken)
        )
    except UserError:
        return []
    return [
        f"{name}: asked {requested.get(name, 'none')}, there {has.get(name, 'none')}"
        for name in {**has, **requested}
        if requested.get(name) != has.get(name)
    ]
