"""Weights that travel: out to a file and in again to the bit, by the commands as a person types them."""

import json
import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from gptlab.cli import main
from gptlab.exchange import json_weights, read_file
from gptlab.exchange.finding import find_run
from gptlab.exchange.json_weights import read_json_weights, write_json_weights
from gptlab.exchange.standard import count_of, shapes_of, standard_config
from gptlab.model.adapter import LoRA
from gptlab.model.gpt import GPT

CORPUS = "the cat runs\na dog sits\nthe dog naps\n" * 10
TINY = ["data=text", "data.path=corpus.txt", "data.valFraction=0", "model.nEmbd=8", "model.nHead=2"]
FEW = ["model.blockSize=6", "train.numSteps=2", "samples.n=0", "tracking=none", "progress=none"]
SIZES = {"nLayer": 2, "nEmbd": 4, "blockSize": 3, "nHead": 2, "headDim": 2, "vocabSize": 5}
NO_TRACKING = {"name": "none"}

Command = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the corpus."""
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
def trained(command: Command, folder: Path) -> Path:
    command(*TINY, *FEW)
    return next(folder.glob("runs/*/*"))


def weights_of(reference: Path | str) -> dict[str, np.ndarray]:
    with find_run(str(reference), NO_TRACKING) as source:
        return source.weights


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)


def drawn(sizes: dict[str, int], dtype: str = "float64") -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {name: generator.normal(size=shape).astype(dtype) for name, shape in shapes_of(sizes).items()}


def test_the_standard_models_matrices_are_those_of_its_config() -> None:
    from gptlab.assembly.architecture import Architecture
    from gptlab.config.typed import ModelConfig, typed
    from gptlab.plugins.loading import load_plugins

    config, registry = standard_config(SIZES), load_plugins(quiet=True).registry
    model = typed(ModelConfig, config["model"])
    definition = Architecture.of(model, config["ops"], registry, SIZES["vocabSize"]).definition
    assert isinstance(definition, GPT)
    declared = {name: weight.shape for name, weight in definition.declared_weights().items()}
    assert list(shapes_of(SIZES).items()) == list(declared.items())
    assert count_of(SIZES) == sum(math.prod(shape) for shape in declared.values())
    assert count_of({**SIZES, "nLayer": 1, "nEmbd": 16, "blockSize": 16, "vocabSize": 27}) == 4192


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_json_makes_the_round_trip_to_the_bit(tmp_path: Path, dtype: str) -> None:
    weights = drawn(SIZES, dtype)
    first = next(iter(weights.values()))
    first[0] = [-0.0, 5e-324 if dtype == "float64" else 1e-45, 1 / 3, 1e30]
    write_json_weights(tmp_path / "w.json", SIZES, weights)
    found = read_json_weights(tmp_path / "w.json").weights
    assert list(found) == list(weights)
    for name, array in weights.items():
        assert found[name].dtype == np.float64
        assert found[name].tobytes() == array.astype(np.float64).tobytes()


def test_json_is_what_any_other_program_reads(tmp_path: Path) -> None:
    weights = drawn(SIZES)
    write_json_weights(tmp_path / "w.json", SIZES, weights)
    content = json.loads((tmp_path / "w.json").read_text(encoding="ascii"))
    assert list(content) == ["config", "weights"]
    assert content["config"] == SIZES
    assert content["weights"] == [number for array in weights.values() for number in array.ravel().tolist()]


@pytest.mark.slow
def test_what_a_file_of_numbers_takes_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the peaks of what Python allocates: written in small blocks, and read below 2 GB for ten million."""
    monkeypatch.setattr(json_weights, "BLOCK", 1 << 10)
    sizes = {"nLayer": 4, "nEmbd": 80, "blockSize": 16, "nHead": 4, "headDim": 20, "vocabSize": 32}
    weights = drawn(sizes)
    tracemalloc.start()
    try:
        write_json_weights(tmp_path / "w.json", sizes, weights)
        written = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        found = read_json_weights(tmp_path / "w.json").weights
        read = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert same(found, weights)
    assert (tmp_path / "w.json").stat().st_size > 6e6
    assert written < 1e6 and read < 200 * count_of(sizes)


