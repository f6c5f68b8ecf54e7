"""Where a run comes from: engine, device, versions, commit. MLflow shows these as tags."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import version

from gptlab.config.typed import Config

VERSIONS = ("gptlab", "jax", "numpy", "mlflow", "hydra-core")


def tags_of(config: Config, commit: str | None = None) -> dict[str, str]:
    """`engine`, `dtype`, `device`, `python`, `version.jax` ..., and `gitCommit` inside a repository.

    commit: the one to tell, empty for none; git is asked if it is not given.
    """
    tags = {
        "engine": config.engine.name,
        "dtype": config.engine.get("dtype", ""),
        "device": device(config.engine.name),
        "python": platform.python_version(),
    }
    tags |= versions()
    commit = git_commit() if commit is None else commit
    return tags | ({"gitCommit": commit} if commit else {})


@cache
def versions() -> dict[str, str]:
    """Of what is installed, read once: the jobs of a sweep have all the same."""
    return {f"version.{package}": version(package) for package in VERSIONS}


def device(engine: str) -> str:
    if engine == "scalar":
        return "cpu"
    import jax

    return str(jax.devices()[0].device_kind)


def git_commit() -> str:
    """The commit of the folder where the command is run, with `-dirty` if something differs; empty outside git."""
    try:
        command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
        found = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
