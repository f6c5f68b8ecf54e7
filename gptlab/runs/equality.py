"""When two runs are the same run: equal config, equal code, equal data. Who has the one need not train the other."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from gptlab import strict_json
from gptlab.errors import UserError
from gptlab.files import read_json
from gptlab.runs.files import RUN

# Of a config, what changes no number that is trained or evaluated.
FREE = (
    "description",
    "tracking",
    "progress",
    "checkpoint",
    "samples",
    "sampler",
    "inspect",
    "register",
    "registerAlias",
)

COMPUTES = ("device", "dtype", "python", "version.jax", "version.numpy")


@lru_cache(maxsize=1)
def code_digest() -> str:
    """16 hex digits of the SHA-256 of gptlab's own files."""
    root, total = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        total.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return total.hexdigest()[:16]


def equality_key(
    config: Mapping[str, Any], data: str, brought: Mapping[str, str], versions: Mapping[str, str]
) -> str:
    """Equal for runs that are equal; empty for one that begins with another's weights, or ends by time.

    data: the digest of the texts. brought: by plugins, with their digests. versions: of what computes, and on which
    device, among others.
    """
    if config.get("initFrom") is not None or config.get("train", {}).get("budget") is not None:
        return ""
    kept = {key: value for key, value in config.items() if key not in FREE}
    computes = {name: versions.get(name, "") for name in COMPUTES}
    whole = [kept, data, dict(brought), computes, code_digest()]
    return hashlib.sha256(strict_json.dumps(whole, sort_keys=True).encode()).hexdigest()


def finished_runs(below: Path) -> dict[str, Path]:
    """The folders of the runs below a folder that have finished, by their keys; of equal ones the newest."""
    found: dict[str, tuple[float, Path]] = {}
    for place, folders, files in os.walk(below):
        if RUN not in files:
            continue
        folders.clear()
        file = Path(place, RUN)
        try:
            told = read_json(file)
        except UserError:
            continue
        if not isinstance(told, dict) or told.get("status") != "FINISHED":
            continue
        key, ended = told.get("equality"), told.get("ended")
        if isinstance(key, str) and key and isinstance(ended, (int, float)):
            found[key] = max(found.get(key, (0.0, Path())), (float(ended), file.parent))
    return {key: folder for key, (_, folder) in found.items()}
