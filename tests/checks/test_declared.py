"""What a component says of itself, `exact_gradient = False` and `engines = ("xla",)`: heard by `check` and by a run."""

from pathlib import Path

import pytest

import gptlab
from gptlab.checks import check_names
from gptlab.cli import main
from gptlab.errors import UserError
from gptlab.plugins.loading import load_plugins
from tests.plugin_texts import stand_beside

PLUGIN = '''
from dataclasses import dataclass
import gptlab


@dataclass(frozen=True)
class Straight:
    """sign(x), with the gradient of x itself (a straight-through estimator)."""

    def __call__(self, x):
        return x.minus(x.apply("straight"))


@gptlab.op(samples=[(0.5,), (-1.5,)], exact_gradient=False)
def straight(xp, a):
    """a - sign(a), with no gradient."""
    return a - xp.sign(a), (0.0,)


@gptlab.hookimpl
def gptlab_register_ops(register):
    register(straight)


@dataclass(frozen=True)
class Rounded(Straight):
    """As `Straight`, and says so."""

    exact_gradient = False


@dataclass(frozen=True)
class Compiled:
    """x · tanh(x), by jax's own hyperbolic tangent."""

    engines = ("xla",)

    def __call__(self, x):
        import jax.numpy as jnp

        assert type(x.arithmetic).__name__ != "ScalarArithmetic"
        return gptlab.Tensor(x.data * jnp.tanh(x.data), x.arithmetic)


@gptlab.hookimpl
def gptlab_register_components(register):
    register("activation", "straight", Straight)
    register("activation", "rounded", Rounded)
    register("activation", "compiled", Compiled)
'''
SMALL = ["data=names", "tokenizer=char", "data.valFraction=0.001", "model.nEmbd=8", "model.nHead=2"]
RUN = [*SMALL, "train.numSteps=2", "samples.n=0", "tracking=none", "progress=none"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return stand_beside(tmp_path, monkeypatch, mine=PLUGIN)


def results(kind: str, name: str) -> dict[str, str]:
    checks = check_names(load_plugins(quiet=True), [name])
    return {check.what: check.problem for check in checks if check.kind == kind}


@pytest.mark.slow
def test_a_gradient_of_its_own_is_asked_for_only_where_it_is_said(folder: Path) -> None:
    found = results("activation", "straight")
    assert "central differences say" in found["gradient, scalar engine"]
    said = results("activation", "rounded")
    assert set(said.values()) == {""}
    assert {"gradient (its own), scalar engine", "gradient (its own), xla engine", "engines agree"} <= set(
        said
    )


@pytest.mark.slow
def test_a_component_of_one_engine_is_tried_on_that_one(folder: Path) -> None:
    found = results("activation", "compiled")
    assert set(found.values()) == {""}
    assert {"gradient, xla engine", "causal", "documents share a row", "cached", "repeatable"} <= set(found)
    assert "gradient, scalar engine" not in found and "engines agree" not in found


@pytest.mark.slow
def test_a_run_on_another_engine_is_refused_with_the_one_to_type(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*RUN, "model/activation=compiled", "engine=scalar"]) == 2
    said = "gptlab: model/activation=compiled needs engine=xla: got engine=scalar.\n"
    assert capsys.readouterr().err.endswith(said)
    assert not (folder / "runs").exists()
    with pytest.raises(UserError, match="the activation Compiled needs engine=xla: got engine=scalar"):
        gptlab.create_model(vocabSize=5, activation="compiled")
    assert main([*RUN, "model/activation=compiled"]) == 0
    assert main(["generate", "run=latest", "n=1", "engine=scalar"]) == 2
    assert "needs engine=xla: got engine=scalar" in capsys.readouterr().err
