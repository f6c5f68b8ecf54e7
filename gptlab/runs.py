"""Finished runs, found again: the newest, one by its MLflow id, or one by its folder."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gptlab.assembly import Settings, definition_of, session_of
from gptlab.checkpoint import CONFIG, TOKENIZER, WEIGHTS, load_weights, read_json
from gptlab.data.tokenizers import Tokenizer
from gptlab.engines.engine import Session, State
from gptlab.errors import UserError
from gptlab.model.gpt import GPT
from gptlab.registry import Registry

RUNS = "runs"


@dataclass(frozen=True)
class Trained:
    """A run's model, ready to be asked."""

    folder: Path
    config: Settings
    definition: GPT
    tokenizer: Tokenizer
    session: Session
    state: State


def find_run(run: str, uri: str | None) -> Path:
    """The folder of `latest`, of an MLflow run id, or the folder itself.

    What is in ./runs is looked at first; an id that is not there is fetched from the tracking store
    at `uri`. Raises UserError if there is no such run.
    """
    if run == "latest":
        return latest()
    folder = Path(run).expanduser()
    if folder.is_dir():
        if not (folder / CONFIG).is_file():
            raise UserError(f"run must be the folder of a run: {folder} has no {CONFIG}. Try run=latest.")
        return folder
    for file in Path(RUNS).rglob("run.json"):
        if read_json(file).get("id") == run:
            return file.parent
    return fetched(run, uri)


def latest() -> Path:
    """The folder below ./runs whose weights are the newest."""
    files = sorted(
        Path(RUNS).rglob(f"checkpoints/step-*/{WEIGHTS}"), key=lambda file: file.stat().st_mtime_ns
    )
    if not files:
        raise UserError(
            f"run=latest needs a finished run below {Path(RUNS).absolute()}: there is none. "
            "Train one first: python -m gptlab +experiment=tiny"
        )
    return files[-1].parent.parent.parent


def fetched(run_id: str, uri: str | None) -> Path:
    """A run's config, tokenizer and weights, downloaded from MLflow into a temporary folder."""
    from gptlab.tracking import download_run

    folder = Path(tempfile.mkdtemp(prefix="gptlab-run-"))
    download_run(run_id, uri, folder)
    return folder


def load_run(folder: Path, registry: Registry, engine: dict[str, Any] | None = None) -> Trained:
    """The model of a run's folder, on its own engine or on the one given.

    Raises UserError for files that are missing, broken, or do not fit each other.
    """
    config = read_config(folder / CONFIG)
    if engine is not None:
        config = {**config, "engine": engine}
    state = read_json(folder / TOKENIZER)
    tokenizer = registry.get("tokenizer", state["name"])().restore(state)
    definition = definition_of(config, registry, tokenizer.vocabSize)
    shapes = {name: weight.shape for name, weight in definition.declared_weights().items()}
    session = session_of(config, registry, definition)
    weights = load_weights(folder, shapes)
    return Trained(folder, config, definition, tokenizer, session, session.init(weights, {}))


def read_config(path: Path) -> Settings:
    """A run's resolved config: plain YAML, of which nothing is ever executed."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} must be a run's config: {error}.") from None
    if not isinstance(config, dict) or "model" not in config:
        raise UserError(f"{path} must be a run's config: it has no 'model'.")
    return config
