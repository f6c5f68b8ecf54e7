"""What a config is composed of, loaded once in a process: all tests together compose thousands of times."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.config_repository import ConfigRepository
from hydra.core.config_store import ConfigStore
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource

from gptlab.command.source import NodeSource, named
from gptlab.config.schema import listener_config, root_of, schema_of


def identity(source: ConfigSource, path: str) -> Any:
    """What a config is made of, so that a second one that is made of the same is the same; None if it may say or ask
    for something as it is made, as an experiment does."""
    of = type(source).__name__, source.provider, source.path, path
    if isinstance(source, NodeSource):
        node = source.nodes[named(path)]
        if not isinstance(node.make, partial) or node.make.func not in (root_of, schema_of):
            return None
        made_of = node.make.args
        if node.make.func is root_of:
            root, registry = made_of
            made_of = root, listener_config(registry)  # the class: roots of another are not merged with it
        return *of, node.package, node.provider, node.make.func, made_of
    if of[0] == "StructuredConfigSource":
        return *of, id(ConfigStore.instance())
    if of[0] == "ImportlibResourcesConfigSource":
        return of
    if of[0] == "FileConfigSource":
        file = Path(source.path, f"{named(path)}.yaml").stat()
        return *of, file.st_ino, file.st_mtime_ns, file.st_size
    return None


load = ConfigRepository.load_config


@contextmanager
def configs_loaded_once() -> Iterator[None]:
    """Within it a config that is made of the same is loaded once in this process, and copied then."""
    kept: dict[Any, ConfigResult] = {}

    def load_once(self: ConfigRepository, config_path: str) -> ConfigResult | None:
        source = self._find_object_source(config_path, ObjectType.CONFIG)
        key = None if source is None else identity(source, config_path)
        if key is None:
            return load(self, config_path)
        if key not in kept:
            loaded = load(self, config_path)
            assert loaded is not None
            kept[key] = loaded
        found = kept[key]
        return replace(found, config=copy.deepcopy(found.config), header=dict(found.header))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConfigRepository, "load_config", load_once)
        yield
