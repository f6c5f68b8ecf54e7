"""The names that plugins in folders register, read off their files: help and completion run none of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import field, make_dataclass
from typing import Any

from gptlab.autograd.op import Op
from gptlab.errors import UserError
from gptlab.files import read_regular
from gptlab.plugins import discovery
from gptlab.plugins.discovery import Source
from gptlab.plugins.loading import KIND_OF_HOOK, Plugin, Plugins, load_one, load_plugins, silently
from gptlab.plugins.registry import Entry

UNREAD = "its names are known only to who runs it"
OPS, COMPONENTS = "gptlab_register_ops", "gptlab_register_components"


class Unread(Exception):
    """A name that only running the plugin would tell."""


def read_plugins() -> Plugins:
    """gptlab's own names, those of installed plugins, and those that can be read in the files of folders.

    What such a name stands for has its fields, and does nothing. `found` has the plugins of which not all can be
    read, with UNREAD as the reason. What is wrong with a plugin is left for `load_plugins` to say.
    """
    plugins = load_plugins(discover=False)
    for source in discovery.sources():
        if source.file is None:
            with suppress(UserError):
                load_one(plugins, source, silently)
            continue
        if source.refusal:
            continue
        try:
            for entry in entries_of(source):
                with suppress(UserError):  # another plugin has the name
                    plugins.registry.register(entry.kind, entry.name, entry.value, entry.owner)
        except (Unread, OSError, SyntaxError, ValueError, RecursionError):
            plugins.found.append(Plugin(source, failure=UNREAD))
    return plugins


def entries_of(source: Source) -> Iterator[Entry]:
    """Raises Unread after those that can be read, if there are others."""
    assert source.file is not None
    tree = ast.parse(read_regular(source.file))
    defined = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    unread = False
    for hook, node in defined.items():
        if not isinstance(node, ast.FunctionDef) or hook not in (OPS, COMPONENTS, *KIND_OF_HOOK):
            continue
        for call in ast.walk(node):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "register":
                try:
                    kind, name, value = registered(hook, call.args, defined)
                except Unread:
                    unread = True
                else:
                    yield Entry(kind, name, value, source.name)
    if unread:
        raise Unread


def registered(
    hook: str, arguments: list[ast.expr], defined: dict[str, ast.FunctionDef | ast.ClassDef]
) -> tuple[str, str, Any]:
    """The kind and the name that one call of `register` adds, with what stands for the thing itself."""
    *words, last = arguments or [ast.Constant(None)]
    definition = defined.get(last.id) if isinstance(last, ast.Name) else None
    if hook == OPS:
        if not isinstance(definition, ast.FunctionDef):
            raise Unread
        return "op", *op_of(definition)
    texts = [word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str)]
    kind = [] if hook == COMPONENTS else [KIND_OF_HOOK[hook]]
    match [*kind, *texts]:
        case [kind_of, name] if len(texts) == len(words):
            return kind_of, name, component_of(definition)
    raise Unread


def op_of(definition: ast.FunctionDef) -> tuple[str, Op]:
    """The op that `@gptlab.op` makes of a function."""
    name = definition.name.rstrip("_")
    for decorator in definition.decorator_list:
        for keyword in decorator.keywords if isinstance(decorator, ast.Call) else ():
            if keyword.arg == "name":
                if not isinstance(keyword.value, ast.Constant) or not isinstance(keyword.value.value, str):
                    raise Unread
                name = keyword.value.value
    return name, Op(name, lambda *numbers: (None, ()), len(definition.args.args) - 1)


def component_of(definition: ast.AST | None) -> type:
    """A dataclass with a class's docstring and fields; those of its bases, or of another file, are not seen."""
    fields: list[Any] = []
    for node in definition.body if isinstance(definition, ast.ClassDef) else ():
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            fields.append((node.target.id, Any, field(default=literal(node.value))))
    described = ast.get_docstring(definition) if isinstance(definition, ast.ClassDef) else None
    return make_dataclass("Read", fields, frozen=True, namespace={"__doc__": described} if described else {})


def literal(value: ast.expr | None) -> Any:
    """The default that stands there, if it is one number, text or truth value; else None."""
    try:
        found = ast.literal_eval(value) if value is not None else None
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return found if isinstance(found, (str, int, float)) else None
