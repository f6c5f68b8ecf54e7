"""Losses of predictors that stand in entries as numbers are those that the data set itself computes."""

from typing import Any

import pytest

from gptlab.assembly.problems import drawn
from gptlab.data.tasks.markov import Markov
from gptlab.gallery.finding import entry_named


def markov_baselines(**changes: Any) -> dict[str, float]:
    """On the held-out chains of the entry."""
    entry = entry_named("markov")
    fields = dict(word.removeprefix("data.").split("=") for word in entry.base if word.startswith("data."))
    dataset = Markov(**({name: int(value) for name, value in fields.items()} | changes))
    assert dataset.splitSeed is not None, "the same held-out chains for all seeds"
    return dataset.baselines(drawn(dataset, dataset.splitSeed, {})[1])


@pytest.mark.slow
def test_the_lines_of_markov_are_of_its_held_out_chains():
    (lines,) = [panel.lines for panel in entry_named("markov").picture]
    found = markov_baselines()
    assert lines == pytest.approx({name: found[name] for name in ("chance", "unigram", "bigram")}, abs=1e-4)
    assert lines != pytest.approx(
        {name: markov_baselines(splitSeed=1)[name] for name in lines or {}}, abs=1e-4
    )


def test_the_thresholds_of_markov_are_where_its_claims_say():
    found, entry = markov_baselines(), entry_named("markov")
    assert entry.measures["nearUnigram"].number == pytest.approx(found["unigram"] + 0.01, abs=5e-4)
    halfway = (found["unigram"] + found["bigram"]) / 2
    assert entry.measures["halfway"].number == pytest.approx(halfway, abs=5e-4)
    (end,) = [claim for claim in entry.claims if claim.kind == "value"]
    assert end.least == pytest.approx(found["bigram"], abs=1e-3) and f"{found['bigram']:.3f}" in end.says
