"""Files of weights that other programs read and write: one JSON object, or safetensors."""

from __future__ import annotations

from pathlib import Path

from gptlab.errors import UserError
from gptlab.exchange.json_weights import read_json_weights
from gptlab.exchange.tensors import read_safetensors
from gptlab.runs.saved_run import SavedRun

FILES = {".json": read_json_weights, ".safetensors": read_safetensors}


def read_file(path: Path) -> SavedRun:
    """The weights in a file, told by how its name ends.

    Raises UserError for a file that is not there, cannot be read or is not whole, and for weights that are
    not those of its config.
    """
    try:
        if not path.exists():
            raise UserError(f"the file of weights must exist: there is no {path}.")
        if not path.is_file():
            raise UserError(f"the weights must be in a file: {path} is not one.")
        if path.suffix.lower() not in FILES:
            raise UserError(f"a file of weights must end in {' or '.join(FILES)}: got {path}.")
        return FILES[path.suffix.lower()](path)
    except OSError as error:
        raise UserError(f"the file of weights must be readable: {path}: {error.strerror or error}.") from None
