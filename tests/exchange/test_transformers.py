"""Logits to 1e-5, both ways, beside transformers itself, which has an environment of its own: `make huggingface`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gptlab.command.composing import prepared
from gptlab.exchange.huggingface.writing import export_folder
from gptlab.exchange.loading import restored
from gptlab.loaded.loaded import Loaded
from tests.data.tokenizer_files import FILES, save
from tests.exchange.huggingface_folders import GPT2, LLAMA, WIDE, found, logits_of, saved_of

transformers = pytest.importorskip(
    "transformers", reason="transformers is in an environment of its own: make huggingface"
)
torch = pytest.importorskip("torch", reason="torch is in an environment of its own: make huggingface")
pytestmark = [
    pytest.mark.slow,
    # Of torch's own modules, at their import and where transformers calls them.
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:torch.*"),
    pytest.mark.filterwarnings("ignore:.*:FutureWarning:torch.*"),
]
IDS = np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3], dtype=np.int32)
BLOCK = len(IDS)
CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In an empty folder, where nothing can be asked of a hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    yield
    torch.set_num_threads(before)


def theirs(model: Any, ids: np.ndarray) -> np.ndarray:
    """(T, V) in float64."""
    with torch.no_grad():
        found: np.ndarray = model.double()(torch.tensor(ids[None].astype(np.int64))).logits[0].numpy()
    return found


def moved(model: Any) -> Any:
    """With weights far from where they start: biases and scales, too."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return model.eval()


def llama(**changes: Any) -> Any:
    settings = {
        **{"vocab_size": 280, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2},
        **{"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": BLOCK},
    }
    return moved(transformers.LlamaForCausalLM(transformers.LlamaConfig(**{**settings, **changes})))


def gpt2(**changes: Any) -> Any:
    settings = {"vocab_size": 290, "n_positions": BLOCK, "n_embd": 24, "n_layer": 2, "n_head": 4}
    marks = {"bos_token_id": 286, "eos_token_id": 286}
    return moved(transformers.GPT2LMHeadModel(transformers.GPT2Config(**{**settings, **marks, **changes})))


THEIRS = {
    "llama": lambda: llama(),
    "llama, tied, wide heads": lambda: llama(tie_word_embeddings=True, head_dim=10, num_key_value_heads=1),
    "llama, biases": lambda: llama(attention_bias=True, mlp_bias=True, rms_norm_eps=1e-3),
    "llama, another base": lambda: llama(rope_parameters={"rope_type": "default", "rope_theta": 300.0}),
    "gpt2": lambda: gpt2(),
    "gpt2, untied, relu, narrow": lambda: gpt2(
        tie_word_embeddings=False, activation_function="relu", n_inner=48, layer_norm_epsilon=1e-3
    ),
}


@pytest.mark.parametrize("make", THEIRS.values(), ids=THEIRS.keys())
@pytest.mark.parametrize("sharded", [False, True], ids=["whole", "shards"])
def test_a_model_of_transformers_is_the_same_here(make: Any, sharded: bool) -> None:
    model = make()
    model.save_pretrained("theirs", **({"max_shard_size": "10KB"} if sharded else {}))
    assert Path("theirs/model.safetensors.index.json").exists() == sharded
    saved = found("hf:theirs")
    ours = logits_of(saved, IDS)
    np.testing.assert_allclose(ours, theirs(model, IDS), **CLOSE)
    assert np.abs(ours).max() > 1, "logits near 0 would be close to anything"
    assert sum(array.size for array in saved.weights.values()) == model.num_parameters()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(dtype: str) -> None:
    model = llama().to(getattr(torch, dtype))
    model.save_pretrained("theirs")
    again = transformers.AutoModelForCausalLM.from_pretrained("theirs", dtype=torch.float32)
    np.testing.assert_allclose(logits_of(found("hf:theirs"), IDS), theirs(again.eval(), IDS), **CLOSE)


