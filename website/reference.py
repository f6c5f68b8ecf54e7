"""The pages that the code writes of itself: every key, every verb, every public name."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import gptlab
from gptlab.command.verbs import ROOTS, VERBS
from gptlab.config.keys import PLACES, Schema
from gptlab.config.meanings import Meaning, Place, meanings, places
from gptlab.plugins.loading import load_plugins
from gptlab.plugins.registry import GROUPS, VERB, Registry

WIDTH = 80  # of a signature on one line
EMPTY = inspect.Signature.empty


def pages() -> dict[str, bytes]:
    """Each page by its path on the site."""
    registry = load_plugins(discover=False).registry
    made = {"keys": keys(registry), "verbs": verbs(), "python": names()}
    return {f"reference/{name}.md": text.encode("utf-8") for name, text in made.items()}


def keys(registry: Registry) -> str:
    """Every key of every verb; those of training stand once."""
    lines = [
        "# Keys",
        "",
        "What can be typed as `key=value`, made from the dataclasses that hold them. In a terminal, plugins' included:",
        "`python -m gptlab --help model.` A component is selected by its name, with a slash: `model/norm=layernorm`.",
        "",
    ]
    of_training: set[Meaning] = set()
    for verb, root in ROOTS.items():
        schema = Schema(root, lambda: registry)
        rows = [one for one in meanings(schema) if one not in of_training]
        groups = places(schema)
        if verb == "train":
            of_training = set(rows)
        shown = VERBS[verb]
        title = "A training run" if verb == "train" else f"`{verb}`"
        lines += [f"## {title}", ""]
        if verb != "train" and shown.describes_a_run:
            lines += ["Those of a training run, and:", ""]
            groups = []
        elif verb != "train":
            groups = [group for group in groups if any(place_of(one) == group.key for one in rows)]
        lines += [*of_root(verb, rows, groups), ""]
    return "\n".join(lines)


def of_root(verb: str, rows: list[Meaning], groups: list[Place]) -> Iterator[str]:
    parts: dict[str, list[Meaning]] = {}
    for one in rows:
        if place_of(one) not in PLACES:
            parts.setdefault(place_of(one), []).append(one)
    for part, own in parts.items():
        if part:
            yield from ["", f"### {part}. {{ #{verb}-{part.replace('.', '-')} }}", ""]
        yield from each(verb, own)
    for group in groups:
        name = GROUPS[PLACES[group.key]]
        yield from [
            "",
            f"### {name}= {{ #{verb}-{name.replace('/', '-')} }}",
            "",
            f"{sentence(group.meaning)}",
            "",
        ]
        yield from ["| name | what it is |", "|---|---|"]
        yield from (f"| `{choice}` | {cell(text)} |" for choice, text in group.choices.items())
        if own := [one for one in rows if place_of(one) == group.key]:
            yield from each(verb, own)


def each(verb: str, rows: list[Meaning]) -> Iterator[str]:
    """Each key under a heading of its own, for the search to find it and for links to lead to it."""
    seen: set[str] = set()
    for one in rows:
        anchor = one.key if verb == "train" else f"{verb}-{one.key}"
        yield from [
            "",
            f"#### {one.key} {{ #{'-'.join([anchor, *one.of]) if one.key in seen else anchor} }}",
            "",
        ]
        seen.add(one.key)
        of = f"Of {', '.join(f'`{name}`' for name in one.of)}. " if one.of else ""
        default = "must be given" if one.default == "???" else f"`{one.default}`" if one.default else "empty"
        value = ", ".join(filter(None, [one.kind, one.range]))
        yield f"{of}{one.meaning}".replace("<", "&lt;") + f"\n\n{value} · default: {default}\n{{ .values }}"


def place_of(meaning: Meaning) -> str:
    return meaning.key.rpartition(".")[0]


def sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" if text[:1].isalpha() else text


def cell(text: str) -> str:
    """A text inside a table, in which a bar would end the cell, and a `<` begin a tag."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("&lt;br>", "<br>")


def verbs() -> str:
    """Each verb with what its --help prints."""
    lines = [
        "# Verbs",
        "",
        "`python -m gptlab VERB --help` prints what stands here. `train` may be left out.",
        "",
    ]
    for verb in VERBS.values():
        lines += [f"## {verb.name}", "", "```text", verb.help, "```", ""]
    registry = load_plugins(discover=False).registry
    assert not registry.names(VERB), "gptlab itself registers no verb by a hook"
    return "\n".join(lines)


def names() -> str:
    """Each public name with its signature and docstring, and those of what one may call on it.

    Not by mkdocstrings: it passes over packages without an __init__.py, which most rooms are.
    """
    lines = ["# Python", "", "`import gptlab` gives these names; a plugin needs no other import.", ""]
    for name in gptlab.__all__:
        found = getattr(gptlab, name)
        lines += [f"## {name} {{ #{name} }}", "", *described(name, found), ""]
        for member, inner in members(found):
            lines += [f"### {name}.{member} {{ #{name}.{member} }}", "", *described(member, inner), ""]
    return "\n".join(lines)


def described(name: str, found: Any) -> Iterator[str]:
    """The signature in a block, and the docstring."""
    inner = found.fget if isinstance(found, property) else found
    if callable(inner) and not isinstance(found, property):
        yield from [f"```python\n{name}{signature_of(inner)}\n```", ""]
    doc = inspect.getdoc(inner)
    if inspect.isclass(inner) and isinstance(vars(inner).get("__doc__"), property):  # that of its instances
        tree = ast.parse(textwrap.dedent(inspect.getsource(inner))).body[0]
        doc = ast.get_docstring(tree) if isinstance(tree, ast.ClassDef) else doc
    yield plain_words(doc or "")


def signature_of(found: Any) -> str:
    """As it would be written, an argument a line where it is long."""
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):  # a class of C's, as an exception is
        return ""
    whole = as_written(str(signature))
    if len(whole) <= WIDTH:
        return whole
    lines = [
        as_written(str(signature.replace(parameters=[one], return_annotation=EMPTY)))[1:-1]
        for one in kept(signature)
    ]
    returned = "" if signature.return_annotation is EMPTY else whole[whole.rindex(") -> ") + 1 :]
    return "\n    ".join(["(", *(f"{line}," for line in lines)]) + f"\n){returned}"


def kept(signature: inspect.Signature) -> list[inspect.Parameter]:
    """Its parameters; that they are named, and so stand behind a star, is left out."""
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    named = inspect.Parameter.KEYWORD_ONLY
    return [
        one.replace(kind=positional) if one.kind is named else one for one in signature.parameters.values()
    ]


def as_written(signature: str) -> str:
    signature = re.sub(r"<[\w.<> ]+ at 0x[0-9a-f]+>|<factory>", "...", signature)
    return re.sub(r"\b(?:collections\.abc|typing|gptlab(?:\.\w+)+)\.", "", signature).replace("'", "")


def members(found: Any) -> Iterator[tuple[str, Any]]:
    """What a class says of its own methods and properties, in their order; of others' classes nothing."""
    if not inspect.isclass(found):
        return
    for name, value in vars(found).items():
        value = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
            yield name, value


def plain_words(doc: str) -> str:
    """A docstring as Markdown: a formula's `*` is no emphasis, a `<` begins no tag, and what is indented is code."""
    lines = []
    for line in doc.splitlines():
        if not line.startswith("    "):
            parts = re.split(r"(`[^`]*`)", line)
            line = "".join(
                p if p.startswith("`") else re.sub(r"([*_])", r"\\\1", p).replace("<", "&lt;") for p in parts
            )
        lines.append(line)
    return "\n".join(lines)
