"""An ablation in MLflow: its runs are children of one, which has the table, the verdicts, the pictures, the means."""

import json
from pathlib import Path

import pytest

from gptlab.ablation.report.as_json import read_ablation
from gptlab.cli import main
from gptlab.tracking.facts import PARENT
from tests.ablation_commands import BASE, folders
from tests.resuming import write_corpus
from tests.tracked import client


@pytest.mark.slow
def test_the_parent_run_shows_what_the_report_does(mlflow_folder: Path) -> None:
    write_corpus(mlflow_folder)
    base = [word for word in BASE if not word.startswith("tracking=")]
    arms = "arms=[model/norm=layernorm, train.learningRate=1e200]"
    assert main(["ablate", *base, "tracking.logModel=false", arms, "seeds=2"]) == 1
    (place,) = folders()
    found = read_ablation(place)
    store = client()
    runs = store.search_runs([one.experiment_id for one in store.search_experiments()])
    (parent,) = [run for run in runs if PARENT not in run.data.tags]
    children = {run.info.run_id: run for run in runs if PARENT in run.data.tags}

    assert found.runId == parent.info.run_id
    report = (place / "report.md").read_text()
    assert f"MLflow run | `{found.runId}`" in report and found.runId in (place / "report.html").read_text()
    asked = {run.runId: run for _, setting in found.settings for run in setting.runs}
    assert set(children) == set(asked) and len(children) == 6
    assert {run.data.tags[PARENT] for run in children.values()} == {found.runId}
    for run_id, run in children.items():
        broke = asked[run_id].loss is None
        assert run.info.status == ("FAILED" if broke else "FINISHED")
        assert broke or run.data.metrics["val/loss"] == pytest.approx(asked[run_id].loss)

    tags, metrics = parent.data.tags, parent.data.metrics
    assert "cannot be told from the baseline yet" in tags["verdict.norm_layernorm"]
    assert "failed" in tags["verdict.learningRate_1e200"] and tags["question"] == found.question
    assert (metrics["arms.undecided"], metrics["arms.failed"]) == (1, 1)
    losses = found.baseline.losses.values()
    assert metrics["loss.baseline"] == pytest.approx(sum(losses) / len(losses))
    means = store.get_metric_history(found.runId, "val/loss.mean.baseline")
    assert [point.step for point in means] == [step for step, _ in found.baseline.runs[0].curve]
    assert parent.info.status == "FAILED"  # as of every sweep with a job that failed

    logged = Path(store.download_artifacts(found.runId, ""))
    names = {file.name for file in logged.iterdir()}
    assert {"report.html", "report.md", "arms.csv", "runs.csv", "forest.png", "curves.png"} <= names
    table = json.loads((logged / "summary.json").read_text())
    assert len(table["data"]) == 3 and all(len(row) == len(table["columns"]) for row in table["data"])
