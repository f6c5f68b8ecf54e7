"""How programs are compiled in tests: quickly, but where the optimized program is what is tested.

Most tests compile a program to run it for a few steps, and the compiling took more of the suite's time than all else.
XLA makes the same of a program, to the letter; only the machine code that LLVM makes of that is other, and with it the
last bits and the speed. So a test that compares to the bit what it computed in two ways takes the fixture `optimized`.
The pages are followed with optimized programs, as a reader has them (tests/project/reader.py), and so is the wheel.
"""

import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

# A tiny model's training takes 0.3 of the time to compile. A step takes four times as long, and few are taken.
QUICKLY = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
# As XLA does by itself.
OPTIMIZED = {"xla_backend_optimization_level": 3, "xla_cpu_use_fusion_emitters": True}


def compile_quickly() -> None:
    """Must come before jax begins. Processes that tests start do as this one; flags that are set already stay."""
    flags = os.environ.get("XLA_FLAGS", "")
    if QUICKLY not in flags:
        os.environ["XLA_FLAGS"] = f"{QUICKLY} {flags}".rstrip()


def compile_as_users_do(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From here on this process compiles optimized programs. Call what comes back before that is undone."""
    import optax  # noqa: F401 - it calls jax.jit as it is imported, for functions that are called within others

    from gptlab.engines import xla_measuring, xla_programs

    def forget() -> None:
        """The programs that were compiled the other way."""
        for module in (xla_measuring, xla_programs):
            for made in vars(module).values():
                if hasattr(made, "cache_clear"):
                    made.cache_clear()

    jit = jax.jit

    def optimizing(run: Any, *, compiler_options: dict[str, Any] | None = None, **options: Any) -> Any:
        return jit(run, compiler_options={**OPTIMIZED, **(compiler_options or {})}, **options)

    monkeypatch.setattr(jax, "jit", optimizing)
    forget()
    return forget


def bits_of_sums() -> str:
    """Of squares of x * 0.3 + 0.1, which optimized code multiplies and adds at once, rounding once."""
    from gptlab.autograd.ops import OpTable
    from gptlab.engines.xla_arithmetic import XlaArithmetic
    from gptlab.engines.xla_compiled import Target, compiled

    def sums(x: Any) -> Any:
        return jnp.sum((x * 0.3 + 0.1) ** 2, axis=-1)

    x = np.random.default_rng(0).standard_normal((10, 100)).astype(np.float32)
    return np.asarray(compiled(sums, XlaArithmetic(OpTable(), "float32"), Target())(x)).tobytes().hex()
