"""initFrom: a run that starts from another's weights, with its model and its vocabulary."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from gptlab.cli import main
from tests.finetuning.tuning import FEW, SMALL, config_of, rows_of

WORDS = ["the", "cat", "dog", "bird", "sees", "likes", "a", "small", "big", "and"]
PLACE = "a place"  # with a space in its name


def corpus(seed: int, count: int = 60) -> str:
    generator = np.random.default_rng(seed)
    lines = [" ".join(generator.choice(WORDS, generator.integers(2, 7))) for _ in range(count)]
    return "\n".join([" ".join(WORDS[:7]), " ".join(WORDS[7:]), *lines]) + "\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with two texts in the same words, and a run on the first of them."""
    place = tmp_path_factory.mktemp(PLACE)
    (place / "first.txt").write_text(corpus(0))
    (place / "second.txt").write_text(corpus(1))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        data = ["data=text", "data.path=first.txt", "data.valFraction=0.1", "seed=3"]
        assert main([*data, *SMALL, *FEW, "train.numSteps=30", "hydra.run.dir=runs/source"]) == 0
    return place


@pytest.fixture
def place(trained, tmp_path, monkeypatch) -> Path:
    """A copy of it, as the current folder."""
    shutil.copytree(trained, tmp_path / PLACE)
    monkeypatch.chdir(tmp_path / PLACE)
    return tmp_path / PLACE


def tuned(*arguments: str, name: str = "tuned", steps: int = 20) -> Path:
    """The folder of a run on the second text."""
    data = ["data=text", "data.path=second.txt", "data.valFraction=0.1", f"hydra.run.dir=runs/{name}"]
    few = ["tracking=none", "samples.n=0", f"train.numSteps={steps}", "train.learningRate=0.001"]
    assert main([*data, *few, *arguments]) == 0
    return Path("runs") / name


def weights_of(folder: Path) -> dict[str, np.ndarray]:
    return load_file(sorted(folder.glob("checkpoints/step-*/weights.safetensors"))[-1])


def refusal(arguments: list[str], capfd) -> str:
    capfd.readouterr()
    before = sorted(Path().rglob("*"))
    assert main(arguments) == 2
    assert sorted(Path().rglob("*")) == before, "nothing is left behind"
    error = capfd.readouterr().err
    assert error.count("\n") == 1 and "Traceback" not in error
    return error


@pytest.mark.slow
def test_a_run_starts_from_the_weights_the_model_and_the_vocabulary_of_another(place, capfd):
    folder = tuned("initFrom=runs/source", "train.evalEvery=10")
    source = config_of(Path("runs/source"))
    config = config_of(folder)
    assert config["initFrom"] == "runs/source" == config["original"]["run"]
    assert config["model"] == source["model"] and config["tokenizer"] == source["tokenizer"]
    assert config["original"]["data"] == source["data"] and config["original"]["seed"] == 3
    for name in ("tokenizer.json",):
        assert (folder / name).read_bytes() == (Path("runs/source") / name).read_bytes()
    rows = rows_of(folder)
    assert rows[0]["step"] == 0 and "train/loss" not in rows[0]
    evaluated = [row["step"] for row in rows if "val/originalLoss" in row]
    assert evaluated == [0, 10, 20] == [row["step"] for row in rows if "val/loss" in row]
    # The same held-out documents as then, and the same weights: the same loss.
    last = rows_of(Path("runs/source"))[-1]["val/loss"]
    assert rows[0]["val/originalLoss"] == pytest.approx(last, rel=1e-6)
    assert rows[0]["val/loss"] != pytest.approx(last, rel=1e-3)
    said = capfd.readouterr().out
    assert "starts from runs/source, step 30" in said
    assert "before step 1: validation" in said and "on the original data" in said
    start, end = weights_of(Path("runs/source")), weights_of(folder)
    assert list(start) == list(end)
    # Adam moves no number by more than the rate a step, times what its bias correction adds.
    assert 0 < max(np.abs(start[n] - end[n]).max() for n in start) < 20 * 0.001 * 2


@pytest.mark.slow
def test_the_newest_run_and_a_checkpoint_can_be_named(place):
    folder = tuned("initFrom=latest", steps=1)
    assert "runs/source/checkpoints/step-000030" in config_of(folder)["original"]["run"]
    again = tuned("initFrom=runs/source/checkpoints/step-000030", name="again", steps=1)
    assert weights_of(folder)["output"].tobytes() == weights_of(again)["output"].tobytes()


