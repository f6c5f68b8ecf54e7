"""What a run leaves on disk: written beside, synced, renamed, so that it is whole or not there at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gptlab.errors import UserError

WEIGHTS = "weights.safetensors"
TOKENIZER = "tokenizer.json"
CONFIG = "config.yaml"
RUN = "run.json"  # its name and MLflow id; written when a run that reached step 1 has ended
PLUGINS = "plugins.json"  # which of the config's names came from which plugin


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make a file beside `path`, then put it in its place in one step."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(beside)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    def write(beside: Path) -> None:
        beside.write_text(text, encoding="utf-8")

    write_atomic(path, write)


def write_json(path: Path, content: Any) -> None:
    write_text(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def save_weights(folder: Path, step: int, weights: Mapping[str, np.ndarray]) -> Path:
    """`checkpoints/step-000500/weights.safetensors` in the run's folder, under the names of the model."""
    from safetensors.numpy import save_file

    path = folder / "checkpoints" / f"step-{step:06d}" / WEIGHTS
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.ascontiguousarray(array) for name, array in weights.items()}
    write_atomic(path, lambda beside: save_file(arrays, beside, metadata={"step": str(step)}))
    return path


def load_weights(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The weights of the newest step in a run's folder.

    Raises UserError if there are none, the file is not whole, or it is not of a model with these shapes.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    # By length first: after step-999999 the numbers have more digits.
    files = sorted(
        folder.glob(f"checkpoints/step-*/{WEIGHTS}"), key=lambda file: (len(file.parent.name), file)
    )
    if not files:
        raise UserError(
            f"the run must have weights: there are none below {folder}. It ended before it saved any."
        )
    path = files[-1]
    try:
        found = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"the weights must be a whole safetensors file: {path} is not ({error}).") from None
    differences = [
        f"{name}: the file has {found[name].shape if name in found else 'none'}, the model {shapes.get(name, 'none')}"
        for name in {**shapes, **found}
        if name not in found or found[name].shape != tuple(shapes.get(name, ()))
    ]
    if differences:
        raise UserError(f"the weights must fit the model: {path} does not. " + "; ".join(differences))
    return {name: found[name] for name in shapes}


def read_json(path: Path) -> Any:
    """A JSON file. Raises UserError if it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"a run's folder must hold {path.name}: there is no {path}.") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path} must be JSON: {error}.") from None
