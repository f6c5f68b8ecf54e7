"""What a run prints of its numbers: at an evaluation, before its first step, at its end."""

from pathlib import Path

import pytest

from gptlab.data.facts import DatasetFacts
from gptlab.launch.reports import before, closing, milestone
from gptlab.runs.run import Run

ROW = {
    "train/smoothedLoss": 1.5,
    "val/loss": 1.25,
    "longer/loss": 4.0,
    "val/perplexity": 3.5,
    "val/accuracy": 0.5,
    "longer/accuracy": 0.25,
    "train/accuracy": 1.0,
    "probe/loss": 9.0,
}
BASELINES = {"baseline/uniform": 4.078, "baseline/bigram": 0.12}
ENTROPIES = {"heldOutUnigram": 4.5, "heldOutEntropy": 1.1}


def run_with(facts, row=ROW):
    dataset = DatasetFacts("modular", "gptlab", "00", 100, 50, 50, facts)
    config = {"listeners": ["probe"]}
    return Run("name", "", Path("runs/a"), config, [], dataset, {}, [(20, row)], [(20, ["1 + 1 = 2"])])


def test_an_evaluation_is_told_with_all_sets_of_documents_and_metrics():
    assert milestone(run_with({}), 100) == (
        "step  20: smoothed loss 1.500, validation 1.250 (perplexity 3.5), longer 4.000, "
        'accuracy 0.500 (longer 0.250, training 1.000)   "1 + 1 = 2"'
    )


def test_what_the_weights_were_worth_before_is_told_with_metrics():
    assert (
        before({"val/loss": 1.25, "val/accuracy": 0.5}) == "before step 1: validation 1.250, accuracy 0.500"
    )


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({}, []),
        (
            BASELINES | ENTROPIES,
            ["validation loss 1.250 nats a token; for comparison: bigram 0.120, uniform 4.078"],
        ),
        (
            ENTROPIES,
            [
                "validation loss 1.250 nats a word: on the same documents word frequencies alone give 4.500, and the "
                "grammar that made them 1.100"
            ],
        ),
    ],
    ids=["nothing known", "baselines", "entropies"],
)
def test_the_end_tells_what_the_loss_can_be_held_against_and_the_metrics(facts, told):
    lines = closing(run_with(facts), in_sweep=False).splitlines()
    accuracy = "validation accuracy 0.500 (longer 0.250, training 1.000)"
    assert lines == ["samples:", "  1 + 1 = 2", *told, accuracy, "run folder: runs/a"]
    assert closing(run_with(facts), in_sweep=True) == "run folder: runs/a"


def test_a_run_without_evaluation_ends_without_numbers():
    assert "validation" not in closing(run_with(BASELINES, {"train/smoothedLoss": 1.5}), in_sweep=False)
