"""Primitives of jax that make each element of elements at the same place, as expressions of C."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gptlab.engines.c_code.values import c_type, literal

# {f}: the end of a function's name, f for float. {0}, {1}: the operands. {t}: the type of the result.
CALLS = (
    "exp exp2 log log1p expm1 sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh sqrt cbrt floor ceil erf "
    "erfc lgamma"
)
FLOATS = {
    **{name: name + "{f}({0})" for name in CALLS.split()},
    "rsqrt": "(1 / sqrt{f}({0}))",
    "logistic": "(1 / (1 + exp{f}(-{0})))",
    "pow": "pow{f}({0}, {1})",
    "rem": "fmod{f}({0}, {1})",
    "atan2": "atan2{f}({0}, {1})",
    "abs": "fabs{f}({0})",
    "sign": "({0} > 0 ? 1 : {0} < 0 ? -1 : {0})",
    # What is no number stays so, as it does in jax.
    "max": "({0} >= {1} || {0} != {0} ? {0} : {1})",
    "min": "({0} <= {1} || {0} != {0} ? {0} : {1})",
    "is_finite": "isfinite({0})",
    "nextafter": "nextafter{f}({0}, {1})",
}
WHOLE = {
    "rem": "({0} % {1})",
    "abs": "({0} < 0 ? -{0} : {0})",
    "sign": "(({0} > 0) - ({0} < 0))",
    "max": "({0} > {1} ? {0} : {1})",
    "min": "({0} < {1} ? {0} : {1})",
    "shift_left": "(({t})({0} << {1}))",
    "shift_right_logical": "(({t})((u{t}){0} >> {1}))",
    "shift_right_arithmetic": "(({t})({0} >> {1}))",
    "not": "(({t})~{0})",
}
ANY = {
    "add": "({0} + {1})",
    "add_any": "({0} + {1})",
    "sub": "({0} - {1})",
    "mul": "({0} * {1})",
    "div": "({0} / {1})",
    "neg": "(-{0})",
    "square": "({0} * {0})",
    "and": "({0} & {1})",
    "or": "({0} | {1})",
    "xor": "({0} ^ {1})",
    "eq": "({0} == {1})",
    "ne": "({0} != {1})",
    "lt": "({0} < {1})",
    "le": "({0} <= {1})",
    "gt": "({0} > {1})",
    "ge": "({0} >= {1})",
    "clamp": "({1} < {0} ? {0} : {1} > {2} ? {2} : {1})",
}
# The operand is written several times there: it is computed first, once.
TWICE = {"sign", "max", "min", "abs", "square", "clamp", "integer_pow"}
SAME = {"copy", "copy_p", "stop_gradient", "optimization_barrier", "reduce_precision"}

Expression = Callable[..., str]


def expression_of(eqn: Any) -> Expression | None:
    """What makes an element of an equation's result of the operands' elements; None if it is no such equation."""
    name, params = eqn.primitive.name, eqn.params
    result, first = eqn.outvars[0].aval.dtype, eqn.invars[0].aval.dtype if eqn.invars else None
    if name in SAME and len(eqn.invars) == 1:
        return lambda x: x
    if name == "select_n":
        return chosen(np.dtype(first), len(eqn.invars) - 1)
    if name == "convert_element_type":
        return converted(np.dtype(first), np.dtype(result))
    if name == "bitcast_convert_type" and np.dtype(first).itemsize == np.dtype(result).itemsize:
        return read_as(np.dtype(first), np.dtype(result))
    if name == "integer_pow":
        return power(params["y"], result)
    if name == "round":
        half_to_even = int(params["rounding_method"]) == 1
        return formatted("nearbyint{f}({0})" if half_to_even else "round{f}({0})", result)
    if name == "not" and np.dtype(result).kind == "b":
        return lambda x: f"(!{x})"
    kind = np.dtype(first).kind if first is not None else "f"
    template = (FLOATS if kind == "f" else WHOLE).get(name) or ANY.get(name)
    return formatted(template, first) if template else None


def formatted(template: str, dtype: Any) -> Expression:
    kind = np.dtype(dtype)
    end, of = "f" if kind == np.float32 else "", c_type(dtype).removeprefix("u")
    return lambda *xs: template.format(*xs, f=end, t=of)


def chosen(dtype: np.dtype[Any], ways: int) -> Expression:
    if dtype.kind == "b":
        return lambda which, no, yes=None: f"({which} ? {yes} : {no})" if yes is not None else no

    def several(which: str, *cases: str) -> str:
        found = cases[-1]
        for i in range(ways - 2, -1, -1):
            found = f"({which} == {i} ? {cases[i]} : {found})"
        return found

    return several


def converted(old: np.dtype[Any], new: np.dtype[Any]) -> Expression:
    if old == new:
        return lambda x: x
    if new.kind == "b":
        return lambda x: f"({x} != 0)"
    return lambda x: f"(({c_type(new)}){x})"


def read_as(old: np.dtype[Any], new: np.dtype[Any]) -> Expression:
    """The same bits as a number of another type."""
    return lambda x: f"(((union {{ {c_type(old)} from; {c_type(new)} to; }}){{ .from = {x} }}).to)"


def power(exponent: int, dtype: Any) -> Expression:
    def of(x: str) -> str:
        if not exponent:
            return literal(1, dtype)
        product = " * ".join([x] * abs(exponent))
        return f"({product})" if exponent > 0 else f"(1 / ({product}))"

    if abs(exponent) > 8:
        return formatted("pow{f}({0}, " + f"{exponent})", dtype)
    return of
