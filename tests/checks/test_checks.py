"""`python -m gptlab check`: what is right passes, and each kind of wrong is found and named."""

from dataclasses import dataclass

import pytest

import gptlab
from gptlab.checks import assert_passes, check_entry, check_names
from gptlab.checks.check import difference
from gptlab.cli import main
from gptlab.errors import UserError
from gptlab.optim.optimizers import SGD
from gptlab.plugins.loading import load_plugins

BUILTIN = load_plugins(discover=False).registry
# What is nothing without a file is only looked at.
OF_FILES = (("dataset", "text"), ("tokenizer", "file"))
QUICK = [e for e in BUILTIN if e.kind not in ("engine", "tracking") and (e.kind, e.name) not in OF_FILES]


@pytest.mark.slow
@pytest.mark.parametrize("entry", QUICK, ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_everything_built_in_passes(entry):
    checks = check_entry(load_plugins(discover=False).registry, entry)
    assert len(checks) >= 3
    assert [f"{check.what}: {check.problem}" for check in checks if not check.passed] == []


@pytest.mark.parametrize("name", BUILTIN.names("engine"))
def test_the_engines_pass(name):
    checks = check_entry(load_plugins(discover=False).registry, BUILTIN.entry("engine", name))
    assert all(check.passed for check in checks)


def problems(kind, value):
    plugins = load_plugins(discover=False)
    plugins.registry.register(kind, "mine", value, "me")
    return {check.what: check.problem for check in check_names(plugins, ["mine"]) if not check.passed}


def test_a_gradient_a_thousandth_wrong_is_found_with_the_input_and_the_derivative():
    @gptlab.op(name="mine", samples=[(0.5, -1.5), (2.0, 3.0)])
    def wrong(xp, a, b):
        """a * b."""
        return a * b, (b, 1.001 * a)

    found = problems("op", wrong)
    assert set(found) == {"gradient"}
    assert (
        "at (2.0, 3.0): the derivative by input 1 is given as 2.002, central differences say 2 (0.10% off)"
        in (found["gradient"])
    )


def test_an_op_that_is_another_one_in_jax_is_found():
    @gptlab.op(name="mine", samples=[(0.5,)])
    def twofaced(xp, a):
        """a, but a little more where arrays are jax's."""
        extra = 0.0 if type(a) is float else 1e-3
        return a * (1 + extra), (1.0 + extra,)

    assert "xla and scalar values differ" in problems("op", twofaced)["engines agree"]


def test_an_op_without_words_is_found():
    mine = gptlab.op(name="mine", samples=[(0.5,)])(lambda xp, a: (a, (1.0,)))
    assert "docstring" in problems("op", mine)["described"]


@dataclass(frozen=True)
class Leaky:
    """An activation that looks ahead: it subtracts the mean over all positions."""

    def __call__(self, x):
        return x - x.mean(0, keepdims=True)


@pytest.mark.slow
def test_an_activation_that_looks_ahead_is_found():
    assert "logits depend on later tokens" in problems("activation", Leaky)["causal"]


@dataclass(frozen=True)
class Cut:
    """An activation through which no gradient flows, though the value depends on x."""

    def __call__(self, x):
        return x + x.largest(-1)


@pytest.mark.slow
def test_a_gradient_that_is_lost_is_found_and_the_weight_named():
    found = problems("activation", Cut)
    assert "d loss / d positionEmbedding" in found["gradient, scalar engine"] + found["gradient, xla engine"]


@dataclass(frozen=True)
class Undeclared:
    """A norm that uses what it has not declared, and has a field that nobody explains."""

    mystery: int = 3

    def weights(self, config):
        return {}

    def __call__(self, weights, x):
        return x * weights["scale"]


def test_a_weight_that_was_not_declared_and_a_field_without_words_are_found():
    found = problems("norm", Undeclared)
    assert "no weight of embeddingNorm is named 'scale'" in found["weights fit their use"]
    assert "mystery" in found["described"]


@dataclass(frozen=True)
class InPlace(SGD):
    """Descent that writes into what it was given. momentum: of no use."""

    def update(self, xp, params, grads, state, step, learningRate):
        if xp.__name__ == "numpy":
            for name in params:
                params[name] -= 0.1 * grads[name]
        return super().update(xp, params, grads, state, step, learningRate)


@dataclass(frozen=True)
class Ascent(SGD):
    """Uphill. momentum: as in SGD."""

    def update(self, xp, params, grads, state, step, learningRate):
        return super().update(xp, params, grads, state, step, -learningRate)


def test_an_optimizer_that_changes_its_inputs_is_found():
    assert problems("optimizer", InPlace)["pure"] == "update changes its inputs in place"


def test_an_optimizer_that_climbs_is_found():
    assert "of the initial loss is left" in problems("optimizer", Ascent)["converges on a quadratic"]


@dataclass(frozen=True)
class Doubting(SGD):
    """Descent, if the loss there is less. momentum: as in SGD."""

    def update(self, xp, params, grads, state, step, learningRate, again, loss):
        there, _ = again({name: p - learningRate * grads[name] for name, p in params.items()})
        rate = learningRate if there < loss else 0.0
        return super().update(xp, params, grads, state, step, rate)


@dataclass(frozen=True)
class Backwards(SGD):
    """Uphill by the gradient of another place. momentum: as in SGD."""

    def update(self, xp, params, grads, state, step, learningRate, again):
        _, there = again({name: p - learningRate * grads[name] for name, p in params.items()})
        return super().update(xp, params, there, state, step, -learningRate)


@pytest.mark.slow
def test_what_an_optimizer_makes_of_another_place_is_tried_as_it_is_compiled():
    assert "TracerBoolConversionError" in problems("optimizer", Doubting)["converges on a quadratic"]
    assert "of the initial loss is left" in problems("optimizer", Backwards)["converges on a quadratic"]


@pytest.mark.slow
def test_the_verb_prints_a_table_and_its_status_says_how_it_went(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["check", "relu"]) == 0
    assert "ok    op relu          described, gradient, engines agree" in capsys.readouterr().out
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/bad.py").write_text(
        "import gptlab\n@gptlab.op(samples=[(0.5,)])\ndef bad(xp, a):\n    '''a.'''\n    return a, (1.5,)\n"
        "@gptlab.hookimpl\ndef gptlab_register_ops(register):\n    register(bad)\n"
    )
    assert main(["check", "bad"]) == 1
    said = capsys.readouterr().out
    assert "FAIL  op bad" in said
    assert "is given as 1.5, central differences say 1 (33.33% off)" in said
    with pytest.raises(AssertionError, match=r"central differences say 1"):
        assert_passes("bad")


