"""Parts that single layers have instead of the model's own: `model.layers` and its short form, `model.pattern`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from gptlab.config.typed import Chosen, ModelConfig
from gptlab.errors import UserError, unknown_name
from gptlab.model.gpt import LAYER_KINDS, Changes
from gptlab.plugins.registry import COMPONENT_KINDS, Registry, build

LAYERS, PATTERN = "model.layers", "model.pattern"
Make = Callable[[str, Any], Any]  # of a kind and what was given for it: the component


def chosen_parts(model: ModelConfig) -> list[tuple[str, Chosen]]:
    """All that a model is made of, (kind, what is selected), the parts of single layers included."""
    own = [(kind, getattr(model, kind)) for kind in COMPONENT_KINDS]
    return own + [(kind, part) for entry in entries_of(model) for kind, part in entry.items()]


def changes_of(model: ModelConfig, registry: Registry) -> tuple[Changes, ...]:
    """`GPT.layers` as the config has it. Raises UserError for names, fields and lengths that do not fit."""
    key = LAYERS if model.pattern is None else PATTERN
    return made(entries_of(model), lambda kind, part: checked(registry, kind, part), key)


def made(entries: Sequence[Mapping[str, Any]], make: Make, key: str = "layers") -> tuple[Changes, ...]:
    """Each entry's parts. Raises UserError for a kind that there is not, saying in which entry of `key`."""
    result = []
    for i, entry in enumerate(entries):
        with said_of(f"{key}[{i}]"):
            for kind in entry:
                if kind not in LAYER_KINDS:
                    raise unknown_name("part of a layer", str(kind), LAYER_KINDS)
            result.append(tuple((kind, make(kind, entry[kind])) for kind in LAYER_KINDS if kind in entry))
    return tuple(result) if any(result) else ()


def entries_of(model: ModelConfig) -> list[dict[str, Chosen]]:
    """Of each layer, or of each of a period of them, what is selected by kind; none where all layers are as the model.

    A name that the model selects, too, has the fields that it has there.
    Raises UserError for what is no such list, for its length, and for both keys at once.
    """
    layers, pattern, nLayer = model.layers, model.pattern, model.nLayer
    if layers is not None and pattern is not None:
        raise UserError(f"{LAYERS} and {PATTERN} say the same thing: got both. Leave one of them out.")
    if pattern is not None:
        if not 1 <= len(pattern) <= nLayer:
            raise UserError(
                f"{PATTERN} must name from 1 to nLayer={nLayer} attentions, which come again and again: got "
                f"{len(pattern)}. Try {PATTERN}=[{','.join(pattern[:nLayer]) or 'causal'}], or model.nLayer="
                f"{max(1, len(pattern))}."
            )
        return [{"attention": as_chosen(model, "attention", name)} for name in pattern]
    if layers is None:
        return []
    check_length(LAYERS, layers, nLayer)
    result = []
    for i, entry in enumerate(layers):
        if not isinstance(entry, Mapping):
            raise UserError(
                f"{LAYERS}[{i}] must name parts by their kinds: got {entry}. Try {{attention: {entry}}}."
            )
        parts = {}
        for kind, part in entry.items():
            if not (
                isinstance(part, str) or (isinstance(part, Mapping) and isinstance(part.get("name"), str))
            ):
                raise UserError(
                    f"{LAYERS}[{i}].{kind} must be a name, or a name and fields: got {part}. Try "
                    f"{{{kind}: {{name: NAME, ...}}}}."
                )
            parts[str(kind)] = as_chosen(model, str(kind), part)
        result.append(parts)
    return result


def check_length(key: str, layers: Sequence[Any], nLayer: int) -> None:
    """Raises UserError unless there is an entry for each layer."""
    if len(layers) != nLayer:
        way = f"model.nLayer={len(layers)}" if layers else f"{key}=null"
        raise UserError(
            f"{key} must have an entry for each of nLayer={nLayer} layers: got {len(layers)}. Try {way}; an entry is "
            "{attention: none}, say, or {} for a layer of the model's own parts."
        )


def as_chosen(model: ModelConfig, kind: str, part: str | Mapping[str, Any]) -> Chosen:
    if not isinstance(part, str):
        return Chosen(part)
    own = getattr(model, kind, None)
    return own if isinstance(own, Chosen) and own.name == part else Chosen(name=part)


def checked(registry: Registry, kind: str, settings: Chosen) -> Any:
    """The component, its fields of the types that they have at `model.KIND`."""
    from gptlab.config.schema import typed_fields

    return build(registry, kind, typed_fields(registry.get(kind, settings.name), settings))


@contextmanager
def said_of(place: str) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise UserError(f"in {place}: {error}") from None
