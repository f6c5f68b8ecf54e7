"""Whether a training fits is told before it begins, and right."""

import subprocess
import sys

import pytest

from gptlab.command.composing import compose, prepared
from gptlab.config.schema import plain
from gptlab.config.typed import Config, typed
from gptlab.errors import UserError
from gptlab.launch import fitting
from gptlab.launch.experiment import Experiment
from gptlab.launch.fitting import Peak, check_fits, gib, is_large, told

GIB = 1 << 30


def experiment(*overrides):
    registry = prepared().registry  # first: names are known by it
    return Experiment.of(typed(Config, plain(compose("train", ["data=questions", *overrides]))), registry)


@pytest.fixture
def needing(monkeypatch):
    """Trainings that take so much, of so much that there is."""

    def needing(**peak):
        monkeypatch.setattr(fitting, "is_large", lambda _: True)
        monkeypatch.setattr(fitting, "peak_of", lambda _: Peak(**peak))

    return needing


def test_what_cannot_fit_is_refused_with_what_to_type(needing):
    needing(bytes=9 * GIB, there=5 * GIB, state=GIB, step=7 * GIB)
    words = (
        r"takes 9.0 GiB, 7.0 GiB of it for a step, and there are 5.0 GiB. "
        r"Try train.accumulate=4, or engine.remat=true, or train.batchSize=4. anyway=true starts it"
    )
    with pytest.raises(UserError, match=words):
        check_fits(experiment("train.batchSize=8"))
    check_fits(experiment("train.batchSize=8", "anyway=true"))


@pytest.mark.slow
def test_what_is_there_already_is_not_advised(needing):
    needing(bytes=9 * GIB, there=5 * GIB, state=GIB, step=7 * GIB)
    with pytest.raises(UserError, match=r"Try a smaller model.nLayer, model.nEmbd or model.blockSize"):
        check_fits(experiment("engine.remat=true"))
    needing(bytes=9 * GIB, there=5 * GIB, state=3 * GIB, step=GIB)
    with pytest.raises(UserError, match=r"Try a smaller model.nLayer"):
        check_fits(experiment("train.batchSize=8"))


@pytest.mark.parametrize("there", [None, 9 * GIB])
def test_what_fits_or_nobody_knows_begins(there, needing):
    needing(bytes=9 * GIB, there=there, state=GIB, step=7 * GIB)
    check_fits(experiment())


@pytest.mark.slow
def test_only_what_may_be_large_is_looked_at(monkeypatch):
    monkeypatch.setattr(fitting, "peak_of", lambda _: pytest.fail("a program was compiled for it"))
    check_fits(experiment())
    assert not is_large(experiment())
    assert is_large(experiment("model.nEmbd=768", "model.nHead=12", "model.nLayer=12"))


def test_a_scalar_engine_cannot_tell():
    assert fitting.peak_of(experiment("engine=scalar")) is None


@pytest.mark.slow
def test_nor_can_one_that_is_for_many_jobs_at_once():
    one = experiment()
    assert fitting.peak_of(one) is not None

    class Derived(type(one.session)):
        pass

    one.session.__class__ = Derived
    assert fitting.peak_of(one) is None


def test_the_line_of_summary():
    assert gib(1 << 20) == "1 MiB"
    assert told(Peak(3 * GIB, 4 * GIB, GIB, GIB)) == (
        "peak of a training: 3.0 GiB (weights and optimizer 1.0 GiB, a step 1.0 GiB besides), of 4.0 GiB available"
    )


RUN = """
import sys
from gptlab.cli import main
from gptlab.engines.process_memory import peak
main(sys.argv[1:])
print("peak", peak())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ["model.nEmbd=128", "model.nLayer=4", "model.blockSize=16", "train.batchSize=8"],
        [
            "model.nEmbd=512",
            "model.nLayer=6",
            "model.blockSize=16",
            "train.batchSize=16",
            "engine.remat=true",
        ],
    ],
    ids=["128 wide", "512 wide, with remat"],
)
def test_what_summary_says_is_what_a_run_takes_to_15_percent(overrides, tmp_path):
    def output(*arguments):
        command = [sys.executable, "-c", RUN, *arguments, *overrides, "train.learningRate=0.001"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    line = next(row for row in output("summary").splitlines() if row.startswith("peak of a training"))
    number, unit = line.removeprefix("peak of a training: ").split()[:2]
    said = float(number) * {"GiB": GIB, "MiB": 1 << 20}[unit]
    rows = output("train.numSteps=4", "tracking=none", "samples.n=0", "inspect.atEnd=false").splitlines()
    taken = int(rows[-1].removeprefix("peak "))
    assert abs(said / taken - 1) < 0.15
