"""What the jobs of a sweep in one process share: programs, tokens, composed configs, the end of a run's writing."""

import gc
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path

import pytest

from gptlab.autograd.ops import OpTable
from gptlab.command.composing import compose, prepared
from gptlab.config.schema import plain
from gptlab.config.typed import Config, typed
from gptlab.data import tokenized
from gptlab.data.tokenized import tokenize
from gptlab.data.tokenizers import WordTokenizer
from gptlab.data.watching import make_watch
from gptlab.engines.xla_arithmetic import XlaArithmetic
from gptlab.engines.xla_compilations import compilations
from gptlab.engines.xla_compiled import Target
from gptlab.engines.xla_programs import PROGRAMS, logits_program
from gptlab.launch.launch import launch
from gptlab.plugins.loading import Plugins
from gptlab.tracking.connection import connections
from tests.models import SMALL as SMALL_SIZES
from tests.models import make_gpt

QUIET = make_watch("none")
SMALL = [
    "tracking=none",
    "progress=none",
    "data=questions",
    "train.numSteps=4",
    "model.nHead=2",
    "samples.n=1",
]


def compiled_for(plugins: Plugins, folder: Path, *overrides: str) -> int:
    """How many programs a run of these overrides has jax compile."""
    config = typed(Config, plain(compose("train", [*SMALL, *overrides])))
    before = compilations()
    launch(config, plugins, folder, "run")
    return compilations() - before


@pytest.mark.slow
def test_runs_of_the_same_shapes_share_one_program(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plugins = prepared()
    assert compiled_for(plugins, tmp_path / "first", "model.nEmbd=6") > 0
    same = (
        ["seed=3"],
        ["train.learningRate=0.02"],
        ["optimizer.beta1=0.8", "optimizer.epsAdam=1e-6"],
        ["train.numSteps=3"],
        ["schedule=cosine"],
    )
    for number, overrides in enumerate(same):
        assert compiled_for(plugins, tmp_path / str(number), "model.nEmbd=6", *overrides) == 0, overrides
    assert compiled_for(plugins, tmp_path / "wider", "model.nEmbd=8") > 0, "the counter counts"
    around = "optimizer.clip={}", "train.average=0.{}", "train.rates.output={}", "optimizer.decay.layers={}"
    assert (
        compiled_for(plugins, tmp_path / "around", "model.nEmbd=6", *(text.format(1) for text in around)) > 0
    )
    again = [text.format(value) for text, value in zip(around, (2, 5, 3, 4), strict=True)]
    assert compiled_for(plugins, tmp_path / "again", "model.nEmbd=6", *again) == 0
    # How documents share rows is chosen by their lengths, not by the order in which a seed shuffles them.
    packed = "data=sentences", "train.batchSize=16", "train.numSteps=2"
    assert compiled_for(plugins, tmp_path / "packed", *packed) > 0
    for seed in range(4, 9):
        assert compiled_for(plugins, tmp_path / f"packed{seed}", *packed, f"seed={seed}") == 0, seed


@pytest.mark.slow
def test_programs_of_shapes_that_have_not_been_seen_for_long_are_let_go():
    """Each takes a hundred of the memory maps that a process may have, and a process that has none left dies."""
    arrays, kept = XlaArithmetic(OpTable(), "float32"), []
    for nEmbd in range(4, 4 * (PROGRAMS + 3), 4):
        gpt = make_gpt({**SMALL_SIZES, "nEmbd": nEmbd})
        kept.append(weakref.ref(logits_program(gpt, arrays, Target())))
    gc.collect()
    assert [program() is None for program in kept[:2]] == [True, True]
    assert sum(program() is not None for program in kept) <= PROGRAMS


@dataclass(frozen=True)
class Counting(WordTokenizer):
    built = 0

    def build(self, documents):
        type(self).built += 1
        return super().build(documents)


def test_the_same_texts_are_tokenized_once(monkeypatch):
    monkeypatch.setattr(Counting, "built", 0)
    settings = {"name": "counting"}
    first = tokenize(["the cat", "a dog"], Counting(), settings, QUIET)
    assert tokenize(["the cat", "a dog"], Counting(), settings, QUIET) is first
    assert Counting.built == 1
    other = tokenize(["the cat", "a bird"], Counting(), settings, QUIET)
    assert other.digest != first.digest and Counting.built == 2
    tokenize(["the cat", "a bird"], Counting(), {"name": "counting", "lower": False}, QUIET)
    assert Counting.built == 3
    # No more than the latest are remembered.
    assert tokenized.REMEMBERED == 2
    assert tokenize(["the cat", "a bird"], Counting(), settings, QUIET) is other and Counting.built == 3
    assert tokenize(["the cat", "a dog"], Counting(), settings, QUIET) is not first and Counting.built == 4


def test_ends_wait_their_turn_and_all_are_over_at_the_end():
    went, may_end = [], threading.Event()

    def finish(name: str) -> None:
        may_end.wait(30)
        went.append(name)

    with connections.in_background():
        connections.end(lambda: finish("first"))
        assert went == []
        may_end.set()
        connections.end(lambda: finish("second"))
        assert went[0] == "first", "only one is written beside the run that trains"
    assert went == ["first", "second"]
    connections.end(lambda: finish("third"))
    assert went[-1] == "third", "outside it is waited for"
