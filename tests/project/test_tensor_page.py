"""docs/tensor.md has all that a Tensor can do, with its signature, and an example of each that runs."""

import doctest
import inspect
import re

import pytest

from gptlab.autograd.tensor import Tensor
from tests.repository import ROOT

PAGE = (ROOT / "docs/tensor.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)
TYPED = [line for line in PAGE.splitlines() if line.startswith((">>> ", "... "))]
OPERATORS = {
    "__add__": ("x + y", r"[\w\])] \+ "),
    "__sub__": ("x - y", r"[\w\])] - "),
    "__neg__": ("-x", r"\(-\w"),
    "__mul__": ("x * y", r"[\w\])] \* "),
    "__truediv__": ("x / y", r"[\w\])] / "),
    "__pow__": ("x ** y", r"[\w\])] \*\* "),
    "__matmul__": ("x @ y", r"[\w\])] @ "),
    "__getitem__": ("x[index]", r"x\[:"),
}
# The same from the other side; what Python asks of every object; and what is said of how one is made.
UNSAID = {"__radd__", "__rmul__", "__rsub__", "__rtruediv__", "__repr__", "__init__"}


def members(kind: type) -> list[str]:
    """What a class itself has, but Python's own and what is private."""
    own = vars(kind)
    public = [name for name in own if not name.startswith("_")]
    return public + [name for name in own if name.startswith("__") and inspect.isfunction(own[name])]


def row_of(kind: type, name: str) -> str:
    """As it stands in the page: `x.sum(axis=-1, keepdims=False, mask=None)`, `x + y`, `x.shape`."""
    if name in OPERATORS:
        return OPERATORS[name][0]
    member = getattr(kind, name)
    if not callable(member):
        return f"x.{name}"
    given = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in list(inspect.signature(member).parameters.values())[1:]
    ]
    # Without the star of a method whose last arguments go by name alone: no row is easier to read for it.
    return f"x.{name}({', '.join(map(str, given))})"


def unsaid(kind: type, rows: list[str]) -> list[str]:
    return [row for name in members(kind) if name not in UNSAID and (row := row_of(kind, name)) not in rows]


def test_the_page_has_each_member_with_its_signature_once_and_nothing_else():
    assert unsaid(Tensor, ROWS) == []
    wanted = {row_of(Tensor, name) for name in members(Tensor) if name not in UNSAID}
    assert sorted(ROWS) == sorted(wanted)


def test_a_member_that_the_page_has_not_or_has_otherwise_is_found():
    class Other(Tensor):
        def sum(self, axis=0, *, weights=None):
            return super().sum(axis)

        def flipped(self):
            return self

    assert unsaid(Other, ROWS) == ["x.sum(axis=0, weights=None)", "x.flipped()"]


@pytest.mark.parametrize("name", [name for name in members(Tensor) if name not in UNSAID])
def test_each_has_an_example(name):
    pattern = OPERATORS[name][1] if name in OPERATORS else rf"[\w\])]\.{name}\b(?! ?=)"
    assert any(re.search(pattern, line) for line in TYPED)


def test_the_examples_print_what_they_show():
    result = doctest.testfile(str(ROOT / "docs/tensor.md"), module_relative=False)
    assert result.attempted > 30
    assert result.failed == 0
