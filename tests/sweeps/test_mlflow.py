"""A sweep in MLflow: its parent run, the children, and what becomes of them when something goes wrong."""

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun

from gptlab.cli import main
from gptlab.runs.folder import SweepFolder
from gptlab.sweeps.sweep import read_sweep
from gptlab.tracking import orphans
from gptlab.tracking.catch_up import sync_folder
from gptlab.tracking.connection import connections
from gptlab.tracking.facts import PARENT
from gptlab.tracking.store import find_store
from gptlab.tracking.worker import Conversation
from tests.resuming import write_corpus
from tests.sweeping import QUICK, SEEDS, command_in, records_of, signal_at, sweep_of, typical
from tests.tracked import FlakyClient, client

# What is logged at the end of a run is not what is asked here, and takes its time.
LIGHT = ["tracking.logModel=false"]


@pytest.fixture
def folder(mlflow_folder: Path) -> Path:
    write_corpus(mlflow_folder)
    return mlflow_folder


def family(store: MlflowClient) -> tuple[MlflowRun, dict[str, MlflowRun]]:
    """The parent run, and its children by name."""
    runs = store.search_runs([experiment.experiment_id for experiment in store.search_experiments()])
    (parent,) = (run for run in runs if PARENT not in run.data.tags)
    children = {run.info.run_name: run for run in runs if PARENT in run.data.tags}
    assert len(children) == len(runs) - 1
    assert {run.data.tags[PARENT] for run in children.values()} <= {parent.info.run_id}
    return parent, children


@pytest.mark.slow
def test_a_parent_with_a_child_a_job_and_what_they_show_together(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = [word for word in QUICK if not word.startswith("model.nEmbd")]
    rates = "train.learningRate=0.01,1e100"
    assert main(["-m", *command, *LIGHT, "optimizer=sgd", rates, "model.nEmbd=4,3"]) == 1

    parent, children = family(client())
    assert parent.info.run_name.startswith("learningRate × nEmbd of data=text")
    assert parent.info.status == "FAILED"
    statuses = {name: run.info.status for name, run in children.items()}
    assert statuses.pop("learningRate=0.01 nEmbd=4") == "FINISHED"
    assert statuses == dict.fromkeys(
        ("learningRate=0.01 nEmbd=3", "learningRate=1e+100 nEmbd=4", "learningRate=1e+100 nEmbd=3"), "FAILED"
    )
    assert "nHead must divide nEmbd" in children["learningRate=0.01 nEmbd=3"].data.tags["error"]
    assert children["learningRate=0.01 nEmbd=3"].data.params["model.nEmbd"] == "3"
    assert "loss became" in children["learningRate=1e+100 nEmbd=4"].data.tags["error"]

    best = children["learningRate=0.01 nEmbd=4"]
    tags, metrics = parent.data.tags, parent.data.metrics
    assert tags["bestRun"] == best.info.run_id
    assert tags["bestOverrides"] == "train.learningRate=0.01 model.nEmbd=4"
    assert (metrics["jobs.finished"], metrics["jobs.failed"]) == (1, 3)
    values = [m.value for m in client().get_metric_history(best.info.run_id, "val/loss")]
    assert metrics["val/best"] == best.data.metrics["val/best"] == min(values)
    assert metrics["val/loss"] == best.data.metrics["val/loss"] == values[-1]
    assert metrics["parameters.total"] == best.data.metrics["parameters.total"]

    place = Path(client().download_artifacts(parent.info.run_id, ""))
    assert {"summary.csv", "sweep.html", "summary.json", "losses.png"} <= {
        file.name for file in place.iterdir()
    }
    table = json.loads((place / "summary.json").read_text())
    assert len(table["data"]) == 4 and all(len(row) == len(table["columns"]) for row in table["data"])
    assert json.loads(tags["mlflow.loggedArtifacts"]) == [{"path": "summary.json", "type": "table"}]
    with (place / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert (sweep_of(folder) / "summary.csv").read_bytes() == (place / "summary.csv").read_bytes()
    assert {record.runId for record in records_of(folder).values()} == {
        run.info.run_id for run in children.values()
    }
    assert read_sweep(sweep_of(folder)).id == parent.info.run_id
    assert f"MLflow parent run: {parent.info.run_id}" in capfd.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2, 3, 5])
