"""GPT2LMHeadModel: learned positions, layernorm with scale and bias, biases everywhere, GELU's tanh form.

Radford et al. 2019; as transformers has it, whose matrices have inputs in rows, those of q, k and v side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gptlab.exchange.huggingface.family import ACTIVATIONS, Config, Place, Settings, base, part

QKV = ("query", "key", "value")


class GPT2:
    architecture = "GPT2LMHeadModel"
    model_type = "gpt2"
    base = "transformer."
    ignored: tuple[str, ...] = (
        ".attn.bias",
        ".attn.masked_bias",
    )  # the causal mask, which older files hold besides

    def wants(self, settings: Settings) -> dict[str, Any]:
        return {
            "model/attention": "causal",
            "model/mlp": "mlp",
            "model/norm": "layernorm",
            "model/activation": ("gelu", *ACTIVATIONS),
            "model/position": "learned",
            "model/block": "prenorm",
            "model.norm.scale": True,
            "model.bias": True,
        }

    def further(self, settings: Settings, sizes: Mapping[str, int]) -> list[str]:
        heads, shared = sizes["nHead"], settings["attention"].get("nKVHead")
        found = [] if shared in (None, heads) else [f"model.attention.nKVHead={shared} (leave it out)"]
        if heads * sizes["headDim"] != sizes["nEmbd"]:
            found.append(f"model.headDim={sizes['headDim']} (leave it out)")
        return found

    def written(self, settings: Settings, sizes: Mapping[str, int]) -> dict[str, Any]:
        dropout = settings.get("dropout", 0.0)
        return {
            "vocab_size": sizes["vocabSize"],
            "n_positions": sizes["blockSize"],
            "n_embd": sizes["nEmbd"],
            "n_layer": sizes["nLayer"],
            "n_head": sizes["nHead"],
            "n_inner": inner(settings, sizes),
            "activation_function": ACTIVATIONS[settings["activation"]["name"]][0],
            "layer_norm_epsilon": settings["norm"].get("eps", 1e-5),
            "embd_pdrop": dropout,
            "resid_pdrop": dropout,
            "attn_pdrop": dropout,
            "tie_word_embeddings": settings["tieEmbeddings"],
            "initializer_range": settings.get("initStd", 0.02),
        }

    def read(self, config: Config) -> dict[str, Any]:
        config.must("scale_attn_weights", True, True)
        config.must("scale_attn_by_inverse_layer_idx", False, False)
        config.must("add_cross_attention", False, False)
        width, heads = config.whole("n_embd", 768), config.whole("n_head", 12)
        wide = config.whole("n_inner", 4 * width)
        if wide % width:
            raise config.wrong("n_inner", f"a multiple of n_embd={width}", wide)
        return base(
            nLayer=config.whole("n_layer", 12),
            nEmbd=width,
            nHead=heads,
            headDim=None,
            blockSize=config.whole("n_positions", 1024),
            bias=True,
            tieEmbeddings=config.flag("tie_word_embeddings", True),
            attention=part("causal", nKVHead=None, scalePower=0.5),
            mlp=part("mlp", expansion=wide // width),
            norm=part("layernorm", eps=config.positive("layer_norm_epsilon", 1e-5), scale=True),
            activation=part(config.activation("activation_function", "gelu_new")),
            position=part("learned"),
        )

    def places(self, settings: Settings, sizes: Mapping[str, int]) -> Iterator[Place]:
        wide, width = sizes["nEmbd"], inner(settings, sizes)
        yield Place("transformer.wte.weight", (sizes["vocabSize"], wide), ("tokenEmbedding",))
        yield Place("transformer.wpe.weight", (sizes["blockSize"], wide), ("positionEmbedding",))
        for i in range(sizes["nLayer"]):
            ours, theirs = f"layers.{i}", f"transformer.h.{i}"
            yield from normed(f"{theirs}.ln_1", f"{ours}.attentionNorm", wide)
            attention = tuple(f"{ours}.attention.{name}" for name in QKV)
            yield from conv(f"{theirs}.attn.c_attn", attention, (wide, 3 * wide))
            yield from conv(f"{theirs}.attn.c_proj", (f"{ours}.attention.output",), (wide, wide))
            yield from normed(f"{theirs}.ln_2", f"{ours}.mlpNorm", wide)
            yield from conv(f"{theirs}.mlp.c_fc", (f"{ours}.mlp.hidden",), (wide, width))
            yield from conv(f"{theirs}.mlp.c_proj", (f"{ours}.mlp.output",), (width, wide))
        yield from normed("transformer.ln_f", "finalNorm", wide)
        if not settings["tieEmbeddings"]:
            yield Place("lm_head.weight", (sizes["vocabSize"], wide), ("output",))


def normed(theirs: str, ours: str, width: int) -> Iterator[Place]:
    yield Place(f"{theirs}.weight", (width,), (f"{ours}.scale",))
    yield Place(f"{theirs}.bias", (width,), (f"{ours}.bias",))


def conv(theirs: str, ours: tuple[str, ...], shape: tuple[int, int]) -> Iterator[Place]:
    yield Place(f"{theirs}.weight", shape, ours, transposed=True)
    yield Place(f"{theirs}.bias", shape[1:], tuple(f"{name}Bias" for name in ours))


def inner(settings: Settings, sizes: Mapping[str, int]) -> int:
    return int(settings["mlp"].get("expansion", 4)) * sizes["nEmbd"]
