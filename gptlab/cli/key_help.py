"""The words of `--help model.`: the keys of a verb that begin so, with types, defaults, ranges and meanings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from textwrap import wrap

from gptlab.cli.help import WIDEST
from gptlab.command.verbs import ROOTS, VERBS
from gptlab.config.keys import PLACES, Schema
from gptlab.config.meanings import Meaning, Place, meanings, places
from gptlab.errors import UserError
from gptlab.plugins.registry import GROUPS, Registry

MOST = 4  # components that a line names


def help_of_keys(verb: str, word: str) -> str:
    """What is told of the key `word`, or of all that begin with it: `model.`, `model.norm`, `model/norm`, `train.num`.

    What is set is of no interest: `train.numSteps=3` is the key. No plugin runs: their names are read off their files.
    Raises UserError for what no key begins with, with the nearest.
    """
    root = VERBS[verb].root or verb
    if root not in ROOTS:
        raise UserError(f"{verb} takes words, not keys. Type python -m gptlab {verb} --help")
    key = word.lstrip("+~").partition("=")[0]
    told = ToldKeys(root, key.replace("/", "."))
    lines = list(told.lines())
    if not lines:
        raise told.nothing(key)
    return "\n".join(
        [f"Keys of {verb}, typed as key=value; a component is selected by its name, with a slash:", *lines]
    )


class ToldKeys:
    """The keys of a root that begin with `key`, as lines."""

    def __init__(self, root: str, key: str):
        self.root, self.key = root, key
        self.schema = Schema(ROOTS[root], lambda: self.registry)

    @cached_property
    def registry(self) -> Registry:
        from gptlab.plugins.reading import read_plugins

        return read_plugins().registry

    @cached_property
    def keys(self) -> list[Meaning]:
        """The one key of that name, if there is one, else all that begin so."""
        found = meanings(self.schema, self.key)
        exactly = [one for one in found if one.key == self.key]
        within = [one for one in found if one.key.startswith(f"{self.key.rstrip('.')}.")]
        return exactly or within or found

    @cached_property
    def places(self) -> list[Place]:
        """Those among them where a component is selected."""
        if any(one.key == self.key for one in self.keys):
            return []
        return [place for place in places(self.schema) if f"{place.key}.".startswith(self.key)]

    def lines(self) -> Iterator[str]:
        """Keys of no component first, then each group with its own."""
        from gptlab.command.suggesting import chosen_components

        yield from self.rows([one for one in self.keys if place_of(one) not in PLACES])
        chosen = chosen_components(self.root, [])
        one_only = len(self.places) == 1
        shown = {place.key for place in self.places}
        for place in self.places:
            group = GROUPS[PLACES[place.key]]
            default = f"={chosen[place.key]}" if place.key in chosen else "=NAME"
            yield f"\n  {group}{default}  {place.meaning}" if place.meaning else f"\n  {group}{default}"
            if one_only:
                yield from table(place.choices, 4)
            else:
                yield from table({"": f"one of {', '.join(place.choices)}"}, 2)
            yield from self.rows([one for one in self.keys if place_of(one) == place.key])
        yield from self.rows(
            [one for one in self.keys if place_of(one) in PLACES and place_of(one) not in shown]
        )

    def rows(self, keys: list[Meaning]) -> Iterator[str]:
        yield from table({as_shown(one): in_words(one) for one in keys}, 2)

    def nothing(self, key: str) -> UserError:
        """The error for a word that no key begins with."""
        from gptlab.command.suggesting import known, near, same_word

        close = [leaf.key for leaf in same_word(self.key, self.schema)] if key.strip("./") else []
        close = close[:3] or near(self.key.strip("."), self.schema)
        told = f"Did you mean {' or '.join(close)}?" if close else known("", self.schema)
        return UserError(f"no key begins with '{key}'. {told}")


def place_of(meaning: Meaning) -> str:
    return meaning.key.rpartition(".")[0]


def as_shown(meaning: Meaning) -> str:
    """`model.nEmbd=16`, as one types it; components that have it otherwise are told apart by their names."""
    value = "..." if meaning.default == "???" else meaning.default
    return f"{meaning.key}={value}" + (f"  ({named(meaning.of)})" if meaning.of else "")


def named(components: tuple[str, ...]) -> str:
    more = len(components) - MOST
    return ", ".join(components[:MOST]) + (f" and {more} more" if more > 0 else "")


def in_words(meaning: Meaning) -> str:
    """`whole number, at least 1: how many blocks come one after the other`."""
    about = ", ".join(filter(None, [meaning.kind, meaning.range]))
    about += "; must be given" if meaning.default == "???" else ""
    return ": ".join(filter(None, [about, meaning.meaning]))


def table(rows: Mapping[str, str], indent: int) -> Iterator[str]:
    """A line for what there is, and its words below it."""
    for name, text in rows.items():
        if name:
            yield f"{' ' * indent}{name}"
        yield from (
            " " * (indent + 4) + line for line in wrap(text, WIDEST - indent - 4, break_long_words=False)
        )
