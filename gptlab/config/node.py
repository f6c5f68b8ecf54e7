"""One config that may be asked for, with what Hydra must know of it before it is made."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ConfigNode:
    """`make` gives the config: a dataclass, a dict or what OmegaConf loaded; called only if it is selected.

    package: the part of the whole config that it fills, e.g. `model.norm` or `_global_`; None: that of its
    group. provider: who offers it, a plugin's name or a file.
    """

    make: Callable[[], Any]
    package: str | None = None
    provider: str = "gptlab"
