"""A run's weights for TransformerLens: a folder with the config and the state dict of a HookedTransformer.

Its names and shapes (Nanda, Bloom 2022, github.com/TransformerLensOrg/TransformerLens): `blocks.0.attn.W_Q` (H, E, D),
`W_O` (H, D, E), `mlp.W_in` (E, F), `unembed.W_U` (E, V); matrices have inputs in rows. The scales and biases of norms
are folded into what reads them, as `fold_ln` there does, so that norms are `LNPre` or `RMSPre`.

Version 4 has no HookedTransformer: `TransformerBridge.boot_native` makes a model, and `convert_tl_checkpoint` makes its
weights of these. The folder holds what both read:
- Version 4 turns neighbours by a rope, (2i, 2i+1), whatever the config says; so entries of queries and keys are put in
  that order, and HookedTransformer is told.
- Its gated mlp has no biases; those of HookedTransformer stay at 0 if there are none here.
- It cuts the base of a rope to a whole number.

Legend: V vocabSize, E nEmbd, T blockSize, H heads, G heads of keys and values, D headDim, F width of the mlp.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gptlab import strict_json
from gptlab.autograd.ops import BUILTIN_OPS
from gptlab.errors import UserError
from gptlab.exchange.huggingface.family import MISSING, as_typed, value_of
from gptlab.exchange.standard import standard_config
from gptlab.files import sync
from gptlab.plugins.registry import OWN, Registry
from gptlab.runs.checkpoint.arrays import arrays_as_bytes
from gptlab.runs.saved_run import SavedRun

CONFIG, WEIGHTS = "config.json", "model.safetensors"
# By our names, what TransformerLens calls the same.
KNOWN: dict[str, dict[str, Any]] = {
    "attention": {"causal": None},
    "block": {"prenorm": None},
    "mlp": {"mlp": False, "swiglu": True, "none": None},
    "norm": {"rmsnorm": "RMSPre", "layernorm": "LNPre", "none": None},
    "activation": {"gelu": "gelu_new", "silu": "silu", "relu": "relu"},
    "position": {"learned": "standard", "none": "standard", "rope": "rotary"},
}
Weights = Mapping[str, np.ndarray]


def obstacles(saved: SavedRun, registry: Registry) -> list[str]:
    """What of the model TransformerLens has not, each with what to type instead."""
    config = saved.config or standard_config(saved.sizes)
    model, found = config["model"], []
    for kind, known in KNOWN.items():
        name = model[kind]["name"]
        if name not in known or registry.owner(kind, name) != OWN:
            found.append(f"model/{kind}={name} (type model/{kind}={next(iter(known))})")
    normed = model["norm"]["name"] != "none"
    wanted = {"model.embeddingNorm": False, "model.finalNorm": True} if normed else {}
    if model["norm"]["name"] == "none" and (scale := value_of(model, "model.norm.scale", registry)) is True:
        found.append(f"model.norm.scale={as_typed(scale)} (leave it out)")
    for key, must in {**wanted, "model.attention.scalePower": 0.5}.items():
        has = value_of(model, key, registry)
        # A run from before there was such a key had a norm there.
        has = True if key == "model.embeddingNorm" and "embeddingNorm" not in model else has
        if has is not MISSING and has != must:
            found.append(f"{key}={as_typed(has)} (type {key}={as_typed(must)})")
    if model["position"]["name"] == "rope":
        base = value_of(model, "model.position.base", registry)
        if not float(base).is_integer():
            found.append(
                f"model.position.base={base}, which is a whole number there (type model.position.base=10000)"
            )
    if model["mlp"]["name"] == "swiglu" and model.get("bias"):
        found.append(
            "model.bias=true with model/mlp=swiglu, whose gate has no bias there (leave model.bias out)"
        )
    found += [f"model.{key}=[...] (leave it out)" for key in ("layers", "pattern") if model.get(key)]
    swapped = {slot: name for slot, name in config["ops"].items() if slot in BUILTIN_OPS and name != slot}
    return found + [f"ops.{slot}={name} (leave it out)" for slot, name in swapped.items()]


def config_of(saved: SavedRun) -> dict[str, Any]:
    """What `TransformerBridgeConfig.from_dict` and `HookedTransformerConfig.from_dict` take."""
    model, sizes = (saved.config or standard_config(saved.sizes))["model"], saved.sizes
    alone = model["mlp"]["name"] == "none"
    told = {
        "model_name": "gptlab",
        "n_layers": sizes["nLayer"],
        "d_model": sizes["nEmbd"],
        "n_ctx": sizes["blockSize"],
        "n_heads": sizes["nHead"],
        "d_head": sizes["headDim"],
        "d_vocab": sizes["vocabSize"],
        "normalization_type": KNOWN["norm"][model["norm"]["name"]],
        "eps": model["norm"].get("eps", 1e-5),
        "positional_embedding_type": KNOWN["position"][model["position"]["name"]],
        "attn_only": alone,
        "init_weights": False,
    }
    if not alone:
        told["act_fn"] = KNOWN["activation"][model["activation"]["name"]]
        told["gated_mlp"] = KNOWN["mlp"][model["mlp"]["name"]]
        told["d_mlp"] = int(saved.weights["layers.0.mlp.hidden"].shape[0])
    if told["positional_embedding_type"] == "rotary":
        told["rotary_dim"] = sizes["headDim"]
        told["rotary_base"] = int(model["position"].get("base", 10000))
        told["rotary_adjacent_pairs"] = True
    shared = model["attention"].get("nKVHead")
    if shared not in (None, sizes["nHead"]):
        told["n_key_value_heads"] = shared
    if model.get("softCap") is not None:
        told["output_logits_soft_cap"] = model["softCap"]
    return told


def state_of(saved: SavedRun) -> dict[str, np.ndarray]:
    """The state dict, but for masks and rotations, which the model makes itself."""
    weights, sizes = saved.weights, saved.sizes
    model = (saved.config or standard_config(saved.sizes))["model"]
    heads, dim, wide = sizes["nHead"], sizes["headDim"], sizes["nEmbd"]
    dtype = weights["tokenEmbedding"].dtype
    found = {"embed.W_E": weights["tokenEmbedding"]}
    turned = model["position"]["name"] == "rope"
    if not turned:
        none = np.zeros((sizes["blockSize"], wide), dtype)
        found["pos_embed.W_pos"] = weights.get("positionEmbedding", none)
    for i in range(sizes["nLayer"]):
        ours, theirs = f"layers.{i}", f"blocks.{i}"
        for name, letter in (("query", "Q"), ("key", "K"), ("value", "V")):
            matrix, bias = folded(weights, f"{ours}.attention.{name}", f"{ours}.attentionNorm")
            count = len(matrix) // dim
            own = "" if letter == "Q" or count == heads else "_"  # of heads that are shared by groups
            order = neighbours(dim) if turned and letter in "QK" else np.arange(dim)
            matrix, bias = matrix.reshape(count, dim, wide)[:, order], bias.reshape(count, dim)[:, order]
            found |= {
                f"{theirs}.attn.{own}W_{letter}": matrix.swapaxes(1, 2),
                f"{theirs}.attn.{own}b_{letter}": bias,
            }
        output, bias = folded(weights, f"{ours}.attention.output")
        found[f"{theirs}.attn.W_O"] = output.reshape(wide, heads, dim).transpose(1, 2, 0)
        found[f"{theirs}.attn.b_O"] = bias
        if model["mlp"]["name"] == "none":
            continue
        hidden, inner = folded(weights, f"{ours}.mlp.hidden", f"{ours}.mlpNorm")
        output, bias = folded(weights, f"{ours}.mlp.output")
        found |= {f"{theirs}.mlp.W_in": hidden.T, f"{theirs}.mlp.W_out": output.T}
        if model["mlp"]["name"] == "swiglu":
            found[f"{theirs}.mlp.W_gate"] = folded(weights, f"{ours}.mlp.gate", f"{ours}.mlpNorm")[0].T
        else:
            found |= {f"{theirs}.mlp.b_in": inner, f"{theirs}.mlp.b_out": bias}
    matrix, bias = folded(weights, "tokenEmbedding" if model["tieEmbeddings"] else "output", "finalNorm")
    found |= {"unembed.W_U": matrix.T, "unembed.b_U": bias}
    return {name: np.ascontiguousarray(array, dtype) for name, array in found.items()}


def neighbours(dim: int) -> np.ndarray:
    """(D,) The entries of a head in the order in which those that turn together, (i, i + D/2), are neighbours."""
    return np.arange(dim).reshape(2, -1).T.ravel()


def folded(weights: Weights, name: str, norm: str = "") -> tuple[np.ndarray, np.ndarray]:
    """The matrix (out, in) of this name and its bias (out,), as they are after a norm without scale and bias."""
    matrix = weights[name]
    bias = weights.get(f"{name}Bias", np.zeros(len(matrix), matrix.dtype))
    if f"{norm}.bias" in weights:
        bias = bias + matrix @ weights[f"{norm}.bias"]
    return (matrix * weights[f"{norm}.scale"] if f"{norm}.scale" in weights else matrix), bias


def check_known(saved: SavedRun, registry: Registry) -> None:
    """Raises UserError with all that stands in the way."""
    found = obstacles(saved, registry)
    if found:
        raise UserError(
            f"TransformerLens cannot hold a model like {saved.name}: {', '.join(found)} "
            f"{'stands' if len(found) == 1 else 'stand'} in the way. --format=safetensors takes any model."
        )


def export_transformerlens(saved: SavedRun, registry: Registry, path: Path) -> None:
    """Write the folder in one step. Raises UserError for a model that there is not, and if it cannot be written."""
    check_known(saved, registry)
    config = strict_json.dumps(config_of(saved), indent=2).encode() + b"\n"
    files = {CONFIG: config, WEIGHTS: arrays_as_bytes(state_of(saved), {"format": "pt"})}
    beside = path.absolute().with_name(f".{path.absolute().name}.{os.getpid()}.part")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir()
        for name, content in files.items():
            (beside / name).write_bytes(content)
            sync(beside / name)
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(beside, path)
    except OSError as error:
        raise UserError(f"output must be writable: {path}: {error.strerror or error}.") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
