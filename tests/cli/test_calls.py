"""What a command does, as a call in a notebook: the same runs, and the objects that are read from them."""

from pathlib import Path

import pytest

import gptlab
from gptlab.errors import TrainingStopped, UserError
from tests.ablation_commands import ARM, BASE, folders, run_folders


@pytest.mark.slow
def test_train_gives_what_load_gives(folder: Path) -> None:
    trained = gptlab.train(*BASE, "model.nLayer=2", "seed=3")
    (place,) = run_folders()
    loaded = gptlab.load(place)
    assert type(trained) is type(loaded)
    assert trained.config == loaded.config and trained.config.seed == 3
    assert (trained.folder.resolve(), trained.step, trained.losses.tolist()) == (
        place.resolve(),
        3,
        loaded.losses.tolist(),
    )
    assert all((trained.weights[name] == loaded.weights[name]).all() for name in loaded.weights)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["seed=1,2"], "train takes one value for each key: got 'seed=1,2'"),
        (["hydra.mode=MULTIRUN"], "one run"),
        (["-m"], "takes overrides, each as a string of its own: got -m"),
        (["--cfg", "job"], "takes overrides"),
        (["model.nEmb=4"], "model.nEmbd"),
    ],
)
def test_train_makes_one_run_and_takes_overrides_alone(folder: Path, words: list[str], said: str) -> None:
    with pytest.raises(UserError) as error:
        gptlab.train(*BASE, *words)
    assert said in str(error.value) and "only training" not in str(error.value) and not run_folders()


def test_a_run_that_ends_early_raises(folder: Path) -> None:
    with pytest.raises(TrainingStopped, match="rain"):
        gptlab.train(*BASE, "train.learningRate=1e200", "train.numSteps=12")


@pytest.mark.slow
def test_ablate_gives_what_it_found_as_an_object(folder: Path) -> None:
    found = gptlab.ablate(*BASE, ARM, "seeds=2")
    (place,) = folders()
    assert found.folder == str(place) and [arm.name for arm in found.arms] == ["norm=layernorm"]
    again = gptlab.ablate(*BASE, ARM, "seeds=2")
    assert again.arms[0].comparison == found.arms[0].comparison
    assert len(run_folders()) == 4  # none is trained a second time


@pytest.mark.slow
def test_ablate_raises_what_cannot_be_meant(folder: Path) -> None:
    with pytest.raises(UserError, match="seeds must be"):
        gptlab.ablate(*BASE, ARM, "seeds=1")
    with pytest.raises(UserError, match="takes overrides"):
        gptlab.ablate(*BASE, ARM, "--json")
