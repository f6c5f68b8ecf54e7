"""Where plugins are: installed packages with an entry point, and files and folders named plugins."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

ENTRY_POINTS = "gptlab"
FOLDER = "plugins"
VARIABLE = "GPTLAB_PLUGINS"
LOADED = "loaded by gptlab"


@dataclass(frozen=True)
class Source:
    """A plugin that is there, not yet loaded.

    name: of the entry point, the file or the folder. where: for a person to find it. folder: what
    may hold `conf/` and `experiments/` of its own, if it is one.
    """

    name: str
    where: str
    version: str
    load: Callable[[], Any]
    folder: Path | None = None
    file: Path | None = None


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
    for folder in plugin_folders():
        for path in sorted(folder.iterdir()):
            resolved = path.resolve()
            example = resolved.parent == checkout_folder() and path.stem in installed
            if resolved not in seen and is_plugin(path) and not example:
                seen.add(resolved)
                package = path if path.is_dir() else None
                file = path if package is None else package / "__init__.py"
                load = partial(load_file, path.stem, file)
                yield Source(path.stem, shown(path), "", load, package, file)


@cache
def installed_plugins(path: tuple[str, ...]) -> list[EntryPoint]:
    """The entry points of what is installed on this `sys.path`, by name; every package there is looked into."""
    return sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name)


def plugin_folders() -> list[Path]:
    """The checkout's plugins/, ./plugins, and what GPTLAB_PLUGINS names; those that are there, once each."""
    named = [
        Path(os.path.expanduser(name)) for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name
    ]
    # An installed package has no pyproject.toml beside it: what is called plugins there is not ours.
    checkout = [checkout_folder()] if (checkout_folder().parent / "pyproject.toml").is_file() else []
    folders = {folder.resolve(): folder for folder in [*checkout, Path.cwd() / FOLDER, *named]}
    return [folder for folder in folders.values() if folder.is_dir()]


def checkout_folder() -> Path:
    """plugins/ beside the package."""
    return Path(__file__).resolve().parents[2] / FOLDER


def brought_folders(name: str) -> list[Path]:
    """The folders called `name` (`experiments`, `conf`) that plugins bring: beside files, or of their own.

    Nothing is loaded for it, so that a plugin which cannot be imported still has its experiments.
    """
    homes = plugin_folders()
    homes += [path for folder in plugin_folders() for path in sorted(folder.iterdir()) if is_plugin(path)]
    for point in installed_plugins(tuple(sys.path)):
        spec = importlib.util.find_spec(point.module.partition(".")[0])
        homes += [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    return [home / name for home in homes if (home / name).is_dir()]


def is_plugin(path: Path) -> bool:
    if path.name.startswith(("_", ".", "test_")):
        return False
    return path.suffix == ".py" if path.is_file() else (path / "__init__.py").is_file()


def load_file(name: str, file: Path) -> Any:
    """The module that a file defines, as a module of `gptlab.found`; run anew each time, since it may have changed.

    Not if reading a pickle has just imported it by that name: there must not be two of its types.
    """
    module_name = f"gptlab.found.{name}"
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
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module


def shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