def test_a_sweep_that_succeeded_is_finished_however_many_jobs_it_has(folder: Path, jobs: int) -> None:
    quick = ["train.numSteps=2" if word.startswith("train.numSteps") else word for word in QUICK]
    assert main(["-m", *quick, *LIGHT, f"seed=range(0,{jobs})"]) == 0
    connections.close()  # what MLflow's processes do at the end of a command
    parent, children = family(client())
    assert [run.info.status for run in (parent, *children.values())] == ["FINISHED"] * (jobs + 1)


@pytest.mark.slow
def test_ctrl_c_closes_the_parent_and_what_goes_on_is_the_same_family(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        signal_at(patch, job=2, step=7)
        assert main([*SEEDS, *LIGHT]) == 130
    parent, children = family(client())
    assert parent.info.status == "KILLED"
    assert {name: run.info.status for name, run in children.items()} == {
        "seed=1": "FINISHED",
        "seed=2": "KILLED",
    }
    again = command_in(capfd.readouterr().err)
    assert again[-1] == f"sweep.resume={parent.info.run_id}"

    assert main(again) == 0
    reopened, after = family(client())
    assert (reopened.info.run_id, reopened.info.status) == (parent.info.run_id, "FINISHED")
    assert {name: run.info.status for name, run in after.items()} == dict.fromkeys(
        ("seed=1", "seed=2", "seed=3"), "FINISHED"
    )
    assert after["seed=2"].info.run_id == children["seed=2"].info.run_id
    for run in after.values():
        steps = [m.step for m in client().get_metric_history(run.info.run_id, "train/loss")]
        assert steps == list(range(1, 21))
    assert reopened.data.metrics["jobs.finished"] == 3
    best = typical(records_of(folder))
    assert reopened.data.tags["bestRun"] == best.runId
    assert reopened.data.metrics["val/loss"] == best.score

    client().delete_run(parent.info.run_id)
    assert main(again) == 2
    assert "is deleted, so it cannot be continued" in capfd.readouterr().err


@pytest.mark.slow
def test_of_a_sweep_that_no_job_of_began_nothing_is_left(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gptlab.errors import UserError

    def refuse(*rest: object) -> None:
        raise UserError("the machine is not to be had")

    monkeypatch.setattr("gptlab.launch.experiment.Experiment.state", refuse)
    assert main([*SEEDS, *LIGHT]) == 2
    found = client()
    assert found.search_runs([experiment.experiment_id for experiment in found.search_experiments()]) == []
    assert not (folder / "runs").exists()


# The conversation


def hold(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    """What MLflow's process answers to messages, until the process that sends them is gone."""
    replies: list[dict[str, Any]] = []
    waiting = iter([*messages, None])

    class Inbox:
        def get(self, timeout: float) -> dict[str, Any] | None:
            return next(waiting)

    Conversation(Inbox(), replies.append).hold()  # type: ignore[arg-type]
    return replies


def opening(folder: Path, **told: Any) -> dict[str, Any]:
    """A sweep of this process that begins, or goes on, in a folder."""
    place = SweepFolder(folder)
    known = place.identity()
    first = {"name": "sweep", "description": "d", "typed": "c", "began": 1, "key": "0123", "experiment": "e"}
    first["store"] = find_store().address
    process = orphans.own_process()
    place.update(
        **{**first, **known, "status": "RUNNING", "reason": "", "process": process, "synced": False, **told}
    )
    return {"do": "open_sweep", "store": asdict(find_store()), "folder": str(folder)}


def closing(folder: Path) -> dict[str, Any]:
    return {"do": "end_sweep", "store": asdict(find_store()), "folder": str(folder)}


def over(folder: Path, status: str = "FINISHED", loss: float = 2.0) -> None:
    """What the folder tells once the sweep has ended."""
    shown = {"tags": {"bestOverrides": "x"}, "metrics": {"val/loss": loss}}
    SweepFolder(folder).update(status=status, reason="", shown=shown)


def hold_until(act: Any, *messages: dict[str, Any]) -> None:
    """As `hold`; `act` is called with the answers once all messages are answered, before the sender is gone."""
    replies: list[dict[str, Any]] = []
    waiting = iter(messages)

    class Inbox:
        def get(self, timeout: float) -> dict[str, Any] | None:
            message = next(waiting, None)
            if message is None:
                act(replies)
            return message

    Conversation(Inbox(), replies.append).hold()  # type: ignore[arg-type]


def test_the_parent_of_a_process_that_disappears_is_closed_as_killed(mlflow_folder: Path) -> None:
    (reply,) = hold(opening(mlflow_folder))
    found = client().get_run(reply["id"])
    assert (found.info.status, found.data.tags["error"]) == ("KILLED", "the process was killed")
    assert SweepFolder(mlflow_folder).status == "KILLED"


@pytest.mark.slow
def test_a_parent_that_is_closed_stays_as_it_was_closed(mlflow_folder: Path) -> None:
    (opened,) = hold(opening(mlflow_folder))
    # Twice, as a sweep that is gone on with does, and the second time with a better job.
    for loss in (2.0, 1.0):
        begin = opening(mlflow_folder)
        hold_until(
            lambda replies, loss=loss: (over(mlflow_folder, loss=loss), hold(closing(mlflow_folder))), begin
        )
    found = client().get_run(opened["id"])
    assert found.info.status == "FINISHED" and "error" not in found.data.tags
    assert found.data.metrics["val/loss"] == 1.0
    assert len(client().search_runs(["1"])) == 1


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_what_another_process_has_closed_stays_as_it_is(mlflow_folder: Path, status: str) -> None:
    """One process of MLflow's opens the parent of a sweep, and another closes it."""
    ids: list[str] = []

    def close(replies: list[dict[str, Any]]) -> None:
        ids.append(replies[0]["id"])
        over(mlflow_folder, status)
        assert [reply["is"] for reply in hold(closing(mlflow_folder))] == ["done"]

    hold_until(close, opening(mlflow_folder))
    found = client().get_run(ids[0])
    assert found.info.status == status and "error" not in found.data.tags


def test_what_has_become_another_process_s_is_not_closed(mlflow_folder: Path) -> None:
    ids: list[str] = []

    def take_over(replies: list[dict[str, Any]]) -> None:
        ids.append(replies[0]["id"])
        SweepFolder(mlflow_folder).update(process="1 of-another-command")

    hold_until(take_over, opening(mlflow_folder))
    assert client().get_run(ids[0]).info.status == "RUNNING"
    SweepFolder(mlflow_folder).update(status="KILLED")
    assert sync_folder(mlflow_folder).startswith("sent to")


def test_a_sweep_killed_while_it_closes_is_closed_as_its_folder_says(mlflow_folder: Path) -> None:
    ids: list[str] = []

    def close(replies: list[dict[str, Any]]) -> None:
        ids.append(replies[0]["id"])
        over(mlflow_folder, "FAILED")

    hold_until(close, opening(mlflow_folder))
    found = client().get_run(ids[0])
    assert found.info.status == "FAILED" and "error" not in found.data.tags


def test_a_close_that_was_taken_for_a_kill_takes_the_reason_back(mlflow_folder: Path) -> None:
    (opened,) = hold(opening(mlflow_folder))
    assert client().get_run(opened["id"]).data.tags["error"] == orphans.REASON
    over(mlflow_folder)
    hold(closing(mlflow_folder))
    found = client().get_run(opened["id"])
    assert found.info.status == "FINISHED" and "error" not in found.data.tags


def test_a_parent_that_was_made_by_a_process_killed_before_it_could_say_so_is_found(
    mlflow_folder: Path,
) -> None:
    (opened,) = hold(opening(mlflow_folder))
    (again,) = hold(opening(mlflow_folder, id=""))
    assert again["id"] == opened["id"]


def test_a_store_that_is_away_refuses_and_is_asked_again_later(
    flaky: FlakyClient, mlflow_folder: Path
) -> None:
    flaky.down = True
    (reply,) = hold(opening(mlflow_folder))
    assert (reply["is"], reply["message"]) == ("refused", "the store is away")
    flaky.down = False
    over(mlflow_folder)
    assert sync_folder(mlflow_folder).startswith("sent to")
    assert client().get_run(SweepFolder(mlflow_folder).id).info.status == "FINISHED"


def test_a_parent_that_is_not_there_is_refused(mlflow_folder: Path) -> None:
    (reply,) = hold(opening(mlflow_folder, id="0" * 32))
    assert reply["is"] == "refused" and reply["user"]
    assert "is not in sqlite:" in reply["message"]
