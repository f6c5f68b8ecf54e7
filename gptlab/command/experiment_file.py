"""An experiment's file, read: texts as they are written, and each mistake with its line and what to write instead.

YAML 1.1 has meanings that nobody expects of a config: `on` is true, `010` is 8, `1:30` is 90, `1.10` is 1.1.
Here a value is what it would be on the command line, by the type of its key.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from gptlab.command.as_typed import as_typed
from gptlab.command.permitted import GROUPS_OF_FILES, OF_FILES, refuse_resolvers
from gptlab.command.suggesting import (
    chosen_components,
    chosen_in,
    chosen_so,
    unknown_group,
    unknown_key,
    written,
)
from gptlab.command.yaml_reading import NULL, TEXT, as_in_a_file, composed, constructed
from gptlab.config.experiments import defaults_of, experiment_files
from gptlab.config.keys import PLACES, Schema, bare, takes_nothing
from gptlab.errors import UserError, unknown_name
from gptlab.plugins.discovery import shown
from gptlab.plugins.registry import GROUPS

SUFFIXES = (".yaml", ".yml")
EXAMPLE = "train: {numSteps: 2000}"
PARAMS = "hydra.sweeper.params"  # what a sweep goes through: overrides, and read as such
MOST_NODES = 100_000  # a text of a few lines that names its own parts again and again stands for millions
CHOICE = re.compile(r"(?:optional\s+)?(override\s+)?(/?)([^\s@]+)(?:@\S+)?")


def read_experiment(file: Path, schema: Schema) -> dict[str, Any]:
    """The content of an experiment's file. Raises UserError with the line of what is wrong in it."""
    twins = [file.with_suffix(suffix) for suffix in SUFFIXES]
    if all(twin.exists() for twin in twins):
        raise UserError(
            f"an experiment is one file: there are {shown(twins[0])} and {shown(twins[1])}. Remove one."
        )
    node, loader = composed(file)
    reader = Reader(file, schema)
    if node is None or node.tag == NULL:
        raise UserError(
            f"{shown(file)} is empty: an experiment must say what it changes. Write, for example, {EXAMPLE}"
        )
    if not isinstance(node, yaml.MappingNode):
        what = "a list" if isinstance(node, yaml.SequenceNode) else "a single value"
        raise reader.wrong(node, f"it must hold keys: got {what}. Write, for example, {EXAMPLE}")
    reader.there = set(parts_in(node))
    reader.check(node, "")
    return constructed(file, node, loader)


def read_config(file: Path, schema: Schema, place: str) -> Any:
    """The content of a file that fills this place of the config, with its texts as they are written."""
    node, loader = composed(file)
    if isinstance(node, yaml.MappingNode):
        Reader(file, schema, checks=False).check(node, place)
    return {} if node is None else constructed(file, node, loader)


def line_of(file: Path, key: str) -> int | None:
    """The line, from 1, in which an experiment's file sets a key; None if it does not."""
    node: Any = composed(file)[0]
    line = None
    for name in key.split("."):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = next(((k, v) for k, v in pairs if k.value == name), None)
        if found is None:
            return None
        line, node = found[0].start_mark.line + 1, found[1]
    return line


