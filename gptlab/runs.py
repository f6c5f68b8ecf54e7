"""Weights, found again by what names them: the newest run, a folder, an id, a file, an address in MLflow."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gptlab.assembly import Settings, definition_of, session_of
from gptlab.checkpoint import (
    CHECKPOINTS,
    CONFIG,
    RUN,
    STATE,
    SUMS,
    WEIGHTS,
    check_shapes,
    newest_or_refuse,
    read_checkpoint,
    read_identity,
)
from gptlab.data.beginning import first_token_of
from gptlab.data.tokenizers import Tokenizer, WordTokenizer
from gptlab.engines.engine import Session, State
from gptlab.errors import UserError
from gptlab.exchange import FILES, read_file
from gptlab.exchange.standard import standard_config
from gptlab.model.gpt import GPT
from gptlab.plugin_changes import say_changed_plugins
from gptlab.registry import Registry, build
from gptlab.source import Source, from_checkpoint, with_vocabulary

__all__ = ["RUNS", "Source", "Trained", "found_run", "found_source", "latest", "load_run", "load_source"]

RUNS = "runs"
REFERENCES = (
    "latest, the folder of a run or of a checkpoint, an MLflow run id, runs:/ID, models:/NAME@ALIAS, "
    f"or a file that ends in {' or '.join(FILES)}"
)


ADDRESSES = ("runs:/", "models:/")
ID = re.compile(r"[0-9A-Za-z_-]+")


@dataclass(frozen=True)
class Trained:
    """A run's model, ready to be asked."""

    folder: Path | None
    config: Settings
    definition: GPT
    tokenizer: Tokenizer
    session: Session
    state: State
    start: int  # the token that a text begins after


@contextmanager
def found_source(reference: str, tracking: Settings, tokenizer_path: str | None = None) -> Iterator[Source]:
    """The weights that `reference` names: latest, a run's folder, a checkpoint's folder, an MLflow run id,
    runs:/ID, models:/NAME@ALIAS, FILE.json, FILE.safetensors.

    What is in ./runs is looked at first; an id that is not there is fetched from the store that `tracking`
    names, into a folder that is gone afterwards. tokenizer_path: the corpus whose words are the
    vocabulary of a file that carries none; what carries one keeps it.

    Raises UserError if there is no such thing, it is damaged, or the vocabulary has another size.
    """
    path = path_of(reference)
    if names_file(reference, path):
        source = read_file(path)
        if source.tokenizer is None and tokenizer_path is not None:
            source = with_vocabulary(source, "word", WordTokenizer(tokenizer_path))
        yield source
    elif any(os.path.isfile(path / name) for name in (STATE, SUMS)):
        yield from_checkpoint(read_checkpoint(path), run_of(path))
    else:
        with found_run(reference, tracking) as folder:
            yield from_checkpoint(newest_or_refuse(folder), folder)


@contextmanager
def found_run(run: str, tracking: Settings) -> Iterator[Path]:
    """The folder of `latest`, of an MLflow run id, of an address in MLflow, or the folder itself.

    What is in ./runs is looked at first; what is not there is fetched from the store that `tracking`
    names, into a folder that is gone afterwards. Raises UserError if there is no such run.
    """
    folder = latest() if run == "latest" else path_of(run)
    if os.path.isdir(folder):
        if not os.path.isfile(folder / CONFIG) and not os.path.isdir(folder / CHECKPOINTS):
            raise UserError(f"run must be the folder of a run: {folder} has no {CONFIG}. Try run=latest.")
        yield folder
        return
    here = folder_of(run)
    if here is not None:
        yield here
        return
    if not ID.fullmatch(run) and not run.startswith(ADDRESSES):
        raise no_run(run)
    if tracking["name"] != "mlflow":
        raise no_run(run, " (nor is it looked for in MLflow, with tracking=none)")
    from gptlab.tracking.download import download_reference

    with TemporaryDirectory(prefix="gptlab-run-") as fetched:
        yield download_reference(run, tracking["uri"], Path(fetched))


def names_file(reference: str, path: Path) -> bool:
    """Whether it is a file of weights that is meant, be it there or not."""
    if reference.startswith(ADDRESSES) or os.path.isdir(path):
        return False
    return path.suffix.lower() in FILES or os.path.exists(path)


def path_of(reference: str) -> Path:
    # Not pathlib's own questions: they raise for a name that is too long, or a user who is not there.
    return Path(os.path.expanduser(reference))


def folder_of(run_id: str) -> Path | None:
    """The folder below ./runs of the run with this MLflow id, be it written as runs:/ID or not."""
    wanted = run_id.removeprefix("runs:/").strip("/")
    if not wanted:
        return None
    folders = (file.parent for file in Path(RUNS).rglob(RUN))
    return next((folder for folder in folders if str(read_identity(folder).get("id", "")) == wanted), None)


def run_of(checkpoint: Path) -> Path | None:
    """The run's folder that a checkpoint's folder lies in; None if it was put elsewhere."""
    run = checkpoint.absolute().parent.parent
    return run if (run / CONFIG).is_file() else None


