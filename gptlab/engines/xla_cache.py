"""Compiled programs kept on disk between runs: the second run of a model starts seconds sooner."""

import os
import time
import warnings
import zlib
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax

from gptlab.files import read_regular

SHORTEST = 0.1  # seconds of compiling; what took less is not worth a file
LARGEST = 256 << 20  # bytes that the folder holds at most when a program is added; one is 30 to 700 KB
WRITTEN = "/jax/compilation_cache/cache_misses"  # what jax tells its listeners before it adds a file
CHECKED = ".checked"  # the file whose time says until when the others have been checked
KEPT_TRACED = "-traced"  # how the names of the files of xla_traced end
ZSTANDARD = b"\x28\xb5\x2f\xfd"


@cache
def keep_compiled_programs() -> None:
    """Let jax keep what it compiles in the user's cache folder, unless a folder is set already.

    A program is found again by a hash of all that it computes, of the machine and of jax's version,
    so that a changed plugin never meets an old program. Where nothing can be kept nothing is, silently.
    """
    if jax.config.jax_compilation_cache_dir:  # type: ignore[attr-defined]
        return
    folder = user_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", SHORTEST)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
        # A file that cannot be read or written costs a compilation, which nobody can help by knowing.
        warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")
        jax.monitoring.register_event_listener(partial(tend_before_writing, folder))


def own_folder() -> Path | None:
    """The user's cache folder, where it is gptlab's that jax was given."""
    folder = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    return Path(folder) if folder and folder == str(user_folder()) else None


def user_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "gptlab" / "xla"


def tend_before_writing(folder: Path, event: str, **_: Any) -> None:
    """A listener of jax's events: `tend`, once a process, before its first new program is kept."""
    if event == WRITTEN:
        tend(folder)


@cache
def tend(folder: Path) -> None:
    """Remove what is broken, then what was used longest ago until the rest is at most `LARGEST`.

    jax's own bound wants a package more, locks the folder at each read, and fails at what was there before it.
    """
    with suppress(OSError):  # other processes tend it, too; another time will do
        remove_broken(folder)
        remove_oldest(folder)


def remove_broken(folder: Path) -> None:
    """What a killed process left half written jax refuses to read, and never replaces."""
    stamp, now = folder / CHECKED, time.time()
    since = stamp.stat().st_mtime - 2 if stamp.exists() else 0.0
    for file in folder.glob("*-cache"):
        if file.stat().st_mtime >= since and is_broken(read_regular(file)):
            file.unlink()
    stamp.touch()
    os.utime(stamp, (now, now))


def is_broken(content: bytes) -> bool:
    """False also for what another package compressed, which is not looked into."""
    if content.startswith(ZSTANDARD):
        return False
    try:
        zlib.decompress(content)
    except zlib.error:
        return True
    return False


def remove_oldest(folder: Path) -> None:
    files = [*folder.glob("*-cache"), *folder.glob(f"*{KEPT_TRACED}")]
    facts = [(file.stat(), file) for file in files]
    # Many file systems note only the first reading after a writing, or one a day: near enough.
    newest_first = sorted(facts, key=lambda fact: max(fact[0].st_atime, fact[0].st_mtime), reverse=True)
    total = 0
    for status, file in newest_first:
        total += status.st_size
        if total > LARGEST:
            file.unlink()
