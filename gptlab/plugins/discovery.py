"""Where plugins are: installed packages with an entry point, and files and folders named plugins."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from gptlab.plugins.folders import PluginFolder, checkout_folder, plugin_folders

ENTRY_POINTS = "gptlab"
LOADED = "loaded by gptlab"
# Python keeps what it compiled of a file by its size and the second of its last change: what is changed once more in
# that second would be passed over. So of a file that has just been changed nothing is kept.
SETTLED_SECONDS = 2.0


@dataclass(frozen=True)
class Source:
    """A plugin that is there, not yet loaded.

    name: of the entry point, the file or the folder. where: for a person to find it. folder: what
    may hold `conf/` and `experiments/` of its own, if it is one. home: the folder named plugins that it is in,
    if it is not installed. refusal: why it may not run.
    """

    name: str
    where: str
    version: str
    load: Callable[[], Any]
    folder: Path | None = None
    file: Path | None = None
    home: PluginFolder | None = None
    refusal: str = ""


def sources() -> Iterator[Source]:
    """Installed plugins, then those in folders; a file that two folders lead to comes once.

    An example of the checkout's that is also installed is the same thing twice, and comes once.
    """
    installed = set()
    for point in installed_plugins(tuple(sys.path)):
        distribution = point.dist
        where = f"{distribution.name} (installed)" if distribution else point.value
        installed.add(point.name)
        yield Source(point.name, where, distribution.version if distribution else "", point.load)
    seen: set[Path] = set()
    for home in plugin_folders():
        for path in home.plugins():
            resolved = path.resolve()
            example = resolved.parent == checkout_folder() and path.stem in installed
            if resolved not in seen and not example:
                seen.add(resolved)
                package = path if path.is_dir() else None
                file = path if package is None else package / "__init__.py"
                load = partial(load_file, path.stem, file)
                refusal = home.refusal_of(path)
                yield Source(path.stem, shown(path), "", load, package, file, home, refusal)


@cache
def installed_plugins(path: tuple[str, ...]) -> list[EntryPoint]:
    """The entry points of what is installed on this `sys.path`, by name; every package there is looked into."""
    return sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name)


def brought_folders(name: str, of_all: bool = False) -> list[Path]:
    """The folders called `name` (`experiments`, `conf`) that plugins bring: beside files, or of their own.

    Nothing is loaded for it, so that a plugin which cannot be imported still has its experiments. of_all: also
    those of plugins that may not run.
    """
    found = []
    for folder in plugin_folders():
        for home in [folder.path, *folder.plugins()]:
            if os.path.isdir(home / name) and (of_all or not folder.refusal_of(home)):
                found.append(home / name)
    for point in installed_plugins(tuple(sys.path)):
        spec = importlib.util.find_spec(point.module.partition(".")[0])
        homes = map(Path, spec.submodule_search_locations or ()) if spec else ()
        found += [home / name for home in homes if (home / name).is_dir()]
    return found


def load_file(name: str, file: Path) -> Any:
    """The module that a file defines, as a module of `gptlab.found`; run anew each time, since it may have changed.

    Not if reading a pickle has just imported it by that name: there must not be two of its types.
    """
    module_name = module_of(name)
    imported = sys.modules.get(module_name)
    if imported is not None and imported.__spec__ is not None:
        by_us = imported.__spec__.loader_state == LOADED
        if not by_us and imported.__spec__.origin == str(file.resolve()):
            return imported
    package = [str(file.parent)] if file.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(module_name, file, submodule_search_locations=package)
    assert spec is not None and spec.loader is not None
    spec.loader_state = LOADED
    module = importlib.util.module_from_spec(spec)
    # dataclasses look up the module of a class by name
    sys.modules[module_name] = module
    try:
        if abs(time.time() - file.stat().st_mtime) > SETTLED_SECONDS:
            spec.loader.exec_module(module)
        else:
            exec(compile(file.read_bytes(), str(file), "exec"), module.__dict__)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module


def block_file(name: str) -> None:
    """Have no other plugin import it."""
    sys.modules[module_of(name)] = None  # type: ignore[assignment]


def module_of(name: str) -> str:
    return f"gptlab.found.{name}"


def shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
