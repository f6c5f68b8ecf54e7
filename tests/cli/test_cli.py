"""The command line as a person meets it: verbs, flags, and what each mistake is told."""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gptlab.cli import main

TINY = ["model.nEmbd=8", "model.nHead=2", "train.numSteps=2", "samples.n=1", "tracking=none"]
CORPUS = ["data=text", "data.path=corpus.txt", "data.valFraction=0.1"]

EXPERIMENTS = {
    "broken": "train: {numSteps: 3\nfoo",
    "list": "- 1\n",
    "misspelt": "train:\n  numStep: 3\n",
    "misspeltpart": "trian:\n  numSteps: 3\n",
    "wrongtype": "train:\n  logEvery: often\n",
    "wrongchoice": "defaults:\n  - override /optimizer: adamm\n",
    "named": "model:\n  norm:\n    name: layernorm\n",
    "flat": "model:\n  norm: layernorm\n",
}


@dataclass
class Said:
    """What a command answered."""

    status: int
    out: str
    error: str


Command = Callable[..., Said]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of the test, with data and experiments good and bad."""
    (tmp_path / "corpus.txt").write_text("the cat runs\na dog sits\n" * 20)
    (tmp_path / "two.txt").write_text("a b\nc d\n")
    (tmp_path / "empty.txt").write_text("\n  \n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "experiments").mkdir()
    for name, text in EXPERIMENTS.items():
        (tmp_path / "experiments" / f"{name}.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.fixture
def command(folder: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    """`command("+experiment=tiny", ...)` in that folder, in this process."""

    def run(*arguments: str) -> Said:
        capfd.readouterr()
        status = main(arguments)
        out, error = capfd.readouterr()
        return Said(status, out, error)

    return run


# What is typed, and words that the one message must hold: what must be, what came, what to type.
MISTAKES: dict[str, tuple[list[str], list[str]]] = {
    "unknown experiment": (["+experiment=tinny"], ["'tinny'", "Did you mean tiny?", "experiments/NAME.yaml"]),
    "experiment without a plus": (["experiment=tiny"], ["Type +experiment=tiny"]),
    "unknown norm": (["model/norm=layernom"], ["'layernom'", "Did you mean layernorm", "model/norm=NAME"]),
    "unknown optimizer": (["optimizer=adamm"], ["'adamm'", "adam or adamw"]),
    "unknown engine": (["engine=xls"], ["Did you mean xla?"]),
    "unknown data": (["data=sentence"], ["Did you mean sentences?"]),
    "unknown op": (["ops.mul=nosuch"], ["'nosuch'", "maximum"]),
    "op of another arity": (["ops.mul=exp"], ["ops.mul must be an op of 2 numbers", "'exp'"]),
    "unknown op slot": (["ops.mull=mul"], ["'ops.mull'", "Did you mean ops.mul?"]),
    "unknown group": (["model/nrom=layernorm"], ["no config group 'model/nrom'", "Did you mean model/norm?"]),
    "nEmbd that nHead does not divide": (
        ["model.nEmbd=30", "model.nHead=4"],
        ["nHead must divide nEmbd", "nEmbd=30", "nHead=4", "model.nHead=3", "model.nEmbd=32"],
    ),
    "odd headDim for rope": (["model/position=rope", "model.headDim=3"], ["headDim must be even", "headDim=3"]),
    "negative size": (["model.nLayer=-1"], ["model.nLayer must be at least 1", "-1"]),
    "zero size": (["model.nEmbd=0"], ["model.nEmbd must be at least 1", "0"]),
    "zero blockSize": (["model.blockSize=0"], ["model.blockSize must be at least 1"]),
    "zero headDim": (["model.headDim=0"], ["model.headDim must be at least 1"]),
    "zero nHead": (["model.nHead=0"], ["model.nHead must be at least 1"]),
    "negative initStd": (["model.initStd=-1"], ["model.initStd must be", "-1"]),
    "zero batchSize": (["train.batchSize=0"], ["train.batchSize must be at least 1"]),
    "zero numSteps": (["train.numSteps=0"], ["train.numSteps must be at least 1", "got 0"]),
    "zero logEvery": (["train.logEvery=0"], ["train.logEvery must be at least 1"]),
    "negative evalEvery": (["train.evalEvery=-1"], ["train.evalEvery must be at least 0"]),
    "learningRate nan": (["train.learningRate=nan"], ["train.learningRate must be", "nan"]),
    "learningRate inf": (["train.learningRate=inf"], ["train.learningRate must be", "inf"]),
    "learningRate 0": (["train.learningRate=0"], ["train.learningRate must be", "0.0"]),
    "learningRate -1": (["train.learningRate=-1"], ["train.learningRate must be", "-1.0"]),
    "negative seed": (["seed=-1"], ["seed must be at least 0"]),
    "beta above 1": (["optimizer.beta1=1.5"], ["optimizer.beta1 must be", "1.5"]),
    "negative warm-up": (["schedule.warmup=-1"], ["schedule.warmup must be", "-1"]),
    "unknown dtype": (["engine.dtype=float16"], ["one of float32, float64, bfloat16", "float16"]),
    "samples at a negative temperature": (["samples.temperature=-1"], ["samples", "temperature must be"]),
    "unknown progress": (["progress=loud"], ["progress must be auto or none", "loud"]),
    "unknown listener": (["listeners=[nosuch]"], ["no listener is named 'nosuch'"]),
    "missing file": (["data=text", "data.path=corpsu.txt"], ["no corpsu.txt", "Did you mean corpus.txt?"]),
    "no file given": (["data=text"], ["data.path must be given", "Add data.path="]),
    "empty file": (["data=text", "data.path=empty.txt"], ["data.path", "empty.txt is empty"]),
    "empty folder": (["data=text", "data.path=nothing"], ["data.path", "nothing is an empty folder"]),
    "file that is not UTF-8": (["data=text", "data.path=latin.txt"], ["UTF-8", "latin.txt", "0xe9", "iconv"]),
    "negative splitSeed": (["data.splitSeed=-1"], ["data.splitSeed must be at least 0"]),
    "sweep.rank": (["sweep.rank=first"], ["sweep.rank must be last or best: got first. Try sweep.rank=last."]),
    "valFraction 1": (["data.valFraction=1"], ["data.valFraction must be", "below 1"]),
    "missing vocabulary": (["tokenizer.path=nosuch.txt"], ["tokenizer.path", "nosuch.txt"]),
    "misspelt key": (["train.numStep=3"], ["'train.numStep'", "Did you mean train.numSteps?"]),
    "misspelt key, added": (["+train.numStep=3"], ["'train.numStep'", "Did you mean train.numSteps?"]),
    "misspelt key at the root": (["sed=3"], ["'sed'", "seed"]),
    "misspelt key at the root, added": (["+sed=3"], ["'sed'", "seed"]),
    "misspelt part": (["trian.numSteps=3"], ["'trian'", "train"]),
    "misspelt part, added": (["+trian.numSteps=3"], ["'trian'", "train"]),
    "misspelt key of a component": (["optimizer.betta1=0.9"], ["'optimizer.betta1'", "optimizer.beta1"]),
    "misspelt key of a component, added": (["+optimizer.betta1=0.9"], ["'optimizer.betta1'", "optimizer.beta1"]),
    "misspelt key two deep": (["model.norm.epps=1"], ["'model.norm.epps'", "Did you mean model.norm.eps?"]),
    "misspelt key of Hydra's": (["hydra.run.dirr=x"], ["'hydra.run.dirr'", "hydra.run.dir"]),
    "vocabSize": (["+model.vocabSize=10"], ["'model.vocabSize'"]),
    "no whole number": (["model.nEmbd=abc"], ["model.nEmbd must be a whole number", "abc"]),
    "a fraction for a whole number": (["train.numSteps=1.5"], ["train.numSteps must be a whole number", "1.5"]),
    "nothing for a whole number": (["train.numSteps=null"], ["train.numSteps must be a whole number"]),
    "no number": (["optimizer.beta1=abc"], ["optimizer.beta1 must be a number", "abc"]),
    "no truth value": (["model.finalNorm=maybe"], ["model.finalNorm must be true or false", "maybe"]),
    "no list": (["listeners=one"], ["listeners must be a list", "listeners=[one]"]),
    "a name with dots": (["train.rates.layers.0=2"], ["put a name with dots in braces", "train.rates='{layers.0: 2}'"]),
    "a weight misspelt": (["train.rates.ouput=2"], ["train.rates", "'ouput'", "Did you mean output?"]),
    "a value for a part": (["train=3"], ["train has keys of its own", "train.numSteps"]),
    "open bracket": (["train.numSteps=[1,2"], ["must read key=value", "train.numSteps=[1,2"]),
    "two names": (["initFrom=a, b: c"], ["-m", "initFrom=\"a, b: c\""]),
    "values without -m": (["train.numSteps=1,2"], ["sweep", "-m"]),
    "no key": (["=3"], ["key=value", "=3"]),
    "bare word": (["trian"], ["verb", "'trian'", "Did you mean train?"]),
    "bare word later": (["+experiment=tiny", "foo"], ["key=value", "'foo'"]),
    "verb later": (["+experiment=tiny", "generate"], ["the verb comes first", "python -m gptlab generate"]),
    "reference to nothing": (["train.numSteps=${nosuch}"], ["train.numSteps", "nosuch"]),
    "deleted key": (["~train.numSteps"], ["can be removed", "train.numSteps"]),
    "deleted group": (["~optimizer"], ["can be removed", "optimizer="]),
    "dot for slash": (["model.norm=layernorm"], ["Type model/norm=layernorm"]),
    "name for group": (["model.norm.name=layernorm"], ["Type model/norm=layernorm"]),
    "name for group at the root": (["optimizer.name=sgd"], ["Type optimizer=sgd"]),
    "plus for a group": (["+model/norm=layernorm"], ["type model/norm=layernorm"]),
    "unknown flag": (["--foo"], ["--foo", "--help"]),
    "unknown choice of a flag": (["--cfg", "foo"], ["--cfg", "foo", "job"]),
    "two flags": (["-m", "--cfg", "job"], ["only one"]),
    "a flag that reads pickles": (["--experimental-rerun", "x.pickle"], ["pickle"]),
    "unknown root": (["--config-name", "foo"], ["--config-name", "'foo'"]),
    "missing config folder": (["--config-dir", "nosuch"], ["nosuch"]),
    "experiment that is no YAML": (["+experiment=broken"], ["experiments/broken.yaml", "line 2"]),
    "experiment without keys": (["+experiment=list"], ["experiments/list.yaml", "a list"]),
    "experiment with a misspelt key": (
        ["+experiment=misspelt"],
        ["'train.numStep'", "experiments/misspelt.yaml", "Did you mean train.numSteps?"],
    ),
    "experiment with a misspelt part": (["+experiment=misspeltpart"], ["'trian'", "experiments/misspeltpart.yaml"]),
    "experiment with a wrong type": (
        ["+experiment=wrongtype"],
        ["train.logEvery must be a whole number", "often", "experiments/wrongtype.yaml"],
    ),
    "experiment with an unknown name": (["+experiment=wrongchoice"], ["'adamm'", "adam"]),
    "experiment that names a component": (
        ["+experiment=named"],
        ["model.norm.name", "layernorm", "override /model/norm: layernorm"],
    ),
    "experiment that sets a group": (["+experiment=flat"], ["override /model/norm: layernorm"]),
    "unreachable server": (["tracking.uri=http://127.0.0.1:9"], ["http://127.0.0.1:9", "tracking=none"]),
    "sweep, misspelt in every job": (["-m", "train.numStep=1,2"], ["'train.numStep'", "train.numSteps"]),
    "sweep, one name unknown": (["-m", "optimizer=adam,adamm"], ["'adamm'"]),
    "generate without a run": (["generate"], ["run=latest", "python -m gptlab +experiment=tiny"]),
    "generate from a folder that is no run": (["generate", "run=nothing"], ["nothing", "run=latest"]),
    "generate from an unknown run": (["generate", "run=deadbeef"], ["'deadbeef'", "run=latest"]),
    "generate, misspelt key": (["generate", "temprature=1"], ["'temprature'", "temperature"]),
    "generate, misspelt key added": (["generate", "+temprature=1"], ["'temprature'", "temperature"]),
    "generate, n=0": (["generate", "n=0"], ["n must be at least 1"]),
    "generate, temperature": (["generate", "temperature=-1"], ["temperature must be", "-1"]),
    "generate, topP": (["generate", "topP=0"], ["topP must be", "0"]),
    "generate, topK": (["generate", "topK=-1"], ["topK must be", "-1"]),
    "generate, a part of training": (["generate", "optimizer=sgd"], ["'optimizer' of generate"]),
    "generate, a sweep": (["generate", "-m", "n=1,2"], ["only training can sweep"]),
    "ui without runs": (["ui"], ["mlflow.db", "python -m gptlab +experiment=tiny"]),
    "ui, no port": (["ui", "port=abc"], ["port must be a whole number", "abc"]),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes(command: Command, folder: Path, arguments: list[str], words: list[str]) -> None:
    before = contents(folder)
    needs_no_store = arguments[0] in ("ui",) or any("tracking" in word for word in arguments)
    began = time.monotonic()
    said = command(*arguments, *([] if needs_no_store or arguments == ["trian"] else ["tracking=none"]))

    assert said.status == 2
    assert [word for word in words if word not in said.error] == []
    assert said.error.startswith("gptlab: ") and said.error.count("\n") == 1
    assert said.out == ""
    assert contents(folder) == before
    assert time.monotonic() - began < 10


def contents(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.slow
def test_sweep_whose_jobs_are_all_refused(command: Command, folder: Path) -> None:
    before = contents(folder)
    said = command("-m", "model.nEmbd=30,31", "model.nHead=4", "tracking=none")

    assert said.status == 2
    assert said.error.startswith(
        "gptlab: none of the jobs can be trained. The first: nHead must divide nEmbd"
    )
    assert said.error.count("\n") == 1
    assert contents(folder) == before


def test_folder_that_cannot_be_written_to(command: Command, folder: Path) -> None:
    # Root may write anywhere, but a file is no folder for anyone.
    (folder / "runs").write_text("in the way")
    said = command(*CORPUS, *TINY)

    assert said.status == 2
    assert str(folder / "runs") in said.error or "runs" in said.error
    assert "Traceback" not in said.error and said.error.count("\n") == 1


def test_a_refused_run_leaves_alone_what_was_in_its_folder(command: Command, folder: Path) -> None:
    (folder / "chosen").mkdir()
    (folder / "chosen" / "config.yaml").write_text("mine")
    before = contents(folder)
    said = command("hydra.run.dir=chosen", "data=text", "data.path=nosuch", "tracking=none")

    assert said.status == 2
    assert contents(folder) == before
    assert (folder / "chosen" / "config.yaml").read_text() == "mine"


def test_store_that_cannot_be_written_to(command: Command, folder: Path) -> None:
    (folder / "mlflow.db").write_text("no database")
    before = contents(folder)
    said = command(*CORPUS, *TINY[:-1])

    assert said.status == 2
    assert "mlflow.db" in said.error
    assert contents(folder) == before


@pytest.mark.slow
def test_server_that_never_answers(command: Command, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        said = command(*CORPUS, *TINY[:-1], f"tracking.uri=http://127.0.0.1:{silent.getsockname()[1]}")

    assert said.status == 2
    assert "tracking=none" in said.error
    assert time.monotonic() - began < 10
    assert not (folder / "runs").exists()


@pytest.mark.slow
def test_loss_that_is_not_finite_ends_the_run_as_failed(command: Command, folder: Path) -> None:
    said = command(*CORPUS, *TINY, "train.numSteps=50", "optimizer=sgd", "train.learningRate=1e30")

    assert said.status == 1
    assert "the loss became" in said.error and "at step" in said.error
    assert "train.learningRate=" in said.error
    assert said.error.count("\n") == 1
    assert not list(folder.glob("runs/**/*.safetensors"))


@pytest.fixture
def trained(command: Command, folder: Path) -> Said:
    return command(*CORPUS, *TINY)


@pytest.mark.slow
def test_training_prints_what_it_did(trained: Said) -> None:
    assert trained.status == 0 and trained.error == ""
    lines = trained.out.splitlines()
    assert len(lines) < 12, "sparse where stdout is not a terminal"
    assert "parameters (embeddings" in lines[0]
    assert lines[1].startswith("data: text, 20 documents to train on, 20 held out, vocabulary 7")
    assert any(line.startswith("step 2: smoothed loss ") for line in lines)
    assert any(line.startswith("run folder: runs/") for line in lines)


def test_nothing_is_left_but_the_run(trained: Said, folder: Path) -> None:
    runs = list(folder.glob("runs/*/*"))
    assert len(runs) == 1
    names = {path.name for path in runs[0].iterdir()}
    assert names == {
        ".lock",
        "config.yaml",
        "parameters.json",
        "tokenizer.json",
        "run.json",
        "metrics.jsonl",
        "samples.txt",
        "checkpoints",
    }
    assert not (folder / "mlflow.db").exists() and not (folder / "outputs").exists()


@pytest.mark.slow
def test_generate_prints_samples_one_a_line(trained: Said, command: Command, folder: Path) -> None:
    said = command("generate", "n=3", "seed=1", "prompt=the cat")
    assert said.status == 0 and said.error == ""
    assert len(said.out.splitlines()) == 3
    assert all(line.startswith("the cat") for line in said.out.splitlines())
    run = next(iter(folder.glob("runs/*/*")))
    assert command("generate", "n=3", "seed=1", "prompt=the cat", f"run={run}").out == said.out


@pytest.mark.slow
def test_generate_on_the_other_engine(trained: Said, command: Command) -> None:
    said = command("generate", "engine=scalar", "n=1", "temperature=0")
    assert said.status == 0 and said.out == command("generate", "n=1", "temperature=0").out


@pytest.mark.slow
def test_generate_names_the_word_outside_the_vocabulary(trained: Said, command: Command) -> None:
    said = command("generate", "prompt=the zebra")
    assert said.status == 2
    assert "'zebra'" in said.error and said.error.count("\n") == 1


def test_generate_refuses_a_prompt_that_fills_the_block(trained: Said, command: Command) -> None:
    said = command("generate", "prompt=" + "the " * 20)
    assert said.status == 2 and "blockSize=16" in said.error


@pytest.mark.slow
def test_progress_none_prints_nothing(command: Command) -> None:
    said = command(*CORPUS, *TINY, "progress=none")
    assert (said.status, said.out, said.error) == (0, "", "")


@pytest.mark.parametrize("verb", ["train", "generate", "export", "import", "ui"])
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help(command: Command, verb: str, flag: str) -> None:
    said = command(verb, flag)
    assert said.status == 0 and said.error == ""
    assert "python -m gptlab" in said.out
    assert all(len(line) < 120 for line in said.out.splitlines())


def test_help_lists_experiments_and_names(command: Command, folder: Path) -> None:
    (folder / "experiments" / "mine.yaml").write_text("description: What if?\n")
    out = command("--help").out
    assert "tiny" in out and "mine" in out and "What if?" in out
    for name in ("layernorm", "adamw", "cosine", "questions", "scalar", "maximum"):
        assert name in out


def test_version(command: Command) -> None:
    from importlib.metadata import version

    assert command("--version").out == f"gptlab {version('gptlab')}\n"


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["train", "generate", "export", "ui"])
def test_flags_that_show(command: Command, folder: Path, verb: str) -> None:
    before = contents(folder)
    assert "tracking:" in command(verb, "--cfg", "job").out
    assert "Defaults List" in command(verb, "--info", "defaults").out
    assert "Hydra" in command(verb, "--hydra-help").out
    assert contents(folder) == before


def test_cfg_shows_what_an_experiment_makes_of_the_config(command: Command) -> None:
    out = command("--cfg", "job", "+experiment=book", "model/norm=layernorm").out
    assert "nEmbd: 32" in out and "name: layernorm" in out


@pytest.mark.slow
def test_an_experiment_of_the_current_folder_wins_and_builds_on_others(
    command: Command, folder: Path
) -> None:
    (folder / "experiments" / "tiny.yaml").write_text("train:\n  numSteps: 7\n")
    (folder / "experiments" / "wider.yaml").write_text("defaults: [book, _self_]\nmodel:\n  nEmbd: 64\n")
    assert "numSteps: 7" in command("--cfg", "job", "+experiment=tiny").out
    out = command("--cfg", "job", "+experiment=wider").out
    assert "nEmbd: 64" in out and "nLayer: 2" in out and "numSteps: 5000" in out


def test_main_may_run_outside_the_main_thread(command: Command) -> None:
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(main(["--version"])))
    thread.start()
    thread.join()
    assert statuses == [0]
