"""config.yaml of a run's folder, read as somebody else may have written it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from gptlab.errors import UserError
from gptlab.files import read_regular
from gptlab.runs.files import CONFIG

# The same reader with the same restrictions, in C where PyYAML was built with it: a sweep has a thousand of them.
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MOST_NODES, DEEPEST = 100_000, 50  # a few hundred and five, in what gptlab writes


def read_config(folder: Path) -> dict[str, Any]:
    """The resolved config of the run there. Raises UserError if there is none, or it is none that gptlab wrote."""
    path = folder / CONFIG
    try:
        content = read_regular(path)
        check_small(content)
        config = yaml.load(content, Loader=Loader)
    except FileNotFoundError:
        raise UserError(f"a run's folder must hold {CONFIG}: {folder} does not.") from None
    except (OSError, yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path} must be YAML: {str(error).splitlines()[0]}.") from None
    if not isinstance(config, dict):
        raise UserError(f"{path} does not hold the keys of a config.")
    return config


def check_small(content: bytes) -> None:
    """Raises ValueError for what would take the reader's stack, or with a few lines all memory, and YAMLError."""
    depth = 0
    for count, event in enumerate(yaml.parse(content, Loader=Loader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if count > MOST_NODES or depth > DEEPEST or isinstance(event, yaml.AliasEvent):
            raise ValueError("it is too large or too deep, or refers to parts of itself")
