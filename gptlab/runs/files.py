"""What a run's files are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gptlab.errors import UserError
from gptlab.files import read_json

TOKENIZER = "tokenizer.json"
CONFIG = "config.yaml"
RUN = "run.json"  # its name, MLflow id and status; the first file that is written
PLUGINS = "plugins.json"  # which of the config's names came from which plugin
METRICS = "metrics.jsonl"  # a line a logged step
SAMPLES = "samples.txt"


def read_identity(folder: Path) -> dict[str, Any]:
    """What a folder's run.json tells: name, MLflow id, status; nothing where there is none that can be read."""
    try:
        found = read_json(folder / RUN)
    except UserError:
        return {}
    return found if isinstance(found, dict) else {}
