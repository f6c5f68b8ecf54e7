"""train.norms: of each layer the norms of gradient, weights and update, alike on both engines."""

import json
from pathlib import Path

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.cli import main
from gptlab.engines.engine import trained as without
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.model.adapted import frozen_names
from gptlab.optim.optimizers import SGD, Adam
from gptlab.optim.transforms import Clipped
from gptlab.training.step_norms import layer_of, norms_by_layer
from tests.models import SMALL, make_gpt, random_batches
from tests.resuming import TINY


def measured(engine, gpt, optimizer, steps, frozen=frozenset()):
    session = engine.session(gpt, optimizer, OpTable(), frozen, step_metrics=norms_by_layer)
    weights = gpt.initial_weights(0)
    state = session.init(weights, optimizer.init(without(weights, frozen)))
    state, metrics = session.train(state, random_batches(gpt, steps), np.full(steps, 0.05))
    return weights, session.export(state).weights, metrics


def norm(arrays, names):
    return np.sqrt(sum((arrays[name] ** 2).sum() for name in names))


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("layers.3.mlp.hidden", "layers.3"),
        ("output", "output"),
        ("finalNorm.scale", "finalNorm"),
        ("adapter.layers.0.attention.query.A", "adapter.layers.0"),
    ],
)
def test_weights_go_by_layer(name, layer):
    assert layer_of(name) == layer


def test_they_are_those_of_the_weights_and_of_how_they_moved():
    gpt = make_gpt({**SMALL, "nEmbd": 4})
    frozen = frozen_names(["output"], gpt)
    before, after, metrics = measured(ScalarEngine(), gpt, Clipped(SGD(), 1e-3), 1, frozen)
    parts = ["tokenEmbedding", "positionEmbedding", "layers.0", "layers.1"]
    assert list(metrics.numbers) == [f"{k}Norm/{p}" for k in ("grad", "weight", "update") for p in parts]
    for part in parts:
        names = [name for name in before if name.startswith(part)]
        np.testing.assert_allclose(metrics.numbers[f"weightNorm/{part}"][0], norm(before, names), rtol=1e-12)
        moves = {name: after[name] - before[name] for name in names}
        np.testing.assert_allclose(metrics.numbers[f"updateNorm/{part}"][0], norm(moves, names), rtol=1e-9)
    squares = sum(metrics.numbers[f"gradNorm/{part}"][0] ** 2 for part in parts)
    np.testing.assert_allclose(np.sqrt(squares), metrics.gradNorm[0], rtol=1e-12)
    moved = sum(metrics.numbers[f"updateNorm/{part}"][0] ** 2 for part in parts)
    np.testing.assert_allclose(np.sqrt(moved), 0.05 * 1e-3, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [Adam(), Clipped(SGD(), 0.1)], ids=["adam, flat", "sgd, clipped"])
def test_both_engines_measure_alike(optimizer):
    gpt = make_gpt({**SMALL, "nEmbd": 4})
    (*_, one), (*_, other) = (
        measured(engine, gpt, optimizer, 10) for engine in (ScalarEngine(), XlaEngine("float64"))
    )
    assert set(one.numbers) == set(other.numbers) and len(one.numbers["gradNorm/layers.0"]) == 10
    for name, numbers in one.numbers.items():
        np.testing.assert_allclose(numbers, other.numbers[name], rtol=1e-9, err_msg=name)


@pytest.mark.slow
def test_a_run_logs_them_only_if_asked(folder: Path) -> None:
    few = ["engine=scalar", "train.numSteps=3", "train.logEvery=1"]
    for name, more in (("plain", []), ("asked", ["train.norms=true"])):
        assert main([*TINY, *few, f"hydra.run.dir={name}", *more]) == 0
    plain, asked = (
        [json.loads(line) for line in Path(name, "metrics.jsonl").read_text().splitlines()]
        for name in ("plain", "asked")
    )
    assert {"train/gradNorm/layers.0", "train/weightNorm/output", "train/updateNorm/tokenEmbedding"} <= set(
        asked[0]
    )
    assert not any("Norm/" in key for row in plain for key in row)
    assert [row["train/loss"] for row in plain] == [row["train/loss"] for row in asked]
