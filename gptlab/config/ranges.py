"""Between which bounds a key's number must be: a table for gptlab's own keys, and what components check themselves."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, TypedDict


class Bounds(TypedDict, total=False):
    """The bounds that `errors.require` takes."""

    at_least: float
    above: float
    at_most: float
    below: float


POSITIVE, NATURAL = Bounds(at_least=1), Bounds(at_least=0)
# By the keys as a training run has them. `config.values` checks by it, but for those of the second part: these are
# checked where a model is built or a verb does its work, and a test holds the table to that.
BOUNDS: Mapping[str, Bounds] = MappingProxyType(
    {
        "train.numSteps": POSITIVE,
        "train.batchSize": POSITIVE,
        "train.accumulate": POSITIVE,
        "train.logEvery": POSITIVE,
        "train.evalEvery": NATURAL,
        "seed": NATURAL,
        "samples.n": NATURAL,
        "checkpoint.every": POSITIVE,
        "checkpoint.keep": POSITIVE,
        "inspect.every": POSITIVE,
        "train.learningRate": Bounds(above=0),
        "train.average": Bounds(at_least=0, below=1),
        "model.softCap": Bounds(above=0),
        "model.initStd": NATURAL,
        "sweep.jobs": POSITIVE,
        #
        "model.nLayer": POSITIVE,
        "model.nEmbd": POSITIVE,
        "model.nHead": POSITIVE,
        "model.headDim": POSITIVE,
        "model.blockSize": POSITIVE,
        "model.dropout": Bounds(at_least=0, below=1),
        "samples.temperature": NATURAL,
        "samples.topK": NATURAL,
        "samples.topP": Bounds(above=0, at_most=1),
        "samples.repetitionPenalty": Bounds(above=0),
        "samples.length": POSITIVE,
        "optimizer.clip": Bounds(above=0),
        "n": POSITIVE,
        "temperature": NATURAL,
        "topK": NATURAL,
        "topP": Bounds(above=0, at_most=1),
        "repetitionPenalty": Bounds(above=0),
        "length": POSITIVE,
        "candidates": POSITIVE,
        "port": Bounds(at_least=1, at_most=65535),
        "epsilon": Bounds(above=0),
    }
)


@cache
def bounds_of(component: type) -> Mapping[str, Bounds]:
    """Of a component's fields the bounds that its class checks by `require`, as far as they are plain numbers.

    They are read off the code: what is told of a key cannot differ from what is done. Of a field that a subclass
    checks anew that is what counts.
    """
    found: dict[str, Bounds] = {}
    for cls in reversed(component.__mro__):
        for call in calls_of_require(cls):
            match call.args:
                case [_, ast.Attribute(value=ast.Name(id="self"), attr=field)]:
                    bounds = {
                        keyword.arg: keyword.value.value
                        for keyword in call.keywords
                        if keyword.arg in Bounds.__annotations__ and isinstance(keyword.value, ast.Constant)
                    }
                    found[field] = Bounds(**bounds)  # type: ignore[typeddict-item]
    return found


def calls_of_require(cls: type) -> Iterator[ast.Call]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):  # a class of Python's own, or one that was made at run time
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and name_of(node.func) == "require":
            yield node


def name_of(function: Any) -> str:
    """`require` for `require` and for `gptlab.require`."""
    return str(getattr(function, "id", getattr(function, "attr", "")))
