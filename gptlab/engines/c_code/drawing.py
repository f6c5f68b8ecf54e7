"""What components draw at random: Threefry (see draws.py), as a function of C."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gptlab.engines.c_code.values import Value
from gptlab.engines.c_code.writer import Writer
from gptlab.engines.draws import PARITY, ROTATIONS

ROUNDS = "\n".join(
    line
    for group in range(5)
    for line in (
        *(f"    x += y; y = (y << {turn} | y >> {32 - turn}) ^ x;" for turn in ROTATIONS[group % 2]),
        f"    x += keys[{(group + 1) % 3}]; y += keys[{(group + 2) % 3}] + {group + 1}u;",
    )
)
FUNCTION = f"""\
static void PREFIXthreefry(uint32_t key0, uint32_t key1, uint32_t x, uint32_t y, uint32_t *to_x, uint32_t *to_y) {{
    const uint32_t keys[3] = {{key0, key1, key0 ^ key1 ^ {PARITY}u}};
    x += key0; y += key1;
{ROUNDS}
    *to_x = x; *to_y = y;
}}"""


def threefry(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    inputs = [writer.cheap(value) for value in inputs]
    results = [writer.new(v.aval.shape, v.aval.dtype) for v in eqn.outvars]
    name = writer.defined("threefry", FUNCTION)
    with writer.loops(results[0].shape) as index:
        given = [value.at(index if value.shape else ()) for value in inputs]
        places = [f"&{result.at(index)}" for result in results]
        writer.put(f"{name}({', '.join([*given, *places])});")
    return results


HANDLERS = {"threefry2x32": threefry}
