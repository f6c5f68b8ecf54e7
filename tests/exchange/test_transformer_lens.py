"""Folders for TransformerLens in TransformerLens itself, which has an environment of its own: `make huggingface`.

The programs of docs/checkpoints.md load them: the first one in version 4, the second one in those before.
"""

import re
import socket
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

import gptlab
from gptlab.command.composing import prepared
from gptlab.exchange.huggingface.writing import export_folder
from gptlab.exchange.transformerlens import config_of, export_transformerlens
from gptlab.loaded.loaded import Loaded
from tests.exchange.huggingface_folders import WIDE, logits_of, saved_of
from tests.exchange.transformerlens_models import MODELS
from tests.repository import ROOT

transformer_lens = pytest.importorskip(
    "transformer_lens", reason="TransformerLens is in an environment of its own: make huggingface"
)
torch = pytest.importorskip("torch", reason="torch is in an environment of its own: make huggingface")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:HookedTransformer is deprecated:DeprecationWarning"),
    # Of torch's own modules, where transformers calls them.
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:torch.*"),
    pytest.mark.filterwarnings("ignore:.*:FutureWarning:torch.*"),
]
NEW = int(version("transformer-lens").split(".")[0]) >= 4
PAGE = (ROOT / "docs/checkpoints.md").read_text(encoding="utf-8")
PROGRAM = [
    text for text in re.findall(r"^```python\n(.*?)^```", PAGE, re.S | re.M) if "_lens import" in text
][not NEW]
TEXT = "the cat"  # the page's
CLOSE = {"rtol": 0, "atol": 1e-5}
# By our names, what is the same there.
SAME = {
    "value": "attn.hook_v",
    "shares": "attn.hook_pattern",
    "heads": "attn.hook_z",
    "attention": "hook_attn_out",
    "mlp": "hook_mlp_out",
    "output": "hook_resid_post",
}


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In an empty folder, where nothing can be asked of anyone."""

    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.chdir(tmp_path)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def loaded(overrides: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[Loaded, dict[str, Any]]:
    """The run, and what the page's program has made of the folder."""
    saved = saved_of(overrides)
    export_transformerlens(saved, prepared().registry, Path("transformerlens"))
    run = Loaded(saved, prepared().registry)
    monkeypatch.setattr(gptlab, "load", lambda _: run)
    made: dict[str, Any] = {}
    with torch.no_grad():
        exec(PROGRAM, made)
    return run, made


@pytest.mark.parametrize("name", MODELS)
def test_logits_and_activations_are_the_model_s(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run, made = loaded(MODELS[name], monkeypatch)
    ours, ids = run.activations(TEXT), made["tokens"][0].numpy()
    there = made["logits"][0].numpy()
    np.testing.assert_allclose(there, logits_of(run.source, ids), **CLOSE)
    np.testing.assert_allclose(there, ours["logits"], **CLOSE)
    assert np.abs(there).max() > 0.5 and len(ids) == 3
    for i in range(2):
        for part, hook in SAME.items():
            if (part, name) == ("mlp", "attention alone"):  # where there is none
                continue
            seen = made["cache"][f"blocks.{i}.{hook}"][0].numpy()
            np.testing.assert_allclose(seen, ours[f"layers.{i}.{part}"], **CLOSE)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_what_a_hook_takes_out_is_what_inspect_takes_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run, made = loaded(MODELS[name], monkeypatch)

    def zero_head(z: Any, hook: Any) -> Any:  # (1, T, H, D)
        return torch.cat([z[:, :, :1], torch.zeros_like(z[:, :, 1:])], 2)

    def zero(added: Any, hook: Any) -> Any:
        return torch.zeros_like(added)

    for part, hook in {
        "layers.0.head.1": ("blocks.0.attn.hook_z", zero_head),
        "layers.1.mlp": ("blocks.1.hook_mlp_out", zero),
    }.items():
        with torch.no_grad():
            logits = made["model"].run_with_hooks(made["tokens"], fwd_hooks=[hook])[0].double()
        losses = torch.nn.functional.cross_entropy(logits[:-1], made["tokens"][0, 1:], reduction="none")
        without = run.without(part, TEXT)
        np.testing.assert_allclose(losses.numpy(), (without.losses + without.effects)[: len(losses)], **CLOSE)
        assert np.abs(without.effects).max() > 0.01


@pytest.mark.skipif(not NEW, reason="the older HookedTransformer has a few of these")
def test_what_is_refused_is_not_there() -> None:
    """Where the library says so. If a later one has it, the refusal can go."""
    bridge, config = transformer_lens.TransformerBridge, transformer_lens.TransformerBridgeConfig
    told = config_of(saved_of(MODELS["llama"]))
    for change in ({"act_fn": "tanh"}, {"positional_embedding_type": "alibi"}):
        with pytest.raises(ValueError, match="Unsupported"):
            bridge.boot_native({**told, **change})
    names = [name for name in bridge.boot_native(told).state_dict() if ".mlp." in name]
    assert names and not [name for name in names if name.endswith("bias")]
    assert config.from_dict({**told, "rotary_base": 500.5}).rotary_base == 500


@pytest.mark.skipif(
    not NEW, reason="TransformerLens before version 4 names models by their addresses in a hub"
)
@pytest.mark.parametrize("overrides", WIDE.values(), ids=WIDE.keys())
def test_a_folder_of_transformers_opens_there_with_its_vocabulary(overrides: list[str]) -> None:
    saved = saved_of(overrides)
    export_folder(saved, prepared().registry, Path("llama"))
    model = transformer_lens.TransformerBridge.boot_transformers("llama")
    run = Loaded(saved, prepared().registry)
    ids = [run.tokenizer.bos, *run.tokenizer.encode(TEXT)][: saved.sizes["blockSize"]]
    tokens = model.to_tokens(TEXT)
    assert tokens.tolist() == [ids]
    with torch.no_grad():
        np.testing.assert_allclose(model(tokens)[0].numpy(), logits_of(saved, np.array(ids)), **CLOSE)