class Reader:
    """Goes through the nodes of one file: tells what cannot be meant, and marks as a text what the schema has so."""

    def __init__(self, file: Path, schema: Schema, checks: bool = True):
        self.file = file
        self.schema = schema
        self.checks = checks
        self.within: list[yaml.Node] = []
        self.visited = 0
        self.there: set[str] = set()  # the parts that the file has, `defaults` among them

    def wrong(self, node: yaml.Node, said: str) -> UserError:
        return UserError(f"{shown(self.file)}, line {node.start_mark.line + 1}: {said}")

    def place(self, node: yaml.Node) -> str:
        return f" (in {shown(self.file)}, line {node.start_mark.line + 1})"

    def check(self, node: yaml.MappingNode, part: str) -> None:
        """Raises UserError for what cannot be meant."""
        if any(node is outer for outer in self.within):
            raise self.wrong(node, "it holds itself.")
        self.within.append(node)
        lines: dict[str, int] = {}
        for key_node, value in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    if isinstance(merged, yaml.MappingNode):
                        self.check(merged, part)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.wrong(key_node, f"a key must be a word. Write, for example, {EXAMPLE}")
            name, line = key_node.value, key_node.start_mark.line + 1
            if name in lines:
                raise self.wrong(
                    key_node, f"'{name}' appears twice, first in line {lines[name]}. Remove one."
                )
            lines[name] = line
            key_node.tag = TEXT  # `on` as a key is no truth value either
            if name == "defaults" and not part:
                self.check_defaults(value)
                continue
            key = f"{part}.{name}".lstrip(".")
            if self.checks and key.partition(".")[0].partition("/")[0] == "hydra":
                self.check_hydra(key, key_node, value)
            elif self.checks:
                self.check_key(name, key, part, key_node, value)
            self.check_value(value, key, self.schema.hint(key))
        self.within.pop()

    def check_key(self, name: str, key: str, part: str, node: yaml.Node, value: yaml.Node) -> None:
        given = value.value if isinstance(value, yaml.ScalarNode) else ""
        place = key.replace("/", ".").removesuffix(".name")
        if place in PLACES and (place != key or not isinstance(value, yaml.MappingNode)):
            selects = chosen_so(GROUPS[PLACES[place]], given or "NAME", self.there)
            raise self.wrong(node, f"a component is chosen under defaults: got {key}: {given}. {selects}")
        if typing.get_origin(bare(self.schema.hint(part))) is dict:
            return
        if name == "defaults":
            raise self.wrong(node, f"defaults belongs at the top of the file, not in {part}.")
        if "/" in name:
            raise unknown_group(key, given, self.schema, self.place(node))
        if self.schema.knows(key):
            if "." in name:
                raise self.wrong(
                    node,
                    f"keys are nested: got {name}: {given}. {written(key, given or '...', self.there)}",
                )
            if dataclasses.is_dataclass(self.schema.hint(key)) and not isinstance(value, yaml.MappingNode):
                if close := re.fullmatch(r"(\w+):(\S+)", given):
                    raise self.wrong(value, f"a space is missing: got {given}. Write {close[1]}: {close[2]}")
                if close := re.fullmatch(r"([A-Za-z][\w.]*)\s*=\s*(\S+)", given):
                    raise self.wrong(value, as_in_a_file(close[1], close[2]))
                came = "nothing" if value.tag == NULL else given or "a list"
                raise self.wrong(
                    node,
                    f"{key} has keys of its own: got {came}. Leave it out, or give keys: {self.example(key)}",
                )
            return
        files = experiment_files()
        chosen = chosen_components("train", []) | chosen_in(self.file, files)
        raise unknown_key(key, given, self.schema, chosen, place=self.place(node), there=self.there)

    def check_hydra(self, key: str, node: yaml.Node, value: yaml.Node) -> None:
        """Of Hydra's keys a file sets a few, and plain values."""
        if isinstance(value, yaml.MappingNode):
            return  # its keys are looked at
        last = key.rpartition(".")[2]
        items = value.value if isinstance(value, yaml.SequenceNode) else [value]
        plain = all(
            isinstance(item, yaml.ScalarNode) and not re.search(r"[\x00-\x1f]", item.value) for item in items
        )
        of_hydra = re.match(re.escape(PARAMS) + r"\.\W*hydra\b", key)
        if not OF_FILES.fullmatch(key) or last == "_target_" or of_hydra or not plain:
            raise self.wrong(
                node,
                f"an experiment's file cannot set {key}: of Hydra's keys it can set where runs go, and plain "
                "values of the launchers and sweepers that gptlab knows (docs/security.md). Type any other in the "
                "command.",
            )

    def example(self, key: str) -> str:
        inside = next(leaf.key for leaf in self.schema.leaves() if leaf.key.startswith(f"{key}."))
        return f"{key}: {{{inside.removeprefix(f'{key}.').partition('.')[0]}: ...}}"

    def check_value(self, node: yaml.Node, key: str, hint: Any) -> None:
        """Marks texts as such, and goes into what has keys."""
        self.visited += 1
        if self.visited > MOST_NODES:
            raise self.wrong(node, f"it holds more than {MOST_NODES} values, counting those that it repeats.")
        if self.checks and isinstance(node, yaml.ScalarNode):
            refuse_resolvers(node.value, f"{node.value}{self.place(node)}")
        if isinstance(node, yaml.MappingNode):
            self.check(node, key)
        elif isinstance(node, yaml.SequenceNode):
            options = typing.get_args(bare(hint))
            for item in node.value:
                self.check_value(item, key, options[0] if options else None)
        elif key.startswith(f"{PARAMS}.") and node.tag != NULL:
            self.check_param(node, key.removeprefix(f"{PARAMS}."))
        elif bare(hint) is str and node.tag != TEXT and node.style is None:
            if node.tag != NULL:
                node.tag = TEXT
            elif not takes_nothing(hint) and self.checks:
                raise self.wrong(node, f'{key} must be text: got nothing. Write {key.rpartition(".")[2]}: ""')

    def check_param(self, node: yaml.Node, key: str) -> None:
        override = as_typed(f"{key}={node.value}", self.schema, sweeps=True)
        node.tag, node.value = TEXT, override.partition("=")[2]

    def check_defaults(self, node: yaml.Node) -> None:
        """The list of what the file is built on, and of the components that it chooses."""
        if not self.checks:
            return
        if not isinstance(node, yaml.SequenceNode):
            raise self.wrong(node, "defaults is a list. Write defaults: [override /model/norm: layernorm]")
        for item in node.value:
            if isinstance(item, yaml.MappingNode):
                if len(item.value) != 1:
                    raise self.wrong(
                        item, "defaults is a list with one choice per entry: begin each with a dash."
                    )
                self.check_choice(*item.value[0])
            elif isinstance(item, yaml.ScalarNode):
                self.check_base(item)

    def check_choice(self, key_node: yaml.Node, value: yaml.Node) -> None:
        given = value.value if isinstance(value, yaml.ScalarNode) else ""
        if isinstance(value, yaml.ScalarNode) and value.tag != NULL:
            value.tag = TEXT
        read = CHOICE.fullmatch(str(key_node.value).strip())
        if read is not None and read[3].startswith("hydra/"):
            if read[3] not in GROUPS_OF_FILES:
                raise self.wrong(
                    key_node,
                    f"an experiment's file cannot choose {read[3]}: it can choose {', '.join(GROUPS_OF_FILES)}.",
                )
            return
        if read is None:
            return
        overrides, slash, group = read.groups()
        if group == "experiment":
            raise self.wrong(
                key_node,
                f"another experiment is listed by its name alone: got experiment: {given}. Write {given}",
            )
        if group not in GROUPS.values():
            if group.replace(".", "/") in GROUPS.values():
                group, overrides = group.replace(".", "/"), None
            else:
                raise unknown_group(group, given, self.schema, self.place(key_node))
        if not overrides or not slash:
            raise self.wrong(
                key_node,
                f"got {key_node.value}: {given}. Write override /{group}: {given or 'NAME'}",
            )
        names = self.schema.components(group.replace("/", "."))
        if given and given not in names:
            kind = PLACES[group.replace("/", ".")]
            error = unknown_name(kind, given, names, self.schema.registry().hint(kind, given))
            raise UserError(f"{shown(self.file)}, line {value.start_mark.line + 1}: {error}")

    def check_base(self, node: yaml.ScalarNode) -> None:
        name = node.value.removeprefix("/experiment/").removeprefix("experiment/")
        node.tag = TEXT
        if self.file in based_on(name):
            raise self.wrong(
                node,
                f"it is built on itself: {name} is {shown(experiment_files()[name])}. Give the file another name.",
            )
        if name == "_self_" or name.startswith("/") or name in experiment_files():
            return
        group, equals, choice = name.removeprefix("override ").lstrip("/").partition("=")
        if equals and group.replace(".", "/") in GROUPS.values():
            group = group.replace(".", "/")
            raise self.wrong(node, f"got {node.value}. Write override /{group}: {choice}")
        error = unknown_name(
            "experiment",
            name,
            experiment_files(),
            "defaults lists experiments by name, and components like this: override /model/norm: layernorm",
        )
        raise self.wrong(node, str(error))


def parts_in(node: yaml.Node, part: str = "") -> Iterator[str]:
    """The keys of a file that have keys, and `defaults` if it is a list: `model`, `model.norm`."""
    for key, value in node.value if isinstance(node, yaml.MappingNode) and part.count(".") < 3 else []:
        name = f"{part}.{key.value}".lstrip(".")
        if isinstance(value, yaml.MappingNode) or (
            name == "defaults" and isinstance(value, yaml.SequenceNode)
        ):
            yield name
            yield from parts_in(value, name)


def based_on(name: str, seen: tuple[Path, ...] = ()) -> tuple[Path, ...]:
    """The files of an experiment and of all that it is built on."""
    file = experiment_files().get(name)
    if file is None or file in seen:
        return seen
    seen = (*seen, file)
    for entry in defaults_of(file):
        seen = based_on(str(entry), seen) if isinstance(entry, str) else seen
    return seen
