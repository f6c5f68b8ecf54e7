"""What the compiler is told, and a compiled function that threads may share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import numpy as np

from gptlab.engines import xla_traced
from gptlab.engines.lanes import lane
from gptlab.engines.xla_arithmetic import XlaArithmetic
from gptlab.engines.xla_memory import keep_freed_memory
from gptlab.engines.xla_mesh import Spread

# Which of a program XLA's library of fused kernels takes, on the CPU; by itself all that it can.
FUSED = "xla_cpu_experimental_ynn_fusion_type"
# It does the sums of a broadcast product badly: a swapped mul took 42 times as long as the standard one, and 3 times
# with the library held to products that are dots by themselves.
ONLY_DOTS = {FUSED: "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}
# It begins a product more slowly than a small one takes: with its sums alone a step of `names` took 0.73 of the time,
# at four layers 0.6, of `tiny` and `book` 0.97. From nEmbd 64 on, in float64, and where a thousand positions are taken
# at once (an evaluation), it was slower without: 1.15 to 1.4.
ONLY_SUMS = {FUSED: "LIBRARY_FUSION_TYPE_REDUCE"}
NARROW = 48
# Where there is one thread, products need not ask for others: 0.85 of a step of packed names on one core. It also
# keeps such a program apart from that for more threads in jax's cache on disk, which knows no such difference.
ONE_THREAD = {"xla_cpu_multi_thread_eigen": False}
# Small products are then written out, without a call: 0.6 of a step of names and tiny on a processor of 256-bit
# vectors. With vectors of 512 bits it gains nothing (steps took 0.97 to 1.04 of those without), and XLA writes out
# products of some shapes, (18..21, 16) times (16, 13..15) among them, until no memory is left (jax 0.10.2). So there
# the programs are only kept apart.
ONE_THREAD_APART = {"xla_cpu_parallel_codegen_split_count": 31}


class Target(NamedTuple):
    """What a program is compiled for, besides what it computes.

    one_thread: it runs where there is one. narrow: its products are small. spread: the devices that compute it
    together, where there are several.
    """

    one_thread: bool = False
    narrow: bool = False
    spread: Spread | None = None


def is_narrow(weights: Mapping[str, Any]) -> bool:
    """Whether each matrix has a side of at most NARROW."""
    return all(min(array.shape) <= NARROW for array in weights.values() if array.ndim > 1)


def compiled(
    run: Callable[..., Any], arithmetic: XlaArithmetic, target: Target, of: Any = None, **options: Any
) -> CompiledOnce:
    """jax.jit, with the compiler told what it does not find out by itself.

    of: all that `run` is made of beside the arithmetic and the target, for it to be traced once and kept on disk; None
    for what is traced in each process.
    """
    told: dict[str, Any] = {}
    if jax.default_backend() == "cpu":
        if not arithmetic.native_dot:
            told |= ONLY_DOTS
        sums = arithmetic.native_dot and target.narrow and arithmetic.dtype == "float32"
        told |= ONLY_SUMS if sums else {}
        if target.one_thread:
            told |= ONE_THREAD_APART if sums and not writes_out_small_products() else ONE_THREAD
    jitted = partial(jax.jit, compiler_options=told or None, **options)
    if of is None or target.spread is not None:
        return CompiledOnce(jitted(run))
    parts = of, type(arithmetic), arithmetic.settings()
    return CompiledOnce(
        jitted(run), lambda arguments: xla_traced.kept(run, parts, arithmetic.ops, arguments, jitted)
    )


@lru_cache(1)
def writes_out_small_products() -> bool:
    """Whether this machine's vectors are known to be those for which XLA does it well."""
    found = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])
    names = " ".join(found).upper()
    return any(name in names for name in ("AVX2", "X86_V3")) and not any(
        name in names for name in ("AVX512", "X86_V4")
    )


class CompiledOnce:
    """A jitted function that threads may call side by side: what is new to it is traced by one of them, for all.

    jax's own caches would have each of them trace and compile it. kept: of arguments the function that was traced
    before for such ones, if there is one.
    """

    def __init__(self, run: Any, kept: Callable[[tuple[Any, ...]], Any] = lambda arguments: None) -> None:
        self._run = run
        self._kept = kept
        self.lower = run.lower
        self._known: dict[tuple[Any, ...], Any] = {}
        self._new = threading.Lock()

    def __call__(self, *arguments: Any) -> Any:
        shapes = tuple(np.shape(leaf) for leaf in jax.tree.leaves(arguments))
        if (run := self._known.get((lane(), shapes))) is not None:
            return run(*arguments)
        with self._new:
            run = next((known for (_, same), known in self._known.items() if same == shapes), None)
            run = run or self._kept(arguments) or self._run
            found = run(*arguments)
            self._known[lane(), shapes] = run
            keep_freed_memory()
            return found
