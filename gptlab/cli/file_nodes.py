"""The configs that are files, as Hydra is to find them: experiments, and what plugins bring in a conf/ of their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from gptlab.cli.experiment_file import read_config, read_experiment
from gptlab.cli.verbs import ROOTS
from gptlab.config.experiments import GROUP, experiment_files, shadowed
from gptlab.config.keys import Schema
from gptlab.config.node import ConfigNode
from gptlab.plugins.discovery import brought_folders, shown
from gptlab.plugins.registry import Registry


def experiment_nodes(registry: Registry, say: Callable[[str], None]) -> dict[str, ConfigNode]:
    """Every experiment: `+experiment=NAME`. say: is told, once, of each selected that hides one of gptlab's own."""
    schema = Schema(ROOTS["train"], lambda: registry)
    told: set[str] = set()

    def load(name: str, file: Path) -> Any:
        if name not in told and shadowed(name) is not None:
            told.add(name)
            say(f"+{GROUP}={name} is {shown(file)} here, and not gptlab's own experiment of that name")
        return read_experiment(file, schema)

    return {
        f"{GROUP}/{name}": ConfigNode(partial(load, name, file), "_global_", str(file))
        for name, file in experiment_files().items()
    }


def brought_nodes(registry: Registry) -> dict[str, ConfigNode]:
    """The config groups that plugins bring."""
    schema = Schema(ROOTS["train"], lambda: registry)
    nodes = {}
    for folder in brought_folders("conf"):
        for file in sorted(folder.rglob("*.yaml")):
            path = file.relative_to(folder).with_suffix("").as_posix()
            header = re.match(r"#\s*@package\s+(\S+)", file.read_text(encoding="utf-8"))
            package = header[1] if header else path.rpartition("/")[0].replace("/", ".")
            make = partial(read_config, file, schema, package.removeprefix("_global_").lstrip("."))
            nodes[path] = ConfigNode(make, header[1] if header else None, str(file))
    return nodes
