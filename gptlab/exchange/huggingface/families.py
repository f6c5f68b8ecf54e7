"""The architectures of `transformers` that a model of gptlab's may be, and which one a folder is of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gptlab.errors import UserError
from gptlab.exchange.huggingface.family import Family
from gptlab.exchange.huggingface.gpt2 import GPT2
from gptlab.exchange.huggingface.llama import Llama
from gptlab.runs.saved_run import shown

FAMILIES: tuple[Family, ...] = (Llama(), GPT2())


def family_of(values: Mapping[str, Any], folder: Path) -> Family:
    """By what config.json says. Raises UserError for an architecture that gptlab has not, and for code of its own."""
    if values.get("auto_map"):
        raise UserError(f"{folder} asks for code of its own (auto_map in its config.json), which is not run.")
    known = " and ".join(family.architecture for family in FAMILIES)
    named = values.get("architectures")
    names = named if isinstance(named, list) else []
    for family in FAMILIES:
        if family.architecture in names or (not names and values.get("model_type") == family.model_type):
            return family
    said = ", ".join(map(shown, names)) or f"model_type={shown(values.get('model_type'))}"
    raise UserError(f"gptlab reads the architectures {known} of transformers: {folder} has {said}.")