@pytest.mark.slow
def test_words_outside_the_vocabulary_are_refused_with_the_list_of_them(place, capfd):
    strange = [f"word{i}" for i in range(23)]
    Path("strange.txt").write_text("the cat\n\nthe wug sees\n" + " ".join(strange) + " wug\na dog\n" * 9)
    data = ["data=text", "data.path=strange.txt", "initFrom=runs/source", "hydra.run.dir=runs/x", *FEW]
    error = refusal(data, capfd)
    assert "24 words are not" in error and "of runs/source, 10 words" in error
    assert "'wug' (document 2), 'word0' (document 3)" in error
    assert "'word18' (document 3), and 4 more" in error and "word19" not in error
    error = refusal([*data, "data.unit=window"], capfd)
    assert "24 words are not" in error and "'wug' (document 1)" in error
    Path("strange.txt").write_text("the cat\na dog\nthe wug\n" * 9)
    assert "1 word is not" in refusal(data, capfd)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["model.nEmbd=16"], ["model.nEmbd=16 (it has 8)", "output: asked (11, 16), there (11, 8)"]),
        (["model.nLayer=2"], ["model.nLayer=2 (it has 1)", "layers.1.mlp.output: asked (8, 32), there none"]),
        (["model/norm=rmsnorm"], ["model/norm=rmsnorm (it has layernorm)"]),
        (["model.initStd=0.5"], ["model.initStd=0.5 (it has 0.08)"]),
        (["ops.mul=maximum"], ["ops.mul=maximum (it has mul)"]),
        (["tokenizer=char"], ["tokenizer=char (it has word)"]),
        (["tokenizer.path=second.txt"], ["tokenizer.path=second.txt (it has none)"]),
        (["+experiment=book"], ["model.nLayer=2 (it has 1)", "model.nEmbd=32 (it has 8)"]),
        (["original=1"], ["original is set by initFrom"]),
        (["train.freeze=[layer]"], ["'layer'", "layers"]),
        (["model/adapter=lora", "model.adapter.targets=[mpl]"], ["'mpl'", "mlp"]),
        (["model/adapter=lora", "model.adapter.rank=0"], ["rank must be at least 1"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) and "=" in value[0] else "",
)
def test_what_the_source_has_otherwise_is_refused(place, capfd, asked, words):
    data = ["data=text", "data.path=second.txt", "initFrom=runs/source", "hydra.run.dir=runs/x", *FEW]
    error = refusal([*data, *asked], capfd)
    for word in words:
        assert word in error


@pytest.mark.slow
def test_what_the_source_has_too_may_be_said(place):
    folder = tuned("initFrom=runs/source", "model.nEmbd=8", "model/norm=layernorm", "ops.mul=mul", steps=1)
    assert config_of(folder)["model"]["nEmbd"] == 8


@pytest.mark.slow
def test_a_source_that_is_not_there_or_has_no_weights_is_refused(place, capfd):
    assert "there is no 'nosuch'" in refusal(["initFrom=nosuch", *FEW], capfd)
    shutil.rmtree("runs/source/checkpoints")
    error = refusal(["initFrom=runs/source", *FEW], capfd)
    assert "weights" in error or "checkpoint" in error


@pytest.mark.slow
def test_original_data_that_cannot_be_had_is_noted_once(place, capfd):
    def note(*arguments: str) -> str:
        capfd.readouterr()
        shutil.rmtree("runs/tuned", ignore_errors=True)
        folder = tuned("initFrom=runs/source", *arguments, steps=2)
        assert not any("val/originalLoss" in row for row in rows_of(folder))
        said = capfd.readouterr().out
        assert said.count("val/originalLoss") == 1
        return said

    with Path("first.txt").open("a") as file:
        file.write("the cat\n")
    assert "has changed since" in note()
    Path("first.txt").unlink()
    assert "first.txt" in note()


