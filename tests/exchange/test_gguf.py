"""GGUF files, read back by the package gguf, which is in an environment of its own: `make huggingface`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gptlab.command.composing import prepared
from gptlab.errors import UserError
from gptlab.exchange.exporting import export_weights
from gptlab.runs.saved_run import SavedRun
from tests.exchange.huggingface_folders import GPT2, LLAMA, saved_of

gguf = pytest.importorskip("gguf", reason="gguf is in an environment of its own: make huggingface")
GROUPED = [*LLAMA, "model.attention.nKVHead=1", "model.tieEmbeddings=false", "model.position.base=500"]


def written(saved: SavedRun, path: Path) -> Any:
    export_weights(saved, prepared().registry, "gguf", path)
    return gguf.GGUFReader(str(path))


def rotated(heads: np.ndarray, side_by_side: bool, base: float) -> np.ndarray:
    """(T, H, D) turned by its position: pairs that stand side by side, or half a head apart."""
    T, _, D = heads.shape
    angles = np.outer(np.arange(T), base ** (-np.arange(D // 2) / (D // 2)))[:, None]
    first, second = (heads[..., 0::2], heads[..., 1::2]) if side_by_side else np.split(heads, 2, axis=-1)
    turned = (
        first * np.cos(angles) - second * np.sin(angles),
        first * np.sin(angles) + second * np.cos(angles),
    )
    return np.stack(turned, -1).reshape(heads.shape) if side_by_side else np.concatenate(turned, -1)


def test_a_llama_gives_the_same_scores_by_the_rope_that_llama_cpp_has(tmp_path: Path) -> None:
    saved = saved_of(GROUPED)
    reader = written(saved, tmp_path / "w.gguf")
    there = {tensor.name: np.asarray(tensor.data) for tensor in reader.tensors}
    x = np.random.default_rng(0).normal(size=(5, 8))
    for layer in (0, 1):
        scores = []
        for side_by_side, source in ((True, there), (False, saved.weights)):
            names = (
                ("blk.{}.attn_{}.weight", ("q", "k"))
                if side_by_side
                else ("layers.{}.attention.{}", ("query", "key"))
            )
            query, key = (
                rotated((x @ source[names[0].format(layer, name)].T).reshape(5, -1, 4), side_by_side, 500.0)
                for name in names[1]
            )
            scores.append(np.einsum("thd,sgd->hts", query, key))
        np.testing.assert_allclose(*scores, rtol=1e-10)
        for ours, theirs in (
            ("attention.value", "attn_v"),
            ("attention.output", "attn_output"),
            ("mlp.gate", "ffn_gate"),
        ):
            assert (there[f"blk.{layer}.{theirs}.weight"] == saved.weights[f"layers.{layer}.{ours}"]).all()
    assert (there["token_embd.weight"] == saved.weights["tokenEmbedding"]).all()
    assert (there["output.weight"] == saved.weights["output"]).all()
    assert (there["output_norm.weight"] == saved.weights["finalNorm.scale"]).all()
    said = {name: reader.get_field(name).contents() for name in reader.fields if name.startswith("llama.")}
    assert said["llama.attention.head_count_kv"] == 1 and said["llama.rope.freq_base"] == 500
    assert said["llama.feed_forward_length"] == 12 and said["llama.context_length"] == 6
    assert sum(array.size for array in there.values()) == sum(array.size for array in saved.weights.values())


def test_a_gpt2_with_its_vocabulary(tmp_path: Path) -> None:
    saved = saved_of([*GPT2, "tokenizer=bpe", "tokenizer.vocabSize=262"])
    reader = written(saved, tmp_path / "w.gguf")
    there = {tensor.name: np.asarray(tensor.data) for tensor in reader.tensors}
    qkv = np.concatenate([saved.weights[f"layers.1.attention.{name}"] for name in ("query", "key", "value")])
    assert (there["blk.1.attn_qkv.weight"] == qkv).all() and there["blk.1.attn_qkv.bias"].shape == (24,)
    assert (there["blk.0.ffn_down.weight"] == saved.weights["layers.0.mlp.output"]).all()
    assert (there["blk.0.attn_norm.bias"] == saved.weights["layers.0.attentionNorm.bias"]).all()
    assert (there["position_embd.weight"] == saved.weights["positionEmbedding"]).all()
    assert "output.weight" not in there, "tied"
    assert reader.get_field("general.architecture").contents() == "gpt2"
    assert reader.get_field("tokenizer.ggml.bos_token_id").contents() == 261
    tokens = reader.get_field("tokenizer.ggml.tokens").contents()
    assert len(tokens) == 262 and tokens[261] == "<|endoftext|>"
    assert len(reader.get_field("tokenizer.ggml.merges").contents()) == 262 - 257


@pytest.mark.parametrize("change", ["tokenizer=word", "tokenizer=char"])
def test_a_vocabulary_of_words_is_left_out(change: str, tmp_path: Path) -> None:
    reader = written(saved_of([*GPT2, change]), tmp_path / "w.gguf")
    assert reader.get_field("tokenizer.ggml.model").contents() == "none"


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (
            [*GPT2, "model/activation=relu"],
            "needs model/activation=gelu: the run has model/activation=relu",
        ),
        ([*LLAMA, "model.norm.scale=false"], "model.norm.scale=false"),
    ],
    ids=str,
)
def test_what_llama_cpp_has_not_is_refused(overrides: list[str], says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        written(saved_of(overrides), tmp_path / "w.gguf")
    assert says in str(raised.value) and not list(tmp_path.iterdir())


def test_a_file_that_reads_back_otherwise_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = saved_of(GPT2)
    add: Callable[..., None] = gguf.GGUFWriter.add_tensor
    monkeypatch.setattr(gguf.GGUFWriter, "add_tensor", lambda self, name, array: add(self, name, array + 1))
    with pytest.raises(RuntimeError, match="reads back differently"):
        written(saved, tmp_path / "w.gguf")
    assert not list(tmp_path.iterdir())
