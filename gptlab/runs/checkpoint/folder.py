"""One checkpoint: RUN/checkpoints/step-000500/, written as a whole and read only if it is whole.

weights.safetensors     what to use: the evaluation weights, under the names of the model
training.safetensors    the weights to train on, only where an optimizer tells the two apart
optimizer.safetensors   the optimizer's state, "mean/tokenEmbedding"
state.json              step, data position, randomness, validation loss, run, config, tokenizer, plugins
SHA256SUMS              the digests of all the others
"""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gptlab import strict_json
from gptlab.errors import UserError
from gptlab.files import parsed, sync
from gptlab.runs.checkpoint.arrays import arrays_as_bytes, arrays_from_bytes, check_finite, flattened, nested
from gptlab.runs.checkpoint.digests import SUMS, read_verified, sums_of

if TYPE_CHECKING:
    from gptlab.engines.engine import NamedArrays, OptState

CHECKPOINTS = "checkpoints"
WEIGHTS = "weights.safetensors"
TRAINING = "training.safetensors"
OPTIMIZER = "optimizer.safetensors"
STATE = "state.json"
FILES = (WEIGHTS, TRAINING, OPTIMIZER, STATE, SUMS)
FORMAT = 1  # of the checkpoint's folder; a reader refuses a higher one
NAME = re.compile(r"step-(\d{6,})")


@dataclass(frozen=True)
class Damaged:
    """A checkpoint that cannot be used, and why."""

    folder: Path
    reason: str


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds, verified.

    weights: what to use. training: what to train on, the same arrays unless the optimizer tells them
    apart. optimizer: `{"mean": {weight name: array}}`. state: what state.json says. damaged: the newer
    ones that were passed over on the way to this one.
    """

    step: int
    weights: NamedArrays
    training: NamedArrays
    optimizer: OptState
    state: dict[str, Any]
    folder: Path
    damaged: tuple[Damaged, ...] = ()

    @property
    def run_folder(self) -> Path:
        """That of the run, which it lies in."""
        return self.folder.parent.parent


def step_folder(run_folder: Path, step: int) -> Path:
    return run_folder / CHECKPOINTS / f"step-{step:06d}"


def step_of(folder: Path) -> int | None:
    """The step in a checkpoint folder's name; None for another folder."""
    match = NAME.fullmatch(folder.name)
    return int(match[1]) if match else None


