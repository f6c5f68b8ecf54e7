"""Tiny folders of transformers, and models of ours to write as such: helpers of tests."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from gptlab.assembly.architecture import Architecture
from gptlab.command.composing import compose, prepared
from gptlab.config.schema import plain
from gptlab.config.typed import ModelConfig, typed
from gptlab.exchange.finding import find_run
from gptlab.exchange.loading import model_of, with_model
from gptlab.plugins.registry import build
from gptlab.runs.saved_run import SavedRun, sizes_of
from tests.data.tokenizer_files import FILES, save

NO_TRACKING = {"name": "none"}
LINES = ["The cat runs", "a dog sits", "the dog naps"]
SMALL = ["model.nEmbd=8", "model.nHead=2", "model.nLayer=2", "model.blockSize=6", "tracking=none"]
LLAMA = ["+size=llama-tiny", "model.mlp.width=12", *SMALL]
GPT2 = ["+size=gpt2", *SMALL]
WIDE = {
    "llama": [*LLAMA, "model.attention.nKVHead=1", "model.norm.eps=1e-4", "model.position.base=500"],
    "llama untied with biases": [*LLAMA, "model.tieEmbeddings=false", "model.bias=true", "tokenizer=byte"],
    "llama with wide heads": [*LLAMA, "model.headDim=6", "tokenizer=char", "model/activation=gelu"],
    "gpt2": [*GPT2, "tokenizer=bpe", "tokenizer.vocabSize=270"],
    "gpt2 untied with relu": [
        *GPT2,
        "model.tieEmbeddings=false",
        "model/activation=relu",
        "model.mlp.expansion=2",
    ],
}


def saved_of(overrides: list[str], dtype: str = "float32") -> SavedRun:
    """A model with weights far from where they start, biases and scales as well, as if it had been trained."""
    registry = prepared().registry
    config = plain(compose("train", overrides))
    tokenizer = build(registry, "tokenizer", config["tokenizer"]).build(LINES)
    parts = typed(ModelConfig, config["model"])
    definition = Architecture.of(parts, config["ops"], registry, tokenizer.vocabSize).definition
    generator = np.random.default_rng(0)
    weights = {
        name: (array + 0.3 * generator.normal(size=array.shape)).astype(dtype)
        for name, array in definition.initial_weights(0).items()
    }
    state = {"name": config["tokenizer"]["name"], **tokenizer.state()}
    return SavedRun("the run", config, state, weights, sizes_of(config, weights, "the run"))


def logits_of(saved: SavedRun, ids: np.ndarray, engine: str = "scalar") -> np.ndarray:
    """(T, V), in float64 on the scalar engine."""
    registry = prepared().registry
    ordered, architecture = with_model(replace(saved), registry)
    return np.asarray(model_of(ordered, architecture, registry, {"name": engine}).logits(ids))


def make_gpt2(path: Path, **changes: Any) -> Path:
    path.mkdir()
    tokenizer = FILES["gpt2"]()
    save(tokenizer, path / "tokenizer.json")
    count = tokenizer.get_vocab_size()
    config = {
        **{"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": count, "n_positions": 6},
        **{"n_embd": 8, "n_layer": 1, "n_head": 2, "bos_token_id": count - 1, "eos_token_id": count - 1},
    }
    (path / "config.json").write_text(json.dumps({**config, **changes}))
    generator = np.random.default_rng(0)
    shapes = {
        **{"wte.weight": (count, 8), "wpe.weight": (6, 8), "ln_f.weight": (8,), "ln_f.bias": (8,)},
        **{f"h.0.ln_{i}.{part}": (8,) for i in (1, 2) for part in ("weight", "bias")},
        **{
            "h.0.attn.c_attn.weight": (8, 24),
            "h.0.attn.c_attn.bias": (24,),
            "h.0.attn.c_proj.weight": (8, 8),
        },
        **{"h.0.attn.c_proj.bias": (8,), "h.0.mlp.c_fc.weight": (8, 32), "h.0.mlp.c_fc.bias": (32,)},
        **{"h.0.mlp.c_proj.weight": (32, 8), "h.0.mlp.c_proj.bias": (8,)},
    }
    tensors = {f"transformer.{n}": generator.normal(size=s).astype("float32") for n, s in shapes.items()}
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    return path


def found(reference: object) -> SavedRun:
    with find_run(str(reference), NO_TRACKING) as saved:
        return saved


def changed(path: Path, change: Callable[[dict[str, Any]], object], name: str = "config.json") -> None:
    content = json.loads((path / name).read_text())
    change(content)
    (path / name).write_text(json.dumps(content))


def shard(golden: Path) -> dict[str, Any]:
    """The weights of the folder in two shards."""
    tensors = load_file(golden / "model.safetensors")
    (golden / "model.safetensors").unlink()
    names = sorted(tensors)
    files = {f"model-0000{i}-of-00002.safetensors": names[i - 1 :: 2] for i in (1, 2)}
    for file, of_file in files.items():
        save_file({name: tensors[name] for name in of_file}, golden / file)
    index = {"metadata": {}, "weight_map": {name: file for file, some in files.items() for name in some}}
    (golden / "model.safetensors.index.json").write_text(json.dumps(index))
    return index
