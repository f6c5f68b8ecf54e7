"""A folder of `transformers`, read: its weights with the model and the vocabulary that they are of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gptlab.autograd.ops import BUILTIN_OPS
from gptlab.data.file_tokenizer import vocabulary_of
from gptlab.data.tokenizer_file import library_of, mark_of, read_tokenizer_file
from gptlab.errors import UserError
from gptlab.exchange.huggingface import ADDRESS, CONFIG, GENERATION, TOKENIZER
from gptlab.exchange.huggingface.families import family_of
from gptlab.exchange.huggingface.family import Config
from gptlab.exchange.huggingface.files import file_in, json_in
from gptlab.exchange.huggingface.tensors import files_of, read_weights
from gptlab.runs.saved_run import SavedRun, checked_sizes


def read_folder(reference: str, path: Path) -> SavedRun:
    """The weights in a folder, as float32 or float64, with a config of ours. reference: what a person calls it.

    Raises UserError for what is no such folder, an architecture that gptlab has not, code or pickles in place of
    weights, and for files that are damaged or lie elsewhere.
    """
    if not path.is_dir():
        raise UserError(
            f"{ADDRESS} must be followed by a folder on this disk, as save_pretrained of transformers writes it: there "
            f"is no {path}, and nothing is downloaded."
        )
    values = json_in(path, CONFIG)
    if values is None:
        raise UserError(f"a folder of transformers must hold {CONFIG}: {path} has none.")
    family = family_of(values, path)
    config = Config(values, str(path / CONFIG))
    model = family.read(config)
    vocabSize = config.whole("vocab_size", 50257 if family.model_type == "gpt2" else None)
    headDim = model["headDim"] or max(1, model["nEmbd"] // model["nHead"])
    sizes = checked_sizes({**model, "headDim": headDim, "vocabSize": vocabSize}, str(path))
    files = files_of(path)
    if sizes["nLayer"] > (count := sum(len(names) for _, names in files)):
        raise UserError(f"{path} must have weights for {sizes['nLayer']} layers: it has {count} tensors.")
    weights = read_weights(path, files, family, list(family.places(model, sizes)))
    tokenizer = tokenizer_of(path, values, vocabSize)
    ours = {
        "model": model,
        "ops": {slot: slot for slot in BUILTIN_OPS},
        "optimizer": {"name": "adam"},
        "engine": {"name": "xla"},
        "tokenizer": {"name": "file", "path": str(path.absolute() / TOKENIZER), "bos": None},
    }
    return SavedRun(reference, ours, tokenizer, weights, sizes)


def tokenizer_of(folder: Path, values: Mapping[str, Any], vocabSize: int) -> dict[str, Any] | None:
    """The state of its vocabulary, None if it has no tokenizer.json.

    The mark between documents is what the config says texts begin with, or what the file says itself; texts end with
    what the config says, too.
    """
    path = file_in(folder, TOKENIZER)
    if path is None:
        return None
    content = read_tokenizer_file(path)
    said = {**values, **(json_in(folder, GENERATION) or {})}
    begins, ends = ids(said.get("bos_token_id"), vocabSize), ids(said.get("eos_token_id"), vocabSize)
    try:
        bos = begins[0] if begins else mark_of(content, library_of(content), None, path)
        return {"name": "file", **vocabulary_of(content, bos, ends, vocabSize).state()}
    except ValueError as error:
        raise UserError(f"the tokenizer of {folder} must match its weights: {error}.") from None


def ids(said: Any, vocabSize: int) -> list[int]:
    """Of one id, a list of them or none, those that there are: older configs name ids beyond the vocabulary."""
    some = said if isinstance(said, list) else [said]
    return [i for i in some if isinstance(i, int) and not isinstance(i, bool) and 0 <= i < vocabSize]
