"""YAML as nodes that know their lines, with the numbers of the command line; and where the mistake in it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from gptlab.command.suggesting import nested
from gptlab.errors import UserError
from gptlab.plugins.discovery import shown
from gptlab.plugins.registry import GROUPS

TEXT, NULL = "tag:yaml.org,2002:str", "tag:yaml.org,2002:null"


class Loader(yaml.SafeLoader):
    """YAML with the numbers of the command line: decimal ones, `1e3` among them, and no dates."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag.rpartition(":")[2] in ("bool", "null", "merge")]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?\d+(?:_\d+)*$"), list("-+0123456789"))
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"[-+]?(?:(?:\d+(?:_\d+)*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|\.(?:inf|Inf|INF))$|\.(?:nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)
Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value.replace("_", "")))


def composed(file: Path) -> tuple[yaml.Node | None, Loader]:
    """The file's YAML as nodes, which know their lines. Raises UserError."""
    text = text_of(file)
    try:
        loader = Loader(text)
        node = loader.get_single_node()
    except (yaml.YAMLError, RecursionError) as error:
        refuse_equals(file, text)
        raise not_yaml(file, error, text) from None
    if isinstance(node, yaml.ScalarNode):
        refuse_equals(file, text)
    return node, loader


def constructed(file: Path, node: yaml.Node, loader: Loader) -> Any:
    try:
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise not_yaml(file, error, "") from None


def text_of(file: Path) -> str:
    """Raises UserError for what is no file that can be read, or no UTF-8."""
    if not file.exists():
        goal = f" a link to {file.readlink()}, which does not exist" if file.is_symlink() else " not there"
        raise UserError(f"an experiment must be a file: {shown(file)} is{goal}.")
    if not file.is_file():
        what = "a folder" if file.is_dir() else "no regular file"
        raise UserError(f"an experiment must be a file: {shown(file)} is {what}.")
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UserError(
            f"an experiment must be a file that can be read: {shown(file)}: {error.strerror}."
        ) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UserError(
            f"an experiment must be UTF-8 text: {shown(file)} has the byte 0x{data[error.start]:02x} in line {line}. "
            f"Convert it, e.g. iconv -f latin1 -t utf-8 {file.name}"
        ) from None


def refuse_equals(file: Path, text: str) -> None:
    """Raises UserError for a line as it is typed in a command: `model.nEmbd=32`."""
    for i, line in enumerate(text.splitlines()):
        if found := re.fullmatch(r"\s*[-+]*\s*([A-Za-z][\w./]*)\s*=\s*(\S.*?)\s*", line):
            raise UserError(f"{shown(file)}, line {i + 1}: {as_in_a_file(found[1], found[2])}")


def as_in_a_file(key: str, value: str) -> str:
    """`model: {nEmbd: 32}`, for what was written as it is typed in a command."""
    group = key.replace(".", "/")
    is_group = group in GROUPS.values()
    written = f"defaults: [override /{group}: {value}]" if is_group else nested(key, value)
    return f"a file uses colons: got {key}={value}. Write {written}"


def not_yaml(file: Path, error: Exception, text: str) -> UserError:
    begins = f"an experiment must be YAML that can be read: {shown(file)} is not: "
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        if "'\\t'" in str(error.problem):
            return UserError(f"{begins}{line}a tab, where YAML wants spaces.")
        if mark and (above := indented_otherwise(text, mark, str(error.problem))):
            return UserError(
                f"{begins}{line}its indentation differs from that of line {above}. Write the keys of a part one "
                "below the other."
            )
        if "mapping values" in str(error.problem):
            return UserError(f"{begins}{line}a colon within a value. Put the value into quotes.")
        said = error.problem or error.context
        return UserError(f"{begins}{line}{f'{error.context} ' if said.startswith('but ') else ''}{said}.")
    if isinstance(error, yaml.reader.ReaderError):
        line = f"line {text[: error.position].count(chr(10)) + 1}: "
        sign = text[error.position]
        return UserError(f"{begins}{line}the character U+{ord(sign):04X}, which YAML does not allow.")
    if isinstance(error, RecursionError):
        return UserError(f"{begins}it is nested too deep.")
    return UserError(f"{begins}{error}.")


def indented_otherwise(text: str, mark: yaml.Mark, problem: str) -> int | None:
    """The line above, from 1, if a key has another indentation than the keys above it; None for any other error."""
    lines = text.splitlines()
    if mark.line >= len(lines):
        return None
    here = lines[mark.line]
    is_key = re.match(r"\s*[\w./-]+\s*:(\s|$)", here) is not None
    if not is_key or not ("block mapping start" in problem or here.find(":") == mark.column):
        return None
    filled = [i for i, line in enumerate(lines[: mark.line]) if line.split("#")[0].strip()]
    return filled[-1] + 1 if filled and indent(lines[filled[-1]]) != indent(here) else None


def indent(line: str) -> int:
    return len(line) - len(line.lstrip())
