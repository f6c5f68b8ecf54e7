"""Does what was asked of the model fit the weights that it starts from?"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from gptlab.assembly.architecture import Architecture
from gptlab.config.typed import Config, ModelConfig, as_dict, typed
from gptlab.errors import UserError
from gptlab.plugins.registry import GROUPS, Registry
from gptlab.runs.saved_run import SavedRun, Settings

NONE = object()


def check_agrees(
    config: Config,
    taken: Config,
    asked: Mapping[str, Any],
    source: SavedRun,
    name: str,
    registry: Registry,
) -> None:
    """Raises UserError for each key of `asked` whose value the source has otherwise.

    config: what the command describes; taken: the same with the source's model, ops and tokenizer. Where
    the matrices would be others, both shapes are in the error.
    """
    rows, has = [], as_dict(taken)
    for key, value in asked.items():
        theirs = value_at(has, key)
        if key == "model.headDim" and theirs is None:
            theirs = source.sizes["headDim"]
        if theirs != value:
            rows.append(
                f"{as_typed(key, value)} (it has {'none' if theirs is NONE or theirs is None else theirs})"
            )
    if not rows:
        return
    shapes = differing_shapes(changed(has, as_dict(config), asked), has, source, registry)
    matrices = f" Matrix by matrix: {'; '.join(shapes)}." if shapes else ""
    raise UserError(
        f"initFrom takes the model, the ops and the vocabulary of {name} as they are, and this asks for "
        f"{', '.join(rows)}. Leave it out, or train without initFrom.{matrices}"
    )


def changed(taken: Settings, config: Settings, asked: Mapping[str, Any]) -> Settings:
    """The source's model, but as it was asked for."""
    result = deepcopy(taken)
    for key, value in asked.items():
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
    both = []
    for settings in (wanted, taken):
        try:
            model = typed(ModelConfig, settings["model"])
            definition = Architecture.of(
                model, settings["ops"], registry, source.sizes["vocabSize"]
            ).definition
        except UserError:
            return []
        both.append(definition.shapes)
    asked, has = both
    return [
        f"{name}: asked {asked.get(name, 'none')}, there {has.get(name, 'none')}"
        for name in {**has, **asked}
        if asked.get(name) != has.get(name)
    ]
