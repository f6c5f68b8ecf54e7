"""Finished runs, found again: the newest, one by its MLflow id, or one by its folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from gptlab.assembly import Settings, definition_of, session_of
from gptlab.checkpoint import CONFIG, PLUGINS, RUN, TOKENIZER, WEIGHTS, load_weights, read_json
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


@contextmanager
def found_run(run: str, tracking: Settings) -> Iterator[Path]:
    """The folder of `latest`, of an MLflow run id, or the folder itself.

    What is in ./runs is looked at first; an id that is not there is fetched from the store that `tracking`
    names, into a folder that is gone afterwards. Raises UserError if there is no such run.
    """
    folder = latest() if run == "latest" else Path(run).expanduser()
    if folder.is_dir():
        if not (folder / CONFIG).is_file():
            raise UserError(f"run must be the folder of a run: {folder} has no {CONFIG}. Try run=latest.")
        yield folder
        return
    for file in Path(RUNS).rglob(RUN):
        if read_json(file).get("id") == run:
            yield file.parent
            return
    if tracking["name"] != "mlflow":
        raise no_run(run, "")
    from gptlab.tracking.download import download_run

    with TemporaryDirectory(prefix="gptlab-run-") as fetched:
        download_run(run, tracking["uri"], Path(fetched))
        yield Path(fetched)


def no_run(run: str, elsewhere: str) -> UserError:
    return UserError(
        f"run must be latest, a run's folder or an MLflow run id: there is no '{run}' below "
        f"{Path(RUNS).absolute()}{elsewhere}. Try run=latest."
    )


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


def load_run(folder: Path, registry: Registry, engine: dict[str, Any] | None = None) -> Trained:
    """The model of a run's folder, on its own engine or on the one given.

    Raises UserError for files that are missing, broken, or do not fit each other.
    """
    config = read_config(folder / CONFIG)
    brought = read_json(folder / PLUGINS) if (folder / PLUGINS).is_file() else {}
    earlier = registry.hint
    registry.hint = lambda kind, name: " ".join(
        [f"The run had it from the plugin '{brought[f'{kind} {name}']}'."] * (f"{kind} {name}" in brought)
        + [earlier(kind, name)] * bool(earlier(kind, name))
    )
    if engine is not None:
        config = {**config, "engine": engine}
    with sense_of(folder / TOKENIZER):
        state = read_json(folder / TOKENIZER)
        tokenizer = registry.get("tokenizer", state["name"])().restore(state)
    with sense_of(folder / CONFIG):
        definition = definition_of(config, registry, tokenizer.vocabSize)
        shapes = {name: weight.shape for name, weight in definition.declared_weights().items()}
        session = session_of(config, registry, definition)
    weights = load_weights(folder, shapes)
    return Trained(folder, config, definition, tokenizer, session, session.init(weights, {}))


@contextmanager
def sense_of(path: Path) -> Iterator[None]:
    """A file that reads well and lacks what it should hold is the person's to mend, too."""
    try:
        yield
    except (LookupError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{path} must be as gptlab wrote it, and is not ({reason}).") from None


def read_config(path: Path) -> Settings:
    """A run's resolved config: plain YAML, of which nothing is ever executed."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} must be a run's config: {' '.join(str(error).split())}.") from None
    if not isinstance(config, dict) or "model" not in config:
        raise UserError(f"{path} must be a run's config: it has no 'model'.")
    return config
