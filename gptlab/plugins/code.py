"""What a plugin's code is, as a digest: by it a run knows again the plugins that it was trained with."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gptlab.calling import warn
from gptlab.errors import UserError
from gptlab.plugins.registry import OWN, Registry

FOUND = "gptlab.found"
INSTALLED = ("site-packages", "dist-packages")


def digest_of(name: str, file: Path | None, folder: Path | None) -> str:
    """16 hex digits of the SHA-256 of the plugin's files and of the user's own modules that they import.

    name: the plugin's. file: where its import begins; "" without one. folder: its own, if it is a package:
    all Python files in it count. Installed packages do not, of which a plugin may import any.
    """
    if file is None:
        return ""
    code = {name: file}
    if folder is not None:
        code |= {f"{name}/{path.relative_to(folder)}": path for path in sorted(folder.rglob("*.py"))}
    waiting, total = list(code.items()), hashlib.sha256()
    while waiting:
        label, path = waiting.pop()
        for module, other in imported(path, label):
            if module not in code and other not in code.values():
                code[module] = other
                waiting.append((module, other))
    for label, path in sorted(code.items()):
        content = content_of(path)
        total.update(f"{label}\0{len(content)}\0".encode() + content)
    return total.hexdigest()[:16]


def content_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def imported(path: Path, label: str) -> Iterator[tuple[str, Path]]:
    """The user's own modules that a file imports, and where they are."""
    for name, level in imports_in(content_of(path)):
        if found := place_of(name, level, path, inside="/" in label):
            yield name, found


@lru_cache(maxsize=256)  # a process that runs many commands reads the same files again and again
def imports_in(code: bytes) -> tuple[tuple[str, int], ...]:
    """What Python code imports, and from how many folders up: ("a.b", 0). Nothing of what is no Python."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return ()
    found: list[tuple[str, int]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, 0) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module or ''}.{alias.name}" for alias in node.names] + [node.module or ""]
            found += [(name.strip("."), node.level) for name in names]
    return tuple(found)


def place_of(name: str, level: int, path: Path, inside: bool) -> Path | None:
    """The file of a module that is the user's own: beside the plugin, or wherever Python finds it."""
    if level or name.startswith(f"{FOUND}."):
        folder = path.parent
        for _ in range(level - 1):
            folder = folder.parent
        return module_in(folder, name.removeprefix(f"{FOUND}."))
    top = name.partition(".")[0]
    if not top or top == "gptlab" or top in sys.stdlib_module_names:
        return None
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    folder = Path(spec.origin).parent
    if not set(INSTALLED).isdisjoint(folder.parts):
        return None
    return module_in(folder.parent if spec.submodule_search_locations else folder, name)


def module_in(folder: Path, name: str) -> Path | None:
    """`a.b` as a/b.py or a/b/__init__.py."""
    place = folder.joinpath(*filter(None, name.split(".")))
    return next(
        (file for file in (place.with_suffix(".py"), place / "__init__.py") if name and file.is_file()), None
    )


DIGEST = "plugin "  # in front of a plugin's name, in what a run keeps of the plugins that it used


def changed_plugins(registry: Registry, brought: Mapping[str, Any]) -> list[str]:
    """What of a run's plugins is otherwise now: one phrase each. What is not there at all has other words.

    brought: what the run keeps, `{"op halfmul": "half", "plugin half": DIGEST}`. A run from before there were
    digests has none, and nothing to be compared.
    """
    phrases = []
    for key, kept in brought.items():
        if key.startswith(DIGEST):
            now = registry.digest(key.removeprefix(DIGEST))
            if now and now != kept:
                phrases.append(f"the plugin '{key.removeprefix(DIGEST)}' has changed")
            continue
        kind, _, name = key.partition(" ")
        if name in registry.names(kind) and (owner := registry.owner(kind, name)) != kept:
            place = "gptlab itself" if owner == OWN else f"the plugin '{owner}'"
            phrases.append(f"{kind} {name}, of the plugin '{kept}', now comes from {place},")
    return phrases


def say_changed_plugins(registry: Registry, brought: Mapping[str, Any], place: str) -> None:
    """One line on stderr if a plugin is not what it was."""
    if changes := changed_plugins(registry, brought):
        warn(f"{' and '.join(changes)} since {place} was trained: the model may now do something else.")


def refuse_changed_plugins(registry: Registry, brought: Mapping[str, Any], place: str, anyway: bool) -> None:
    """Raises UserError if a plugin is not what it was, unless that is to be `anyway`: then it is said."""
    if anyway:
        say_changed_plugins(registry, brought, place)
    elif changes := changed_plugins(registry, brought):
        raise UserError(
            f"a run must go on as it began: {' and '.join(changes)} since {place} was trained. Put the old code "
            "back, or add anyway=true to go on with the new."
        )