@pytest.mark.parametrize("overrides", WIDE.values(), ids=WIDE.keys())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_model_of_ours_is_the_same_there(overrides: list[str], dtype: str) -> None:
    saved = saved_of([*overrides, f"model.blockSize={BLOCK}"], dtype)
    export_folder(saved, prepared().registry, Path("ours"))
    model = transformers.AutoModelForCausalLM.from_pretrained("ours").eval()
    expected = "LlamaForCausalLM" if "+size=llama-tiny" in overrides else "GPT2LMHeadModel"
    assert type(model).__name__ == expected and model.dtype == getattr(torch, dtype)
    ids = IDS % saved.sizes["vocabSize"]
    ours = logits_of(saved, ids)
    np.testing.assert_allclose(ours, theirs(model, ids), **CLOSE)
    assert np.abs(ours).max() > 1 and model.num_parameters() == sum(a.size for a in saved.weights.values())
    # And back again, from the folder that they write of it.
    model.to(getattr(torch, dtype)).save_pretrained("again")
    for name, array in found("hf:again").weights.items():
        assert (array == saved.weights[name]).all()


def test_a_wrong_formula_would_be_seen() -> None:
    """A rope of another base, an eps, GELU by its other form: each is further away than what is let pass."""
    model = llama()
    model.save_pretrained("theirs")
    saved = found("hf:theirs")
    assert saved.config is not None
    right = theirs(model, IDS)
    for part, change in (
        ("position", {"base": 9000.0}),
        ("norm", {"eps": 1e-3}),
        ("activation", {"name": "gelu"}),
    ):
        parts = {**saved.config["model"], part: {**saved.config["model"][part], **change}}
        saved.config["model"], kept = parts, saved.config["model"]
        assert np.abs(logits_of(saved, IDS) - right).max() > 1e-4
        saved.config["model"] = kept


@pytest.mark.parametrize(
    "overrides", [["tokenizer=word"], ["tokenizer=char"], ["tokenizer=byte"], ["tokenizer=bpe"]], ids=str
)
def test_our_tokenizers_there(overrides: list[str]) -> None:
    saved = saved_of([*GPT2, *overrides])
    export_folder(saved, prepared().registry, Path("ours"))
    there = transformers.AutoTokenizer.from_pretrained("ours")
    assert saved.tokenizer is not None
    own = restored(saved.tokenizer, prepared().registry)
    assert there.bos_token_id == there.eos_token_id == own.bos and len(there) == own.vocabSize
    for text in ("the dog naps", "a cat", "the cat runs"):
        assert there(text)["input_ids"] == [own.bos, *own.encode(text)]
        assert (
            there.decode(own.encode(text))
            == text
            == there.decode(there(text)["input_ids"], skip_special_tokens=True)
        )


@pytest.mark.parametrize("name", ["llama", "gpt2", "llama3"])
def test_their_tokenizers_there_and_back(name: str, tmp_path: Path) -> None:
    path = save(FILES[name](), tmp_path / "tokenizer.json")
    saved = saved_of([*LLAMA, "tokenizer=file", f"tokenizer.path={path}"])
    export_folder(saved, prepared().registry, Path("ours"))
    there = transformers.AutoTokenizer.from_pretrained("ours")
    assert saved.tokenizer is not None
    own = restored(saved.tokenizer, prepared().registry)
    assert there.bos_token_id == own.bos and len(there) == own.vocabSize
    text = "the cat sees the café"
    assert there(text, add_special_tokens=False)["input_ids"] == own.encode(text)


def test_the_likeliest_text_is_the_same_one() -> None:
    """Greedily, by their generate and by ours, until a text's end or blockSize."""
    saved = saved_of([*LLAMA, "tokenizer=bpe", "tokenizer.vocabSize=300", f"model.blockSize={BLOCK}"])
    export_folder(saved, prepared().registry, Path("ours"))
    model = transformers.AutoModelForCausalLM.from_pretrained("ours").eval()
    there = transformers.AutoTokenizer.from_pretrained("ours")
    assert model.generation_config.bos_token_id == model.generation_config.eos_token_id == there.bos_token_id
    for prompt in ("the", "a dog", ""):
        ids = there(prompt, return_tensors="pt")
        made = model.generate(**ids, max_length=BLOCK, do_sample=False, pad_token_id=there.bos_token_id)
        text = there.decode(made[0][1:], skip_special_tokens=True)
        run = Loaded(found("hf:ours"), prepared().registry)
        assert run.generate(prompt, 1, temperature=0)[0].startswith(text)
