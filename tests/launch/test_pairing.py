"""Two runs that differ in one part share all else that chance decides: weights, order of the data, what is held out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gptlab.command.composing import compose, prepared
from gptlab.config.schema import plain
from gptlab.config.typed import Config, typed
from gptlab.errors import UserError
from gptlab.launch.experiment import Experiment

SMALL = ["model.nEmbd=8", "model.nHead=2", "tracking=none", "progress=none", "samples.n=0"]
BASE = ["+experiment=names", *SMALL]

ARMS = {
    "no position": ["model/position=none"],
    "rotary": ["model/position=rope"],
    "alibi": ["model/position=alibi"],
    "gated": ["model/mlp=swiglu"],
    "experts": ["model/mlp=moe"],
    "norm with a scale": ["model/norm=layernorm", "model.norm.scale=true", "model.finalNorm=true"],
    "activation": ["model/activation=squaredrelu"],
    "block": ["model/block=parallelblock"],
    "grouped queries": ["model.attention.nKVHead=1"],
    "tied": ["model.tieEmbeddings=true"],
    "layers": ["model.nLayer=3"],
    "adapter": ["model/adapter=lora"],
    "reparametrization": [
        "model/reparametrization=weightNorm",
        "model.reparametrization.targets=[attention.query]",
    ],
    "op": ["ops.mul=halfmul"],
    "optimizer": ["optimizer=muon", "train.learningRate=0.1"],
    "schedule": ["schedule=wsd", "train.numSteps=7"],
    "engine": ["engine=scalar"],
    "frozen": ["train.freeze=[output]"],
}


def made(*overrides: str) -> Experiment:
    plugins = prepared()
    return Experiment.of(typed(Config, plain(compose("train", [*BASE, *overrides]))), plugins.registry)


def documents(experiment: Experiment, count: int = 40) -> list[list[int]]:
    """The first that are trained on."""
    tokens = experiment.epochs.chunk(0, count // experiment.config.train.batchSize).tokens
    return tokens.reshape(count, -1).tolist()


def held_out(experiment: Experiment) -> list[list[int]]:
    return experiment.data.held_out.tokens.tolist()


@pytest.fixture
def half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.plugin_texts import HALF

    monkeypatch.chdir(tmp_path)
    Path("plugins").mkdir()
    Path("plugins/half.py").write_text(HALF)


@pytest.mark.slow
@pytest.mark.usefixtures("half")
@pytest.mark.parametrize("arm", ARMS.values(), ids=ARMS)
def test_an_arm_shares_all_but_its_own_part_with_the_baseline(arm: list[str]) -> None:
    one, other = made("seed=3"), made("seed=3", *arm)
    assert documents(one) == documents(other) and held_out(one) == held_out(other)
    ours, theirs = one.weights(), other.weights()
    shared = [name for name in ours if name in theirs and ours[name].shape == theirs[name].shape]
    # Of the experts no matrix is the baseline's, of rope the table of positions is not there.
    assert len(shared) >= len(ours) - 2
    assert all((ours[name] == theirs[name]).all() for name in shared)


@pytest.mark.slow
def test_another_seed_shares_nothing_but_what_is_held_out() -> None:
    one, other = made("seed=3"), made("seed=4")
    assert documents(one) != documents(other) and held_out(one) == held_out(other)
    theirs = other.weights()
    assert not any((array == theirs[name]).any() for name, array in one.weights().items())


@pytest.mark.slow
def test_in_batches_of_another_size_the_documents_come_in_the_same_order() -> None:
    assert documents(made()) == documents(made("train.batchSize=8"))


@pytest.mark.slow
def test_a_larger_vocabulary_leaves_all_weights_but_its_own_tables(tmp_path: Path) -> None:
    ours, theirs = made().weights(), made("tokenizer=word").weights()
    apart = [name for name, array in ours.items() if array.shape != theirs[name].shape]
    assert apart == ["tokenEmbedding", "output"]
    assert all((ours[name] == theirs[name]).all() for name in ours if name not in apart)


@pytest.mark.slow
def test_an_adapter_of_more_matrices_begins_as_that_of_one() -> None:
    one = made("model/adapter=lora", "model.adapter.targets=[attention.query]").weights()
    more = made("model/adapter=lora", "model.adapter.targets=[attention.value,attention.query,mlp]").weights()
    assert sum(name.startswith("adapter") for name in more) == 8
    assert all((array == more[name]).all() for name, array in one.items())


DRAWN = """
from dataclasses import dataclass
import random
import gptlab

@dataclass(frozen=True)
class Drawn(gptlab.Dataset):
    '''Texts that are drawn. seed: of the texts.'''

    seed: int = 0

    def documents(self):
        chance = random.Random(self.seed)
        return ["".join(chance.choices("abcd", k=6)) for _ in range(200)]

@gptlab.hookimpl
def gptlab_register_datasets(register):
    register("drawn", Drawn)
"""


@pytest.mark.slow
@pytest.mark.parametrize("data", ["names", "sentences", "questions", "drawn"])
def test_no_seed_of_a_run_changes_what_is_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plugins").mkdir()
    Path("plugins/drawn.py").write_text(DRAWN)
    texts: Callable[..., list[list[int]]] = lambda *more: held_out(made(f"data={data}", *more))  # noqa: E731
    assert texts("seed=0") == texts("seed=7") != texts("data.splitSeed=1")
    if data == "drawn":
        assert texts("seed=7") != texts("seed=7", "data.seed=7"), "the texts' own seed is another key"


@pytest.mark.slow
@pytest.mark.parametrize("tokenizer", ["word", "bpe"])
def test_with_one_splitTokenizer_other_tokens_hold_out_the_same_texts(tokenizer: str) -> None:
    def texts(*more: str) -> set[str]:
        data = made("data=questions", "model.blockSize=200", *more).data
        return {data.tokenizer.decode(row) for row in data.held_out.tokens.tolist()}

    words = texts("tokenizer=word")
    assert len(words) == 30
    assert texts("tokenizer=char", "data.splitTokenizer=word") == words != texts("tokenizer=char")
    assert texts(f"tokenizer={tokenizer}", "data.splitTokenizer=word") == words
    # A tokenizer's own name is none: what it cuts off it does not tell apart.
    assert texts("tokenizer=word", "data.splitTokenizer=word", "model.blockSize=3") == texts(
        "tokenizer=word", "model.blockSize=3"
    )


def test_windows_have_no_counterpart_in_other_tokens(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("the cat sees the dog " * 20)
    text = ["data=text", f"data.path={tmp_path / 'text.txt'}", "data.unit=window", "data.splitTokenizer=word"]
    with pytest.raises(UserError, match="running text is cut by the run's own tokens"):
        _ = made(*text).data


def test_streams_of_weights_are_told_apart_by_their_names() -> None:
    """Where one stream went through all weights, a part that was left out moved all that came after it."""
    first = [array.ravel()[:4] for array in made().weights().values()]
    assert len({tuple(numbers) for numbers in first}) == len(first)
    assert np.std(np.concatenate(first)) == pytest.approx(0.08, rel=0.5)
