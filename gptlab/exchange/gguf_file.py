"""Weights as one GGUF file, which llama.cpp and what is built on it read, through the package `gguf`.

The tensors are float32, under the names and in the shapes that the package's own table gives them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gptlab.data.file_tokenizer import ByteLevelVocabulary
from gptlab.data.tokenizers import Tokenizer, ends_of
from gptlab.errors import UserError
from gptlab.exchange.huggingface.family import Family, Place
from gptlab.exchange.huggingface.vocabulary import tokenizer_content
from gptlab.exchange.huggingface.writing import family_for
from gptlab.exchange.loading import check_vocabulary
from gptlab.exchange.standard import standard_config
from gptlab.plugins.registry import Registry
from gptlab.runs.saved_run import SavedRun

COMPUTES = {"llama": "silu", "gpt2": "gelu"}  # the one activation that llama.cpp has for each
SUFFIXES = (".weight", ".bias")
NORMAL, CONTROL, UNUSED = 1, 3, 5  # gguf.TokenType


def library() -> Any:
    try:
        import gguf
    except ImportError:
        raise UserError(
            "--format=gguf needs the package gguf: it is not installed. Type pip install 'gptlab[gguf]'"
        ) from None
    return gguf


def gguf_family(saved: SavedRun, registry: Registry) -> Family:
    """The architecture that the model is there. Raises UserError for one that llama.cpp has not."""
    library()
    family = family_for(saved, registry)
    config = saved.config or standard_config(saved.sizes)
    has, wanted = config["model"]["activation"]["name"], COMPUTES[family.model_type]
    if has != wanted:
        raise UserError(
            f"a GGUF file of a {family.architecture} needs model/activation={wanted}: {saved.name} has "
            f"model/activation={has}. --format=huggingface takes it."
        )
    return family


def write_gguf(path: Path, saved: SavedRun, registry: Registry) -> None:
    """Write the file, and read it back. Raises UserError for a model that is none of llama.cpp's, and OSError."""
    gguf = library()
    family = gguf_family(saved, registry)
    config = saved.config or standard_config(saved.sizes)
    writer = gguf.GGUFWriter(str(path), family.model_type)
    for key, value in facts(family, config["model"], saved.sizes).items():
        (writer.add_float32 if isinstance(value, float) else writer.add_uint32)(
            f"{family.model_type}.{key}", value
        )
    tokenizer = None if saved.tokenizer is None else check_vocabulary(saved, registry)
    add_vocabulary(writer, tokenizer, saved)
    arrays = tensors_of(saved, family, config["model"])
    for name, array in arrays.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    again = {tensor.name: tensor.data for tensor in gguf.GGUFReader(str(path)).tensors}
    if again.keys() != arrays.keys() or not all(np.array_equal(again[name], arrays[name]) for name in arrays):
        raise RuntimeError("the GGUF file reads back differently")


def facts(family: Family, model: Any, sizes: Any) -> dict[str, int | float]:
    """What the file says of the model, by GGUF's keys, less the architecture's name before each."""
    told = family.written(model, sizes)
    found: dict[str, int | float] = {
        "context_length": sizes["blockSize"],
        "embedding_length": sizes["nEmbd"],
        "block_count": sizes["nLayer"],
        "attention.head_count": sizes["nHead"],
        "vocab_size": sizes["vocabSize"],
    }
    if family.model_type == "gpt2":
        return found | {
            "feed_forward_length": told["n_inner"],
            "attention.layer_norm_epsilon": float(told["layer_norm_epsilon"]),
        }
    return found | {
        "feed_forward_length": told["intermediate_size"],
        "attention.head_count_kv": told["num_key_value_heads"],
        "attention.key_length": sizes["headDim"],
        "attention.value_length": sizes["headDim"],
        "attention.layer_norm_rms_epsilon": float(told["rms_norm_eps"]),
        "rope.dimension_count": sizes["headDim"],
        "rope.freq_base": float(told["rope_theta"]),
    }


def tensors_of(saved: SavedRun, family: Family, model: Any) -> dict[str, np.ndarray]:
    """By their names in the file, float32; outputs in rows everywhere."""
    gguf, sizes = library(), saved.sizes
    architecture = {value: key for key, value in gguf.MODEL_ARCH_NAMES.items()}[family.model_type]
    names = gguf.get_tensor_name_map(architecture, sizes["nLayer"])
    found = {}
    for place in family.places(model, sizes):
        array = np.concatenate([saved.weights[name] for name in place.ours]).astype(np.float32)
        found[names.get_name(place.name, SUFFIXES)] = turned(place, array, sizes["headDim"])
    return found


def turned(place: Place, array: np.ndarray, headDim: int) -> np.ndarray:
    """Rows of queries and keys as llama.cpp's rope for `llama` has them: the pair (i, i + D/2) side by side."""
    if ".self_attn.q_proj" not in place.name and ".self_attn.k_proj" not in place.name:
        return array
    halves = array.reshape(-1, 2, headDim // 2, *array.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(array.shape))


def add_vocabulary(writer: Any, tokenizer: Tokenizer | None, saved: SavedRun) -> None:
    """Tokens, merges and marks, of a tokenizer of bytes with GPT-2's words; of others none."""
    content = None if tokenizer is None else tokenizer_content(tokenizer, saved.start)
    if content is None or tokenizer is None or not has_gpt2_words(content, tokenizer):
        writer.add_tokenizer_model("none")
        return
    model = content["model"]
    tokens = [f"[PAD{i}]" for i in range(tokenizer.vocabSize)]
    types = [UNUSED] * len(tokens)
    for token, i in model["vocab"].items():
        tokens[i], types[i] = token, NORMAL
    for added in content["added_tokens"]:
        tokens[added["id"]], types[added["id"]] = added["content"], CONTROL
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges or [""])
    writer.add_bos_token_id(tokenizer.bos)
    writer.add_eos_token_id(ends_of(tokenizer)[-1])
    writer.add_add_bos_token(saved.start in (None, tokenizer.bos))


def has_gpt2_words(content: Any, tokenizer: Tokenizer) -> bool:
    """Whether a text is cut as GPT-2 does, into words of bytes; single bytes are, wherever that is."""
    before = content.get("pre_tokenizer") or {}
    as_there = before.get("type") == "ByteLevel" and not before.get("add_prefix_space", True)
    words = before.get("use_regex", True) or not content["model"].get("merges")
    ours = not isinstance(tokenizer, ByteLevelVocabulary) or content.get("normalizer") is None
    return bool(as_there and words and ours and content["model"].get("type") == "BPE")
