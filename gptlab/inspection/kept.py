"""An Inspection as a file of arrays, on its way from the process that trains to the one that draws.

NumPy's npz, read without pickle; what is no array is JSON in an array of bytes.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np

from gptlab import strict_json
from gptlab.inspection.inspection import Inspection

INSPECTIONS = "inspect"  # the folder of a run, and of its artifacts, that they are in
WORDS = "words"  # the entry for all that is no array
WEIGHT = "weight:"  # in front of a weight's name


def keep(inspection: Inspection, path: Path) -> None:
    """Write the file, and its folder if there is none. Raises OSError."""
    values = {field.name: getattr(inspection, field.name) for field in fields(inspection)}
    weights = values.pop("weights")
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    words = {name: value for name, value in values.items() if name not in arrays}
    arrays |= {f"{WEIGHT}{name}": array for name, array in weights.items()}
    arrays[WORDS] = np.frombuffer(strict_json.dumps(words).encode("ascii"), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    part.replace(path)


def kept(path: Path) -> Inspection:
    """What `keep` wrote. Raises OSError, ValueError or KeyError for what is no such file."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    words = strict_json.loads(arrays.pop(WORDS).tobytes())
    weights = {name.removeprefix(WEIGHT): a for name, a in arrays.items() if name.startswith(WEIGHT)}
    arrays = {name: array for name, array in arrays.items() if not name.startswith(WEIGHT)}
    return Inspection(**{**words, "notes": tuple(words["notes"])}, **arrays, weights=weights)
