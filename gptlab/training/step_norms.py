"""What `train.norms=true` logs of each step: how long the gradient, the weights and the move of each layer are."""

from __future__ import annotations

from typing import Any

from gptlab.engines.engine import NamedArrays
from gptlab.engines.updating import global_norm


def norms_by_layer(xp: Any, params: NamedArrays, grads: NamedArrays, updates: NamedArrays) -> dict[str, Any]:
    """`{"gradNorm/layers.0": ..., "weightNorm/output": ...}`, of weights that are trained: an engine's `step_metrics`.

    gradNorm: before any clipping; the squares of a step's add up to that of the whole gradNorm. weightNorm: before the
    step. updateNorm: of what the step adds to the weights.
    """
    names: dict[str, list[str]] = {}
    for name in params:
        names.setdefault(layer_of(name), []).append(name)
    kinds = {"gradNorm": grads, "weightNorm": params, "updateNorm": updates}
    return {
        f"{kind}/{layer}": global_norm(xp, {name: arrays[name] for name in some})
        for kind, arrays in kinds.items()
        for layer, some in names.items()
    }


def layer_of(name: str) -> str:
    """`layers.3` of `layers.3.mlp.hidden`, `output` of itself, `adapter.layers.0` of what adapts layer 0."""
    words = name.split(".")
    numbered = next((i for i, word in enumerate(words) if word.isdigit()), 0)
    return ".".join(words[: numbered + 1])
