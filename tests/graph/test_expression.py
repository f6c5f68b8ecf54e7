"""Expressions: read as arithmetic and nothing else, made into the Values that they say, drawn by a command."""

import ast
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptlab.autograd.ops import BUILTIN_OPS, OpTable
from gptlab.autograd.picture import values_under
from gptlab.cli import main
from gptlab.errors import UserError
from gptlab.graph.expression import build, parse

OPS = OpTable()
NUMBERS = {"a": 2.0, "b": -3.0, "c": 10.0}


def made(text, numbers=NUMBERS, ops=OPS):
    read = parse(text)
    known = {name: numbers[name] for name in read.names if name in numbers}
    return build(read, known, ops, list(BUILTIN_OPS))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("relu(a*b + c)", 4.0),
        ("a - b - c", -5.0),
        ("a / b / c", 2.0 / -3.0 / 10.0),
        ("a ** 2 ** 3", 256.0),
        ("-a ** 2", -4.0),
        ("2 ** -a", 0.25),
        ("--a + +b", -1.0),
        ("(a*b + c).relu().tanh()", math.tanh(4.0)),
        ("maximum(a, b) * exp(log(c))", 20.0),
        ("sqrt(a*8)", 4.0),
        ("d = a*b; e = d + c; d*e", -24.0),
        ("d = a\ne = d*d\n\ne + d", 6.0),
        ("1e2", 100.0),
    ],
)
def test_the_result_is_the_one_of_arithmetic(text, number) -> None:
    assert made(text).result.data == pytest.approx(number, rel=1e-14)


def test_gradients_and_names_are_those_of_values() -> None:
    graph = made("d = a*b + c; relu(d) * d")
    graph.result.backward()
    # d² has the derivative 2d = 8 by d
    assert {name: value.grad for name, value in graph.inputs.items()} == {"a": -24.0, "b": 16.0, "c": 8.0}
    assert sorted(graph.names.values()) == ["a", "b", "c", "d"]
    # a, b, c, mul, add, relu, mul: what has a name is one Value, however often it is used
    assert len(values_under(graph.result)) == 7


def test_a_difference_and_a_quotient_are_the_ops_that_they_mean() -> None:
    assert [v.op for v in values_under(made("a - b/c").result) if v.op] == ["pow", "mul", "mul", "add"]


def test_swapped_ops_are_used() -> None:
    ops = OpTable({"mul": BUILTIN_OPS["maximum"]})
    graph = made("a * b", ops=ops)
    assert (graph.result.data, graph.result.op) == (2.0, "maximum")


MISTAKES = {
    "": "got nothing",
    " ; ": "invalid syntax",
    "#": "must be an expression",
    "relu(a": "was never closed",
    "a b": "invalid syntax",
    "rellu(a)": "Did you mean relu",
    "relu(a, b)": "takes 1 number: got 2. Write relu(a)",
    "a * relu()": "takes 1 number: got 0",
    "sqrt(a, b)": "takes 1 number",
    "a if b else c": "got 'a if b else c'",
    "[a, b]": "got '[a, b]'",
    "a < b": "got 'a < b'",
    "a @ b": "there are + - * / **",
    "a % b": "there are + - * / **",
    "not a": "got 'not a'",
    "'text'": "got ''text''",
    "True": "got 'True'",
    "1j": "got '1j'",
    "lambda: a": "got 'lambda: a'",
    "a.b": "got 'a.b'",
    "relu(x=a)": "called by its name",
    "relu(*a)": "got '*a'",
    "a = b": "without a name of its own",
    "a = b = c; a": "only 'name = ...'",
    "a += b; a": "only 'name = ...'",
    "import os; a": "only 'name = ...'",
    "import os": "without a name of its own",
    "a; b": "only 'name = ...'",
    "(a := b)": "got",
    "f'{a}'": "got",
    "__import__('os').system('true')": "no op is named 'system'",
    "a.__class__.__mro__()": "got 'a.__class__'",
    "relu(a)(b)": "an op is called by its name",
    "x": "x has none. Add x=2",
    "x + y": "x, y have none. Add x=2 y=2",
    "1" + "0" * 400: "too large for a float",
    "(" * 300 + "a" + ")" * 300: "must be an expression",
    "-" * 5000 + "a": "nested",
    "+".join("a" * 3000): "nested",
    "a" * 20_000: "at most 10,000 letters",
    "a\x00": "must be an expression",
}


