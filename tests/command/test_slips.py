"""Slips in typing, and words of other programs: each is told with what to type, and that is right."""

import re
import shlex
from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.command.composing import prepared, settings_of
from gptlab.command.foreign_words import ABSENT, COMMANDS, GROUPS, KEYS, folded
from gptlab.command.line import read_command_line
from gptlab.command.suggesting import same_word
from gptlab.command.verbs import ROOTS, VERBS
from gptlab.config.keys import Schema
from gptlab.plugins.loading import Plugins


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "poems.txt").write_text("a b\nc d\n")
    (tmp_path / "experiments" / "sub").mkdir(parents=True)
    (tmp_path / "experiments" / "sub" / "mine.yaml").write_text("seed: 1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return prepared()


# What is typed, and what is then said to be typed.
SLIPS = {
    "learningRate=0.01": "train.learningRate=0.01",
    "lr=0.1": "train.learningRate=0.1",
    "model.lr=0.1": "train.learningRate=0.1",
    "n_embd=32": "model.nEmbd=32",
    "hidden_size=32": "model.nEmbd=32",
    "n_layer=2": "model.nLayer=2",
    "num_hidden_layers=2": "model.nLayer=2",
    "n_head=2": "model.nHead=2",
    "num_attention_heads=2": "model.nHead=2",
    "block_size=32": "model.blockSize=32",
    "max_iters=100": "train.numSteps=100",
    "max_steps=100": "train.numSteps=100",
    "batch_size=8": "train.batchSize=8",
    "eval_interval=10": "train.evalEvery=10",
    "warmup_iters=10": "schedule.warmup=10",
    "beta1=0.9": "optimizer.beta1=0.9",
    "weight_decay=0.1": "optimizer=adamw optimizer.weightDecay=0.1",
    "optimizer=sgd weight_decay=0.1": "optimizer=adamw optimizer.weightDecay=0.1",
    "momentum=0.9": "optimizer=sgd optimizer.momentum=0.9",
    "grad_clip=1.0": "optimizer.clip=1.0",
    "ema_decay=0.99": "train.average=0.99",
    "dtype=float64": "engine.dtype=float64",
    "width=32": "model.nEmbd=32",
    "model.width=32": "model.nEmbd=32",
    "mlp.width=32": "model/mlp=swiglu model.mlp.width=32",
    "norm.eps=1e-8": "model.norm.eps=1e-8",
    "optimizer=sgd eps=1e-8": "model.norm.eps=1e-8",
    "dtype=bfloat16": "engine.dtype=bfloat16",
    "precision=bf16": "engine.dtype=bfloat16",
    "dtype=fp32": "engine.dtype=float32",
    "precision=16": "engine.dtype=float32",
    "precision=64": "engine.dtype=float64",
    "bf16=true": "engine.dtype=bfloat16",
    "init_from=gpt2": "initFrom=latest",
    "init_from=latest": "initFrom=latest",
    "resume_from_checkpoint=true": "resume=latest",
    "freeze=true": "train.freeze='[layers]'",
    "lr=high": "train.learningRate=0.01",
    "momentum=true": "optimizer=sgd optimizer.momentum=0.0",
    "num_train_epochs=3": "train.numSteps=1000",
    "engine=torch": "engine=xla",
    "engine=gpu": "engine=xla",
    "backend=jax": "engine=xla",
    "tracking=off": "tracking=none",
    "tracking=wandb": "tracking=mlflow",
    "wandb=true": "tracking=none",
    "rope=true": "model/position=rope",
    "swiglu=true": "model/mlp=swiglu",
    "lora=true": "model/adapter=lora",
    "lora_rank=4": "model/adapter=lora model.adapter.rank=4",
    "betas=0.9": "optimizer.beta1=0.9 optimizer.beta2=0.95",
    "intermediate_size=64": "model.mlp.expansion=4",
    "activation_function=gelu_new": "model/activation=gelu",
    "early_stopping=true": "train.evalEvery=100",
    "gradient_checkpointing=true": "train.batchSize=1",
    "out_dir=here": "hydra.run.dir=here",
    "lr_scheduler=cosine": "schedule=cosine",
    "hidden_act=gelu": "model/activation=gelu",
    "norm=layernorm": "model/norm=layernorm",
    "model/optimizer=sgd": "optimizer=sgd",
    "-m lr=0.1,0.2": "train.learningRate=0.1,0.2",
    "--n_embd=32": "model.nEmbd=32",
    "--lr 0.1": "train.learningRate=0.1",
    "-lr 0.1": "train.learningRate=0.1",
    "--seed 3": "seed=3",
    "--experiment tiny": "+experiment=tiny",
    "--experiment=tiny": "+experiment=tiny",
    "--config-name tiny": "+experiment=tiny",
    "experiment=tiny": "+experiment=tiny",
    "+experiments=tiny": "+experiment=tiny",
    "+exp=tiny": "+experiment=tiny",
    "--config=tiny": "+experiment=tiny",
    "--config-file experiments/tiny.yaml": "+experiment=tiny",
    "lr:0.1": "train.learningRate=0.1",
    "train.numSteps:100": "train.numSteps=100",
    "generate --prompt the cat": "prompt='the cat'",
    "+experiment tiny": "+experiment=tiny",
    "+experiment=tiny.yaml": "+experiment=tiny",
    "+experiment=experiments/tiny.yaml": "+experiment=tiny",
    "tiny": "python -m gptlab +experiment=tiny",
    "+tiny": "+experiment=tiny",
    "model=tiny": "+experiment=tiny",
    "train tiny": "+experiment=tiny",
    "train layernorm": "model/norm=layernorm",
    "seed = 3": "seed=3",
    "train seed= 3": "seed=3",
    "train lr 0.1": "train.learningRate=0.1",
    "data=poems.txt": "data=text data.path=poems.txt",
    "data.path=poems.txt": "data=text data.path=poems.txt",
    "poems.txt": "python -m gptlab data=text data.path=poems.txt",
    "description=my first run": "description='my first run'",
    "generate 'the cat'": "python -m gptlab generate prompt='the cat'",
    "generate the cat": "python -m gptlab generate prompt='the cat'",
    "generate prompt=the cat": "prompt='the cat'",
    "generate latest": "python -m gptlab generate run=latest",
    "generate +experiment=tiny": "python -m gptlab generate run=latest",
    "generate --experiment tiny": "python -m gptlab generate run=latest",
    "inspect +experiment=tiny": "python -m gptlab inspect run=latest text='the cat'",
    "+experiment=./experiments/tiny.yaml": "+experiment=tiny",
    "-m": "python -m gptlab -m +experiment=tiny seed=0,1",
    "generate top_k=3": "topK=3",
    "generate num_samples=3": "n=3",
    "inspect 'the cat'": "python -m gptlab inspect text='the cat'",
    "ui 5001": "python -m gptlab ui port=5001",
    "ui p=5001": "port=5001",
}


@pytest.mark.parametrize("typed", SLIPS)
def test_what_is_said_to_be_typed(plugins: Plugins, capfd: pytest.CaptureFixture[str], typed: str) -> None:
    assert main(shlex.split(typed)) == 2
    out, error = capfd.readouterr()
    assert out == "" and error.count("\n") == 1
    said = re.search(r"[Tt]ype ([^\n]*?)\.?$", error.strip())
    assert said is not None and said[1] == SLIPS[typed]

    words = shlex.split(said[1])
    words = words[3:] if words[:3] == ["python", "-m", "gptlab"] else words
    first = typed.split()[0]
    verb = words.pop(0) if words[0] in VERBS else first if first in VERBS else "train"
    given = [word for word in ("-m",) if word in typed.split()]
    required = ["text=a"] if verb == "inspect" and not any(word.startswith("text=") for word in words) else []
    line = read_command_line([*given, *words, *required], verb)
    if not line.sweeps:
        settings_of(verb, line, plugins)


# What is typed, and words of what is said.
TOLD = {
    "model=big": ["model has keys of its own", "model.nEmbd", "model/norm"],
    "size=gpt2": ["Type +size=gpt2"],
    "+size=gtp2": ["Did you mean gpt2?"],
    "use_bias=true": ["model.bias=true"],
    "vocab_size=300": ["tokenizer=bpe tokenizer.vocabSize=300"],
    "dropout=0.1": ["model.dropout=0.1"],
    "attn_pdrop=0.1": ["model.dropout=0.1"],
    "epochs=3": ["train.numSteps"],
    "device=cuda": ["a GPU if JAX finds one", "JAX_PLATFORMS=cuda"],
    "--gpu": ["a GPU if JAX finds one", "JAX_PLATFORMS=cuda"],
    "engine=cuda": ["a GPU if JAX finds one", "JAX_PLATFORMS=cuda"],
    "eps=1e-8": ["Did you mean optimizer.epsAdam=1e-8 or model.norm.eps=1e-8?"],
    "model/mlp=swiglu mlp.width=32": ["Type model.mlp.width=32"],
    "init_from=gpt2": ["a gptlab run"],
    "data=shakespeare": ["data=text data.path=FILE"],
    "dataset=shakespeare": ["data=text data.path=FILE"],
    "every=3": ["checkpoint.every=3 or inspect.every=3"],
    "generate lr=0.1": ["of train", "python -m gptlab +experiment=tiny train.learningRate=0.1"],
    "generate optimizer=sgd": ["'optimizer' of generate", "+experiment=tiny optimizer=sgd"],
    "generate -m n=1,2": ["only training can sweep"],
    "generate n=1,2": ["one value for each key"],
    "port=1": ["of ui", "python -m gptlab ui port=1"],
    "foo=1": ["Known: seed"],
    "model.jjj=1": ["Known in model: nLayer"],
    "train/numSteps=3": ["with dots: train.numSteps=3"],
    "list": ["Type python -m gptlab"],
    "help": ["Type python -m gptlab --help"],
    "help generate": ["Type python -m gptlab generate --help"],
    "export +experiment=tiny": ["takes no experiment", "Type python -m gptlab export latest"],
    "import +experiment=tiny": ["takes no experiment"],
    "compare +experiment=tiny": ["takes no experiment"],
    "sync +experiment=tiny": ["takes no experiment"],
    "ui +experiment=tiny": ["takes no experiment"],
    "plugins +experiment=tiny": ["takes no experiment"],
    "check +experiment=tiny": ["takes no experiment"],
    "+experiment=tiny +experiment=book": ["one experiment", "defaults: [tiny] in the file of book"],
    "+experiment=[tiny,book]": ["one experiment", "defaults: [tiny] in the file of book"],
    "+experiment=sub/mine": ["mv experiments/sub/mine.yaml experiments/mine.yaml", "type +experiment=mine"],
    "+experiment=experiments/sub/mine.yaml": ["type +experiment=mine"],
    "+experiment=sub/other": ["no experiment is named 'sub/other'"],
    "data.path=": ["data.path must be given"],
    "data=text data.path=": ["data.path must be given"],
    "data=text data.path=''": ["data.path must be given"],
    "tokenizer.path=": ["tokenizer.path must be given"],
    "generate run=": ["run must be given"],
    "export output=": ["output must be given"],
    "version": ["Type python -m gptlab --version"],
    "resume": ["Type python -m gptlab resume=latest"],
    "sample": ["Type python -m gptlab generate"],
    "--generate": ["Type python -m gptlab generate"],
    "+experiment=tiny generate": ["the verb comes first"],
    "--nosuch": ["unrecognized arguments: --nosuch"],
}


@pytest.mark.parametrize("typed", TOLD)
def test_what_else_is_said(capfd: pytest.CaptureFixture[str], typed: str) -> None:
    assert main(shlex.split(typed)) == 2
    error = capfd.readouterr().err
    assert [word for word in TOLD[typed] if word not in error] == []
    assert error.count("\n") == 1 and "Traceback" not in error


def test_every_foreign_word_leads_somewhere(plugins: Plugins) -> None:
    schemas = [Schema(root, lambda: plugins.registry) for root in ROOTS.values()]
    known = {leaf.key for schema in schemas for leaf in schema.leaves()} | {"hydra.run.dir"}
    assert set(KEYS) <= known
    assert {group.replace("/", ".") for group in GROUPS} <= {p for s in schemas for p in s.parts()} | {
        "model.activation",
        "model.block",
    }
    for command in COMMANDS.values():
        assert command.startswith("python -m gptlab")
    for key, words in KEYS.items():
        verb = next(s for s in schemas if key in {leaf.key for leaf in s.leaves()} or key == "hydra.run.dir")
        for word in words.split():
            assert same_word(word, verb), word


@pytest.mark.parametrize("said", [said for said in ABSENT.values() if "ype " in said])
def test_what_is_said_in_place_of_an_absent_thing_can_be_typed(plugins: Plugins, said: str) -> None:
    line = read_command_line(shlex.split(said.partition("ype ")[2]))
    assert settings_of("train", line, plugins)


def test_no_foreign_word_stands_for_two_things() -> None:
    words = [
        folded(word)
        for table in (GROUPS, dict.fromkeys(ABSENT))
        for row in table
        for word in (table[row] or row).split()
    ]
    assert sorted(words) == sorted(set(words))


def test_a_bare_command_says_what_there_is_and_trains_nothing(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.iterdir())
    assert main([]) == 0
    out, error = capfd.readouterr()
    assert error == "" and sorted(folder.iterdir()) == before
    assert "python -m gptlab +experiment=tiny" in out and "How little does it take" in out
    assert all(verb in out for verb in VERBS)