def no_run(run: str, elsewhere: str = "") -> UserError:
    return UserError(
        f"run must be {REFERENCES}: there is no '{run}' below {Path(RUNS).absolute()}{elsewhere}. Try run=latest."
    )


def latest() -> Path:
    """The folder below ./runs whose weights are the newest."""
    folder = newest_with(WEIGHTS)
    if folder is None:
        raise UserError(
            f"run=latest needs a finished run below {Path(RUNS).absolute()}: there is none. "
            "Train one first: python -m gptlab +experiment=tiny"
        )
    return folder


def newest_with(name: str) -> Path | None:
    """The folder below ./runs in whose checkpoints the file of this name is the newest; None if there is none."""
    newest: tuple[int, Path] | None = None
    for file in Path(RUNS).rglob(f"{CHECKPOINTS}/step-*/{name}"):
        with suppress(FileNotFoundError):  # a run that goes on has just deleted it
            newest = max(newest or (0, file), (file.stat().st_mtime_ns, file))
    return None if newest is None else newest[1].parent.parent.parent


def load_run(folder: Path, registry: Registry, engine: dict[str, Any] | None = None) -> Trained:
    """The model of a run's folder, on its own engine or on the one given.

    Raises UserError for files that are missing, broken, or do not fit each other.
    """
    return load_source(from_checkpoint(newest_or_refuse(folder), folder), registry, engine)


def load_source(source: Source, registry: Registry, engine: dict[str, Any] | None = None) -> Trained:
    """The model of a source, on its own engine or on the one given.

    Raises UserError for a source without a vocabulary, names that are not registered, and weights that do
    not fit the config.
    """
    tokenizer = check_vocabulary(source, registry)
    source, definition = with_model(source, registry)
    config = source.config or standard_config(source.sizes)
    if engine is not None:
        config = {**config, "engine": engine}
    with known_plugins(registry, source.plugins), sense_of(source.name):
        session = session_of(config, registry, definition)
    state = session.init(source.weights, {})
    start = first_token_of(source.start, source.config, tokenizer)
    return Trained(source.folder, config, definition, tokenizer, session, state, start)


def with_model(source: Source, registry: Registry) -> tuple[Source, GPT]:
    """The source with its weights in the order of `params`, and the model that its config describes.

    Raises UserError for a config that describes none, and for weights that are not of that model.
    """
    config = source.config or standard_config(source.sizes)
    say_changed_plugins(registry, source.plugins, source.name)
    with known_plugins(registry, source.plugins), sense_of(source.name):
        definition = definition_of(config, registry, source.sizes["vocabSize"])
        shapes = {name: weight.shape for name, weight in definition.declared_weights().items()}
    check_shapes(source.weights, shapes, Path(source.name))
    return replace(source, weights={name: source.weights[name] for name in shapes}), definition


def with_corpus(source: Source, settings: Settings, registry: Registry) -> Source:
    """The source with the vocabulary that the tokenizer of these settings builds of its path, if one is given.

    Raises UserError if the source has a vocabulary already, or the new one has another size.
    """
    if settings.get("path") is None:
        return source
    if source.tokenizer is not None:
        raise UserError(
            f"tokenizer.path is for weights that carry no vocabulary: {source.name} has its own. Leave it out."
        )
    return with_vocabulary(source, settings["name"], build(registry, "tokenizer", settings))


def check_vocabulary(source: Source, registry: Registry) -> Tokenizer:
    """The tokenizer of a source. Raises UserError if it has none, or one that is not of its weights."""
    if source.tokenizer is None:
        raise UserError(
            f"{source.name} carries no vocabulary: add tokenizer.path=CORPUS, the text that it was trained on."
        )
    with known_plugins(registry, source.plugins), sense_of(source.name):
        tokenizer = restored(source.tokenizer, registry)
        found, wanted = tokenizer.vocabSize, source.sizes["vocabSize"]
    if found != wanted:
        raise UserError(
            f"the vocabulary must be that of the weights: {source.name} has {found} ids in the one, and "
            f"{wanted} in the others."
        )
    return tokenizer


def restored(state: dict[str, Any], registry: Registry) -> Tokenizer:
    """The vocabulary of a tokenizer's state. Raises LookupError or TypeError for what is none."""
    pieces = state.get("pieces", [])
    if not isinstance(pieces, list) or not all(isinstance(piece, str) for piece in pieces):
        raise TypeError("a vocabulary's pieces must be texts")
    tokenizer: Tokenizer = registry.get("tokenizer", state["name"])().restore(state)
    return tokenizer


@contextmanager
def known_plugins(registry: Registry, brought: dict[str, str]) -> Iterator[None]:
    """A name that is not registered is said to be of the plugin that the run had it from."""
    earlier = registry.hint

    def hint(kind: str, name: str) -> str:
        plugin = brought.get(f"{kind} {name}")
        said = [f"The run had it from the plugin '{plugin}'."] if plugin else []
        return " ".join([*said, *filter(None, [earlier(kind, name)])])

    registry.hint = hint
    try:
        yield
    finally:
        registry.hint = earlier


@contextmanager
def sense_of(place: str) -> Iterator[None]:
    """What reads well and lacks what it should hold is the person's to mend, too."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, MemoryError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{place} must be as gptlab wrote it, and is not ({reason}).") from None
