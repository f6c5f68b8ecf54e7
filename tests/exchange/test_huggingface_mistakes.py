"""Folders of transformers that are refused: one line that names the file and what is wrong with it."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import gptlab
from gptlab.command.composing import prepared
from gptlab.errors import UserError
from gptlab.exchange.huggingface.writing import export_folder
from tests.data.tokenizer_files import FILES, save
from tests.exchange.huggingface_folders import changed, found, make_gpt2, shard


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "corpus.txt").write_text("a b\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def golden(folder: Path) -> Path:
    return make_gpt2(folder / "golden")


def refused(reference: str, *says: str) -> None:
    with pytest.raises(UserError) as raised:
        gptlab.load(reference)
    assert "\n" not in str(raised.value)
    for part in says:
        assert part in str(raised.value)


def test_no_folder_and_none_of_transformers(folder: Path, golden: Path) -> None:
    refused("hf:openai/gpt2", "hf: must be followed by a folder on this disk", "no openai/gpt2", "downloaded")
    refused("hf:corpus.txt", "a folder on this disk")
    (golden / "config.json").unlink()
    refused("hf:golden", "must hold config.json: golden has none")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"architectures": ["MistralForCausalLM"]},
            "LlamaForCausalLM and GPT2LMHeadModel of transformers: golden",
        ),
        ({"architectures": None, "model_type": "bert"}, "model_type='bert'"),
        ({"architectures": 3, "model_type": None}, "model_type=None"),
        (
            {"auto_map": {"AutoModel": "mine.Model"}},
            "code of its own (auto_map in its config.json), which is not run",
        ),
        (
            {"activation_function": "gelu"},
            "activation_function in golden/config.json must be one of gelu_new",
        ),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        (
            {"n_layer": "3"},
            "n_layer in golden/config.json must be a positive whole number below 2^31: got '3'",
        ),
        ({"n_layer": 2_000_000_000}, "must have weights for 2000000000 layers: it has"),
        ({"n_layer": 2}, "transformer.h.1.ln_1.weight: the file has missing, the config (8,)"),
        ({"n_head": 3}, "nHead must divide nEmbd"),
        ({"n_embd": 10, "n_inner": 32}, "n_inner in golden/config.json must be a multiple of n_embd=10"),
        ({"n_positions": 7}, "transformer.wpe.weight: the file has (6, 8), the config (7, 8)"),
        (
            {"layer_norm_epsilon": -1},
            "layer_norm_epsilon in golden/config.json must be a positive number: got -1",
        ),
        (
            {"tie_word_embeddings": 1},
            "tie_word_embeddings in golden/config.json must be true or false: got 1",
        ),
        ({"tie_word_embeddings": False}, "lm_head.weight: the file has missing"),
        ({"vocab_size": 9}, "transformer.wte.weight: the file has"),
    ],
    ids=str,
)
def test_configs_that_are_no_model_of_gptlab_s(golden: Path, change: dict[str, Any], says: str) -> None:
    changed(golden, lambda config: config.update(change))
    refused("hf:golden", says)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "rope_type"),
        ({"rope_parameters": {"rope_type": "linear"}}, "rope_type"),
        ({"rope_parameters": 3}, "rope_parameters"),
        ({"attention_bias": True, "mlp_bias": False}, "mlp_bias"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"num_key_value_heads": 0}, "num_key_value_heads"),
        ({"hidden_size": None}, "hidden_size"),
    ],
    ids=str,
)
def test_llamas_that_gptlab_has_not(golden: Path, change: dict[str, Any], says: str) -> None:
    llama = {
        **{"architectures": ["LlamaForCausalLM"], "vocab_size": 9, "hidden_size": 8, "intermediate_size": 12},
        **{"num_hidden_layers": 1, "num_attention_heads": 2},
    }
    (golden / "config.json").write_text(json.dumps({**llama, **change}))
    refused("hf:golden", f"{says} in golden/config.json must be")


def test_pickles_are_refused_by_name(golden: Path) -> None:
    (golden / "model.safetensors").rename(golden / "pytorch_model.bin")
    refused("hf:golden", "has its weights only in pytorch_model.bin", "a pickle runs code")
    (golden / "pytorch_model.bin").unlink()
    refused("hf:golden", "must hold model.safetensors, or model.safetensors.index.json")


def test_weights_that_are_not_whole(golden: Path) -> None:
    content = (golden / "model.safetensors").read_bytes()
    for cut in (0, 4, 40, len(content) - 1):
        (golden / "model.safetensors").write_bytes(content[:cut])
        refused("hf:golden", "must be a whole safetensors file: golden/model.safetensors is not")
    (golden / "model.safetensors").write_bytes(content + b"x")
    refused("hf:golden", "must be a whole safetensors file")


def test_weights_that_are_others_than_the_model_s(golden: Path) -> None:
    tensors = load_file(golden / "model.safetensors")
    save_file({**tensors, "transformer.h.0.adapter": np.ones(3, "float32")}, golden / "model.safetensors")
    refused("hf:golden", "transformer.h.0.adapter: the file has it, the config does not")
    save_file({**tensors, "transformer.ln_f.bias": np.ones(8, "int32")}, golden / "model.safetensors")
    refused(
        "hf:golden",
        "weights must be F32, F64, F16, BF16: golden/model.safetensors has I32 at transformer.ln_f.bias",
    )
    tensors["transformer.ln_f.bias"][3] = np.nan
    save_file(tensors, golden / "model.safetensors")
    refused(
        "hf:golden",
        "weights must be finite: golden/model.safetensors has some that are not, at transformer.ln_f.bias",
    )


@pytest.mark.slow
def test_shards_that_are_missing_cut_off_or_elsewhere(golden: Path, folder: Path) -> None:
    index = shard(golden)
    name = sorted(set(index["weight_map"].values()))[0]
    content = (golden / name).read_bytes()
    (golden / name).write_bytes(content[:-3])
    refused("hf:golden", f"must be a whole safetensors file: golden/{name} is not")
    (golden / name).unlink()
    refused("hf:golden", f"must hold all shards of its weights: there is no '{name}'")
    (folder / name).write_bytes(content)
    whole = found_index(golden)
    for way in (f"../{name}", str(folder / name), f"..\\{name}", "..", "", f"sub/{name}"):
        told = {"weight_map": {k: way if v == name else v for k, v in whole["weight_map"].items()}}
        (golden / "model.safetensors.index.json").write_text(json.dumps(told))
        refused("hf:golden", "files of golden must lie in it")
    for told in ([], {"weight_map": []}, {"weight_map": {"a": 1}}, {"weight_map": {}}):
        (golden / "model.safetensors.index.json").write_text(json.dumps(told))
        refused("hf:golden", "golden/model.safetensors.index.json must")
    whole["weight_map"]["more"] = next(file for file in whole["weight_map"].values() if file != name)
    (golden / name).write_bytes(content)
    (golden / "model.safetensors.index.json").write_text(json.dumps(whole))
    refused("hf:golden", "it has no more")


def found_index(golden: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((golden / "model.safetensors.index.json").read_text())
    return content


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.json", "generation_config.json"]
)
def test_links_out_of_the_folder_are_refused_but_for_those_of_a_cache(
    golden: Path, folder: Path, name: str
) -> None:
    outside = folder / f"outside-{name}"
    if (golden / name).exists():
        shutil.move(golden / name, outside)
    else:
        outside.write_text("{}")
    os.symlink(outside, golden / name)
    refused("hf:golden", f"files of golden must lie in it: {name} is a link to {outside}")
    cache = folder / "models--gpt2"
    (cache / "snapshots").mkdir(parents=True)
    (cache / "blobs").mkdir()
    shutil.move(outside, cache / "blobs" / "0a1b")
    (golden / name).unlink()
    golden.rename(cache / "snapshots" / "abc")
    os.symlink("../../blobs/0a1b", cache / "snapshots" / "abc" / name)
    assert gptlab.load("hf:models--gpt2/snapshots/abc").generate("the", 1)


def test_vocabularies_of_folders(golden: Path) -> None:
    count = FILES["gpt2"]().get_vocab_size()
    (golden / "generation_config.json").write_text(
        json.dumps({"bos_token_id": 3, "eos_token_id": [5, 3, 7, 10**6]})
    )
    state = found("hf:golden").tokenizer
    assert state is not None and (state["bos"], state["ends"], state["vocabSize"]) == (3, [3, 5, 7], count)
    export_folder(found("hf:golden"), prepared().registry, Path("again"))
    assert found("hf:again").tokenizer == state, "also written and read again"
    told = json.loads(Path("again/tokenizer_config.json").read_text())
    named = FILES["gpt2"]().id_to_token
    assert (told["bos_token"], told["eos_token"]) == (named(3), named(7))
    (golden / "generation_config.json").unlink()
    changed(golden, lambda config: config.update(bos_token_id=None, eos_token_id=None))
    state = found("hf:golden").tokenizer
    assert state is not None and state["bos"] == count - 1, "the tokenizer's own mark"
    (golden / "tokenizer.json").unlink()
    refused("hf:golden", "carries no vocabulary")
    llama = FILES["llama"]()
    llama.add_tokens([f"more{i}" for i in range(count)])
    save(llama, golden / "tokenizer.json")
    refused("hf:golden", "the tokenizer of golden must match its weights", f"must fit into {count}")
