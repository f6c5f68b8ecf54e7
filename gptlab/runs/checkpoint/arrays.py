"""Named arrays as safetensors, and what has to hold of arrays that came from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import numpy as np

from gptlab.errors import UserError

if TYPE_CHECKING:
    from gptlab.engines.engine import NamedArrays, OptState

DTYPES: dict[str, Any] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
Shapes = Mapping[str, tuple[int, ...]]


def arrays_as_bytes(arrays: Mapping[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    from safetensors.numpy import save

    # Not ascontiguousarray, which makes a row of a single number.
    content: bytes = save({n: np.asarray(a, order="C") for n, a in arrays.items()}, metadata=metadata)
    return content


def arrays_from_bytes(content: bytes, path: Path) -> NamedArrays:
    """The arrays of the safetensors file `path`, which holds `content`.

    Raises UserError if it is not whole, or holds anything but float32 and float64.
    """
    from safetensors import SafetensorError, deserialize

    try:
        entries = deserialize(content)
    except (SafetensorError, ValueError, OverflowError) as error:
        raise UserError(f"the weights must be a whole safetensors file: {path} is not ({error}).") from None
    wrong = [f"{name}: {entry['dtype']}" for name, entry in sorted(entries) if entry["dtype"] not in DTYPES]
    if wrong:
        raise UserError(f"arrays must be float32 (F32) or float64 (F64): {path} has {shortened(wrong)}")
    return {
        name: np.frombuffer(entry["data"], DTYPES[entry["dtype"]]).reshape(entry["shape"]).copy()
        for name, entry in entries
    }


def check_finite(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Raises UserError for a NaN or an infinity, saying where it stands."""
    for name, array in arrays.items():
        if not (finite := np.isfinite(array)).all():
            place = np.unravel_index(int(np.argmin(finite)), array.shape)
            at = ", ".join(str(int(i)) for i in place)
            raise UserError(f"weights must be finite: {path} has {array[place]} at {name}[{at}].")


def check_shapes(arrays: Mapping[str, np.ndarray], shapes: Shapes, path: Path, what: str = "model") -> None:
    """Raises UserError where arrays are not those of the model, with both shapes, matrix by matrix."""
    differences = [
        f"{name}: the file has {arrays[name].shape if name in arrays else 'none'}, "
        f"the {what} {shapes.get(name, 'none')}"
        for name in {**shapes, **arrays}
        if name not in arrays or arrays[name].shape != tuple(shapes.get(name, ("none",)))
    ]
    if differences:
        raise UserError(f"the weights must fit the {what}: {path} does not. " + "; ".join(differences))


def flattened(state: Mapping[str, Mapping[str, np.ndarray]]) -> NamedArrays:
    """An optimizer's state with keys such as "mean/tokenEmbedding"."""
    return {f"{quote(key, safe='')}/{name}": a for key, named in state.items() for name, a in named.items()}


def nested(arrays: Mapping[str, np.ndarray]) -> OptState:
    """The optimizer's state that `flattened` made flat."""
    state: OptState = {}
    for path, array in arrays.items():
        key, _, name = path.partition("/")
        state.setdefault(unquote(key), {})[name] = array
    return state


def shortened(rows: list[str], most: int = 8) -> str:
    return "; ".join(rows[:most]) + (f"; and {len(rows) - most} more." if len(rows) > most else ".")