@pytest.mark.slow
def test_a_file_of_another_program(command: Command, folder: Path) -> None:
    """Whole numbers, exponents, any space, any order of keys, more keys; the vocabulary of the corpus."""
    sizes = {"vocabSize": 8, "headDim": 2, "nHead": 2, "blockSize": 6, "nEmbd": 4, "nLayer": 1, "extra": [1]}
    texts = [["1", "-2", "3E-1", "0", "-0.5e0", "1e+0", "2.50"][i % 7] for i in range(count_of(sizes))]
    members = [
        '"optimizer": {"mean": [0, 1.5, [2, {"a": null}], true], "text": "\\u00e9 \\" }"}',
        '"weights" :[\r\n\t' + " ,\n".join(texts) + " ]",
        f'"config"\n: {json.dumps(sizes, indent=3)}',
    ]
    (folder / "theirs.json").write_bytes(b"\xef\xbb\xbf\n{" + ", ".join(members).encode() + b"} \n\n")
    found = read_file(folder / "theirs.json")
    assert [x for a in found.weights.values() for x in a.ravel().tolist()] == list(map(float, texts))
    assert found.sizes == {key: sizes[key] for key in found.sizes}
    asked = ["n=3", "seed=1", "tokenizer.path=corpus.txt"]
    lines = command("generate", "run=theirs.json", *asked).splitlines()
    assert len(lines) == 3
    assert set(" ".join(lines).split()) <= {"the", "cat", "runs", "a", "dog", "sits", "naps"}
    command("import", "theirs.json", "tokenizer.path=corpus.txt")
    assert command("generate", *asked[:2], "tracking=none").splitlines() == lines


@pytest.mark.slow
def test_a_file_over_characters(command: Command, folder: Path) -> None:
    sizes = {**SIZES, "vocabSize": len(set(CORPUS.replace("\n", ""))) + 1}
    write_json_weights(folder / "chars.json", sizes, drawn(sizes))
    asked = ["run=chars.json", "tokenizer=char", "tokenizer.path=corpus.txt", "prompt=th", "n=1"]
    assert command("generate", *asked).startswith("th")
    assert main(["generate", *asked[:1], *asked[2:]]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["json", "safetensors"])
def test_export_and_import_give_the_same_numbers_and_samples(
    command: Command, trained: Path, folder: Path, kind: str
) -> None:
    samples = command("generate", "tracking=none", "n=3")
    assert command("export", "latest", f"--format={kind}", "tracking=none") == f"weights.{kind}\n"
    corpus = ["tokenizer.path=corpus.txt"] if kind == "json" else []
    assert command("generate", f"run=weights.{kind}", "n=3", *corpus) == samples
    made = command("import", f"weights.{kind}", *corpus).strip()
    assert Path(made).is_dir() and made.startswith("runs/")
    assert same(weights_of(made), weights_of(trained)) and same(weights_of("latest"), weights_of(trained))
    assert command("generate", f"run={made}", "n=3") == samples
    assert command("export", made, f"output=again.{kind}") == f"again.{kind}\n"
    if kind == "json":
        assert (folder / "again.json").read_bytes() == (folder / "weights.json").read_bytes()
    assert same(weights_of(f"again.{kind}"), weights_of(trained))


