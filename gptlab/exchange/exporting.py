"""Weights to a file that other programs read."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gptlab.errors import UserError
from gptlab.exchange.gguf_file import write_gguf
from gptlab.exchange.json_weights import write_json_weights
from gptlab.exchange.loading import check_vocabulary
from gptlab.exchange.standard import differences
from gptlab.exchange.tensors import read_safetensors, safetensors_bytes
from gptlab.files import write_atomic
from gptlab.plugins.registry import Registry
from gptlab.runs.saved_run import SavedRun

# Each with the file that is written unless another one is named. How a name ends tells the format.
FORMATS = {
    "json": "weights.json",
    "safetensors": "weights.safetensors",
    "gguf": "weights.gguf",
    "c": "model.c",
}
FOLDERS = ("huggingface", "transformerlens")  # formats that are a folder


def output_file(chosen: str | None, output: str | None) -> tuple[str, Path]:
    """The format and the file to write. Raises UserError if the two do not fit."""
    if chosen in FOLDERS:
        return chosen, Path(os.path.expanduser(chosen if output is None else output))
    if chosen is not None and chosen not in FORMATS:
        names = ", ".join((*FORMATS, *FOLDERS[:-1]))
        raise UserError(f"--format must be {names} or {FOLDERS[-1]}: got {chosen}. Try --format=json.")
    if output is None:
        return chosen or "json", Path(FORMATS[chosen or "json"])
    path = Path(os.path.expanduser(output))
    ending = path.suffix.lower().removeprefix(".")
    if ending not in FORMATS or chosen not in (None, ending):
        wanted = [chosen] if chosen else list(FORMATS)
        endings = " or ".join(f".{name}" for name in wanted)
        raise UserError(
            f"output must end in {endings}, which tells the format when it is read: got {output}. Try "
            f"output={path.with_suffix(f'.{wanted[0]}')}"
        )
    return ending, path


def check_free(path: Path, overwrite: bool) -> None:
    """Raises UserError for a file that is there already, and for a place where none can be."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise UserError(f"output must be a file: {path} is not one. Try output=weights.json.")
    if os.path.exists(path) and not overwrite:
        raise UserError(
            f"export does not overwrite unless asked: {path} already exists. Choose another with output=FILE, or "
            "add overwrite=true."
        )
    if not os.path.isdir(path.parent):
        raise UserError(f"output must lie in a folder that exists: there is no {path.parent}. Make it first.")


def export_weights(
    saved: SavedRun, registry: Registry, chosen: str, path: Path, program: Callable[[], str] = str
) -> None:
    """Write the weights of a saved run, which are in the order of `params`, in one step.

    program: makes the text of a C file.
    Raises UserError for a model that a JSON file cannot tell, and if the file cannot be written: what was
    there stays as it was.
    """
    if chosen == "json" and saved.config is not None:
        found = differences(saved.config, saved.sizes, registry)
        if found:
            raise UserError(
                f"a JSON file of weights can hold only the standard model: {saved.name} has {', '.join(found)}. "
                "Type --format=safetensors, which keeps the config."
            )

    def read_back(beside: Path) -> None:
        """No file is left that its own reader refuses."""
        again = replace(read_safetensors(beside), name=saved.name)
        if again.tokenizer is not None:
            check_vocabulary(again, registry)

    text = program() if chosen == "c" else ""

    def write(beside: Path) -> None:
        if chosen == "c":
            beside.write_text(text, encoding="utf-8")
        elif chosen == "json":
            write_json_weights(beside, saved.sizes, saved.weights)
        elif chosen == "gguf":
            write_gguf(beside, saved, registry)
        else:
            beside.write_bytes(safetensors_bytes(saved))
            read_back(beside)

    try:
        write_atomic(path, write)
    except OSError as error:
        raise UserError(f"output must be writable: {path}: {error.strerror or error}.") from None
