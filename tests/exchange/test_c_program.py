"""A run as a file of C: it samples and trains as the run does, whatever its parts are."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import gptlab
from gptlab.cli import main

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler is here")
TEXT = "".join(
    f"{a} {b} {c}\n" for a in ("the cat", "a dog") for b in ("sees", "thinks of") for c in ("it", "trees")
)
SIZES = ["model.nEmbd=8", "model.nHead=2", "model.nLayer=1", "model.blockSize=12", "train.numSteps=30"]
FEW = ["tracking=none", "progress=none", "samples.n=0", "data.valFraction=0.2"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "text.txt").write_text(TEXT * 10)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trained(*overrides: str) -> "gptlab.loaded.loaded.Loaded":
    given = ["data=text", "data.path=text.txt", *SIZES, *FEW, "hydra.run.dir=runs/it", *overrides]
    assert main(given) == 0
    return gptlab.load("runs/it")


def compiled(file: str, *checks: str) -> str:
    """The program; what the compiler has to say is an error."""
    strict = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", *checks]
    subprocess.run(["cc", "-O1", *strict, file, "-lm", "-o", "program"], check=True)
    return "./program"


def said_by(program: str, *words: str) -> str:
    # Bytes that are drawn one by one need be no text.
    done = subprocess.run([program, *words], capture_output=True, text=True, errors="replace", check=True)
    assert not done.stderr, done.stderr
    return done.stdout


MODELS = {
    "standard": [],
    "another op": ["ops.mul=logmul"],
    "experts": ["model/mlp=moe"],
    "biases of distance": ["model/position=alibi", "tokenizer=char"],
    "other parts": ["model/position=rope", "model/norm=layernorm", "model/mlp=swiglu", "model.finalNorm=true"],
    "a state": ["model/attention=mingru", "tokenizer=byte"],
    "running text": ["data.unit=window", "tokenizer=char", "tokenizer.lowercase=false", "engine.dtype=float64"],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [*MODELS][:1] + [pytest.param(n, marks=pytest.mark.slow) for n in [*MODELS][1:]]
)
def test_a_program_samples_and_trains_as_the_run_does(name):
    run = trained(*MODELS[name], "train.logEvery=1")
    assert main(["export", "runs/it", "--format=c"]) == 0
    program = compiled(
        "model.c", "-fsanitize=address,undefined"
    )  # what it does beyond its arrays is an error
    for prompt in ("", "the cat", "a dog sees"):
        (wanted,) = run.generate(prompt, 1, temperature=0)
        assert said_by(program, prompt, "0") == wanted + "\n", prompt
    drawn = said_by(program, "the", "1.5", "4", "7")
    assert drawn == said_by(program, "the", "1.5", "4", "7") and len(set(drawn.splitlines())) > 1

    assert main(["export", "runs/it", "--format=c", "output=train.c", "training=true"]) == 0
    said = said_by(compiled("train.c"), "20")
    losses = [float(loss) for loss in re.findall(r"step \d+: loss (\S+)", said)]
    np.testing.assert_allclose(losses, run.losses[:20], atol=1e-5, rtol=0)


@pytest.mark.slow
def test_the_file_says_what_it_needs_and_the_program_what_is_wrong(capfd):
    trained()
    assert main(["export", "runs/it", "--format=c", "output=it.c"]) == 0
    assert capfd.readouterr().out.endswith("it.c\n")
    source = Path("it.c").read_text()
    first = source.partition("*/")[0]
    parameters = gptlab.load("runs/it").parameters
    assert f"{parameters:,} parameters" in first and "cc -O2 it.c -lm && ./a.out" in first
    assert f"Weights: {4 * parameters:,} bytes, constant" in first
    assert "malloc" not in source and "calloc" not in source
    # What is said of the memory is what the compiler finds there, but for what the C library has of its own.
    said = int(re.search(r"Memory: ([\d,]+)", first)[1].replace(",", ""))
    subprocess.run(["cc", "-O2", "-fno-pie", "-c", "it.c", "-o", "it.o"], check=True)
    found = subprocess.run(["size", "it.o"], capture_output=True, text=True, check=True).stdout
    sizes = dict(zip(*(line.split() for line in found.splitlines()[:2]), strict=False))
    assert said <= int(sizes["bss"]) + int(sizes["data"]) <= said + 1024

    program = compiled("it.c")
    done = subprocess.run([program, "the unicorn"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "not in the vocabulary: unicorn\n")
    done = subprocess.run([program, "the cat " * 20], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "shorter than 12 tokens" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--format=json", "training=true"], "training=true is for --format=c"),
        (["--format=c", "output=model.txt"], "must end in .c"),
        (["output=model.c", "training=maybe"], "training"),
    ],
)
def test_mistakes(typed, said, capfd):
    trained("train.numSteps=1")
    assert main(["export", "runs/it", *typed]) == 2
    assert said in capfd.readouterr().err