def checkpoint_folders(run_folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first, whole or not."""
    found = [(step_of(f), f) for f in (run_folder / CHECKPOINTS).glob("step-*") if f.is_dir()]
    return [folder for step, folder in sorted((s, f) for s, f in found if s is not None)]


def write_checkpoint(
    run_folder: Path,
    state: Mapping[str, Any],
    weights: Mapping[str, np.ndarray],
    optimizer: Mapping[str, Mapping[str, np.ndarray]],
    training: Mapping[str, np.ndarray] | None = None,
) -> Path:
    """Write a checkpoint at `state["step"]`; returns its folder. state: what state.json holds, less the format.

    Until all of it is on disk it has a hidden name. Raises OSError, e.g. for a full disk: nothing is left
    of it then, and earlier checkpoints are as they were.
    """
    step = state["step"]
    metadata = {"step": str(step)}
    files = {
        WEIGHTS: arrays_as_bytes(weights, metadata),
        OPTIMIZER: arrays_as_bytes(flattened(optimizer), metadata),
        STATE: state_as_bytes({"format": FORMAT, **state}),
    }
    if training is not None:
        files[TRAINING] = arrays_as_bytes(training, metadata)
    files[SUMS] = sums_of(files)

    folder = step_folder(run_folder, step)
    beside = folder.with_name(f".{folder.name}.part")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(beside, ignore_errors=True)  # what a killed process left
        beside.mkdir()
        for name, content in files.items():
            write_synced(beside / name, content)
        sync(beside)
        put_in_place(beside, folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return folder


def write_synced(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    sync(path)


def put_in_place(beside: Path, folder: Path) -> None:
    """Rename, in place of what has that name: a damaged checkpoint, or one of the same step of the same run."""
    old = folder.with_name(f".{folder.name}.old.part")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.rename(folder, old)
    os.rename(beside, folder)
    sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def read_checkpoint(folder: Path) -> Checkpoint:
    """The checkpoint in `folder`, of which every byte is as it was written.

    Raises UserError that names the file: one is changed, missing or too many; the format is a newer one;
    an array is not float32 or float64, or a weight is not finite. Nothing that is read is ever executed.
    """
    files = read_verified(folder)
    for name in (STATE, WEIGHTS, OPTIMIZER):
        if name not in files:
            raise UserError(f"a checkpoint must have its {name}: there is no {folder / name}.")
    state = check_state(parsed(files[STATE], folder / STATE), folder / STATE)
    if step_of(folder) not in (None, state["step"]):
        raise UserError(
            f"a checkpoint's folder must be named for its step: {folder} is of step {state['step']}. "
            f"Rename it to step-{state['step']:06d}."
        )
    weights = arrays_from_bytes(files[WEIGHTS], folder / WEIGHTS)
    check_finite(weights, folder / WEIGHTS)
    training = weights
    if TRAINING in files:
        training = arrays_from_bytes(files[TRAINING], folder / TRAINING)
        check_finite(training, folder / TRAINING)
    optimizer = nested(arrays_from_bytes(files[OPTIMIZER], folder / OPTIMIZER))
    return Checkpoint(state["step"], weights, training, optimizer, state, folder)


def state_as_bytes(state: Mapping[str, Any]) -> bytes:
    return (strict_json.dumps(state, ensure_ascii=False, indent=1) + "\n").encode("utf-8")


def check_state(state: Any, path: Path) -> dict[str, Any]:
    """What state.json holds, as it must be. Raises UserError that says what is not."""
    if not isinstance(state, dict) or not is_count(state.get("format")):
        raise UserError(f"{path} must be a checkpoint's state: it has no format.")
    if state["format"] > FORMAT:
        raise UserError(
            f"the checkpoint must be of format {FORMAT} or older: {path} has format {state['format']}. "
            "A newer gptlab wrote it: update this one."
        )
    loss = state.get("valLoss")
    holds = {
        "step": is_count(state.get("step")),
        "position": is_count(state.get("position")),
        "random": is_dict(state, "random") and is_count(state["random"].get("seed")),
        "valLoss": loss is None or is_finite(loss),
        # An earlier gptlab saved none.
        "smoothedLoss": "smoothedLoss" not in state or is_smoothed(state["smoothedLoss"]),
        "run": is_dict(state, "run")
        and all(isinstance(state["run"].get(key), str) for key in ("id", "name")),
        "config": is_dict(state, "config")
        and is_dict(state["config"], "model")
        and is_origin(state["config"].get("original")),
        "tokenizer": is_dict(state, "tokenizer") and isinstance(state["tokenizer"].get("name"), str),
        "plugins": is_dict(state, "plugins"),
        "dataset": "dataset" not in state or is_dict(state, "dataset"),
        "start": state.get("start") is None or is_count(state["start"]),
        "files": is_dict(state, "files") and all(is_count(size) for size in state["files"].values()),
    }
    wrong = [key for key, good in holds.items() if not good]
    if wrong:
        raise UserError(f"{path} is not as gptlab wrote it, in {', '.join(wrong)}.")
    return state


def is_origin(saved: Any) -> bool:
    """Whether it can be what config.original says of the run that weights come from: that, or nothing."""
    if not isinstance(saved, dict):
        return saved is None
    data = saved.get("data")
    return (
        isinstance(saved.get("run"), str)
        and all(saved.get(key) is None or is_count(saved[key]) for key in ("step", "seed"))
        and all(saved.get(key) is None or isinstance(saved[key], str) for key in ("digest", "split"))
        and (data is None or (isinstance(data, dict) and isinstance(data.get("name"), str)))
        and is_origin(saved.get("original"))
    )


def is_smoothed(saved: Any) -> bool:
    return isinstance(saved, dict) and all(is_finite(saved.get(key)) for key in ("nats", "tokens"))


def is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_dict(state: Mapping[str, Any], key: str) -> bool:
    return isinstance(state.get(key), dict)
