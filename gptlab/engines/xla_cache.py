"""Compiled programs kept on disk between runs: the second run of a model starts seconds sooner."""

import os
from functools import cache
from pathlib import Path

import jax

SHORTEST = 0.1  # seconds of compiling; what took less is not worth a file


@cache
def keep_compiled_programs() -> None:
    """Let jax keep what it compiles in the user's cache folder, unless a folder is set already.

    A program is found again by a hash of all that it computes, of the machine and of jax's version,
    so that a changed plugin never meets an old program. Where the folder cannot be made nothing is kept.
    """
    if jax.config.jax_compilation_cache_dir:  # type: ignore[attr-defined]
        return
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "gptlab" / "xla"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", SHORTEST)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
