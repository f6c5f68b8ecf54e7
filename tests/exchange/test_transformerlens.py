"""Folders for TransformerLens, computed by its formulas in NumPy; test_transformer_lens.py has the library itself."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from gptlab.command.composing import prepared
from gptlab.errors import UserError
from gptlab.exchange.exporting import output_file
from gptlab.exchange.transformerlens import KNOWN, export_transformerlens
from gptlab.runs.saved_run import SavedRun
from tests.exchange.huggingface_folders import logits_of, saved_of
from tests.exchange.transformerlens_models import MODELS


@cache
def model(name: str) -> SavedRun:
    """In float64; to be left as it is."""
    return saved_of(MODELS[name], "float64")


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
            inner = act(config, normed @ own["mlp.W_gate"]) * (normed @ own["mlp.W_in"])
            assert not {"mlp.b_in", "mlp.b_out"} & own.keys()
        else:
            inner = act(config, normed @ own["mlp.W_in"] + own["mlp.b_in"])
        assert own["mlp.W_in"].shape == (E, config["d_mlp"])
        x = x + inner @ own["mlp.W_out"] + own.get("mlp.b_out", 0)
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
    """Pairs (2i, 2i + 1) turned by their frequencies, which is `rotary_adjacent_pairs=True`."""
    assert config["rotary_adjacent_pairs"] is True and isinstance(config["rotary_base"], int)
    half = config["rotary_dim"] // 2
    angles = np.outer(np.arange(len(x)), config["rotary_base"] ** (-np.arange(half) / half))
    cosine, sine = (np.repeat(f(angles), 2, -1)[:, None] for f in (np.cos, np.sin))
    return x * cosine + np.stack([-x[..., 1::2], x[..., ::2]], -1).reshape(x.shape) * sine


def written(saved: Any, folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    export_transformerlens(saved, prepared().registry, folder)
    return json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")


@pytest.mark.parametrize("name", MODELS)
def test_the_logits_are_the_model_s(name: str, tmp_path: Path) -> None:
    saved = model(name)
    config, state = written(saved, tmp_path / "hooked")
    ids = np.random.default_rng(1).integers(0, saved.sizes["vocabSize"], 5)
    np.testing.assert_allclose(hooked(config, state, ids), logits_of(saved, ids), rtol=1e-9, atol=1e-9)
    assert config["n_ctx"] == 6 and config["d_vocab"] == saved.sizes["vocabSize"]


def test_every_part_that_is_known_is_tried() -> None:
    for kind, known in KNOWN.items():
        assert {model(name).config["model"][kind]["name"] for name in MODELS} == set(known)


# What is typed beside MODELS["plain"], and what is then said to stand in the way.
REFUSED = [
    {
        "model/attention=qknorm": "model/attention=qknorm (type model/attention=causal)",
        "model/block=parallelblock": "model/block=parallelblock (type model/block=prenorm)",
        "model/mlp=moe": "model/mlp=moe (type model/mlp=mlp)",
        "model/norm=dyt": "model/norm=dyt (type model/norm=rmsnorm)",
        "model/activation=tanh": "model/activation=tanh (type model/activation=gelu)",
        "model/position=alibi": "model/position=alibi (type model/position=learned)",
        "model.embeddingNorm=true": "model.embeddingNorm=true (type model.embeddingNorm=false)",
        "model.finalNorm=false": "model.finalNorm=false (type model.finalNorm=true)",
        "model.layers=[{},{attention:none}]": "model.layers=[...] (leave it out)",
        "ops.mul=add": "ops.mul=add (leave it out)",
    },
    {
        "model/norm=none model.norm.scale=true": "model.norm.scale=true (leave it out)",
        "model.attention.scalePower=1": "model.attention.scalePower=1.0 (type model.attention.scalePower=0.5)",
        "model/position=rope model.position.base=500.5": "model.position.base=500.5, which is a whole number "
        "there (type model.position.base=10000)",
        "model/mlp=swiglu model.bias=true": "model.bias=true with model/mlp=swiglu, whose gate has no bias there "
        "(leave model.bias out)",
        "model.pattern=[causal]": "model.pattern=[...] (leave it out)",
    },
]


@pytest.mark.parametrize("refused", REFUSED, ids=["parts", "values"])
def test_all_that_stands_in_the_way_is_named_in_one_line(refused: dict[str, str], tmp_path: Path) -> None:
    saved = saved_of([*MODELS["plain"], *" ".join(refused).split()])
    with pytest.raises(UserError) as error:
        written(saved, tmp_path / "hooked")
    assert str(error.value) == (
        f"TransformerLens cannot hold a model like the run: {', '.join(refused.values())} stand in the way. "
        "--format=safetensors takes any model."
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_folder_is_called_as_its_format_and_replaces_itself(tmp_path: Path) -> None:
    assert output_file("transformerlens", None) == ("transformerlens", Path("transformerlens"))
    saved = saved_of(MODELS["gpt2"])
    for _ in range(2):
        _, state = written(saved, tmp_path / "hooked")
    assert {array.dtype.name for array in state.values()} == {"float32"}
    assert [path.name for path in tmp_path.iterdir()] == ["hooked"]
