"""An expression as text, made into Values: parsed, never evaluated as Python.

`d = a*b + c; relu(d) * d**2`: numbers, names, `+ - * / **`, parentheses, calls of registered ops, and names
given to parts of it before the result, which may then be used more than once.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gptlab.autograd.op import Op
from gptlab.autograd.ops import OpTable
from gptlab.autograd.value import Value, apply
from gptlab.errors import UserError, unknown_name

LONGEST = 10_000  # letters
PARTS = (ast.Constant, ast.Name, ast.UnaryOp, ast.BinOp, ast.Call)
SLOTS = {ast.Add: "add", ast.Sub: "add", ast.Mult: "mul", ast.Div: "mul", ast.Pow: "pow"}
EXAMPLE = 'expr="relu(a*b + c)"'


@dataclass(frozen=True)
class Expression:
    """What was read. assigned: the names given to parts, each with its part; result: the last part."""

    text: str
    assigned: tuple[tuple[str, ast.expr], ...]
    result: ast.expr

    @property
    def names(self) -> list[str]:
        """The names that need a number, as they come in the text."""
        given: set[str] = set()
        wanted: dict[str, None] = {}
        for name, part in (*self.assigned, ("", self.result)):
            wanted |= {n: None for n in names_in(part) if n not in given}
            given.add(name)
        return list(wanted)


@dataclass(frozen=True)
class Graph:
    """A result and the Values that have a name, `inputs` those among them that were given a number."""

    result: Value
    inputs: dict[str, Value]
    names: dict[Value, str]


def parse(text: str) -> Expression:
    """Raises UserError for what is no such expression, saying where."""
    if not text.strip():
        raise UserError(f"expr must be an expression: got nothing. Try {EXAMPLE}.")
    if len(text) > LONGEST:
        raise UserError(f"expr must have at most {LONGEST:,} letters: got {len(text):,}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python's own: `1if a` and the like are refused below
            statements = ast.parse(text.strip()).body
    except SyntaxError as error:
        raise syntax_error(text.strip(), error) from None
    except ValueError:  # a zero byte, thousands of digits
        raise UserError(
            f"expr must be an expression: it has a number or a sign that cannot be read. Try {EXAMPLE}."
        ) from None
    except (RecursionError, MemoryError):
        raise too_deep() from None
    assigned = []
    for statement in statements[:-1]:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                assigned.append((name, value))
            case _:
                raise refused(text, statement, "only 'name = ...' may stand before the result")
    last = statements[-1] if statements else None
    if not isinstance(last, ast.Expr):
        if last is None:
            raise UserError(f"expr must be an expression: got '{text.strip()}'. Try {EXAMPLE}.")
        raise refused(text, last, "the last part must be the result, without a name of its own")
    for part in (*(part for _, part in assigned), last.value):
        check_parts(text, part)
    return Expression(text.strip(), tuple(assigned), last.value)


def check_parts(text: str, whole: ast.expr) -> None:
    """Raises UserError for a part that is of another kind than expressions are made of."""
    dotted = {id(node.func) for node in ast.walk(whole) if isinstance(node, ast.Call)}
    for node in ast.walk(whole):
        is_method = isinstance(node, ast.Attribute) and id(node) in dotted
        if isinstance(node, ast.expr) and not (isinstance(node, PARTS) or is_method):
            raise refused(text, node)


def build(expression: Expression, numbers: Mapping[str, float], ops: OpTable, known: Sequence[str]) -> Graph:
    """The expression's Values. ops: what `+ * **` mean; known: the names of ops that may be called.

    Raises UserError for an op that there is not, a wrong count of inputs, what is no part of an
    expression, and a name without a number.
    """
    missing = [name for name in expression.names if name not in numbers]
    if missing:
        raise UserError(
            f"each name must have a number: {', '.join(missing)} {'has' if len(missing) == 1 else 'have'} none. "
            f"Add {' '.join(f'{name}=2' for name in missing)} to the command."
        )
    values = {name: Value(numbers[name]) for name in expression.names}
    inputs = dict(values)
    names = {value: name for name, value in values.items()}
    builder = Builder(expression.text, values, ops, known)
    try:
        for name, part in expression.assigned:
            values[name] = builder.value(part)
            names.setdefault(values[name], name)
        return Graph(builder.value(expression.result), inputs, names)
    except RecursionError:
        raise too_deep() from None


class Builder:
    """Makes a Value of each part of one expression. Children are made from left to right."""

    def __init__(self, text: str, values: Mapping[str, Value], ops: OpTable, known: Sequence[str]):
        self.text, self.values, self.ops, self.known = text, values, ops, known

    def value(self, part: ast.expr) -> Value:
        if isinstance(part, ast.Constant):
            return Value(self.number(part))
        if isinstance(part, ast.Name):
            return self.values[part.id]
        if isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.UAdd):
            return self.value(part.operand)
        if isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.USub):
            if isinstance(part.operand, ast.Constant):
                return Value(-self.number(part.operand))
            return self.negative(self.value(part.operand))
        if isinstance(part, ast.BinOp):
            return self.binary(part)
        if isinstance(part, ast.Call):
            return self.call(part)
        raise refused(self.text, part)

    def binary(self, part: ast.BinOp) -> Value:
        slot = SLOTS.get(type(part.op))
        if slot is None:
            raise refused(self.text, part, "there are + - * / ** and ops by their names")
        left, right = self.value(part.left), self.value(part.right)
        if isinstance(part.op, ast.Sub):
            right = self.negative(right)
        elif isinstance(part.op, ast.Div):
            right = apply(self.ops["pow"], right, -1.0)
        return apply(self.ops[slot], left, right)

    def negative(self, x: Value) -> Value:
        return apply(self.ops["mul"], x, -1.0)

    def call(self, part: ast.Call) -> Value:
        """`relu(x)`, or `x.relu()` as Values themselves have it."""
        arguments = list(part.args)
        if isinstance(part.func, ast.Attribute):
            arguments.insert(0, part.func.value)
        name = called(part)
        if name is None or part.keywords or any(isinstance(a, ast.Starred) for a in arguments):
            raise refused(self.text, part, "an op is called by its name, with expressions between commas")
        if name == "sqrt" and name not in self.known:
            if len(arguments) != 1:
                raise wrong_count("sqrt", 1, len(arguments))
            return apply(self.ops["pow"], self.value(arguments[0]), 0.5)
        if name not in self.known:
            raise unknown_name("op", name, [*self.known, "sqrt"])
        op: Op = self.ops[name]
        if len(arguments) != op.arity:
            raise wrong_count(name, op.arity, len(arguments))
        return apply(op, *[self.value(argument) for argument in arguments])

    def number(self, part: ast.Constant) -> float:
        if type(part.value) not in (int, float):
            raise refused(self.text, part)
        try:
            return float(part.value)  # type: ignore[arg-type]
        except OverflowError:
            raise UserError("a number of expr is too large for a float: write it as 1e300.") from None


def called(part: ast.Call) -> str | None:
    if isinstance(part.func, ast.Name):
        return part.func.id
    return part.func.attr if isinstance(part.func, ast.Attribute) else None


def names_in(part: ast.expr) -> Iterator[str]:
    """Names of numbers from left to right; those of ops that are called are none."""
    ops = {id(node.func) for node in ast.walk(part) if isinstance(node, ast.Call)}
    found = [n for n in ast.walk(part) if isinstance(n, ast.Name) and id(n) not in ops]
    return (node.id for node in sorted(found, key=lambda n: (n.lineno, n.col_offset)))


def refused(text: str, part: ast.AST, why: str = "") -> UserError:
    segment = ast.get_source_segment(text.strip(), part) or type(part).__name__
    return UserError(
        f"expr is made of numbers, names, + - * / **, parentheses and ops that are called: got "
        f"'{segment[:60]}'{f'; {why}' if why else ''}. Try {EXAMPLE}."
    )


def syntax_error(text: str, error: SyntaxError) -> UserError:
    lines = text.splitlines()
    line = lines[error.lineno - 1] if error.lineno and error.lineno <= len(lines) else text
    offset = max((error.offset or 1) - 1, 0)
    start = max(0, offset - 50)
    shown = line[start : start + 70]
    return UserError(
        f"expr must be an expression: {error.msg}\n  {shown}\n  {' ' * (offset - start)}^\nTry {EXAMPLE}."
    )


def too_deep() -> UserError:
    return UserError("expr is nested too deeply: name parts of it, 'd = a*b; d + c'.")


def wrong_count(name: str, wanted: int, came: int) -> UserError:
    inputs = ", ".join("abcdefgh"[:wanted])
    return UserError(
        f"the op '{name}' takes {wanted} number{'s' if wanted > 1 else ''}: got {came}. Write {name}({inputs})."
    )
