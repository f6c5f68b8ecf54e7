"""The standard model of a config's six sizes: the one that a file of plain numbers can tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gptlab.autograd.ops import BUILTIN_OPS
from gptlab.errors import UserError
from gptlab.model.gpt import STANDARD
from gptlab.plugins.registry import OWN, Registry, build

MODEL = {
    "initStd": 0.08,
    "bias": False,
    "embeddingNorm": True,
    "finalNorm": False,
    "tieEmbeddings": False,
    "adapter": {"name": "none"},
    "reparametrization": {"name": "none"},
    "init": {"name": "normal"},
}
Shape = tuple[int, int]


def standard_config(sizes: Mapping[str, int]) -> dict[str, Any]:
    """As much of a config as a model needs to be asked; fields of components are at their defaults."""
    parts = {kind: {"name": name} for kind, name in STANDARD.items()}
    own = {key: value for key, value in sizes.items() if key != "vocabSize"}
    return {
        "model": {**own, **MODEL, **parts},
        "ops": {slot: slot for slot in BUILTIN_OPS},
        "optimizer": {"name": "adam"},
        "engine": {"name": "xla"},
    }


def check_heads(sizes: Mapping[str, int], place: str) -> None:
    """Raises UserError if the heads do not make up nEmbd: the matrices of attention are square."""
    if sizes["nHead"] * sizes["headDim"] != sizes["nEmbd"]:
        raise UserError(
            f"nHead times headDim must be nEmbd: {place} has nHead={sizes['nHead']}, "
            f"headDim={sizes['headDim']}, nEmbd={sizes['nEmbd']}."
        )


def count_of(sizes: Mapping[str, int]) -> int:
    """How many numbers the standard model has."""
    tables = 2 * sizes["vocabSize"] + sizes["blockSize"]
    return sizes["nEmbd"] * (tables + 12 * sizes["nLayer"] * sizes["nEmbd"])


def shapes_of(sizes: Mapping[str, int]) -> dict[str, Shape]:
    """Each weight by name in the order of `params`, row by row: what DESIGN calls the vocabulary."""
    vocabSize, nEmbd = sizes["vocabSize"], sizes["nEmbd"]
    shapes = {
        "tokenEmbedding": (vocabSize, nEmbd),
        "positionEmbedding": (sizes["blockSize"], nEmbd),
        "output": (vocabSize, nEmbd),
    }
    for i in range(sizes["nLayer"]):
        shapes |= {f"layers.{i}.attention.{n}": (nEmbd, nEmbd) for n in ("query", "key", "value", "output")}
        shapes[f"layers.{i}.mlp.hidden"] = (4 * nEmbd, nEmbd)
        shapes[f"layers.{i}.mlp.output"] = (nEmbd, 4 * nEmbd)
    return shapes


def differences(config: dict[str, Any], sizes: Mapping[str, int], registry: Registry) -> list[str]:
    """In what a config's model is not the standard one, as it is typed: `model/norm=layernorm`."""
    model = config["model"]
    found = []
    for kind, name in STANDARD.items():
        chosen = model[kind]
        if chosen["name"] != name or registry.owner(kind, name) != OWN:
            found.append(f"model/{kind}={chosen['name']}")
            continue
        standard = registry.get(kind, name)()
        part = build(registry, kind, chosen)
        found += [
            f"model.{kind}.{field}={value}"
            for field, value in vars(part).items()
            if value != getattr(standard, field)
        ]
    found += [f"model.{key}={model[key]}" for key in ("finalNorm", "tieEmbeddings", "bias") if model.get(key)]
    found += ["model.embeddingNorm=false"] if not model.get("embeddingNorm", True) else []
    for key in ("layers", "pattern"):
        if model.get(key) is not None:
            found.append(f"model.{key}=[...]")
    if model.get("softCap") is not None:
        found.append(f"model.softCap={model['softCap']}")
    found += [f"ops.{slot}={name}" for slot, name in config["ops"].items() if name != slot]
    if sizes["nHead"] * sizes["headDim"] != sizes["nEmbd"]:
        found.append(f"model.headDim={sizes['headDim']}")
    return found
