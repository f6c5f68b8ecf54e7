"""Experiments: YAML files that change a config, found from whatever folder the command is run."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from gptlab.discovery import brought_folders

GROUP = "experiment"


def folder_of(name: str) -> Path:
    """`conf` or `experiments`: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).parent
    return package / name if (package / name).is_dir() else package.parent / name


def experiment_files() -> dict[str, Path]:
    """Every experiment by name: gptlab's own, those of plugins, then those in ./experiments, which win."""
    folders = [folder_of("experiments"), *brought_folders("experiments"), Path.cwd() / "experiments"]
    return {file.stem: file for folder in folders for file in sorted(folder.glob("*.yaml"))}


def store_experiments() -> None:
    """Make `+experiment=NAME` find the experiments.

    A file that cannot be read is left out here and reported when its name is asked for.
    """
    from hydra.core.config_store import ConfigStore
    from omegaconf import DictConfig, OmegaConf

    store = ConfigStore.instance()
    # A ConfigStore lives as long as the process: what an earlier folder had must not be found in this one.
    store.repo.pop(GROUP, None)
    for name, file in experiment_files().items():
        try:
            node = OmegaConf.load(file)
        except Exception:
            continue
        if isinstance(node, DictConfig):
            store.store(group=GROUP, name=name, node=node, package="_global_", provider=str(file))


def store_brought_groups() -> None:
    """Make the config groups found that plugins bring in a `conf/` of their own."""
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    store = ConfigStore.instance()
    for folder in brought_folders("conf"):
        for file in sorted(folder.rglob("*.yaml")):
            group = file.parent.relative_to(folder).as_posix()
            header = re.match(r"#\s*@package\s+(\S+)", file.read_text(encoding="utf-8"))
            store.store(
                group=None if group == "." else group,
                name=file.stem,
                node=OmegaConf.load(file),
                package=header[1] if header else group.replace("/", "."),
                provider=str(file),
            )


def why_unreadable(file: Path) -> str:
    """What is wrong with an experiment that `store_experiments` left out."""
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
