"""The main job end to end, and what MLflow's own client then reads of it."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from gptlab.cli import main
from gptlab.tracking.store import find_store, open_store


def only_run(client):
    (experiment,) = (e for e in client.search_experiments() if e.name == "gptlab")
    (run,) = client.search_runs([experiment.experiment_id])
    return run


@pytest.mark.slow
def test_a_run_read_back_through_the_mlflow_client(mlflow_folder, capsys):
    command = [
        "+experiment=tiny",
        "train.numSteps=60",
        "train.evalEvery=20",
        "train.logEvery=5",
        "model.nEmbd=8",
    ]
    assert main(command) == 0
    client = open_store(find_store())
    run = only_run(client)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "tiny numSteps=60 evalEvery=20 logEvery=5 nEmbd=8"
    params = run.data.params
    assert (params["model.nEmbd"], params["model.norm.name"], params["ops.mul"]) == ("8", "rmsnorm", "mul")
    assert params["train.numSteps"] == "60"

    metrics = run.data.metrics
    V, E = 597, 8
    counts = {"embeddings": V * E + 16 * E, "output": V * E, "attention": 4 * E * E, "mlp": 8 * E * E}
    assert {part: metrics[f"parameters.{part}"] for part in counts} == counts
    assert metrics["parameters.total"] == sum(counts.values())
    steps = {name: [m.step for m in client.get_metric_history(run.info.run_id, name)] for name in metrics}
    assert steps["train/loss"] == [1, *range(5, 61, 5)]
    assert steps["val/loss"] == steps["val/perplexity"] == [20, 40, 60]
    assert metrics["val/perplexity"] == pytest.approx(np.exp(metrics["val/loss"]))
    assert metrics["train/learningRate"] == pytest.approx(0.01 / 60)
    assert metrics["train/gradNorm"] > 0
    assert metrics["train/tokensPerSecond"] > 0

    tags = run.data.tags
    assert (tags["engine"], tags["dtype"], tags["device"]) == ("xla", "float32", "cpu")
    assert tags["version.jax"]
    assert tags["mlflow.note.content"] == "How little does it take until a GPT writes sentences?"
    (data,) = run.inputs.dataset_inputs
    assert data.dataset.name == "sentences"
    assert len(data.dataset.digest) >= 8

    files = {f.path for f in client.list_artifacts(run.info.run_id)}
    assert {"config.yaml", "tokenizer.json", "parameters.json", "loss.png"} <= files
    folder = client.download_artifacts(run.info.run_id, "")
    (weights,) = Path(folder).glob("checkpoints/step-000060/weights.safetensors")
    assert sum(array.size for array in load_file(weights).values()) == metrics["parameters.total"]
    table = json.loads((Path(folder) / "parameters.json").read_text())
    assert table["columns"][:3] == ["matrix", "shape", "count"]
    assert table["data"][0][0] == "tokenEmbedding"
    said = capsys.readouterr()
    assert said.err == ""
    assert run.info.run_id in said.out


@pytest.mark.slow
def test_a_loss_that_is_no_number_fails_the_run_with_the_step_and_the_reason(mlflow_folder, capsys):
    wild = [
        "+experiment=tiny",
        "optimizer=sgd",
        "train.learningRate=1e30",
        "train.numSteps=50",
        "model.nEmbd=8",
    ]
    assert main(wild) == 1
    said = capsys.readouterr().err
    assert "the loss became" in said
    run = only_run(open_store(find_store()))
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] in said


@pytest.mark.slow
def test_book_learns_more_than_word_frequencies_and_not_more_than_there_is(mlflow_folder, capsys):
    assert main(["+experiment=book", "samples.n=0"]) == 0
    run = only_run(open_store(find_store()))
    profile = json.loads(run.inputs.dataset_inputs[0].dataset.profile)
    bounds = profile["entropyPerWord"], profile["unigramEntropy"]
    assert bounds == pytest.approx((1.727, 4.703), abs=0.001)
    loss = run.data.metrics["val/loss"]
    assert bounds[0] < loss < bounds[1] - 1.5
    assert run.data.metrics["parameters.total"] == 63_296
    # What is held out is not quite like the whole: beside its loss stands what is true of it.
    held = profile["heldOutEntropy"], profile["heldOutUnigram"]
    assert held == pytest.approx(bounds, abs=0.2) and held[0] < loss
    printed = f"validation loss {loss:.3f} nats a word: on the same documents word frequencies alone give {held[1]:.3f}"
    assert f"{printed}, and the grammar that made them {held[0]:.3f}" in capsys.readouterr().out


@pytest.mark.slow
def test_scalar_finishes_and_agrees_with_the_compiled_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ends = []
    for engine in (["engine=scalar"], ["engine=xla", "engine.dtype=float64"]):
        folder = engine[0].partition("=")[2]
        assert (
            main(
                [
                    "+experiment=scalar",
                    *engine,
                    "tracking=none",
                    "train.numSteps=30",
                    f"hydra.run.dir={folder}",
                ]
            )
            == 0
        )
        rows = (tmp_path / folder / "metrics.jsonl").read_text().splitlines()
        ends.append([json.loads(row)["train/loss"] for row in rows])
        ends.append((tmp_path / folder / "samples.txt").read_text())
    np.testing.assert_allclose(ends[0], ends[2], rtol=1e-9)
    assert ends[1] == ends[3]
