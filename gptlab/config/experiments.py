"""Experiments: YAML files that change a config, found from whatever folder the command is run."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml

from gptlab.plugins.discovery import brought_folders

GROUP = "experiment"
SIZE = "size"  # the ready architectures: +size=gpt2


def folder_of(name: str) -> Path:
    """`conf` or `experiments`: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).parents[1]
    return package / name if (package / name).is_dir() else package.parent / name


def experiment_files() -> dict[str, Path]:
    """Every experiment by name: gptlab's own, those of plugins, then those in ./experiments, which win."""
    folders = [
        folder_of("experiments"),
        *brought_folders("experiments", of_all=True),
        Path.cwd() / "experiments",
    ]
    files = [file for folder in folders for file in sorted(folder.glob("[!.]*.y*ml"))]
    return {file.stem: file for file in files if file.suffix in (".yaml", ".yml")}


def experiment_named(word: str) -> str:
    """The experiment that a word means: its name, or its file; empty if it means none."""
    files = experiment_files()
    name = re.sub(r"\.ya?ml$", "", word.lstrip("+").removeprefix("./").removeprefix("experiments/"))
    if name in files or "/" not in word:
        return name if name in files else ""
    path = os.path.realpath(os.path.expanduser(word))
    return next((name for name, file in files.items() if os.path.realpath(file) == path), "")


def shadowed(name: str) -> Path | None:
    """The file of gptlab's own that an experiment of this name hides; None if it hides none."""
    own = folder_of("experiments") / f"{name}.yaml"
    file = experiment_files().get(name)
    return own if file is not None and own.is_file() and file.resolve() != own.resolve() else None


def descriptions() -> dict[str, str]:
    """Every experiment by name with its `description`; what cannot be read is left out."""
    contents = {name: content_of(file) for name, file in experiment_files().items()}
    return {
        name: str(content.get("description", "")) for name, content in contents.items() if content is not None
    }


def defaults_of(file: Path) -> list[Any]:
    """What a config's file is built on, and the components that it chooses; empty if it cannot be read."""
    entries = (content_of(file) or {}).get("defaults")
    return entries if isinstance(entries, list) else []


def content_of(file: Path) -> dict[str, Any] | None:
    """The keys of a config's file; None for what cannot be read, or holds none: elsewhere it is told what is wrong."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8-sig")) if file.is_file() else None
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return None
    return content if isinstance(content, dict) else None
