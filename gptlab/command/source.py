"""gptlab's configs as Hydra finds them, each made when it is asked for.

A command selects a dozen of the hundred that there are. Hydra's ConfigStore would have all of them made
first, which takes longer than to compose the dozen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins as HydraPlugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf

from gptlab.command.experiment_file import read_config, read_experiment
from gptlab.command.verbs import ROOTS
from gptlab.config.addresses import hide_password
from gptlab.config.experiments import GROUP, experiment_files, shadowed
from gptlab.config.keys import Schema
from gptlab.config.schema import ConfigNode
from gptlab.plugins.discovery import brought_folders, shown
from gptlab.plugins.loading import Plugins
from gptlab.plugins.registry import Registry


class NodeSource(ConfigSource):
    """Hydra makes one for each command, by its scheme.

    offered: of the whole process, since Hydra lets nobody else make one; in a process that a launcher starts for
    jobs of a sweep nothing else is there, either, that could be passed.
    """

    offered: ClassVar[tuple[Plugins, Mapping[str, ConfigNode]] | None] = None

    @property
    def nodes(self) -> Mapping[str, ConfigNode]:
        """What the latest `offer` named; where nothing was offered, what is found around this process."""
        if NodeSource.offered is None:
            from gptlab.command.composing import plugins_here

            plugins_here()
        assert NodeSource.offered is not None
        return NodeSource.offered[1]

    @staticmethod
    def scheme() -> str:
        return "gptlab"

    def load_config(self, config_path: str) -> ConfigResult:
        node = self.nodes.get(named(config_path))
        if node is None:
            raise ConfigLoadError(f"there is no config {config_path}")
        return ConfigResult(
            provider=node.provider,
            path=self.full_path(),
            config=without_passwords(OmegaConf.structured(node.make()), config_path),
            header={"package": node.package},
        )

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        group = config_path.rstrip("/")
        return not group or any(path.startswith(f"{group}/") for path in self.nodes)

    def is_config(self, config_path: str) -> bool:
        return named(config_path) in self.nodes

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        prefix = f"{config_path.rstrip('/')}/".lstrip("/")
        below = [path.removeprefix(prefix).partition("/") for path in self.nodes if path.startswith(prefix)]
        groups = {name for name, slash, _ in below if slash}
        configs = {name for name, slash, _ in below if not slash}
        if results_filter is None:
            return sorted(groups | configs)
        return sorted(groups if results_filter == ObjectType.GROUP else configs)


def without_passwords(config: DictConfig, config_path: str) -> DictConfig:
    """The config, the address of a store in it as it may be kept: Hydra writes down what it composes of this."""
    key = "uri" if config_path.startswith("tracking/") else "tracking.uri"
    uri = OmegaConf.select(config, key, throw_on_resolution_failure=False)
    if isinstance(uri, str) and (kept := hide_password(uri)) != uri:
        OmegaConf.update(config, key, kept)
    return config


class NodeSearchPath(SearchPathPlugin):
    """Has Hydra look there after conf/."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append("gptlab", f"{NodeSource.scheme()}://")


def experiment_nodes(registry: Registry, say: Callable[[str], None]) -> dict[str, ConfigNode]:
    """Every experiment: `+experiment=NAME`. say: is told, once, of each selected that hides one of gptlab's own."""
    schema = Schema(ROOTS["train"], lambda: registry)
    told: set[str] = set()

    def load(name: str, file: Path) -> Any:
        if name not in told and shadowed(name) is not None:
            told.add(name)
            say(f"+{GROUP}={name} is {shown(file)} here, not gptlab's own experiment of that name")
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


def named(config_path: str) -> str:
    return config_path.strip("/").removesuffix(".yaml")


def offer(plugins: Plugins, nodes: Mapping[str, ConfigNode]) -> None:
    """Have Hydra find these nodes, by group and name (`model/norm/rmsnorm`), in place of those offered before."""
    NodeSource.offered = plugins, nodes
    for plugin in (NodeSource, NodeSearchPath):
        HydraPlugins.instance().register(plugin)
