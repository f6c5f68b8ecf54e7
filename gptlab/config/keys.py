"""What the config of a verb holds: every key that can be typed, with the type of its value."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from gptlab.config.schema import listener_config
from gptlab.config.typed import SHARED
from gptlab.plugins.registry import GROUPS, LISTENER, Registry

PLACES = {group.replace("/", "."): kind for kind, group in GROUPS.items()}  # `model.norm`: norm


@dataclass(frozen=True)
class Leaf:
    """A key with a value. hint: its type. of: the components that have it; empty for gptlab's own keys.

    example: its default as it is typed, if that is one number, word or truth value.
    """

    key: str
    hint: Any
    of: tuple[str, ...] = ()
    example: str = ""


class Schema:
    """The keys of one root. The registry is asked for at the first question that needs it: plugins take time."""

    def __init__(self, root: type, registry: Callable[[], Registry]):
        self.root = root
        self.registry = registry

    def hint(self, key: str) -> Any:
        """The type of a key's value: a dataclass for a part of the config, str for a group (its choice is a name).

        None where no schema says it, or where components of one group disagree.
        """
        if key == "experiment" or ("/" in key and "." not in key):
            return str
        if key.partition(".")[0] == "hydra":
            from hydra.conf import HydraConf

            return self._walk(key.split(".")[1:], HydraConf, "hydra")
        return self._walk(key.split("."), self.root, "")

    def leaves(self) -> list[Leaf]:
        """Every key that can be set, the fields of all components of each group included."""
        return self._all

    @cached_property
    def _all(self) -> list[Leaf]:
        return list(self._leaves(self.root, ""))

    def knows(self, key: str) -> bool:
        """Whether a config of this root can have the key, as a value or as a part with keys of its own."""
        names = key.split(".")
        for i in range(1, len(names)):
            part = bare(self.hint(".".join(names[:i])))
            if typing.get_origin(part) is dict or part is Any:
                return True
        return (
            any(leaf.key == key or leaf.key.startswith(f"{key}.") for leaf in self.leaves())
            or self.has_place(key)
            or self.hint(key) is Any
        )

    def has_place(self, place: str) -> bool:
        """Whether a component is selected at `model.norm` in a config of this root."""
        return place in PLACES and self.hint(place) is not None

    def parts(self) -> list[str]:
        """The keys that have keys of their own: `model`, `model.norm`."""
        keys = [leaf.key for leaf in self.leaves()]
        parts = [key.rpartition(".")[0] for key in keys]
        return list(dict.fromkeys(part for part in parts if part))

    def components(self, place: str) -> dict[str, dict[str, Any]]:
        """The components of the group at `model.norm`, each with its fields and their types."""
        kind = PLACES[place]
        shared = fields_of(SHARED[kind]) if kind in SHARED else {}
        entries = [entry for entry in self.registry() if entry.kind == kind]
        return {entry.name: {**shared, **fields_of(entry.value)} for entry in entries}

    def _walk(self, names: list[str], hint: Any, place: str) -> Any:
        if not names:
            return hint
        name, *rest = names
        here = f"{place}.{name}".lstrip(".")
        hint = bare(hint)
        if dataclasses.is_dataclass(hint):
            if name not in (hints := hints_of(hint)):
                return None
            if here in PLACES:
                return self._component(rest, here)
            if here == LISTENER:
                return self._walk(rest, listener_config(self.registry()), here)
            return self._walk(rest, hints[name], here)
        if typing.get_origin(hint) is dict:
            return self._walk(rest, typing.get_args(hint)[1], here)
        return None

    def _component(self, names: list[str], place: str) -> Any:
        if not names:
            return str
        found = [fields[names[0]] for fields in self.components(place).values() if names[0] in fields]
        if not found or any(bare(hint) != bare(found[0]) for hint in found):
            return None
        # Where a component must have it and another need not, it may be nothing.
        return self._walk(names[1:], next((hint for hint in found if takes_nothing(hint)), found[0]), "")

    def _leaves(self, schema: Any, prefix: str) -> Iterator[Leaf]:
        hints = hints_of(schema)
        for field in dataclasses.fields(schema):
            key, hint = f"{prefix}{field.name}", bare(hints[field.name])
            if key in PLACES:
                yield from self._of_components(key)
            elif key == LISTENER:
                yield from self._leaves(listener_config(self.registry()), f"{key}.")
            elif dataclasses.is_dataclass(hint):
                yield from self._leaves(hint, f"{key}.")
            elif hint is not Any:
                yield Leaf(key, hints[field.name], example=default_of(field))

    def _of_components(self, place: str) -> Iterator[Leaf]:
        owners: dict[str, list[str]] = {}
        for name, fields in self.components(place).items():
            for field in fields:
                owners.setdefault(f"{place}.{field}", []).append(name)
        kind = PLACES[place]
        shared = dataclasses.fields(SHARED[kind]) if kind in SHARED else ()
        classes = {e.name: e.value for e in self.registry() if e.kind == kind}
        for key, names in owners.items():
            fields = {field.name: field for field in (*shared, *dataclasses.fields(classes[names[0]]))}
            yield Leaf(key, self.hint(key), tuple(names), default_of(fields[key.rpartition(".")[2]]))


# A command asks some classes a dozen times, and Python would compile each annotation anew.
resolved = lru_cache(maxsize=512)(typing.get_type_hints)


def hints_of(schema: Any) -> Mapping[str, Any]:
    """The types of a dataclass's fields, by their names."""
    return resolved(schema)


def fields_of(component: Any) -> dict[str, Any]:
    """The fields of a component's dataclass with their types."""
    hints = hints_of(component)
    return {field.name: hints[field.name] for field in dataclasses.fields(component)}


def default_of(field: dataclasses.Field[Any]) -> str:
    """The default of a field as it is typed; empty if it is not one number, word or truth value."""
    if isinstance(field.default, bool):
        return str(field.default).lower()
    is_typed = isinstance(field.default, (str, int, float)) and field.default != "???"
    return str(field.default) if is_typed else ""


def bare(hint: Any) -> Any:
    """`str` for `str | None`."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        options = [option for option in typing.get_args(hint) if option is not types.NoneType]
        return options[0] if len(options) == 1 else hint
    return hint


def takes_nothing(hint: Any) -> bool:
    """Whether null is one of its values."""
    return types.NoneType in typing.get_args(hint)