@pytest.mark.slow
def test_what_is_exported_of_adapters_is_the_model_with_them_merged(
    command: Command, trained: Path, folder: Path
) -> None:
    tuned = [*TINY[:3], *FEW, f"initFrom={trained}", "model/adapter=lora", "train.learningRate=0.1"]
    command(*tuned, "hydra.run.dir=runs/tuned")
    command("export", "runs/tuned", "--format=json", "output=tuned.json")
    (checkpoint,) = folder.glob("runs/tuned/checkpoints/step-*")
    held = load_file(checkpoint / "training.safetensors")
    settings = LoRA()
    exported, before = weights_of("tuned.json"), weights_of(trained)
    assert exported.keys() == before.keys()
    moved = {name for name in exported if (exported[name] != before[name]).any()}
    assert moved == {f"layers.0.attention.{part}" for part in ("query", "value")}
    for name in moved:
        down, up = (held[f"adapter.{name}.{part}"] for part in ("A", "B"))
        merged = before[name] + settings.alpha / settings.rank * (up @ down)
        np.testing.assert_allclose(exported[name], merged, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_export_takes_every_reference(command: Command, trained: Path, folder: Path) -> None:
    run = trained.relative_to(folder)
    (checkpoint,) = run.glob("checkpoints/*")
    first = command("export", "output=0.json", "tracking=none").strip()
    for i, reference in enumerate([run, checkpoint, Path("0.json")], start=1):
        command("export", str(reference), f"output={i}.json", "tracking=none")
        assert (folder / f"{i}.json").read_bytes() == Path(first).read_bytes()


@pytest.mark.slow
def test_export_to_safetensors_keeps_what_json_cannot_tell(
    command: Command, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = ["model/norm=layernorm", "model.norm.scale=true", "model/position=rope", "ops.mul=maximum"]
    command(*TINY, *FEW, *other)
    assert main(["export", "latest", "--format=json", "tracking=none"]) == 2
    error = capfd.readouterr().err
    for words in ("model/norm=layernorm", "model/position=rope", "ops.mul=maximum", "--format=safetensors"):
        assert words in error
    assert not (folder / "weights.json").exists()
    samples = command("generate", "tracking=none", "n=2")
    command("export", "--format", "safetensors", "tracking=none")
    assert command("generate", "run=weights.safetensors", "n=2") == samples
    made = command("import", "weights.safetensors").strip()
    assert command("generate", f"run={made}", "n=2") == samples


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (["model.mlp.expansion=2"], "model.mlp.expansion=2"),
        (["model.norm.eps=1e-6"], "model.norm.eps=1e-06"),
        (["model.finalNorm=true"], "model.finalNorm=True"),
        (["model.tieEmbeddings=true"], "model.tieEmbeddings=True"),
        (["model.headDim=3"], "model.headDim=3"),
        (["model.attention.nKVHead=1"], "model.attention.nKVHead=1"),
        (["model/activation=gelu"], "model/activation=gelu"),
        (["ops.relu=tanh"], "ops.relu=tanh"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_a_file_of_numbers_cannot_tell(changes: list[str], says: str) -> None:
    from gptlab.command.composing import compose, prepared
    from gptlab.config.schema import plain
    from gptlab.exchange.standard import differences

    registry = prepared().registry
    config = plain(compose("train", ["tracking=none", *changes]))
    headDim = config["model"]["headDim"] or 4
    sizes = {"nLayer": 1, "nEmbd": 16, "blockSize": 16, "nHead": 4, "headDim": headDim, "vocabSize": 5}
    assert differences(config, sizes, registry) == [says]
    assert differences(plain(compose("train", [])), {**sizes, "headDim": 4}, registry) == []


@pytest.mark.slow
def test_an_imported_run_can_be_trained_on_from_and_not_resumed(
    command: Command, trained: Path, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command("export", "latest", "tracking=none")
    made = command("import", "weights.json", "tokenizer.path=corpus.txt").strip()
    assert main([f"resume={made}", "tracking=none", "progress=none"]) == 2
    assert f"initFrom={made}" in capfd.readouterr().err
    command(*TINY, *FEW, f"initFrom={made}")
    command(*TINY, *FEW, "initFrom=weights.json", "tokenizer.path=corpus.txt")


@pytest.mark.slow
def test_paths_with_spaces_and_letters_of_any_alphabet(command: Command, trained: Path, folder: Path) -> None:
    place = folder / "größe = 1, {x}"
    place.mkdir()
    (place / "täxt 1.txt").write_text(CORPUS)
    file = "größe = 1, {x}/wéights.json"
    assert command("export", str(trained), f"output={file}", "tracking=none") == f"{file}\n"
    corpus = "tokenizer.path=größe = 1, {x}/täxt 1.txt"
    assert command("generate", f"run={file}", corpus, "n=1")
    assert command("import", file, corpus).startswith("runs/")
    trained.rename(place / "a run")
    assert command("generate", "run=größe = 1, {x}/a run", "n=1")


@pytest.mark.slow
def test_export_replaces_a_file_only_if_told_to(
    command: Command, trained: Path, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "weights.json").write_text("mine")
    assert main(["export", "tracking=none"]) == 2
    assert "overwrite=true" in capfd.readouterr().err
    assert (folder / "weights.json").read_text() == "mine"
    command("export", "tracking=none", "overwrite=true")
    assert same(weights_of("weights.json"), weights_of(trained))


@pytest.mark.slow
def test_a_disk_that_fills_leaves_what_was_there(
    trained: Path, folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import gptlab.exchange.exporting as exporting

    def full(path: Path, *_: Any) -> None:
        path.write_text('{"config": ')
        raise OSError(28, "No space left on device")

    (folder / "weights.json").write_text("mine")
    before = sorted(folder.rglob("*"))
    monkeypatch.setattr(exporting, "write_json_weights", full)
    assert main(["export", "tracking=none", "overwrite=true"]) == 2
    assert "weights.json: No space left on device" in capfd.readouterr().err
    assert (folder / "weights.json").read_text() == "mine"
    assert sorted(folder.rglob("*")) == before


def test_an_import_that_cannot_be_written_leaves_nothing(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gptlab.runs import saved_run

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    sizes = {**SIZES, "vocabSize": 8}
    write_json_weights(folder / "w.json", sizes, drawn(sizes))
    before = sorted(folder.rglob("*"))
    monkeypatch.setattr(saved_run, "write_checkpoint", full)
    assert main(["import", "w.json", "tokenizer.path=corpus.txt"]) == 2
    assert "No space left on device" in capfd.readouterr().err
    assert sorted(folder.rglob("*")) == before
