"""What is known of an architecture of `transformers`: its settings, its weights, and what of gptlab's model it has not.

Legend: V vocabSize, E nEmbd, T blockSize, H heads, G heads of keys and values, D headDim, F width of the mlp.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gptlab.autograd.ops import BUILTIN_OPS
from gptlab.errors import UserError
from gptlab.plugins.registry import OWN, Registry, build
from gptlab.runs.saved_run import is_size, shown

Settings = Mapping[str, Any]
# By our names, those of transformers' ACT2FN that compute the same; the first is what is written.
ACTIVATIONS = {
    "gelu": ("gelu_new", "gelu_pytorch_tanh"),
    "silu": ("silu", "swish"),
    "relu": ("relu",),
    "tanh": ("tanh",),
}
# What no architecture has other than so, as it is typed.
ALWAYS = {"model.embeddingNorm": False, "model.finalNorm": True, "model.attention.scalePower": 0.5}


@dataclass(frozen=True)
class Place:
    """A tensor of the file by its name there, and the weights of ours that it is made of.

    shape: the file's. ours: one weight or several, whose rows stand one after another. transposed: whether the file
    has inputs in rows, as transformers' Conv1D does.
    """

    name: str
    shape: tuple[int, ...]
    ours: tuple[str, ...]
    transposed: bool = False

    def out(self, weights: Mapping[str, np.ndarray]) -> np.ndarray:
        stacked = np.concatenate([weights[name] for name in self.ours])
        return np.ascontiguousarray(stacked.T if self.transposed else stacked)

    def back(self, tensor: np.ndarray) -> dict[str, np.ndarray]:
        parts = np.split(tensor.T if self.transposed else tensor, len(self.ours))
        return {name: np.ascontiguousarray(part) for name, part in zip(self.ours, parts, strict=True)}


class Family(Protocol):
    """An architecture, told from both sides."""

    architecture: str
    model_type: str
    base: str  # what names of tensors have before them in most files, and not in all
    ignored: tuple[str, ...]  # ends of names of what a file may hold besides

    def wants(self, settings: Settings) -> dict[str, Any]:
        """What a model of ours, with these settings, must have, as it is typed: `{"model/norm": "rmsnorm", ...}`."""
        ...

    def further(self, settings: Settings, sizes: Mapping[str, int]) -> list[str]:
        """What else stands in its way, where that depends on the sizes."""
        ...

    def written(self, settings: Settings, sizes: Mapping[str, int]) -> dict[str, Any]:
        """What config.json says of a model of ours."""
        ...

    def read(self, config: Config) -> dict[str, Any]:
        """The `model` of a config of ours. Raises UserError for what gptlab has not."""
        ...

    def places(self, settings: Settings, sizes: Mapping[str, int]) -> Iterator[Place]:
        """The tensors of the file, in order."""
        ...


class Config:
    """A config.json, whose values are looked at as they are asked for. place: what it is called in errors."""

    def __init__(self, values: Mapping[str, Any], place: str):
        self.values = values
        self.place = place

    def get(self, key: str, default: Any) -> Any:
        value = self.values.get(key)
        return default if value is None else value

    def whole(self, key: str, default: int | None = None) -> int:
        value = self.get(key, default)
        if not is_size(value):
            raise self.wrong(key, "a positive whole number below 2^31", value)
        return int(value)

    def positive(self, key: str, default: float) -> float:
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise self.wrong(key, "a positive number", value)
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false", value)
        return value

    def must(self, key: str, default: Any, *allowed: Any) -> None:
        """Raises UserError for a setting that gptlab's parts have not."""
        if (value := self.get(key, default)) not in allowed:
            raise self.wrong(key, " or ".join(map(str, allowed)), value)

    def activation(self, key: str, default: str) -> str:
        name = self.get(key, default)
        for ours, theirs in ACTIVATIONS.items():
            if name in theirs:
                return ours
        known = ", ".join(name for names in ACTIVATIONS.values() for name in names)
        raise self.wrong(key, f"one of {known}, which gptlab has", name)

    def wrong(self, key: str, wanted: str, value: Any) -> UserError:
        return UserError(f"{key} in {self.place} must be {wanted}: got {shown(value)}.")


def obstacles(family: Family, config: Settings, sizes: Mapping[str, int], registry: Registry) -> list[str]:
    """What of a model of ours stands in the way, each with what to type instead."""
    model = config["model"]
    found = []
    for key, wanted in {**family.wants(model), **ALWAYS}.items():
        if "/" in key:
            kind = key.partition("/")[2]
            name = model[kind]["name"]
            allowed = wanted if isinstance(wanted, tuple) else (wanted,)
            if name not in allowed or registry.owner(kind, name) != OWN:
                found.append(f"{key}={name} (type {key}={allowed[0]})")
            continue
        has = value_of(model, key, registry)
        if has is not MISSING and has != wanted:
            found.append(f"{key}={as_typed(has)} (type {key}={as_typed(wanted)})")
    found += [f"model.{key}=[...] (leave it out)" for key in ("layers", "pattern") if model.get(key)]
    if model.get("softCap") is not None:
        found.append(f"model.softCap={model['softCap']} (leave it out)")
    swapped = {slot: name for slot, name in config["ops"].items() if slot in BUILTIN_OPS and name != slot}
    found += [f"ops.{slot}={name} (leave it out)" for slot, name in swapped.items()]
    return found + family.further(model, sizes)


MISSING = object()


def value_of(model: Settings, key: str, registry: Registry) -> Any:
    """What `model.norm.scale` or `model.finalNorm` is; MISSING for a field that the chosen component has not."""
    _, *kind, last = key.split(".")
    if not kind:
        return model.get(last, False)
    return getattr(build(registry, kind[0], model[kind[0]]), last, MISSING)


def as_typed(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def part(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, **fields}


def base(**model: Any) -> dict[str, Any]:
    """The `model` of a config of ours, but for what the architecture says."""
    return {
        "initStd": 0.02,
        "embeddingNorm": False,
        "finalNorm": True,
        "dropout": 0.0,
        "softCap": None,
        "layers": None,
        "pattern": None,
        "block": part("prenorm"),
        "adapter": part("none"),
        "reparametrization": part("none"),
        "init": part("scaled"),
        **model,
    }
