"""Sizes that no memory holds are refused by arithmetic: in words, at once, before anything is made."""

from pathlib import Path

import pytest

import gptlab
from gptlab.cli import main
from gptlab.errors import UserError
from gptlab.model.component import Sizes
from gptlab.model.memory import check_batch_fits, memory
from tests.resuming import TINY, write_corpus


@pytest.mark.parametrize(
    "sizes",
    [
        {"nEmbd": 10**8},
        {"nEmbd": 4 * 10**30},
        {"nLayer": 10**9},
        {"nLayer": 10**25},
        {"blockSize": 10**12},
        {"headDim": 10**11},
        {"vocabSize": 10**20},
    ],
    ids=str,
)
def test_a_model_that_no_memory_holds_is_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(UserError, match=r"must fit into memory: one of .* parameters .* takes .* GB"):
        gptlab.create_model(**{"vocabSize": 27, **sizes})


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["", "summary", "graph"])
@pytest.mark.parametrize(
    "typed", ["model.nEmbd=100000000", "model.headDim=11111111111111111111", "model.nLayer=1000000000"]
)
def test_every_verb_refuses_it(
    tmp_path: Path, verb: str, typed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GPTLAB_PLUGINS", "")
    write_corpus(tmp_path)
    assert main([word for word in [verb, *TINY, typed] if word]) == 2
    told = capsys.readouterr().err
    assert "must fit into memory" in told and told.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_batch_that_no_memory_holds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path)
    assert main([*TINY, "train.batchSize=1000000000"]) == 2
    assert "train.batchSize=1000000000 takes" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_what_fits_is_let_be() -> None:
    sizes = Sizes(vocabSize=100, blockSize=10, nLayer=2, nEmbd=50, nHead=2, headDim=25)
    most = memory() // (4 * 10 * (100 + 2 * 50))
    check_batch_fits(sizes, most, 10)
    check_batch_fits(sizes, most * 10, 1)
    with pytest.raises(UserError, match="batchSize"):
        check_batch_fits(sizes, most + 1, 10)
