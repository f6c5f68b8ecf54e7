"""What is a text in the schema arrives as it was typed, whatever Hydra's grammar would make of it.

To Hydra `1.10` is the number 1.1, `True` a truth value, a comma a list of values. Here such a text gets
quotes, by the type of its key, before Hydra reads it. What Hydra has a meaning of its own for stays Hydra's:
quotes around the whole, null where nothing may be there, `${...}`, and in a sweep commas and functions.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gptlab.calling import quoted
from gptlab.config.keys import PLACES, Schema, bare, takes_nothing

if TYPE_CHECKING:
    from antlr4 import ParserRuleContext

PLAIN = re.compile(r"(?!(?:true|false|null|inf|nan)$)[A-Za-z_/][\w./-]*", re.ASCII | re.IGNORECASE)
QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
PROSE = ("description", "inspect.text", "text", "param", "expr")  # in which a comma is a comma
OF_VALUES = ("choice", "sort", "shuffle", "str", "tag")  # functions whose arguments are values of the key


def unquoted(value: str) -> str:
    """An override's value as it is shown: without the quotes around one text."""
    if not QUOTED.fullmatch(value):
        return value
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return str(OverridesParser.create().parse_rule(value, "primitive").text)


def as_typed(argument: str, schema: Schema, sweeps: bool = False, single: bool = False) -> str:
    """The override as Hydra is to read it. single: of a verb that takes one value for each key, and never sweeps."""
    typed, equals, value = argument.partition("=")
    key = typed.lstrip("+")
    if not equals or not value or typed[:1] in ("~", "") or PLAIN.fullmatch(value):
        return argument
    hint = schema.hint(key)
    is_text = bare(hint) is str
    if is_text and (QUOTED.fullmatch(value) or (takes_nothing(hint) and value.lower() == "null")):
        return argument
    from gptlab.command.hydra_insides import read_value

    tree = read_value(value)
    if is_text and not (key in PLACES or "/" in key or key in ("experiment", "sweep")):
        if tree is not None and as_it_is(tree, value):
            return argument
        if single:
            return quoted(typed, value)
        if tree is None:  # in a sweep with commas Hydra says what is wrong
            return argument if sweeps and "," in value else quoted(typed, value)
        if is_hydras(tree):
            if key in PROSE and not sweeps:
                return quoted(typed, value)
        elif not escaped(tree):
            return quoted(typed, value)
    if tree is None:
        return argument
    pieces, end = [], 0
    for start, stop, called in numbers_for_texts(tree, key, hint, schema):
        # A function takes quotes off what it is given, and so it gets two pairs.
        text = f"'{unquoted(value[start:stop])}'" if called else value[start:stop]
        pieces += [value[end:start], quoted("", text)[1:]]
        end = stop
    return f"{typed}={''.join(pieces)}{value[end:]}" if pieces else argument


def is_hydras(tree: ParserRuleContext) -> bool:
    """Whether it is several values, or a call of one of Hydra's functions."""
    from gptlab.command.hydra_insides import functions

    inner = tree.getChild(0)
    if kind(inner) == "SimpleChoiceSweep":
        return True
    call = inner.function()
    return call is not None and call.getChild(0).getText() in functions()


def as_it_is(tree: ParserRuleContext, value: str) -> bool:
    """Whether Hydra takes it for this very text."""
    primitive = tree.getChild(0).primitive() if kind(tree.getChild(0)) == "Element" else None
    return (
        primitive is not None
        and value == value.strip()
        and not escaped(tree)
        and value[0] not in "'\""
        and span_of_number(primitive, False) is None
    )


def escaped(tree: ParserRuleContext) -> bool:
    """Whether a sign in it is escaped as Hydra has it: `a\\,b`."""
    from gptlab.command.hydra_insides import OverrideLexer

    primitive = tree.getChild(0).primitive()
    return primitive is not None and any(t.symbol.type == OverrideLexer.ESC for t in primitive.getChildren())


def numbers_for_texts(
    tree: Any, key: str, hint: Any, schema: Schema, called: bool = False
) -> Iterator[tuple[int, int, bool]]:
    """Where, from and to, something stands that Hydra takes for a number or the like and the schema for a text.

    called: whether it is within one of Hydra's functions.
    """
    name = kind(tree)
    if name == "Primitive":
        if bare(hint) is str and (span := span_of_number(tree, takes_nothing(hint), called)):
            yield *span, called
    elif name == "DictContainer":
        for pair in tree.dictKeyValuePair():
            inner = f"{key}.{pair.dictKey().getText().strip()}"
            yield from numbers_for_texts(pair.element(), inner, schema.hint(inner), schema)
    elif name == "ListContainer":
        options = typing.get_args(bare(hint))
        inner_hint = options[0] if options else hint
        for element in tree.element():
            yield from numbers_for_texts(element, key, inner_hint, schema)
    elif name == "Function":
        function = tree.getChild(0).getText()
        if function in OF_VALUES:
            children = list(tree.getChildren())
            named = {i + 1 for i, child in enumerate(children) if kind(child) == "ArgName"}
            values = [
                child for i, child in enumerate(children) if kind(child) == "Element" and i not in named
            ]
            for element in values[-1:] if function == "tag" else values:
                yield from numbers_for_texts(element, key, hint, schema, called=function != "str")
    elif name:
        for child in tree.getChildren():
            yield from numbers_for_texts(child, key, hint, schema, called)


def span_of_number(primitive: Any, takes_null: bool, called: bool = False) -> tuple[int, int] | None:
    """Of a primitive that is one token, and not a text to Hydra: from and to. called: quotes do not make it one."""
    from gptlab.command.hydra_insides import OverrideLexer, read_value

    tokens = [t.symbol for t in primitive.getChildren() if t.symbol.type != OverrideLexer.WS]
    if len(tokens) != 1:
        return None
    token = tokens[0]
    others = [OverrideLexer.INT, OverrideLexer.FLOAT, OverrideLexer.BOOL]
    others += [] if takes_null else [OverrideLexer.NULL]
    if called and token.type == OverrideLexer.QUOTED_VALUE:
        within = read_value(unquoted(token.text))
        inner: Any = None if within is None else within.getChild(0)
        primitive = inner.primitive() if kind(inner) == "Element" else None
        return (token.start, token.stop + 1) if primitive and span_of_number(primitive, False) else None
    return (token.start, token.stop + 1) if token.type in others else None


def kind(node: Any) -> str:
    """`Primitive`, `Element`: the rule of the grammar; empty for a token."""
    name = type(node).__name__
    return name.removesuffix("Context") if name.endswith("Context") else ""
