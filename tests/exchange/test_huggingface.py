"""Folders of transformers without transformers: written by us and read back to the bit, and used in place of runs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import gptlab
from gptlab.cli import main
from gptlab.command.composing import prepared
from gptlab.errors import UserError
from gptlab.exchange.huggingface.writing import export_folder, family_for
from gptlab.exchange.loading import restored
from tests.exchange.huggingface_folders import (
    GPT2,
    LLAMA,
    WIDE,
    changed,
    found,
    logits_of,
    make_gpt2,
    saved_of,
    shard,
)

CORPUS = "The cat runs\na dog sits\nthe dog naps\n" * 10
FEW = [
    *("data=text", "data.path=corpus.txt", "data.valFraction=0", "train.numSteps=3", "samples.n=0"),
    *("tracking=none", "progress=none", "inspect.atEnd=false"),
]
Command = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "corpus.txt").write_text(CORPUS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(folder: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    """What a command printed, which must have succeeded and complained of nothing."""

    def run(*arguments: str) -> str:
        capfd.readouterr()
        status = main(arguments)
        out, error = capfd.readouterr()
        assert (status, error) == (0, "")
        return out

    return run


@pytest.fixture
def golden(folder: Path) -> Path:
    """A folder as transformers writes one, of a tiny random GPT-2 with a tokenizer."""
    return make_gpt2(folder / "golden")


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("overrides", WIDE.values(), ids=WIDE.keys())
def test_a_folder_holds_the_model_to_the_bit(folder: Path, overrides: list[str], dtype: str) -> None:
    saved, registry = saved_of(overrides, dtype), prepared().registry
    assert export_folder(saved, registry, folder / "out") == ""
    again = found("hf:out")
    assert set(again.weights) == set(saved.weights) and again.sizes == saved.sizes
    for name, array in saved.weights.items():
        assert again.weights[name].tobytes() == array.tobytes() and again.weights[name].dtype == array.dtype
    assert saved.tokenizer is not None and again.tokenizer is not None
    ours, theirs = restored(saved.tokenizer, registry), restored(again.tokenizer, registry)
    assert (theirs.bos, theirs.vocabSize) == (ours.bos, ours.vocabSize)
    for text in ("the dog naps", "a cat"):
        assert theirs.encode(text) == ours.encode(text) and theirs.decode(ours.encode(text)) == text
    assert theirs.encode(" the dog") == ours.encode(" the dog")
    ids = np.array([ours.bos, *ours.encode("the dog")][:6], dtype=np.int32)
    assert logits_of(again, ids).tobytes() == logits_of(saved, ids).tobytes()


OBSTACLES = {
    "model.norm.scale=false (type model.norm.scale=true)": [*LLAMA, "model.norm.scale=false"],
    "model/norm=layernorm (type model/norm=rmsnorm)": [*LLAMA, "model/norm=layernorm"],
    "model.bias=false (type model.bias=true)": [*GPT2, "model.bias=false"],
    "model.attention.nKVHead=1 (leave it out)": [*GPT2, "model.attention.nKVHead=1"],
    "model.headDim=6 (leave it out)": [*GPT2, "model.headDim=6"],
    "ops.mul=maximum (leave it out)": [*GPT2, "ops.mul=maximum"],
    "model.softCap=30.0 (leave it out)": [*LLAMA, "model.softCap=30"],
    "model.finalNorm=false (type model.finalNorm=true)": [*LLAMA, "model.finalNorm=false"],
    "model.embeddingNorm=true (type model.embeddingNorm=false)": [*LLAMA, "model.embeddingNorm=true"],
    "model.attention.scalePower=1.0 (type model.attention.scalePower=0.5)": [
        *LLAMA,
        "model.attention.scalePower=1",
    ],
    "model.layers=[...] (leave it out)": [*LLAMA, "model.layers=[{attention: none}, {}]"],
    "model/activation=none (type model/activation=silu)": [*LLAMA, "model/activation=none"],
}


@pytest.mark.slow
@pytest.mark.parametrize(("says", "overrides"), OBSTACLES.items(), ids=OBSTACLES.keys())
def test_what_stands_in_the_way_is_named_with_what_to_type(says: str, overrides: list[str]) -> None:
    nearest = "GPT2LMHeadModel" if overrides[0] == "+size=gpt2" else "LlamaForCausalLM"
    with pytest.raises(UserError) as raised:
        family_for(saved_of(overrides), prepared().registry)
    assert f"The nearest is {nearest}, but {says} stands in the way" in str(raised.value)
    assert family_for(saved_of(overrides[:6]), prepared().registry).architecture == nearest


@pytest.mark.slow
def test_the_standard_model_is_none(
    command: Command, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command(*FEW, "hydra.run.dir=runs/one")
    assert main(["export", "runs/one", "--format=huggingface", "output=out", "tracking=none"]) == 2
    error = capfd.readouterr().err
    assert "model/mlp=mlp (type model/mlp=swiglu)" in error and "stand in the way" in error
    assert error.count("\n") == 1 and not (folder / "out").exists()


@pytest.mark.slow
def test_the_verbs_read_a_folder(command: Command, golden: Path, folder: Path) -> None:
    lines = command("generate", "run=hf:golden", "n=3", "seed=1", "prompt=the").splitlines()
    assert all(line.startswith("the") for line in lines)
    assert "the" in command("inspect", "run=hf:golden", "text=the cat")
    made = command("import", "hf:golden").strip()
    assert command("generate", f"run={made}", "n=3", "seed=1", "prompt=the").splitlines() == lines
    shutil.move(golden, folder / "elsewhere")
    tuned = ["initFrom=hf:elsewhere", *FEW]
    command(*tuned, "hydra.run.dir=runs/tuned")
    shutil.rmtree(folder / "elsewhere")
    run = gptlab.load("runs/tuned")
    assert run.config["tokenizer"]["name"] == "file" and run.parameters == sum(
        array.size for array in found(made).weights.values()
    )
    command("export", "runs/tuned", "--format=huggingface", "output=again", "tracking=none")
    again = found("hf:again")
    assert all((again.weights[name] == array).all() for name, array in run.source.weights.items())


@pytest.mark.slow
def test_a_run_goes_on_without_the_folder_that_it_came_from(command: Command, golden: Path) -> None:
    small = ["initFrom=hf:golden", *FEW, "checkpoint.every=1", "checkpoint.keep=9"]
    command(*small, "train.numSteps=4", "hydra.run.dir=runs/whole")
    shutil.copytree("runs/whole", "runs/cut")
    for step in (3, 4):
        shutil.rmtree(f"runs/cut/checkpoints/step-{step:06}")
    shutil.rmtree(golden)
    changed(Path("runs/cut"), lambda run: run.update(status="RUNNING"), "run.json")
    command("resume=runs/cut", "progress=none", "tracking=none")
    one, other = found("runs/whole").weights, found("runs/cut").weights
    assert all((one[name] == other[name]).all() for name in one)


def test_weights_in_half_precision_are_read_as_they_are(golden: Path) -> None:
    whole = found("hf:golden").weights
    tensors = load_file(golden / "model.safetensors")
    save_file(
        {name: array.astype("float16") for name, array in tensors.items()}, golden / "model.safetensors"
    )
    for name, array in found("hf:golden").weights.items():
        assert array.dtype == np.float32 and (array == whole[name].astype("float16").astype("float32")).all()
    header, content = {}, b""
    for name, array in tensors.items():
        half = (array.view(np.uint32) >> 16).astype("<u2").tobytes()
        header[name] = {
            "dtype": "BF16",
            "shape": list(array.shape),
            "data_offsets": [len(content), len(content) + len(half)],
        }
        content += half
    told = json.dumps(header).encode()
    (golden / "model.safetensors").write_bytes(len(told).to_bytes(8, "little") + told + content)
    for name, array in found("hf:golden").weights.items():
        assert array.dtype == np.float32 and not (array.view(np.uint32) & 0xFFFF).any()
        np.testing.assert_allclose(array, whole[name], rtol=2**-7)


def test_shards_are_read_as_one(golden: Path) -> None:
    whole = found("hf:golden").weights
    shard(golden)
    parts = found("hf:golden").weights
    assert whole.keys() == parts.keys() and all((whole[name] == parts[name]).all() for name in whole)


def test_names_without_their_prefix_and_what_old_files_hold_besides(golden: Path) -> None:
    """The published GPT-2 has neither `transformer.` nor only weights."""
    whole = found("hf:golden").weights
    tensors = {n.removeprefix("transformer."): a for n, a in load_file(golden / "model.safetensors").items()}
    tensors["h.0.attn.bias"] = np.ones((1, 1, 6, 6), "float32")
    save_file({**tensors, "lm_head.weight": tensors["wte.weight"].copy()}, golden / "model.safetensors")
    again = found("hf:golden").weights
    assert whole.keys() == again.keys() and all((whole[name] == again[name]).all() for name in whole)


@pytest.mark.slow
def test_where_a_folder_can_be_written(
    command: Command, golden: Path, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    export = ["export", "hf:golden", "--format=huggingface", "tracking=none"]
    assert command(*export) == "huggingface\n"
    before = {path.name: path.read_bytes() for path in (folder / "huggingface").iterdir()}
    assert set(before) == {
        *(
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
        )
    }
    for output, more, says in (
        ("huggingface", [], "export does not overwrite unless asked"),
        ("corpus.txt", ["overwrite=true"], "output must be a folder"),
        (".", ["overwrite=true"], "must be a folder of its own: . has corpus.txt, golden"),
        ("none/out", [], "there is no none"),
    ):
        assert main([*export, f"output={output}", *more]) == 2
        assert says in capfd.readouterr().err
    (folder / "huggingface" / "config.json").write_text("{}")
    command(*export, "overwrite=true")
    assert {path.name: path.read_bytes() for path in (folder / "huggingface").iterdir()} == before
    assert sorted(path.name for path in folder.iterdir()) == ["corpus.txt", "golden", "huggingface"]


def test_a_model_without_a_vocabulary_is_written_without(
    golden: Path, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (golden / "tokenizer.json").unlink()
    assert main(["export", "hf:golden", "--format=huggingface", "output=out", "tracking=none"]) == 0
    assert "no tokenizer.json: it carries no vocabulary" in capfd.readouterr().err
    assert not (folder / "out" / "tokenizer.json").exists()