@pytest.mark.slow
def test_a_file_of_numbers_trains_on_other_data_with_the_vocabulary_of_a_corpus(place, capfd):
    data = ["data=text", "data.path=first.txt", "data.valFraction=0.1", "train.numSteps=5"]
    assert main([*data, *SMALL[:-1], *FEW, "hydra.run.dir=runs/plain"]) == 0
    assert main(["export", "runs/plain", "--format=json", "output=plain.json"]) == 0
    # Fewer words than the corpus has: a vocabulary of its own would not fit.
    Path("second.txt").write_text("the cat sees a dog\nthe dog sees the cat\n" * 15)
    folder = tuned("initFrom=plain.json", "tokenizer.path=first.txt", steps=1)
    config = config_of(folder)
    assert [config["model"][key] for key in ("nLayer", "nEmbd", "nHead", "blockSize")] == [1, 8, 2, 8]
    assert json.loads((folder / "tokenizer.json").read_text())["pieces"] == sorted(WORDS)
    assert "no val/originalLoss" in capfd.readouterr().out
    start, end = weights_of(Path("runs/plain")), weights_of(folder)
    assert 0 < max(np.abs(start[n] - end[n]).max() for n in start) < 0.0011

    data = ["data=text", "data.path=second.txt", "data.valFraction=0.1", "initFrom=plain.json", *FEW]
    assert "add tokenizer.path=CORPUS" in refusal(data, capfd)
    Path("few.txt").write_text("the cat\n")
    error = refusal([*data, "tokenizer.path=few.txt"], capfd)
    assert "vocabSize=11" in error and "gives 3" in error
    error = refusal([*data, "tokenizer.path=first.txt", "model.nLayer=3"], capfd)
    assert "layers.2.mlp.output: asked (8, 32), there none" in error
    Path("second.txt").write_text("the wug\n" * 20)
    assert "'wug' (document 1)" in refusal([*data, "tokenizer.path=first.txt"], capfd)


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        ["train.freeze=[tokenEmbedding,layers.0.mlp]"],
        ["model/adapter=lora", "model.adapter.targets=[layers]"],
    ],
    ids=["freeze", "lora"],
)
@pytest.mark.usefixtures("optimized")
def test_a_resumed_run_goes_on_as_it_was(place, how):
    whole = tuned("initFrom=latest", "checkpoint.every=8", "train.evalEvery=4", *how)
    cut = Path("runs/cut")
    shutil.copytree(whole, cut)
    shutil.rmtree(cut / "checkpoints/step-000020")
    shutil.rmtree("runs/source")  # of which nothing is needed any more
    assert main(["resume=runs/cut", "progress=none"]) == 0
    ends = [cut / "checkpoints/step-000020", whole / "checkpoints/step-000020"]
    files = ["weights.safetensors", "optimizer.safetensors"]
    files += ["training.safetensors"] if "lora" in how[0] else []
    for name in files:
        assert (ends[0] / name).read_bytes() == (ends[1] / name).read_bytes(), name
    assert [{**row, "train/tokensPerSecond": 0} for row in rows_of(cut)] == [
        {**row, "train/tokensPerSecond": 0} for row in rows_of(whole)
    ]


@pytest.mark.slow
def test_an_adapted_run_leaves_merged_weights_that_need_no_adapter(place, capfd):
    folder = tuned("initFrom=runs/source", "model/adapter=lora", "train.learningRate=0.05")
    said = capfd.readouterr().out
    adapters = 2 * 4 * (8 + 8)
    assert f"adapter {adapters}), {adapters} of them trained" in said
    start, end = weights_of(Path("runs/source")), weights_of(folder)
    moved = [name for name in start if start[name].tobytes() != end[name].tobytes()]
    assert moved == ["layers.0.attention.query", "layers.0.attention.value"]
    apart = load_file(folder / "checkpoints/step-000020/training.safetensors")
    name = moved[0]
    product = apart[f"adapter.{name}.B"] @ apart[f"adapter.{name}.A"]
    np.testing.assert_allclose(end[name], start[name] + 2 * product, atol=1e-6)
    assert np.linalg.matrix_rank(end[name] - start[name], tol=1e-4) <= 4

    capfd.readouterr()
    assert main(["generate", "run=runs/tuned", "n=2", "tracking=none"]) == 0
    assert len(capfd.readouterr().out.splitlines()) == 2
    again = tuned("initFrom=runs/tuned", name="again", steps=1)
    assert config_of(again)["model"]["adapter"]["name"] == "none"
    last = rows_of(folder)[-1]["val/loss"]
    assert rows_of(again)[0]["val/loss"] == pytest.approx(last, rel=1e-5)


@pytest.mark.slow
def test_an_adapter_on_weights_as_they_are_drawn_is_noted(place, capfd):
    tuned("model/adapter=lora", *SMALL, steps=1)
    assert "initFrom=RUN starts from trained ones" in capfd.readouterr().out


@pytest.mark.slow
def test_a_run_says_what_it_came_from_and_what_it_trains(place, monkeypatch):
    from gptlab.launch import launch

    seen = []
    monkeypatch.setattr(launch, "FolderListener", lambda: Spy(seen))
    tuned("initFrom=runs/source", "train.freeze=[tokenEmbedding]", steps=1)
    (run,) = seen
    assert run.tags["initFrom"] == "runs/source" and run.tags["initFrom.step"] == "30"
    counts = run.parameter_counts()
    assert counts["total"] - counts["trainable"] == 11 * 8


class Spy:
    def __init__(self, seen):
        self.seen = seen

    from gptlab.plugins.hookspecs import hookimpl

    @hookimpl
    def gptlab_run_started(self, run):
        self.seen.append(run)
