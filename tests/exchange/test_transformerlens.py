"""Folders for TransformerLens, computed here by its formulas in NumPy: TransformerLens itself is not installed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from gptlab.command.composing import prepared
from gptlab.errors import UserError
from gptlab.exchange.exporting import output_file
from gptlab.exchange.transformerlens import export_transformerlens
from tests.exchange.huggingface_folders import GPT2, LLAMA, SMALL, logits_of, saved_of

FITTING = ["model.embeddingNorm=false", "model.finalNorm=true", *SMALL]
MODELS = {
    "llama": [*LLAMA, "model.attention.nKVHead=1", "model.norm.eps=1e-3", "model.position.base=500"],
    "gpt2": [*GPT2, "model.mlp.expansion=2"],
    "untied": [*GPT2, "model.tieEmbeddings=false", "model/activation=silu", "model.headDim=6"],
    "plain": [*FITTING, "model/position=none", "model.softCap=3"],
    "attention alone": [*SMALL, "model.embeddingNorm=false", "model/norm=none", "model/mlp=none"],
}


def hooked(config: dict[str, Any], state: dict[str, np.ndarray], tokens: np.ndarray) -> np.ndarray:
    """(T, V) as HookedTransformer computes them, with the names that it has for its parts."""
    E, D, H = config["d_model"], config["d_head"], config["n_heads"]
    x = state["embed.W_E"][tokens]
    if config["positional_embedding_type"] == "standard":
        x = x + state["pos_embed.W_pos"][: len(tokens)]
    for i in range(config["n_layers"]):
        own = {n.removeprefix(f"blocks.{i}."): a for n, a in state.items() if n.startswith(f"blocks.{i}.")}
        shared = "_" if "n_key_value_heads" in config else ""
        normed = norm(config, x)
        q, k, v = (
            np.einsum("te,hed->thd", normed, own[f"attn.{u}W_{n}"]) + own[f"attn.{u}b_{n}"]
            for u, n in (("", "Q"), (shared, "K"), (shared, "V"))
        )
        if config["positional_embedding_type"] == "rotary":
            q, k = rotated(config, q), rotated(config, k)
        k, v = (np.repeat(a, H // a.shape[1], axis=1) for a in (k, v))
        scores = np.einsum("thd,shd->hts", q, k) / D**0.5
        scores = np.where(np.tri(len(tokens), dtype=bool), scores, -np.inf)
        pattern = np.exp(scores - scores.max(-1, keepdims=True))
        pattern /= pattern.sum(-1, keepdims=True)
        assert own["attn.W_O"].shape == (H, D, E)
        x = x + np.einsum("hts,shd,hde->te", pattern, v, own["attn.W_O"]) + own["attn.b_O"]
        if config["attn_only"]:
            continue
        normed = norm(config, x)
        if config["gated_mlp"]:
            inner = act(config, normed @ own["mlp.W_gate"]) * (normed @ own["mlp.W_in"]) + own["mlp.b_in"]
        else:
            inner = act(config, normed @ own["mlp.W_in"] + own["mlp.b_in"])
        assert own["mlp.W_in"].shape == (E, config["d_mlp"])
        x = x + inner @ own["mlp.W_out"] + own["mlp.b_out"]
    logits = norm(config, x) @ state["unembed.W_U"] + state["unembed.b_U"]
    cap = config.get("output_logits_soft_cap", -1.0)
    return cap * np.tanh(logits / cap) if cap > 0 else logits


def norm(config: dict[str, Any], x: np.ndarray) -> np.ndarray:
    if config["normalization_type"] is None:
        return x
    if config["normalization_type"] == "LNPre":
        x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + config["eps"])


def act(config: dict[str, Any], x: np.ndarray) -> np.ndarray:
    if config["act_fn"] == "gelu_new":
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return x / (1 + np.exp(-x)) if config["act_fn"] == "silu" else np.maximum(x, 0)


def rotated(config: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Pairs (i, i + n/2) turned by their frequencies, which is `rotary_adjacent_pairs=False`."""
    half = config["rotary_dim"] // 2
    angles = np.outer(np.arange(len(x)), config["rotary_base"] ** (-np.arange(half) / half))
    cosine, sine = (np.tile(f(angles), 2)[:, None] for f in (np.cos, np.sin))
    return x * cosine + np.concatenate([-x[..., half:], x[..., :half]], -1) * sine


def written(saved: Any, folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    export_transformerlens(saved, prepared().registry, folder)
    return json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")


@pytest.mark.parametrize("name", MODELS)
def test_the_logits_are_the_model_s(name: str, tmp_path: Path) -> None:
    saved = saved_of(MODELS[name], "float64")
    config, state = written(saved, tmp_path / "hooked")
    ids = np.random.default_rng(1).integers(0, saved.sizes["vocabSize"], 5)
    np.testing.assert_allclose(hooked(config, state, ids), logits_of(saved, ids), rtol=1e-9, atol=1e-9)
    assert config["n_ctx"] == 6 and config["d_vocab"] == saved.sizes["vocabSize"]


def test_all_that_stands_in_the_way_is_named_in_one_line(tmp_path: Path) -> None:
    changes = ["model/block=prenorm", "model/position=rope", "model/activation=tanh", "ops.mul=add"]
    saved = saved_of(
        [*SMALL, *changes, "model/mlp=swiglu", "model.bias=true", "model.attention.scalePower=1"]
    )
    with pytest.raises(UserError) as refused:
        written(saved, tmp_path / "hooked")
    said = str(refused.value)
    assert "\n" not in said and not (tmp_path / "hooked").exists()
    for part in (
        "model/activation=tanh (type model/activation=gelu)",
        "model.embeddingNorm=true (type model.embeddingNorm=false)",
        "model.finalNorm=false (type model.finalNorm=true)",
        "model.attention.scalePower=1.0 (type model.attention.scalePower=0.5)",
        "model.bias=true with model/mlp=swiglu",
        "ops.mul=add (leave it out)",
    ):
        assert part in said


def test_the_folder_is_called_as_its_format_and_replaces_itself(tmp_path: Path) -> None:
    assert output_file("transformerlens", None) == ("transformerlens", Path("transformerlens"))
    saved = saved_of(MODELS["gpt2"])
    for _ in range(2):
        _, state = written(saved, tmp_path / "hooked")
    assert {array.dtype.name for array in state.values()} == {"float32"}
    assert [path.name for path in tmp_path.iterdir()] == ["hooked"]