def test_unknown_names_and_overrides_are_refused(capsys):
    assert main(["check", "rellu"]) == 2
    assert "Did you mean relu" in capsys.readouterr().err
    assert main(["check", "ops.mul=half"]) == 2
    assert "check takes names" in capsys.readouterr().err


def test_differences_are_told_with_place_and_values():
    assert difference([1.0, 2.0], [1.0, 2.0 + 1e-12]) == ""
    assert difference([1.0, 2.0], [1.0, 2.5]) == "at (1,): 2 and 2.5"
    assert difference([1.0], [1.0, 2.0]) == "shapes (1,) and (2,) differ"
    assert difference([float("nan")], [1.0]) == "one is finite where the other is not"


def test_an_unknown_name_raises_for_a_plugins_own_tests():
    with pytest.raises(UserError, match="no op, component, listener or plugin is named 'nosuch'"):
        assert_passes("nosuch")


def test_a_check_shows_three_of_its_entries():
    from gptlab.checks.check import Findings

    findings = Findings("op", "mine", [])
    with findings.trying("much") as fails:
        for i in range(17):
            fails(f"entry {i}")
    assert findings.checks[0].problem == "entry 0; entry 1; entry 2; and 14 more"


@pytest.mark.slow
def test_a_line_is_printed_as_soon_as_its_name_is_checked(monkeypatch, capsys):
    from gptlab.checks import report

    seen = []
    check = report.checks_of

    def checked(plugins, subject):
        seen.append(capsys.readouterr().out)
        return check(plugins, subject)

    monkeypatch.setattr(report, "checks_of", checked)
    assert main(["check", "relu", "exp"]) == 0
    assert [bool(text) for text in seen] == [False, True, True] and seen[1].startswith("ok    op exp")
