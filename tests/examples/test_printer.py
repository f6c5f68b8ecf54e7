"""The example plugin printer: a line each logged step, and none unless the config names it."""

import pytest

from gptlab.cli import main
from gptlab.plugins.loading import load_plugins

SMALL = [
    "data=names",
    "tokenizer=char",
    "data.valFraction=0.001",
    "model.nEmbd=8",
    "model.nHead=2",
    "samples.n=0",
]
RUN = [*SMALL, "train.numSteps=25", "train.logEvery=10", "tracking=none", "progress=none"]


@pytest.fixture
def printed(tmp_path, monkeypatch, capfd):
    """What a run with these overrides prints that is the printer's."""
    monkeypatch.chdir(tmp_path)

    def run(*overrides):
        status = main([*RUN, *overrides])
        lines = [line for line in capfd.readouterr().out.splitlines() if line.startswith("printer: ")]
        return status, lines

    return run


def test_it_is_a_listener_by_the_name_of_its_file():
    assert load_plugins().listener("printer").__doc__.startswith("A listener that prints")


@pytest.mark.slow
def test_it_prints_the_logged_steps_and_no_others(printed):
    status, lines = printed("listeners=[printer]")
    assert status == 0
    steps = [int(line.split()[2]) for line in lines if line.startswith("printer: step ")]
    assert steps == [1, 10, 20, 25]
    assert "begins with" in lines[0] and lines[-1].endswith("ends")
    assert all("train/loss=" in line for line in lines[1:-1])
    assert ["val/loss=" in line for line in lines[1:-1]] == [False, False, False, True]


@pytest.mark.slow
def test_it_is_silent_unless_named(printed):
    assert printed() == (0, [])


def test_it_says_how_a_run_ended_that_failed(printed):
    status, lines = printed("listeners=[printer]", "train.learningRate=1e30")
    assert status == 1 and "TrainingStopped" in lines[-1]
