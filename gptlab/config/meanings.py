"""What each key means, its type, default and range, made from the dataclasses and their docstrings."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from gptlab.config.keys import PLACES, Leaf, Schema, bare, fields_of, hints_of, takes_nothing
from gptlab.config.ranges import BOUNDS, bounds_of
from gptlab.config.typed import ALL, MISSING, SHARED
from gptlab.errors import bounds_in_words
from gptlab.plugins.registry import LISTENER, described

OTHERS = r"(?<=[.;]) [a-z]\w*(?:, [a-z]\w*)*: "  # what a docstring says of names that are no fields
WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false"}


@dataclass(frozen=True)
class Meaning:
    """A key as a person is told of it.

    kind: of its value, in words. default: as it is typed; `???` where one must be given. range: in words, empty where
    any value of its kind will do. of: the components that have it so; empty for gptlab's own keys.
    """

    key: str
    kind: str
    default: str
    range: str
    meaning: str
    of: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """Where a component is selected, `model.norm`: what that is, and the components by name with what each does."""

    key: str
    meaning: str
    choices: Mapping[str, str]


def meanings(schema: Schema, within: str = "") -> list[Meaning]:
    """The keys of a root that begin so, in its order; one that components have differently comes once for each way."""
    found: list[Meaning] = []
    for leaf in schema.leaves():
        if not leaf.key.startswith(within):
            continue
        ways: dict[Meaning, list[str]] = {}
        for name, cls in owners_of(leaf, schema).items():
            ways.setdefault(meaning_of(leaf, cls, schema), []).append(name)
        found += [dataclasses.replace(way, of=tuple(filter(None, names))) for way, names in ways.items()]
    return found


def places(schema: Schema) -> list[Place]:
    """Where components are selected in configs of this root."""
    found = []
    for place, kind in PLACES.items():
        if schema.has_place(place):
            of_root, _, field = place.rpartition(".")
            parent = part_of(schema.root, of_root)
            entries = [entry for entry in schema.registry() if entry.kind == kind]
            choices = {entry.name: entry.description for entry in entries}
            found.append(Place(place, docs_of(parent).get(field, ""), choices))
    return found


def owners_of(leaf: Leaf, schema: Schema) -> dict[str, Any]:
    """The dataclass that says what the key is, by the name of the component whose that is; "" for gptlab's own."""
    place, _, field = leaf.key.rpartition(".")
    if leaf.of:
        kind = PLACES[place]
        classes = {entry.name: entry.value for entry in schema.registry() if entry.kind == kind}
        own = {name: classes[name] for name in leaf.of}
        return {name: cls if field in names_in(cls) else SHARED[kind] for name, cls in own.items()}
    if place.startswith(f"{LISTENER}."):
        return {"": schema.registry().get(LISTENER, place.removeprefix(f"{LISTENER}."))}
    return {"": part_of(schema.root, place)}


def part_of(root: type, place: str) -> Any:
    """The dataclass of the part of a config at `model`; of the whole at an empty place."""
    found: Any = root
    for name in filter(None, place.split(".")):
        found = bare(hints_of(found)[name])
    return found


def meaning_of(leaf: Leaf, cls: Any, schema: Schema) -> Meaning:
    """The key as this dataclass has it."""
    name = leaf.key.rpartition(".")[2]
    field = next(field for field in dataclasses.fields(cls) if field.name == name)
    hint = fields_of(cls)[name]
    bounds = bounds_of(cls).get(name) or (
        BOUNDS.get(leaf.key) if not leaf.of or cls in SHARED.values() else None
    )
    said = docs_of(cls).get(name, "")
    if leaf.key.startswith("ops."):
        said = f"the op that stands for {name} wherever a component uses it, matrix products included"
    elif not said and leaf.of and cls not in SHARED.values():
        said = described(cls)  # a component of one field needs no more words than its own
    return Meaning(
        leaf.key, kind_in_words(hint), typed_default(field), bounds_in_words(**(bounds or {})), said
    )


def names_in(cls: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(cls)}


def kind_in_words(hint: Any) -> str:
    """`whole number, or null`; empty for what may be anything."""
    inner = bare(hint)
    options = [one for one in typing.get_args(inner) if one is not types.NoneType]
    if isinstance(inner, types.UnionType) or typing.get_origin(inner) is typing.Union:
        words = (
            f"whole number, or {ALL}"
            if set(options) == {int, str}
            else ", or ".join(map(kind_in_words, options))
        )
    elif typing.get_origin(inner) in (list, tuple):
        words = "list"
    elif typing.get_origin(inner) is dict:
        values = WORDS.get(options[-1], "value") if options else "value"
        words = f"names, each with a {values}"
    else:
        words = WORDS.get(inner, "")
    return f"{words}, or null" if words and takes_nothing(hint) else words


def typed_default(field: dataclasses.Field[Any]) -> str:
    """The default of a field as somebody would type it."""
    if field.default_factory is not dataclasses.MISSING:
        return as_typed(field.default_factory())
    return "???" if field.default in (dataclasses.MISSING, MISSING) else as_typed(field.default)


def as_typed(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(as_typed, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}: {as_typed(inner)}' for key, inner in value.items())}}}"
    return str(value)


@cache
def docs_of(cls: Any) -> Mapping[str, str]:
    """What docstrings say of the fields: `eps: what is added` in a class's, or in that of a base that has the field."""
    found: dict[str, str] = {}
    for one in reversed(inspect.getmro(cls)):
        if dataclasses.is_dataclass(one):
            found |= said_in(
                inspect.cleandoc(one.__doc__ or ""), [field.name for field in dataclasses.fields(cls)]
            )
    return found


def said_in(doc: str, names: list[str]) -> dict[str, str]:
    """What a docstring says of each of these names: from `name: ` at a sentence's begin to the next such name."""
    alternatives = "|".join(map(re.escape, names))
    text = re.sub(r"\s+", " ", re.sub(r"\n\s*\n", " \N{SYMBOL FOR END OF TEXT} ", doc))
    begun = re.split(
        rf"(?:^|(?<=[.;] )|(?<=\N{{SYMBOL FOR END OF TEXT}} ))((?:(?:{alternatives})(?:, | and )?)+): ", text
    )
    said: dict[str, str] = {}
    for words, rest in zip(begun[1::2], begun[2::2], strict=True):
        meaning = re.split(OTHERS, rest.partition("\N{SYMBOL FOR END OF TEXT}")[0])[0].strip().rstrip(".;")
        said |= dict.fromkeys(re.split(r", | and ", words), meaning)
    return {name: meaning for name, meaning in said.items() if name in names}