@pytest.mark.parametrize("text", MISTAKES, ids=lambda text: repr(text[:24]))
def test_mistakes_are_named(text) -> None:
    with pytest.raises(UserError) as error:
        made(text)
    assert MISTAKES[text] in str(error.value)


PIECES = st.sampled_from(
    [*"abc()+-*/.,;=[]{}:'\"\\# \n\t_√é0123", "**", "relu", "tanh", "lambda", "if", "1e9"]
)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join))
def test_any_text_is_an_expression_or_a_mistake(text) -> None:
    try:
        read = parse(text)
        graph = build(read, dict.fromkeys(read.names, 0.5), OPS, list(BUILTIN_OPS))
    except UserError:
        return
    assert isinstance(read.result, ast.expr) and isinstance(graph.result.data, float)


def test_the_command_draws_and_checks(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["graph", "expr=relu(a*b + c)", "a=2", "b=-3", "c=10"]) == 0
    said = capsys.readouterr().out
    assert "result 4" in said and "picture: graph.svg" in said
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines() if line[:1] in "abc" and line}
    assert rows == {"a": ["2", "-3", "-3"], "b": ["-3", "2", "2"], "c": ["10", "1", "1"]}
    first = (tmp_path / "graph.svg").read_text()
    assert main(["graph", "expr=relu(a*b + c)", "a=2", "b=3", "c=10"]) == 0
    assert (tmp_path / "graph.svg").read_text() != first, "an SVG is replaced"


def test_ops_of_plugins_can_be_called_and_swapped_in(tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/half.py").write_text(
        "import gptlab\n\n@gptlab.op(samples=[(0.5, -1.5)])\ndef halfmul(xp, a, b):\n"
        "    return 0.5 * a * b, (0.5 * b, 0.5 * a)\n\n@gptlab.hookimpl\n"
        "def gptlab_register_ops(register):\n    register(halfmul)\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["graph", "expr=halfmul(a, 3)", "a=4"]) == 0
    assert "result 6" in capsys.readouterr().out
    assert main(["graph", "expr=a * 3", "a=4", "ops.mul=halfmul"]) == 0
    assert "result 6" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a=2"], "b has none. Add b=2"),
        (["a=2", "b=x"], "b must be a number: got 'x'"),
        (["a=2", "b=1", "z=3"], "there is no z. It has a, b"),
        (["a=2", "b=1", "b=3"], "b can be given once"),
        (["a=2", "b=1", "--multirun"], "got '--multirun'"),
        (["a=2", "b=1", "latest"], "got 'latest'"),
        (["a=2", "b=1", "output=x.png"], "ends in .svg"),
        (["a=2", "b=1", "output=there.svg"], "Choose another name"),
        (["a=2", "b=1", "output=no/x.svg"], "a folder that exists"),
        (["a=2", "b=1", "ops.mul=relu"], "must be an op of 2 numbers"),
        (["a=2", "b=1", "ops.mull=add"], "Did you mean mul"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_the_commands_mistakes(arguments, said, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.svg").write_text("my notes")
    assert main(["graph", "expr=a*b", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert (tmp_path / "there.svg").read_text() == "my notes"
    assert not (tmp_path / "graph.svg").exists()


def test_an_expression_too_large_to_draw_says_so(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        main(
            [
                "graph",
                "expr="
                + "; ".join(f"x{i} = a*{i}" for i in range(300))
                + "; "
                + "+".join(f"x{i}" for i in range(300)),
                "a=1",
            ]
        )
        == 2
    )
    assert "at most 400 values" in capsys.readouterr().err
