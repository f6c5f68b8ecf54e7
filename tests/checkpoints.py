"""Small checkpoints for tests."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gptlab.cli import main
from gptlab.runs.checkpoint.digests import SUMS, sums_of
from gptlab.runs.checkpoint.folder import write_checkpoint
from tests.models import make_gpt

SHAPES = {name: weight.shape for name, weight in make_gpt().declared_weights().items()}
STATE: dict[str, Any] = {
    "position": 0,
    "random": {"seed": 0},
    "valLoss": None,
    "run": {"id": "", "name": "run"},
    "config": {"model": {"nLayer": 2}, "tokenizer": {"name": "word"}},
    "tokenizer": {"name": "word", "pieces": ["a", "é 😀"]},
    "plugins": {},
    "files": {"metrics.jsonl": 120},
    "dataset": {"digest": "0123456789abcdef", "documents": 3},
}


def random_weights(dtype: Any = np.float64, seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {name: generator.normal(size=shape).astype(dtype) for name, shape in SHAPES.items()}


def save(folder: Path, step: int = 500, weights: Any = None, training: Any = None, **state: Any) -> Path:
    """A checkpoint in the run's folder, with Adam's state."""
    weights = random_weights() if weights is None else weights
    optimizer = {"mean": weights, "square": weights, "total": {"weight": np.array(0.5)}}
    return write_checkpoint(folder, {"step": step, **STATE, **state}, weights, optimizer, training)


def sign(folder: Path) -> None:
    """Digests that fit what is there: whoever changes a file may write these, too."""
    (folder / SUMS).unlink(missing_ok=True)
    (folder / SUMS).write_bytes(sums_of({path.name: path.read_bytes() for path in folder.iterdir()}))


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def rewritten(folder: Path, **changes: Any) -> None:
    """Its state with these changes, dicts merged; None takes a key away, as an older gptlab did not write it."""

    def merged(state: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
        new = {
            key: merged(state[key], value) if isinstance(value, dict) else value
            for key, value in changes.items()
        }
        return {key: value for key, value in {**state, **new}.items() if key not in new or value is not None}

    path = folder / "state.json"
    path.write_text(json.dumps(merged(json.loads(path.read_text()), changes)))
    sign(folder)


def refused(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command says on its one line, having touched nothing."""
    capfd.readouterr()
    before, places = contents(Path()), sorted(Path().rglob("*"))
    assert main(list(arguments)) == 2
    out, error = capfd.readouterr()
    assert (out, error.count("\n")) == ("", 1), error
    assert (contents(Path()), sorted(Path().rglob("*"))) == (before, places)
    return error
