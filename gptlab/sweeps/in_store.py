"""Runs that are compared and whose folders are not on this disk, read from the MLflow store."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gptlab.errors import UserError
from gptlab.sweeps.compared import Compared
from gptlab.sweeps.record import JobRecord, losses_in
from gptlab.sweeps.values import ranked
from gptlab.tracking.existing import existing_store
from gptlab.tracking.facts import COUNTS
from gptlab.training.metric_rows import Metrics
from gptlab.training.smoothing import LOSS, SMOOTHED

if TYPE_CHECKING:
    from mlflow import MlflowClient

PARENT = "mlflow.parentRunId"
PAGE = 1000
CURVES = 100  # children whose histories are read: of the others the last values do
NAMES = (LOSS, SMOOTHED, "val/loss")


def runs_in_store(run_id: str, uri: str | None) -> list[Compared]:
    """The run, or its children, best first, if it has some.

    Raises UserError if there is no store, or no such run in it. Makes no store.
    """
    store, client = existing_store(uri, run_id)
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
        children = _children(client, run)
        if not children:
            return [_compared(client, run, True)]
        best_first = sorted(children, key=lambda child: child.data.metrics.get("val/loss", float("inf")))
        found = [_compared(client, child, i < CURVES) for i, child in enumerate(best_first)]
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            reason = str(error).splitlines()[0]
            raise UserError(f"the run {run_id} of {store.shown} must be readable: {reason}") from None
        raise UserError(
            f"there is no run '{run_id}' below ./runs, nor in the MLflow store {store.shown}. Try latest, a "
            "run's or a sweep's folder, or an id that python -m gptlab ui shows."
        ) from None
    by_number = {run.record.number: run for run in found}
    return [by_number[record.number] for record in ranked(run.record for run in found)]


def _children(client: MlflowClient, run: Any) -> list[Any]:
    found: list[Any] = []
    token = None
    while True:
        page = client.search_runs(
            [run.info.experiment_id],
            f"tags.`{PARENT}` = '{run.info.run_id}'",
            max_results=PAGE,
            page_token=token,
        )
        found += page
        token = page.token
        if not token:
            return found


def _compared(client: MlflowClient, run: Any, with_curves: bool) -> Compared:
    info, last = run.info, run.data.metrics
    parameters = last.get(f"{COUNTS}.total", last.get("parameters/total"))  # as an earlier gptlab called it
    ended = info.end_time or info.start_time
    record = JobRecord(
        number=_number(info.run_id),
        name=info.run_name or info.run_id,
        overrides={},
        folder="",
        status=info.status,
        reason=run.data.tags.get("error", ""),
        runId=info.run_id,
        parameters=None if parameters is None else int(parameters),
        seconds=(ended - info.start_time) / 1000,
    )
    if with_curves:
        record = replace(record, **losses_in(_history(client, run)))
    else:  # the last losses, at steps that the store does not tell
        row = {name: last[name] for name in NAMES if name in last}
        record = replace(record, **{**losses_in([(0, row)]), "bestStep": None, "curves": {}})
    return Compared(record, dict(run.data.params))


def _history(client: MlflowClient, run: Any) -> Metrics:
    """The logged losses, a row a step."""
    rows: dict[int, dict[str, float]] = {}
    for name in NAMES:
        if name in run.data.metrics:
            for point in client.get_metric_history(run.info.run_id, name):
                rows.setdefault(point.step, {})[name] = point.value
    return sorted(rows.items())


def _number(run_id: str) -> int:
    """What tells records apart that were never numbered."""
    return int.from_bytes(run_id.encode("utf-8"), "big")
