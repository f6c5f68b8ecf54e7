"""LlamaForCausalLM: rope, rmsnorm with a scale, a gated mlp, heads of keys and values that are shared.

Touvron et al. 2023; as transformers has it, whose rope turns the pairs (i, i + D/2), as ours does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gptlab.exchange.huggingface.family import ACTIVATIONS, Config, Place, Settings, base, part

ATTENTION = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "o_proj"}
MLP = {"gate": "gate_proj", "hidden": "up_proj", "output": "down_proj"}


class Llama:
    architecture = "LlamaForCausalLM"
    model_type = "llama"
    base = "model."
    ignored: tuple[str, ...] = (".rotary_emb.inv_freq",)  # what older files hold besides, which is computed

    def wants(self, settings: Settings) -> dict[str, Any]:
        return {
            "model/attention": "causal",
            "model/mlp": "swiglu",
            "model/norm": "rmsnorm",
            "model/activation": ("silu", *ACTIVATIONS),
            "model/position": "rope",
            "model/block": "prenorm",
            "model.norm.scale": True,
        }

    def further(self, settings: Settings, sizes: Mapping[str, int]) -> list[str]:
        return []

    def written(self, settings: Settings, sizes: Mapping[str, int]) -> dict[str, Any]:
        bias, rope = bool(settings.get("bias")), settings["position"].get("base", 10000.0)
        return {
            "vocab_size": sizes["vocabSize"],
            "hidden_size": sizes["nEmbd"],
            "intermediate_size": width(settings, sizes),
            "num_hidden_layers": sizes["nLayer"],
            "num_attention_heads": sizes["nHead"],
            "num_key_value_heads": settings["attention"].get("nKVHead") or sizes["nHead"],
            "head_dim": sizes["headDim"],
            "max_position_embeddings": sizes["blockSize"],
            "hidden_act": ACTIVATIONS[settings["activation"]["name"]][0],
            "rms_norm_eps": settings["norm"].get("eps", 1e-5),
            "rope_theta": rope,
            "rope_parameters": {"rope_type": "default", "rope_theta": rope},
            "attention_bias": bias,
            "mlp_bias": bias,
            "attention_dropout": 0.0,
            "tie_word_embeddings": settings["tieEmbeddings"],
            "initializer_range": settings.get("initStd", 0.02),
        }

    def read(self, config: Config) -> dict[str, Any]:
        heads, width = config.whole("num_attention_heads"), config.whole("hidden_size")
        rope = config.get("rope_parameters", None) or config.get("rope_scaling", None) or {}
        if not isinstance(rope, dict):
            raise config.wrong("rope_parameters", "an object", rope)
        turned = Config(rope, config.place)
        turned.must("rope_type", turned.get("type", "default"), "default")
        config.must("mlp_bias", False, config.flag("attention_bias", False))
        return base(
            nLayer=config.whole("num_hidden_layers"),
            nEmbd=width,
            nHead=heads,
            headDim=config.whole("head_dim", width // heads),
            blockSize=config.whole("max_position_embeddings", 2048),
            bias=config.flag("attention_bias", False),
            tieEmbeddings=config.flag("tie_word_embeddings", False),
            attention=part("causal", nKVHead=config.whole("num_key_value_heads", heads), scalePower=0.5),
            mlp=part("swiglu", width=config.whole("intermediate_size")),
            norm=part("rmsnorm", eps=config.positive("rms_norm_eps", 1e-6), scale=True),
            activation=part(config.activation("hidden_act", "silu")),
            position=part("rope", base=turned.positive("rope_theta", config.positive("rope_theta", 10000.0))),
        )

    def places(self, settings: Settings, sizes: Mapping[str, int]) -> Iterator[Place]:
        embedding, inner = (sizes["vocabSize"], sizes["nEmbd"]), width(settings, sizes)
        queries = sizes["nHead"] * sizes["headDim"]
        shared = (settings["attention"].get("nKVHead") or sizes["nHead"]) * sizes["headDim"]
        rows = {"query": queries, "key": shared, "value": shared, "output": sizes["nEmbd"]}
        columns = {"output": queries}
        of_mlp = {"gate": inner, "hidden": inner, "output": sizes["nEmbd"]}
        yield Place("model.embed_tokens.weight", embedding, ("tokenEmbedding",))
        for i in range(sizes["nLayer"]):
            ours, theirs = f"layers.{i}", f"model.layers.{i}"
            yield Place(f"{theirs}.input_layernorm.weight", embedding[1:], (f"{ours}.attentionNorm.scale",))
            for name, module in ATTENTION.items():
                shape = rows[name], columns.get(name, sizes["nEmbd"])
                yield from linear(f"{theirs}.self_attn.{module}", f"{ours}.attention.{name}", shape, settings)
            yield Place(
                f"{theirs}.post_attention_layernorm.weight", embedding[1:], (f"{ours}.mlpNorm.scale",)
            )
            for name, module in MLP.items():
                shape = of_mlp[name], inner if name == "output" else sizes["nEmbd"]
                yield from linear(f"{theirs}.mlp.{module}", f"{ours}.mlp.{name}", shape, settings)
        yield Place("model.norm.weight", embedding[1:], ("finalNorm.scale",))
        if not settings["tieEmbeddings"]:
            yield Place("lm_head.weight", embedding, ("output",))


def linear(theirs: str, ours: str, shape: tuple[int, int], settings: Settings) -> Iterator[Place]:
    """A matrix, and its bias where the model has biases."""
    yield Place(f"{theirs}.weight", shape, (ours,))
    if settings.get("bias"):
        yield Place(f"{theirs}.bias", shape[:1], (f"{ours}Bias",))


def width(settings: Settings, sizes: Mapping[str, int]) -> int:
    return int(settings["mlp"].get("width") or -(-8 * sizes["nEmbd"] // 3))
