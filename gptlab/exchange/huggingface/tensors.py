"""The weights of a folder of `transformers`: one safetensors file, or shards that an index tells."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gptlab.errors import UserError
from gptlab.exchange.huggingface import CONFIG, INDEX, WEIGHTS
from gptlab.exchange.huggingface.family import Family, Place
from gptlab.exchange.huggingface.files import file_in, json_in
from gptlab.runs.checkpoint.arrays import shortened
from gptlab.runs.saved_run import shown

# bfloat16 is the first half of a float32.
DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
}
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")


class Tensors:
    """A safetensors file whose tensors are read one by one; float16 and bfloat16 come as float32.

    Raises UserError for a file that is not whole.
    """

    def __init__(self, path: Path):
        from safetensors import SafetensorError, safe_open

        self.path = path
        try:
            with safe_open(path, framework="numpy"):
                pass  # it has looked at the header, and whether all is there
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(length))
        except (SafetensorError, ValueError, OverflowError) as error:
            raise UserError(
                f"the weights must be a whole safetensors file: {path} is not ({error})."
            ) from None
        except OSError as error:
            raise UserError(f"the weights must be readable: {path}: {error.strerror or error}.") from None
        header.pop("__metadata__", None)
        self.entries: dict[str, Any] = header
        self.begin = 8 + length

    def read(self, name: str) -> np.ndarray:
        entry = self.entries[name]
        if entry["dtype"] not in DTYPES:
            raise UserError(
                f"weights must be {', '.join(DTYPES)}: {self.path} has {entry['dtype']} at {name}."
            )
        dtype, (first, last) = DTYPES[entry["dtype"]], entry["data_offsets"]
        count = (last - first) // dtype.itemsize
        with self.path.open("rb") as file:
            numbers = np.fromfile(file, dtype, count, offset=self.begin + first).reshape(entry["shape"])
        if entry["dtype"] == "BF16":
            return (numbers.astype("<u4") << np.uint32(16)).view("<f4")
        return numbers.astype("<f4") if entry["dtype"] == "F16" else numbers


def read_weights(
    folder: Path, files: list[tuple[Tensors, list[str]]], family: Family, places: list[Place]
) -> dict[str, np.ndarray]:
    """The weights by our names, of the files that `files_of` found.

    Raises UserError for weights that are not those of the config, and such that are not finite.
    """
    wanted = {place.name: place for place in places}
    held = {
        name if name in wanted else family.base + name: (file, name)
        for file, names in files
        for name in names
    }
    unknown = [name for name in held if name not in wanted and not is_spare(name, family, wanted)]
    differences = [
        f"{name}: the file has {shape_of(held.get(name))}, the config {place.shape}"
        for name, place in wanted.items()
        if shape_of(held.get(name)) != place.shape
    ] + [f"{name}: the file has it, the config does not" for name in unknown]
    if differences:
        raise UserError(f"the weights of {folder} must match its {CONFIG}: " + shortened(differences))
    weights: dict[str, np.ndarray] = {}
    for name, place in wanted.items():
        file, own = held[name]
        tensor = file.read(own)
        if not np.isfinite(tensor).all():
            raise UserError(f"weights must be finite: {file.path} has some that are not, at {own}.")
        weights |= place.back(tensor)
    return weights


def is_spare(name: str, family: Family, wanted: Mapping[str, Place]) -> bool:
    """What files hold besides: what is computed anyway, and an output matrix that is the embedding once more."""
    copied = name.endswith("lm_head.weight") and "lm_head.weight" not in wanted
    return copied or name.endswith(family.ignored)


def shape_of(held: tuple[Tensors, str] | None) -> tuple[int, ...] | str:
    return "missing" if held is None else tuple(held[0].entries[held[1]]["shape"])


def files_of(folder: Path) -> list[tuple[Tensors, list[str]]]:
    """Each file with the names of the tensors to take from it. Raises UserError as `read_weights`."""
    if (path := file_in(folder, WEIGHTS)) is not None:
        whole = Tensors(path)
        return [(whole, list(whole.entries))]
    index = json_in(folder, INDEX)
    if index is None:
        pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
        if pickles:
            raise UserError(
                f"{folder} has its weights only in {', '.join(pickles)}, which gptlab does not read: a pickle runs "
                "code. Save them as safetensors, with model.save_pretrained(FOLDER) of transformers."
            )
        raise UserError(
            f"a folder of transformers must hold {WEIGHTS}, or {INDEX} with its shards: {folder} has neither."
        )
    names = index.get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(file, str) for file in names.values()) or not names:
        raise UserError(f'{folder / INDEX} must have a "weight_map" from tensor names to file names.')
    found: list[tuple[Tensors, list[str]]] = []
    for shard in sorted(set(names.values())):
        of_shard = [name for name, file in names.items() if file == shard]
        path = file_in(folder, shard)
        if path is None:
            raise UserError(f"{folder} must hold all shards of its weights: there is no {shown(shard)}.")
        tensors = Tensors(path)
        if missing := [name for name in of_shard if name not in tensors.entries]:
            raise UserError(f"{path} must hold what {INDEX} says: it has no {', '.join(missing[:3])}.")
        found.append((tensors, of_shard))
    return found
