"""Experiments: YAML files that change a config, found from whatever folder the command is run."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from gptlab.config_node import ConfigNode
from gptlab.discovery import brought_folders, shown
from gptlab.errors import UserError

GROUP = "experiment"


def folder_of(name: str) -> Path:
    """`conf` or `experiments`: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).parent
    return package / name if (package / name).is_dir() else package.parent / name


def experiment_files() -> dict[str, Path]:
    """Every experiment by name: gptlab's own, those of plugins, then those in ./experiments, which win."""
    folders = [folder_of("experiments"), *brought_folders("experiments"), Path.cwd() / "experiments"]
    return {file.stem: file for folder in folders for file in sorted(folder.glob("*.yaml"))}


def experiment_nodes() -> dict[str, ConfigNode]:
    """Every experiment, as Hydra is to find it: `+experiment=NAME`."""
    return {
        f"{GROUP}/{name}": ConfigNode(partial(load_experiment, file), "_global_", str(file))
        for name, file in experiment_files().items()
    }


def load_experiment(file: Path) -> Any:
    """The content of an experiment's file. Raises UserError if it is not keys and values."""
    from omegaconf import DictConfig, OmegaConf

    try:
        content = OmegaConf.load(file)
    except Exception:
        content = None
    if not isinstance(content, DictConfig):
        raise UserError(
            f"an experiment must be YAML that can be read: {shown(file)} is not: {why_unreadable(file)}."
        )
    return content


def brought_nodes() -> dict[str, ConfigNode]:
    """The config groups that plugins bring in a `conf/` of their own, as Hydra is to find them."""
    nodes = {}
    for folder in brought_folders("conf"):
        for file in sorted(folder.rglob("*.yaml")):
            path = file.relative_to(folder).with_suffix("").as_posix()
            header = re.match(r"#\s*@package\s+(\S+)", file.read_text(encoding="utf-8"))
            nodes[path] = ConfigNode(partial(load, file), header[1] if header else None, str(file))
    return nodes


def load(file: Path) -> Any:
    from omegaconf import OmegaConf

    return OmegaConf.load(file)


def why_unreadable(file: Path) -> str:
    """What is wrong with an experiment that cannot be loaded."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        return f"{line}{error.problem or error.context}"
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return str(error)
    return f"it holds {'a list' if isinstance(content, list) else 'a single value'} and no keys"


def descriptions() -> dict[str, str]:
    """Every experiment by name with its `description`; what cannot be read is left out."""
    found = {}
    for name, file in experiment_files().items():
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue
        if isinstance(content, dict):
            found[name] = str(content.get("description", ""))
    return found
