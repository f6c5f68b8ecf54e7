"""The folders named plugins, and whether what is in them may run."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gptlab.plugins import ownership

NAME = "plugins"
VARIABLE = "GPTLAB_PLUGINS"
HERE = "GPTLAB_PLUGINS_OF"  # the folder whose plugins/ is ./plugins, where a process was begun in another one
OFF = "off"


@dataclass(frozen=True)
class PluginFolder:
    """A folder of plugins.

    own: the checkout's. named: by its whole path in GPTLAB_PLUGINS, which lets in what would be left out.
    """

    path: Path
    own: bool = False
    named: bool = False

    @cached_property
    def refusal(self) -> str:
        """Why none of its plugins may run, and what to type; "" if they may."""
        if is_off():
            return f"{VARIABLE}={OFF}"
        if self.named:
            return ""
        said = ownership.stranger_at(self.path, self._owners)
        for path in self.entries():
            if not said and not is_plugin(path) and is_importable(path):
                said = ownership.stranger_in(path, self._owners)
        return self._with_way_out(said)

    def refusal_of(self, plugin: Path) -> str:
        """Why a plugin in it may not run. Of the folder itself, why none may."""
        if self.refusal or self.named or plugin == self.path:
            return self.refusal
        return self._with_way_out(ownership.stranger_in(plugin, self._owners))

    def plugins(self) -> list[Path]:
        """Files and folders, by name."""
        return [path for path in self.entries() if is_plugin(path)]

    def entries(self) -> list[Path]:
        """All that is in it, by name; nothing of a folder that may not be read."""
        try:
            return sorted(self.path.iterdir())
        except OSError:
            return []

    @cached_property
    def _owners(self) -> frozenset[int]:
        owners = ownership.owners()
        return owners | {package_folder().stat().st_uid} if owners and self.own else owners

    def _with_way_out(self, said: str) -> str:
        # Who can write to gptlab itself needs no plugin to run code.
        if not said or (self.own and ownership.stranger_at(package_folder(), self._owners)):
            return ""
        return f"{said}, or, to accept them as they are, export {VARIABLE}={shlex.quote(str(self.path.resolve()))}"


def plugin_folders() -> list[PluginFolder]:
    """The checkout's plugins/, ./plugins, and what GPTLAB_PLUGINS names; those that are there, once each."""
    # An installed package has no pyproject.toml beside it: what is called plugins there is not ours.
    own = [checkout_folder()] if (checkout_folder().parent / "pyproject.toml").is_file() else []
    here = Path(os.environ.get(HERE) or Path.cwd()) / NAME
    folders = {real_path(path): path for path in [*own, here, *map(Path, named_folders())]}
    named = {real_path(Path(name)) for name in named_folders() if os.path.isabs(name)}
    return [
        PluginFolder(path, real == checkout_folder(), real in named)
        for real, path in folders.items()
        if os.path.isdir(path)
    ]


def real_path(path: Path) -> Path:
    """Without links; unlike `resolve`, also for one that leads to itself."""
    return Path(os.path.realpath(path))


def named_folders() -> list[str]:
    """What GPTLAB_PLUGINS names, whether it is there or not."""
    given = filter(None, os.environ.get(VARIABLE, "").split(os.pathsep))
    return [os.path.expanduser(name) for name in given if name.lower() != OFF]


def is_off() -> bool:
    """Whether GPTLAB_PLUGINS asks that no plugin of a folder runs."""
    return OFF in os.environ.get(VARIABLE, "").lower().split(os.pathsep)


def package_folder() -> Path:
    """gptlab's own code."""
    return Path(__file__).resolve().parents[1]


def checkout_folder() -> Path:
    """plugins/ beside the package."""
    return package_folder().parent / NAME


def is_plugin(path: Path) -> bool:
    if path.name.startswith(("_", ".", "test_")):
        return False
    return path.suffix == ".py" if os.path.isfile(path) else os.path.isfile(path / "__init__.py")


def is_importable(path: Path) -> bool:
    """Whether a plugin beside it may import it, or Python what was compiled of the plugin."""
    return ownership.is_code(path.name) or os.path.isdir(path)
