"""Weights in one safetensors file, which says what they are: config, tokenizer and sizes are in its metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gptlab import strict_json
from gptlab.errors import UserError
from gptlab.exchange.standard import check_heads, shapes_of
from gptlab.runs.checkpoint.arrays import arrays_as_bytes, arrays_from_bytes, check_finite, check_shapes
from gptlab.runs.checkpoint.folder import STATE
from gptlab.runs.saved_run import SavedRun, checked_sizes, sizes_of

FORMAT = 1
OURS = "gptlab"  # the key of the metadata that holds the format's number
# Of a SavedRun, what the metadata tell, and of which types it may be.
KINDS = {
    "config": (dict, type(None)),
    "tokenizer": (dict, type(None)),
    "sizes": (dict,),
    "step": (int, type(None)),
    "plugins": (dict,),
    "dataset": (dict,),
    "start": (int, type(None)),
}
LATER = {"dataset": "{}", "start": "null"}  # what files of an older gptlab do not say


def safetensors_bytes(saved: SavedRun) -> bytes:
    """The content of a file; the metadata are JSON texts."""
    metadata = {key: strict_json.dumps(getattr(saved, key), ensure_ascii=False) for key in KINDS}
    return arrays_as_bytes(saved.weights, {OURS: str(FORMAT), **metadata})


def read_safetensors(path: Path) -> SavedRun:
    """The weights of a file that `export --format=safetensors` made.

    Raises UserError for a file that is damaged or says nothing of its model, arrays that are not float32 or
    float64, not finite, or not those of the sizes. Raises OSError if the file cannot be read.
    """
    content = path.read_bytes()
    weights = arrays_from_bytes(content, path)  # first: it finds what is not whole
    check_finite(weights, path)
    known = metadata_of(content, path)
    sizes = known["sizes"] = checked_sizes(known["sizes"], str(path))
    if known["config"] is None:
        check_heads(sizes, str(path))
        if sizes["nLayer"] > len(weights):
            raise UserError(
                f"{path} must have weights for nLayer={sizes['nLayer']}: it has {len(weights)} matrices."
            )
        check_shapes(weights, shapes_of(sizes), path)
    elif sizes != sizes_of(known["config"], weights, str(path)):
        raise UserError(f"the sizes that {path} states must match its config: they do not.")
    return SavedRun(str(path), weights=weights, **known)


def metadata_of(content: bytes, path: Path) -> dict[str, Any]:
    """What the file says of itself. Raises UserError if it says nothing, or in a newer format."""
    length = int.from_bytes(content[:8], "little")
    header = strict_json.loads(content[8 : 8 + length])
    texts = header.get("__metadata__", {})
    if OURS not in texts:
        folder = path.absolute().parent
        there = f" Give its folder: {folder}" if (folder / STATE).is_file() else ""
        raise UserError(
            f"a safetensors file must say which model it holds, as python -m gptlab export writes it: {path} has "
            f"no '{OURS}' in its metadata.{there}"
        )
    try:
        if int(texts[OURS]) > FORMAT:
            raise UserError(
                f"{path} must be of format {FORMAT} or older: it has format {texts[OURS]}. "
                "A newer gptlab wrote it: update this one."
            )
        known = {key: strict_json.loads(texts[key] if key in texts else LATER[key]) for key in KINDS}
    except (LookupError, ValueError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"the metadata of {path} is not as gptlab wrote it: {reason}.") from None
    for key, kinds in KINDS.items():
        if not isinstance(known[key], kinds):
            raise UserError(f"the metadata of {path} must be as gptlab wrote it: {key} is not.")
    return known
