"""What jax computes, C computes: each primitive's counterpart, loops and choices, and what lies where."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gptlab.engines.c_code.arena import ALIGNED, Arena
from gptlab.engines.c_code.functions import array_like, function
from gptlab.engines.c_code.values import flat, literal, unflattened
from gptlab.engines.xla_draws import mix
from gptlab.errors import UserError

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler is here")
CHANCE = np.random.default_rng(0)
X, SQUARE = (CHANCE.normal(size=shape).astype(np.float32) for shape in ((5, 7), (7, 7)))
ROWS = np.array([0, 3, 3, 1, 4], np.int32)
HEADERS = "".join(f"#include <{name}.h>\n" for name in ("math", "stdint", "stdio", "string"))


def in_c(place: Path, functions: list[tuple[Callable[..., Any], list[np.ndarray]]]) -> list[list[np.ndarray]]:
    """The results of each function of its inputs, all of them computed by one program."""
    source, body, sent, expected = HEADERS, "", b"", []
    for number, (of, inputs) in enumerate(functions):
        wanted = jax.tree.leaves(of(*map(jnp.asarray, inputs)))
        ins = [array_like(f"in{number}_{i}", x) for i, x in enumerate(inputs)]
        outs = [array_like(f"out{number}_{i}", x) for i, x in enumerate(wanted)]
        traced = function(f"f{number}", lambda *xs, of=of: jax.tree.leaves(of(*xs)), ins, outs)
        source += "\n".join([*(array.defined() for array in [*ins, *outs]), traced.source, ""])
        for array in ins:
            body += f"    if (!fread({array.name}, sizeof {array.name}[0], {array.size}, stdin)) return 1;\n"
        body += f"    f{number}();\n"
        for array in outs:
            body += f"    fwrite({array.name}, sizeof {array.name}[0], {array.size}, stdout);\n"
        sent += b"".join(x.tobytes() for x in inputs)
        expected.append(outs)
    (place / "it.c").write_text(f"{source}int main(void) {{\n{body}    return 0;\n}}\n")
    strict = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "-g"]
    subprocess.run(["cc", "-O1", *strict, "it.c", "-lm", "-o", "it"], cwd=place, check=True)
    found = subprocess.run([place / "it"], input=sent, capture_output=True, check=True)
    assert not found.stderr, found.stderr.decode()
    rest, results = found.stdout, []
    for outs in expected:
        results.append([])
        for array in outs:
            size = array.size * array.dtype.itemsize
            results[-1].append(np.frombuffer(rest[:size], array.dtype).reshape(array.shape))
            rest = rest[size:]
    assert not rest
    return results


def loss(w: Any, x: Any) -> Any:
    shares = jax.nn.log_softmax(jnp.tanh(x @ w.T))
    return -jnp.mean(shares[jnp.arange(5), jnp.arange(5) % 3])


FUNCTIONS: dict[str, tuple[Callable[..., Any], list[np.ndarray]]] = {
    "products": (lambda x, y: (x @ y, y @ x.T, x @ x.T, jnp.dot(x[0], x[1])), [X, SQUARE]),
    "products in blocks": (  # of the rows one is left over, of the columns several blocks, one, or a part of one
        lambda x, y: (x @ y, x[:, :1] @ y[:1, :32], jnp.einsum("kj,lk->lj", y[:, :17], x)), [X, np.tile(SQUARE, (1, 7))]
    ),
    "products of batches": (lambda x, y: jnp.einsum("hts,shd->thd", x, y), [X[:, None], np.ones((7, 5, 2), "f")]),
    "softmax": (jax.nn.softmax, [X]),
    "reductions": (lambda x: (x.sum(0), x.max(1), x.min(), x.prod(1), (x > 0).all(0), (x > 0).any(1)), [X]),
    "places of extremes": (lambda x: (jnp.argmax(x, 1), jnp.argmin(x, 0), jnp.argmax(jnp.round(x), 1)), [X]),
    "running sums": (lambda x: (jnp.cumsum(x, 0), lax.cummax(x, 1), lax.cumsum(x, 1, reverse=True)), [X]),
    "orders": (lambda x: (jnp.sort(x, 1), jnp.argsort(jnp.round(x), 1, stable=True), lax.top_k(x, 3)), [X]),
    "rows by their numbers": (
        lambda x, i: (x[i], x.at[i].add(1.0), x.at[i].set(2.0), jnp.take_along_axis(x, i[:, None] + 1, 1)),
        [X, ROWS],
    ),
    "rows that are not there": (
        lambda x, i: (x.at[i + 3].get(mode="fill", fill_value=-1.0), x.at[i + 3].add(1), x.at[i + 3].get(mode="clip")),
        [X, ROWS],
    ),
    "rows of a batch": (jax.vmap(lambda x, i: x[i] + jnp.pad(x, (1, 2))[i]), [X, ROWS]),
    "windows": (
        lambda x, t: (
            lax.dynamic_slice_in_dim(x, t, 2, 0),
            lax.dynamic_slice_in_dim(x, t + 3, 2, 0),
            lax.dynamic_update_slice_in_dim(x, x[:2] * 3, t, 0),
        ),
        [X, np.array(3, np.int32)],
    ),
    "shapes": (
        lambda x: (x.T[::-1], x.reshape(7, 5).T, jnp.concatenate([x, x * 2], 1), jnp.stack([x, -x], 1), x[1:4:2, ::3]),
        [X],
    ),
    "parts": (lambda x: (jnp.split(x, [2, 5], 1), jnp.tile(x, (2, 3)), lax.pad(x, -1.0, ((1, 0, 1), (-1, 2, 0)))), [X]),
    "elements": (
        lambda x: (jnp.round(x), jnp.sign(x), x**3, x**-2, jnp.clip(x, -0.5, 0.5), jnp.where(x > 0, x, 0), abs(x)),
        [X],
    ),
    "functions": (
        lambda x: (jnp.exp(x), jnp.tanh(x), lax.rsqrt(x * x + 1), jax.nn.gelu(x), jax.nn.sigmoid(x), lax.erf(x), x % 2),
        [X],
    ),
    "whole numbers": (
        lambda i: (i // 2, i % 3, i << 2, i.astype(jnp.uint32) * jnp.uint32(0x9E3779B9) >> 7, ~i, i ^ 5, abs(i - 3)),
        [ROWS],
    ),
    "bits": (lambda x: lax.bitcast_convert_type(lax.bitcast_convert_type(x, jnp.int32) + 1, jnp.float32), [X]),
    "draws": (
        lambda i: mix((jnp.uint32(3), jnp.uint32(5)), (i.astype(jnp.uint32), jnp.arange(5, dtype=jnp.uint32))), [ROWS]
    ),
    "no numbers": (lambda x: (jnp.maximum(jnp.log(x), 0.0), jnp.max(jnp.log(x), 1), jnp.isfinite(1 / (x * 0))), [X]),
    "a scan": (lambda x: lax.scan(lambda c, row: (c * 0.5 + row, c), x[0], x), [X]),
    "a scan from the end": (lambda x: lax.scan(lambda c, row: (row - c, c), x[0], x, reverse=True), [X]),
    "a loop that swaps": (lambda x: lax.fori_loop(0, 5, lambda i, c: (c[1] + i, c[0] * 1.5), (x, x + 1)), [X]),
    "a loop that ends by itself": (
        lambda x: lax.while_loop(lambda c: jnp.sum(c) < 50, lambda c: c + jnp.sum(c, 0) ** 2, x), [X]
    ),
    "a loop in a loop": (
        lambda x: lax.fori_loop(0, 3, lambda i, c: lax.fori_loop(0, i, lambda j, d: d * 0.5 + j, c) + x, x), [X]
    ),
    "a choice": (lambda x, t: lax.cond(t > 2, lambda y: y * 2, jnp.sin, x), [X, np.array(4, np.int32)]),
    "a choice of three": (
        lambda x, t: [lax.switch(t + i, [lambda y: y * 2, jnp.sin, lambda y: y - 1], x) for i in (-2, 0, 1, 5)],
        [X, np.array(0, np.int32)],
    ),
    "a gradient": (lambda w, x: jax.value_and_grad(loss)(w, x), [SQUARE[:3], X]),
    "a gradient through a scan": (
        jax.grad(lambda x: jnp.sum(lax.scan(lambda c, r: (jnp.tanh(c + r), c * r), x[0], x)[1])), [X]
    ),
}  # fmt: skip


@pytest.mark.slow
def test_c_computes_what_jax_computes(tmp_path):
    results = in_c(tmp_path, list(FUNCTIONS.values()))
    for (name, (of, inputs)), found in zip(FUNCTIONS.items(), results, strict=True):
        for one, wanted in zip(found, jax.tree.leaves(of(*map(jnp.asarray, inputs))), strict=True):
            np.testing.assert_allclose(one, np.asarray(wanted), rtol=2e-5, atol=1e-5, err_msg=name)


def test_what_has_no_counterpart_is_named():
    spec = array_like("x", X)
    with pytest.raises(UserError, match="'cholesky' of jax has none here"):
        function("f", lambda x: [lax.linalg.cholesky(x[:5, :5])], [spec], [array_like("y", X[:5, :5])])
    large = np.arange(1 << 15, dtype=np.float32)
    with pytest.raises(UserError, match="must hold its constants: one has 32,768"):
        function("f", lambda x: [x[0, 0] + large], [spec], [array_like("y", large)])


def test_a_place_is_used_again_once_nobody_reads_it():
    """A chain needs no more than what one link reads and writes, however long it is."""

    def chain(count: int) -> int:
        def of(x: Any) -> Any:
            for _ in range(count):
                x = jnp.cumsum(x, 0)
            return [x]

        return function("f", of, [array_like("x", X)], [array_like("y", X)]).numbers["float"]

    assert chain(20) == chain(3) == 2 * (-(-X.size // ALIGNED) * ALIGNED)


def test_an_arena_fills_gaps():
    arena = Arena()
    first, second, third = (arena.new((16,), np.float32) for _ in range(3))
    arena.free(second)
    assert arena.new((10,), np.float32).place == second.place
    assert arena.new((10,), np.int32).place == (0, ALIGNED)  # another type's
    arena.free(first)
    assert arena.new((17,), np.float32).place == (48, 32) and arena.sizes == {"float": 80, "int32_t": 16}
    assert third.place == (32, 16)


def test_numbers_are_written_with_all_their_digits():
    for number in [*X.ravel(), np.float32(1e-40), np.float32(16777216.0)]:
        text = literal(number, np.float32)
        assert text.strip("()").endswith("f") and np.float32(text.strip("()f")) == number
    assert literal(0.1, np.float64) == "0.1" and literal(-np.inf, np.float32) == "(-INFINITY)"
    assert literal(True, bool) == "1" and literal(-3, np.int32) == "(-3)"


def test_places_and_indices_are_each_other_s_inverse():
    shape = (3, 1, 4)
    for place in range(12):
        index = [eval(text.replace("/", "//"), {"at": place}) for text in unflattened("at", shape)]
        assert eval(flat([str(i) for i in index], shape)) == place
