"""What a component may know of other positions: wrong ones that gradients, engines and one cut do not show."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from gptlab.checks import check_names
from gptlab.checks.models import all_ops, moved_weights, small_model
from gptlab.checks.trials import ScalarTrial, XlaTrial
from gptlab.model.attention import CausalAttention
from gptlab.plugins.loading import load_plugins
from tests.checks import wrong_parts
from tests.recurrent import Leaking, Lstm, Several


@pytest.fixture
def failures(tmp_path, monkeypatch):
    """`failures(text, name)`: what the checks say of the plugin of this text, by what was tried."""

    def checked(text, name):
        (tmp_path / "plugins").mkdir()
        (tmp_path / "plugins" / "mine.py").write_text(text)
        monkeypatch.chdir(tmp_path)
        checks = check_names(load_plugins(quiet=True), [name])
        assert len(checks) > 8
        return {check.what: check.problem for check in checks if not check.passed}

    return checked


@pytest.mark.slow
def test_a_convolution_by_shifted_rows_reads_its_neighbours_and_has_no_cache(failures):
    found = failures(wrong_parts.SHORT_CONVOLUTION, "convolving")
    assert set(found) == {"documents share a row", "cached"}
    assert "document 1 of 3 in a row has other logits than alone at (0, " in found["documents share a row"]
    assert "position 1 of 6 (scalar engine): computed alone" in found["cached"]


@pytest.mark.slow
def test_a_prefix_that_sees_itself_trains_on_its_own_targets(failures):
    found = failures(wrong_parts.PREFIX, "prefix")
    assert "logits depend on later tokens: with other tokens from position 1 of 6 on" in found["causal"]
    assert found["causal"].count(";") == 3 and found["causal"].endswith(" more")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "name"),
    [(wrong_parts.DRAWING, "noisy"), (wrong_parts.COUNTING, "counting")],
    ids=["drawn", "kept"],
)
def test_what_is_drawn_or_kept_outside_of_a_runs_state_does_not_repeat(failures, text, name):
    found = failures(text, name)
    assert set(found) == {"repeatable"}
    scalar, evaluated, xla, more = found["repeatable"].split("; ")
    assert "training twice from the same state gives different bits (scalar engine)" in scalar
    assert "evaluating twice, after steps 0 and 7, gives different bits (scalar engine)" in evaluated
    assert "training twice from the same state gives different bits (xla engine)" in xla
    assert more == "and 1 more"


@dataclass(frozen=True)
class Far(CausalAttention):
    """Causal attention, but that position 40 sees the next one, too."""

    def __call__(self, weights, x, position, context, config):
        here, there = context.positions[:, None], context.key_positions[None, :]
        seen = context.mask | ((here == 40) & (there == 41))
        return super().__call__(weights, x, position, replace(context, mask=seen, ordered=False), config)


@pytest.mark.slow
def test_one_cut_of_a_long_row_is_enough():
    plugins = load_plugins(discover=False)
    plugins.registry.register("attention", "far", Far, "me")
    found = {check.what: check.problem for check in check_names(plugins, ["far"]) if not check.passed}
    assert "the logits at position 40 of 80 have a gradient by the token at position 41" in found["causal"]


@pytest.mark.slow
@pytest.mark.parametrize("part", [Lstm, Several], ids=["lstm", "several"])
def test_what_is_carried_along_the_positions_by_the_context_passes(part):
    plugins = load_plugins(discover=False)
    plugins.registry.register("attention", "carrying", part, "me")
    checks = check_names(plugins, ["carrying"])
    assert [check for check in checks if not check.passed] == []
    assert {"causal", "documents share a row", "cached", "repeatable"} <= {check.what for check in checks}


@pytest.mark.slow
def test_a_state_that_goes_on_where_a_document_ends_is_found():
    plugins = load_plugins(discover=False)
    plugins.registry.register("attention", "leaking", Leaking, "me")
    found = {check.what: check.problem for check in check_names(plugins, ["leaking"]) if not check.passed}
    assert set(found) == {"documents share a row"}
    assert "document 1 of 3 in a row has other logits than alone" in found["documents share a row"]


def test_both_engines_measure_the_same():
    registry = load_plugins(discover=False).registry
    definition = small_model(registry)
    ops, weights = all_ops(registry), moved_weights(definition)
    scalar, xla = ScalarTrial(definition, ops), XlaTrial(definition, ops)
    tokens = np.array([3, 0, 7, 1, 9])
    for measure in ("logits", "one_by_one", "reach"):
        one, other = (getattr(trial, measure)(weights, tokens) for trial in (scalar, xla))
        assert one.shape[0] == 5
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    assert (np.diag(scalar.reach(weights, tokens)) > 0).all()
    assert (np.tril(scalar.reach(weights, tokens)) > 0).sum() == 15
