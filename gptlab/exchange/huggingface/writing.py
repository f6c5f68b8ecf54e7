"""A run's weights as a folder that `transformers` opens: what the model must be for that, and what is written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gptlab import strict_json
from gptlab.data.tokenizers import Tokenizer, ends_of
from gptlab.errors import UserError
from gptlab.exchange.huggingface import CONFIG, GENERATION, TOKENIZER, TOKENIZER_CONFIG, WEIGHTS
from gptlab.exchange.huggingface.families import FAMILIES
from gptlab.exchange.huggingface.family import Family, obstacles
from gptlab.exchange.huggingface.reading import read_folder
from gptlab.exchange.huggingface.vocabulary import mark_in, tokenizer_content
from gptlab.exchange.loading import check_vocabulary
from gptlab.exchange.standard import standard_config
from gptlab.files import sync
from gptlab.plugins.registry import Registry
from gptlab.runs.checkpoint.arrays import arrays_as_bytes
from gptlab.runs.saved_run import SavedRun

DTYPES = {np.dtype("float32"): "float32", np.dtype("float64"): "float64"}
WRITTEN = (CONFIG, GENERATION, WEIGHTS, TOKENIZER, TOKENIZER_CONFIG)


def family_for(saved: SavedRun, registry: Registry) -> Family:
    """The architecture that the model is. Raises UserError with what stands in its way to the one that is nearest."""
    config = saved.config or standard_config(saved.sizes)
    found = [(obstacles(family, config, saved.sizes, registry), family) for family in FAMILIES]
    (fewest, nearest) = min(found, key=lambda each: len(each[0]))
    if not fewest:
        return nearest
    others = " or ".join(family.architecture for _, family in found)
    raise UserError(
        f"transformers can hold a model like {saved.name} only as {others}. The nearest is {nearest.architecture}, "
        f"but {', '.join(fewest)} {'stands' if len(fewest) == 1 else 'stand'} in the way. --format=safetensors "
        "takes any model."
    )


def check_place(path: Path, overwrite: bool) -> None:
    """Raises UserError for a place where no such folder can be, or where one is already."""
    if os.path.lexists(path) and (path.is_symlink() or not path.is_dir()):
        raise UserError(f"output must be a folder: {path} is not one. Try output=FOLDER.")
    if path.is_dir():
        others = sorted(set(os.listdir(path)) - set(WRITTEN))
        if others:
            raise UserError(
                f"output must be a folder of its own: {path} has {', '.join(others[:3])}. Choose another: output=FOLDER"
            )
        if not overwrite and os.listdir(path):
            raise UserError(
                f"export does not overwrite unless asked: {path} already exists. Choose another with "
                "output=FOLDER, or add overwrite=true."
            )
    if not path.absolute().parent.is_dir():
        raise UserError(f"output must lie in a folder that exists: there is no {path.parent}. Make it first.")


def export_folder(saved: SavedRun, registry: Registry, path: Path) -> str:
    """Write the folder in one step, and read it back; weights: in the order of `params`.

    Returns a note for a person, "" for none. Raises UserError for a model that transformers has not, and if it cannot
    be written: what was there stays as it was.
    """
    family = family_for(saved, registry)
    tokenizer = None if saved.tokenizer is None else check_vocabulary(saved, registry)
    content = None if tokenizer is None else tokenizer_content(tokenizer, saved.start)
    beside = path.absolute().with_name(f".{path.absolute().name}.{os.getpid()}.part")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir()
        for name, part in files_for(saved, family, tokenizer, content).items():
            (beside / name).write_bytes(part)
            sync(beside / name)
        check_read_back(saved, family, beside)
        put_in_place(beside, path)
    except OSError as error:
        raise UserError(f"output must be writable: {path}: {error.strerror or error}.") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    if content is not None:
        return ""
    kind = (saved.tokenizer or {}).get("name")
    why = "it carries no vocabulary" if tokenizer is None else f"tokenizer={kind} has no such form"
    return f"no {TOKENIZER}: {why}"


def files_for(
    saved: SavedRun, family: Family, tokenizer: Tokenizer | None, content: Mapping[str, Any] | None
) -> dict[str, bytes]:
    """By their names."""
    config = saved.config or standard_config(saved.sizes)
    ends = [] if tokenizer is None else list(ends_of(tokenizer))
    marks = {
        "bos_token_id": ends[0] if ends else None,
        "eos_token_id": ends[0] if len(ends) == 1 else ends or None,
    }
    dtype = DTYPES[next(iter(saved.weights.values())).dtype]
    told = {
        "architectures": [family.architecture],
        "model_type": family.model_type,
        **family.written(config["model"], saved.sizes),
        **marks,
        "dtype": dtype,
        "torch_dtype": dtype,
        "use_cache": True,
    }
    tensors = {place.name: place.out(saved.weights) for place in family.places(config["model"], saved.sizes)}
    files = {CONFIG: as_json(told), WEIGHTS: arrays_as_bytes(tensors, {"format": "pt"})}
    files[GENERATION] = as_json(marks)
    if content is not None and tokenizer is not None:
        bos, eos = (mark_in(content, tokenizer, i) for i in (ends[0], ends[-1]))
        files[TOKENIZER] = as_json(content)
        files[TOKENIZER_CONFIG] = as_json(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "bos_token": bos,
                "eos_token": eos,
                "model_max_length": saved.sizes["blockSize"],
                "clean_up_tokenization_spaces": False,
            }
        )
    return files


def as_json(content: Any) -> bytes:
    return strict_json.dumps(content, ensure_ascii=False, indent=2).encode("utf-8", "surrogatepass") + b"\n"


def check_read_back(saved: SavedRun, family: Family, folder: Path) -> None:
    """No folder is left whose weights are others than the run's, to the bit."""
    again = read_folder(str(folder), folder).weights
    differing = [
        name
        for name, array in saved.weights.items()
        if name not in again or not np.array_equal(again[name], array)
    ]
    if differing or len(again) != len(saved.weights):
        raise RuntimeError(f"{family.architecture} reads back differently: {differing or sorted(again)}")


def put_in_place(beside: Path, path: Path) -> None:
    """Rename; a folder that is there goes when the new one is in its place."""
    old = beside.with_suffix(".old")
    if path.is_dir():
        os.replace(path, old)
    try:
        os.replace(beside, path)
    except OSError:
        if old.is_dir():
            os.replace(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)
