"""A run that is read again: its weights and all that is known of them, from a folder, a checkpoint, a file, a store."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from gptlab.data.tokenizers import Tokenizer
from gptlab.errors import UserError
from gptlab.model.objective import of_objective
from gptlab.runs.checkpoint.folder import Checkpoint, write_checkpoint
from gptlab.runs.claiming import remove_empty
from gptlab.runs.folder import RunFolder
from gptlab.runs.run import FINISHED

Settings = dict[str, Any]
SIZES = ("nLayer", "nEmbd", "blockSize", "nHead", "headDim", "vocabSize")
LIMIT = 1 << 31  # a size from here on is no size, and Python would compute with it for hours
IMPORTED = "imported"  # in a checkpoint's state: the file that it was made of, with which no training came
FEW_LAYERS = 1000  # as many as a model may have without a matrix for each


@dataclass(frozen=True)
class SavedRun:
    """A run to begin from, to sample from, to write elsewhere. A file of weights is one, too.

    name: what a person calls it. config: the resolved config of its run; None for a file that tells only
    the sizes, which is of the standard model. tokenizer: {"name", ...state}; None if it carries none.
    weights: by name, float32 or float64, all finite; the order is that of the file. sizes: nLayer, nEmbd,
    blockSize, nHead, headDim, vocabSize. folder: that of the run; None if it is of none on this disk.
    step: after which the weights were kept, if that is known. plugins: which of the config's names came
    from which plugin. dataset: {"digest", "documents", "split"} of the data that they were trained on, if known.
    start: the token that a text begins after, if known.
    """

    name: str
    config: Settings | None
    tokenizer: dict[str, Any] | None
    weights: dict[str, np.ndarray]
    sizes: dict[str, int]
    folder: Path | None = None
    step: int | None = None
    plugins: dict[str, str] = field(default_factory=dict)
    dataset: dict[str, Any] = field(default_factory=dict)
    start: int | None = None


def from_checkpoint(checkpoint: Checkpoint, folder: Path | None) -> SavedRun:
    """What a checkpoint of the run in `folder` holds."""
    state = checkpoint.state
    # What an objective has of its own is for training.
    weights = {name: array for name, array in checkpoint.weights.items() if not of_objective(name)}
    return SavedRun(
        name=str(checkpoint.folder),
        config=state["config"],
        tokenizer=state["tokenizer"],
        weights=weights,
        sizes=sizes_of(state["config"], weights, str(checkpoint.folder)),
        folder=folder,
        step=checkpoint.step,
        plugins=state["plugins"],
        dataset=state.get("dataset", {}),
        start=state.get("start"),
    )


def import_weights(saved: SavedRun, config: Settings, runs: Path) -> Path:
    """A run's folder below `runs` with one checkpoint; config: resolved, the one of a run of such a model.

    Raises UserError if it cannot be written: nothing is left of it then.
    """
    folder = runs / datetime.now().strftime("%Y-%m-%d/%H-%M-%S-%f")
    file = Path(saved.name).name
    run = {"id": "", "name": f"imported {file}"}
    state = {
        "step": saved.step or 0,
        "position": 0,
        "random": {"seed": config["seed"]},
        "valLoss": None,
        "run": run,
        "config": config,
        "tokenizer": saved.tokenizer,
        "plugins": saved.plugins,
        "files": {},
        "dataset": saved.dataset,
        "start": saved.start,
        IMPORTED: file,
    }
    try:
        folder.mkdir(parents=True)
        RunFolder(folder).describe(config, saved.tokenizer, saved.plugins)
        RunFolder(folder).update(**run, status=FINISHED)
        write_checkpoint(folder, state, saved.weights, {})
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        remove_empty([folder.parent, folder.parent.parent])
        if isinstance(error, OSError):
            raise UserError(
                f"the run's folder must be writable: {folder}: {error.strerror or error}."
            ) from None
        raise
    return folder


def with_vocabulary(saved: SavedRun, name: str, tokenizer: Tokenizer) -> SavedRun:
    """The run with the vocabulary that the tokenizer component `name` has built of tokenizer.path.

    Raises UserError if it has not as many ids as the weights have.
    """
    wanted = saved.sizes["vocabSize"]
    if tokenizer.vocabSize != wanted:
        raise UserError(
            f"the vocabulary must match the weights: {saved.name} has vocabSize={wanted}, and the corpus of "
            f"tokenizer.path gives {tokenizer.vocabSize} (tokenizer={name}; the document mark counts). Give the "
            "text that it was trained on, with tokenizer=word or tokenizer=char."
        )
    return replace(saved, tokenizer={"name": name, **tokenizer.state()})


def sizes_of(config: Settings, weights: Mapping[str, np.ndarray], place: str) -> dict[str, int]:
    """The sizes of a run's config; vocabSize by the embedding. Raises UserError if they are not all there."""
    try:
        model = config["model"]
        sizes = {key: model[key] for key in SIZES if key != "vocabSize"}
        if sizes["headDim"] is None:
            sizes["headDim"] = sizes["nEmbd"] // sizes["nHead"]
        sizes["vocabSize"] = int(weights["tokenEmbedding"].shape[0])
    except (LookupError, TypeError, ZeroDivisionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{place} does not hold a run's config and weights: {reason}.") from None
    if is_size(sizes["nLayer"]) and sizes["nLayer"] > max(len(weights), FEW_LAYERS):
        raise UserError(
            f"{place} must have weights for nLayer={sizes['nLayer']}: it has {len(weights)} matrices."
        )
    return checked_sizes(sizes, place)


def checked_sizes(sizes: Mapping[str, Any], place: str) -> dict[str, int]:
    """The six sizes. Raises UserError for one that is missing or no positive whole number."""
    for key in SIZES:
        if key not in sizes:
            raise UserError(
                f"the config of {place} must have {', '.join(SIZES)}: {key} is missing. Add it to the file."
            )
        if not is_size(sizes[key]):
            raise UserError(
                f"{key} in the config of {place} must be a positive whole number below 2^31: "
                f"got {shown(sizes[key])}."
            )
    return {key: sizes[key] for key in SIZES}


def is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < LIMIT


def shown(value: Any, limit: int = 40) -> str:
    """A value from a file as an error shows it: never long."""
    try:
        text = repr(value) if isinstance(value, str) else str(value)
    except (ValueError, RecursionError):  # Python writes no whole number of more than 4,300 digits
        return f"a {type(value).__name__} too long to show"
    return text if len(text) <= limit else f"{text[:limit]}..."
