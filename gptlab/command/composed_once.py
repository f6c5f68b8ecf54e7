"""Configs of many runs: what they have in common is composed once, their plain values are set in copies of it.

Hydra composes a job in a tenth of a second, twice: to see whether it is legal, and to run it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from gptlab.command.composing import COMPOSING, compose
from gptlab.command.permitted import refuse_code

KEPT = 256  # configs, of 0.15 MB each
SUBDIR = "${hydra.job.num}"  # the folder of a job in its sweep's, as conf/train.yaml has it
NO_LOG = {"version": 1, "root": None, "disable_existing_loggers": False}  # hydra/job_logging=none
PLAIN = re.compile(r"[A-Za-z]\w*(\.\w+)*=(true|false|[-+]?\d+(\.\d*)?([eE][-+]?\d+)?)")


class ComposedOnce(ConfigLoaderImpl):
    """Composes nothing that names code, before anybody acts on it; and what the jobs of a sweep share, once."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self._shared: dict[tuple[str, ...], DictConfig] = {}
        self._tasks: dict[tuple[str, ...], DictConfig | None] = {}
        self._parser = OverridesParser.create()

    def __getstate__(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "_shared": {},
            "_tasks": {},
            "_parser": None,
        }  # what a launcher's processes get

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _parser=OverridesParser.create())

    def load_configuration(self, *args: Any, **how: Any) -> DictConfig:
        with COMPOSING:
            config = super().load_configuration(*args, **how)
            refuse_code(config.hydra)
            return config

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """What Hydra itself would compose: a test holds the two equal."""
        with COMPOSING:
            return self._sweep_config(master_config, sweep_overrides)

    def _sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        plain, others = apart(sweep_overrides)
        if others not in self._shared:
            if len(self._shared) >= KEPT:
                self._shared.clear()
            self._shared[others] = super().load_sweep_config(master_config, list(others))
        config = copy.deepcopy(self._shared[others])
        OmegaConf.copy_cache(from_config=master_config, to_config=config)
        if not set_plain(self._parser, config, plain):  # Hydra's own doing, or its words for what is wrong
            return super().load_sweep_config(master_config, sweep_overrides)
        job = config.hydra.job
        config.hydra.overrides.task = sweep_overrides
        job.override_dirname = get_overrides_dirname(
            overrides=self._parser.parse_overrides(sweep_overrides), **job.config.override_dirname
        )
        return config

    def plain_job(self, master_config: DictConfig, overrides: Sequence[str]) -> DictConfig | None:
        """A job's config without Hydra's own part, which takes ten times as long to copy; None where Hydra's is needed.

        That is where the job's config or folder has something of Hydra's in it, or Hydra refuses a value.
        """
        plain, others = apart(overrides)
        if others not in self._tasks:
            if len(self._tasks) >= KEPT:
                self._tasks.clear()
            self._tasks[others] = self._task_of(self.load_sweep_config(master_config, list(others)))
        shared = self._tasks[others]
        if shared is None:
            return None
        task = copy.deepcopy(shared)
        return task if set_plain(self._parser, task, plain) else None

    def check_jobs(self, master_config: DictConfig, jobs: Iterable[Sequence[str]]) -> None:
        """Raises what Hydra raises for the first of these jobs that it cannot compose.

        Whether a plain value is legal depends on what else is not plain, and on no other value: each is tried once.
        """
        tried: set[tuple[tuple[str, ...], str]] = set()
        for overrides in jobs:
            _, others = apart(overrides)
            new = {(others, text) for text in overrides} - tried
            if new:
                tried |= new
                if self.plain_job(master_config, overrides) is None:
                    self.load_sweep_config(master_config, list(overrides))

    @staticmethod
    def _task_of(config: DictConfig) -> DictConfig | None:
        hydra = config.hydra
        if hydra.sweep._get_node("subdir")._value() != SUBDIR or hydra.job.env_set:
            return None
        # What Hydra itself writes into a job's folder: copies of its config, a log.
        if hydra.output_subdir is not None or hydra.verbose or hydra.job_logging != NO_LOG:
            return None
        with open_dict(config):
            del config["hydra"]
        return None if "${hydra" in OmegaConf.to_yaml(config) else config


class ComposedCells:
    """The configs of the runs that one command compares, without Hydra's part."""

    def __init__(self) -> None:
        self._parser = OverridesParser.create()
        self._shared: dict[tuple[str, ...], DictConfig] = {}

    def config(self, overrides: list[str]) -> DictConfig:
        """What Hydra itself would compose; raises what it raises."""
        plain, others = apart(overrides)
        if others not in self._shared:
            self._shared[others] = compose("train", [*others])
        config = copy.deepcopy(self._shared[others])
        return config if set_plain(self._parser, config, plain) else compose("train", overrides)


def apart(overrides: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Those that set a plain value, whatever the others are, and the others."""
    plain: list[str] = []
    others: list[str] = []
    later: tuple[str, ...] = ()
    for text in reversed(overrides):
        key = text.partition("=")[0].lstrip("+~")
        # Of two that set the same, the last one counts.
        if PLAIN.fullmatch(text) and not f"{key}.".startswith(later):
            plain.append(text)
        else:
            others.append(text)
            later = (*later, f"{key}.")
    return plain[::-1], tuple(others[::-1])


def set_plain(parser: OverridesParser, config: DictConfig, plain: list[str]) -> bool:
    """Whether it could be done as Hydra would."""
    try:
        for override in parser.parse_overrides(plain):
            key = override.key_or_group
            if override.is_hydra_override() or OmegaConf.is_config(OmegaConf.select(config, key)):
                return False
            OmegaConf.update(config, key, override.value(), merge=True)
    except (OmegaConfBaseException, KeyError):
        return False
    return True
