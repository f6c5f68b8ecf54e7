"""The smoothed training loss: a mean by tokens over about the last tenth of the steps, the same whoever asks."""

import math
import random
from pathlib import Path

import numpy as np
import pytest

from gptlab import load
from gptlab.cli import main
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.files import read_json, write_json
from gptlab.sweeps.compared import run_in
from gptlab.sweeps.record import RECORD, losses_in, read_record
from gptlab.training.metric_rows import rows_in
from gptlab.training.smoothing import SHARE, SMOOTHED, SmoothedLoss, with_smoothed
from tests.sweep_records import record
from tests.training.trainings import make_training

DRAWN = random.Random(0)
LOSSES = [5 * 0.99**step + DRAWN.gauss(0, 0.3) for step in range(400)]
TOKENS = [DRAWN.randint(1, 9) for _ in LOSSES]


def weights_after(step: int) -> np.ndarray:
    """Of each step up to `step`, as the recursion unrolls."""
    shares = [20 / (s + 19) for s in range(1, step + 1)]
    return np.array(
        [share * math.prod(1 - later for later in shares[i + 1 :]) for i, share in enumerate(shares)]
    )


def test_it_is_a_weighted_mean_of_all_nats_over_that_of_all_tokens():
    values = SmoothedLoss().add(0, LOSSES, TOKENS)
    assert values[0] == pytest.approx(LOSSES[0])
    for step in (2, 7, 100, 400):
        weights = weights_after(step)
        nats, tokens = np.array(LOSSES[:step]) * TOKENS[:step], np.array(TOKENS[:step])
        assert values[step - 1] == pytest.approx((weights * nats).sum() / (weights * tokens).sum())


def test_it_is_as_old_and_as_noisy_as_a_mean_of_the_last_tenth():
    weights = weights_after(1000)
    assert weights.sum() == pytest.approx(1)
    assert (weights * np.arange(999, -1, -1)).sum() == pytest.approx(50, rel=0.1)
    assert 1 / (weights**2).sum() == pytest.approx(1000 / SHARE, rel=0.1)


@pytest.mark.parametrize("cut", [1, 3, 137, 399])
def test_where_it_is_interrupted_changes_no_bit(cut):
    whole = SmoothedLoss().add(0, LOSSES, TOKENS)
    first = SmoothedLoss()
    before = first.add(0, LOSSES[:cut], TOKENS[:cut])
    second = SmoothedLoss(first.nats, first.tokens)
    assert before + second.add(cut, LOSSES[cut:], TOKENS[cut:]) == whole


def test_what_is_no_number_leaves_it_as_it_is():
    smoothed = SmoothedLoss()
    assert math.isnan(smoothed.value)
    assert math.isnan(smoothed.add(0, [math.nan], [3])[0])
    assert smoothed.add(1, [2.0, math.inf, math.nan, 1e308], [3, 3, 3, 30]) == pytest.approx([2.0] * 4)


def test_a_run_that_was_logged_without_it_gets_it_of_its_rows():
    rows = [(0, {"val/loss": 3.0}), *((10 * i, {"train/loss": loss}) for i, loss in enumerate(LOSSES[:9], 1))]
    found = with_smoothed(rows)
    assert [step for step, _ in found] == [step for step, _ in rows] and found[0] == rows[0]
    expected = SmoothedLoss().add(0, LOSSES[:9], [1] * 9)
    assert [row[SMOOTHED] for _, row in found[1:]] == expected
    assert with_smoothed(found) is found


@pytest.mark.parametrize("engine", [XlaEngine("float64"), ScalarEngine()], ids=["xla", "scalar"])
def test_a_run_smooths_all_of_its_steps_whichever_are_logged(engine):
    rows = {}
    for every in (1, 5):
        training, logged = make_training(engine, numSteps=12, logEvery=every, batchSize=2)
        training.run()
        rows[every] = dict(logged)
    each = rows[1]
    assert [row["train/tokens"] for row in each.values()] == [8] * 12
    values = SmoothedLoss().add(0, [r["train/loss"] for r in each.values()], [8] * 12)
    assert [row[SMOOTHED] for row in each.values()] == values
    assert {step: row[SMOOTHED] for step, row in rows[5].items()} == {
        s: values[s - 1] for s in (1, 5, 10, 12)
    }


def test_a_record_of_an_earlier_gptlab_is_read_as_what_it_says(tmp_path):
    record(1, {}, 2.0).write(tmp_path)
    kept = read_json(tmp_path / RECORD)
    del kept["smoothedTrainLoss"], kept["diverged"]
    points = [[10 * i, loss] for i, loss in enumerate(LOSSES[:9], 1)]
    write_json(tmp_path / RECORD, {**kept, "trainLoss": 2.25, "curves": {"train/loss": points}})
    found = read_record(tmp_path / RECORD)
    assert (found.smoothedTrainLoss, found.diverged, list(found.curves)) == (2.25, "", [SMOOTHED])
    assert [value for _, value in found.curves[SMOOTHED]] == SmoothedLoss().add(0, LOSSES[:9], [1] * 9)


@pytest.mark.slow
def test_every_place_that_shows_a_smoothed_loss_shows_the_one_that_was_logged(tmp_path, monkeypatch, capsys):
    """The terminal, the picture, compare, a sweep's record, the notebook."""
    monkeypatch.chdir(tmp_path)
    words = [
        "+experiment=tiny",
        "data=questions",
        "engine=scalar",
        "model.nEmbd=2",
        "model.nHead=2",
        "samples.n=0",
    ]
    words += [
        "model.nLayer=1",
        "tracking=none",
        "train.batchSize=2",
        "data.valFraction=0",
        "inspect.atEnd=false",
    ]
    assert main([*words, "train.numSteps=23", "seed=1", "hydra.run.dir=run"]) == 0
    (*_, (step, row)) = rows_in(Path("run/metrics.jsonl"))
    expected = f"{row[SMOOTHED]:.3f}"
    assert step == 23 and expected != f"{row['train/loss']:.3f}"
    assert f"step 23: smoothed loss {expected}" in capsys.readouterr().out
    run = load("run")
    assert f"smoothed loss {expected}" in repr(run) and run.losses[-1] == row["train/loss"]
    labels = [text.get_text() for text in run.plot().axes[0].texts]
    assert any("training, smoothed" in label and expected in label for label in labels), labels
    assert run_in(Path("run")).record.smoothedTrainLoss == row[SMOOTHED]
    assert losses_in(rows_in(Path("run/metrics.jsonl")))["smoothedTrainLoss"] == row[SMOOTHED]
