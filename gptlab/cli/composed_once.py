"""A sweep's configs, each composed once: Hydra composes them all to see whether they are legal, then each again.

A tenth of a second a job, which is a good part of a small one's time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gptlab.sweeps.sweepers import BASIC

KEPT = 1024  # configs, of 0.15 MB each


@contextmanager
def composed_once() -> Iterator[None]:
    """What is composed for the same overrides a second time is what was composed first; not a third time."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from omegaconf import OmegaConf

    original = ConfigLoaderImpl.load_sweep_config
    kept: dict[tuple[str, ...], Any] = {}

    def load(self: Any, master_config: Any, sweep_overrides: list[str]) -> Any:
        if master_config.hydra.sweeper._target_ != BASIC:  # only that one composes before it runs
            return original(self, master_config, sweep_overrides)
        key = tuple(sweep_overrides)
        found = kept.pop(key, None)
        if found is not None and not OmegaConf.is_readonly(found.hydra):  # else the same job has run before
            return found
        config = original(self, master_config, sweep_overrides)
        if len(kept) < KEPT:
            kept[key] = config
        return config

    ConfigLoaderImpl.load_sweep_config = load  # type: ignore[method-assign]
    try:
        yield
    finally:
        ConfigLoaderImpl.load_sweep_config = original  # type: ignore[method-assign]
