"""jax as this code is written for, whatever the user's JAX_ variables say, and what is told where it cannot begin."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

from gptlab.engines.xla_memory import one_arena
from gptlab.errors import UserError

HALF = "bfloat16"
PLATFORMS = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")


def stored_in(dtype: str) -> str:
    """The type of weights, moments and losses where matrix products are in `dtype`."""
    return "float32" if dtype == HALF else dtype


@contextmanager
def jax_precision(dtype: str) -> Iterator[None]:
    """jax computes in this precision, broadcasts and promotes as numpy does, and leaves it to us to look for nan.

    Its settings are those of this thread, so that a notebook's own arrays keep what it has set.
    """
    import jax

    with ExitStack() as stack:
        for setting in (
            jax.enable_x64(dtype == "float64"),
            jax.numpy_rank_promotion("allow"),
            jax.numpy_dtype_promotion("standard"),
            jax.transfer_guard("allow"),
            jax.debug_nans(False),
            jax.debug_infs(False),
            jax.disable_jit(False),
        ):
            stack.enter_context(setting)
        yield


@cache
def begin() -> None:
    """Import jax and find its devices. Raises UserError if the user's variables name what is not there."""
    one_arena()
    try:
        import jax

        jax.devices()
    except (RuntimeError, AssertionError, ValueError) as error:
        named = [f"{name}={os.environ[name]}" for name in PLATFORMS if os.environ.get(name)]
        reason = " ".join(str(error).split("(set JAX_PLATFORMS")[0].split()).rstrip(". ")
        if named:
            raise UserError(
                f"jax must find the devices that it is told to use: got {' '.join(named)}"
                f"{f', and {reason}' if reason else ', which is not here'}. Type JAX_PLATFORMS=cpu in front of the "
                "command, or unset the variable."
            ) from None
        given = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("JAX_")]
        said = f" These of its variables are set: {' '.join(given)}. Try without them." if given else ""
        raise UserError(f"jax cannot start: {reason or type(error).__name__}.{said}") from None
