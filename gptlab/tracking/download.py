"""Runs and models that are not on this disk, fetched from the MLflow store that they were logged to.

Both come as a run's folder: config.yaml, tokenizer.json and checkpoints/step-000500/. They are verified
by whoever reads the checkpoint; nothing of them is executed, and a model's code is not even fetched.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptlab.errors import UserError, nearest
from gptlab.runs.checkpoint.digests import SUMS
from gptlab.runs.checkpoint.folder import CHECKPOINTS, STATE, WEIGHTS
from gptlab.runs.files import CONFIG, PLUGINS, TOKENIZER
from gptlab.tracking.connection import ENVIRONMENT
from gptlab.tracking.facts import PARENT
from gptlab.tracking.server import check_server
from gptlab.tracking.store import Store, find_store, open_store, said
from gptlab.training.metric_rows import Metrics
from gptlab.training.smoothing import with_smoothed

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

RUN_ARTIFACT = "artifacts/run"  # where a model that gptlab logged has its run's folder
MODEL = re.compile(r"models:/(?P<name>[^/@]+)(@(?P<alias>[^/@]+)|/(?P<version>[^/@]+))?/?")
NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # how MLflow says so
RUN = re.compile(r"(runs:/)?(?P<id>[^/:@]+)/?")


def open_here(store: Store) -> MlflowClient:
    """A client of the store in this process, which loads MLflow. Raises UserError if the store does not answer."""
    if store.is_server:
        check_server(store)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    return open_store(store)


def open_to_read(uri: str | None, sought: str) -> tuple[Store, MlflowClient]:
    """The store, which must be there already: what is only read makes none. sought: what is looked for in it.

    Raises UserError if there is no store, or it does not answer.
    """
    store = find_store(uri)
    if store.database is not None and not store.database.exists():
        raise UserError(
            f"there is no MLflow store at {store.database} to look for '{sought}' in. Run in the folder that it "
            "was made in, or name another store with tracking.uri="
        )
    return store, open_here(store)


def metrics_in_store(run_id: str, uri: str | None) -> Metrics:
    """All that the run has logged, a row a step. Raises UserError if there is no such run. Makes no store."""
    store, client = open_to_read(uri, run_id)
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
        return with_smoothed(history_of(client, run, run.data.metrics))
    except MlflowException as error:
        raise UserError(f"the metrics of {run_id} in {store.shown} cannot be read: {said(error)}") from None


def family_in_store(
    run_id: str, uri: str | None, names: Iterable[str], most: int
) -> list[tuple[MlflowRun, Metrics | None]]:
    """The run, or its children, lowest val/loss first, if it has some; with what the first `most` have logged of these
    metrics.

    Raises UserError if there is no store, or no such run in it. Makes no store.
    """
    store, client = open_to_read(uri, run_id)
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
        found = _children(client, run) or [run]
        found.sort(key=lambda run: run.data.metrics.get("val/loss", float("inf")))
        return [(run, history_of(client, run, names) if i < most else None) for i, run in enumerate(found)]
    except MlflowException as error:
        if error.error_code not in NOT_THERE:
            raise UserError(f"the run {run_id} of {store.shown} cannot be read: {said(error)}") from None
        raise UserError(
            f"there is no run '{run_id}' below ./runs, nor in the MLflow store {store.shown}. Try latest, a "
            "run's or a sweep's folder, or an id that python -m gptlab ui shows."
        ) from None


def _children(client: MlflowClient, run: MlflowRun) -> list[MlflowRun]:
    found: list[MlflowRun] = []
    mine, token = f"tags.`{PARENT}` = '{run.info.run_id}'", None
    while True:
        page = client.search_runs([run.info.experiment_id], mine, page_token=token)
        found += page
        if not (token := page.token):
            return found


def history_of(client: MlflowClient, run: MlflowRun, names: Iterable[str]) -> Metrics:
    """What the run has logged of these metrics, a row a step."""
    rows: dict[int, dict[str, float]] = {}
    for name in names:
        if name in run.data.metrics:
            for point in client.get_metric_history(run.info.run_id, name):
                rows.setdefault(point.step, {})[name] = point.value
    return sorted(rows.items())


def download_reference(reference: str, uri: str | None, destination: Path) -> Path:
    """Fetch `runs:/ID`, a bare run id, `models:/NAME@ALIAS` or `models:/NAME/VERSION`; the folder it is in.

    `models:/NAME` and `models:/NAME/latest` are the newest version. The folder lies in `destination`.
    Raises UserError for a store, run, name, alias or version that is not there, and a run or model that
    gptlab did not log whole. Makes no store.
    """
    for address, fetch in ((RUN, _run), (MODEL, _model)):
        if found := address.fullmatch(reference):
            store, client = open_to_read(uri, reference)
            return fetch(client, store.shown, found, destination)
    raise UserError(
        f"an address in MLflow must read runs:/ID, models:/NAME@ALIAS or models:/NAME/VERSION: got '{reference}'."
    )


def _run(client: MlflowClient, shown: str, reference: re.Match[str], destination: Path) -> Path:
    from mlflow.exceptions import MlflowException

    run_id = reference["id"]
    try:
        found = client.get_run(run_id)
    except MlflowException as error:
        known = error.error_code in NOT_THERE
        reason = ". Try run=latest, or a run's folder." if known else f": {said(error)}"
        raise UserError(f"there is no run '{reference[0]}' in the MLflow store {shown}{reason}") from None
    place = destination / run_id
    try:
        step = _newest_step(client, run_id)
        if step is None:
            raise UserError(
                f"the run {run_id} of {shown} has logged no checkpoint (it is {found.info.status}). Try a run that "
                "has ended, or a run's folder."
            )
        there = {step, *(file.path for file in client.list_artifacts(run_id))}
        for path in (CONFIG, TOKENIZER, PLUGINS, step):
            if path in there:
                _fetch(client, f"runs:/{run_id}/{path}", place / path)
    except (MlflowException, OSError) as error:
        raise _unreadable(f"the run {run_id}", shown, error) from None
    return place


def _newest_step(client: MlflowClient, run_id: str) -> str | None:
    """The artifact path of the newest checkpoint that was uploaded whole."""
    steps = [file.path for file in client.list_artifacts(run_id, CHECKPOINTS) if file.is_dir]
    # By length first: after step-999999 the numbers have more digits.
    for step in sorted(steps, key=lambda path: (len(path), path), reverse=True):
        names = {file.path.rpartition("/")[2] for file in client.list_artifacts(run_id, step)}
        if {WEIGHTS, STATE, SUMS} <= names:
            return str(step)
    return None


def _model(client: MlflowClient, shown: str, reference: re.Match[str], destination: Path) -> Path:
    from mlflow.exceptions import MlflowException

    name = reference["name"]
    found = _version(client, shown, reference)
    place = destination / f"{name}-{found.version}"
    try:
        if found.model_id:
            uri = client.get_logged_model(found.model_id).artifact_location
        else:
            uri = client.get_model_version_download_uri(name, found.version)
        _fetch(client, f"{uri.rstrip('/')}/{RUN_ARTIFACT}", place)
    except (MlflowException, OSError) as error:
        raise _unreadable(f"version {found.version} of the model '{name}'", shown, error) from None
    if not (place / CONFIG).is_file():
        raise UserError(
            f"version {found.version} of the model '{name}' in {shown} was not logged by gptlab: it has no "
            f"{RUN_ARTIFACT}/{CONFIG}. Try a run: runs:/ID"
        )
    return place


def _version(client: MlflowClient, shown: str, reference: re.Match[str]) -> Any:
    """The model version that is meant. Raises UserError that says which there are, if there is none."""
    name, alias, version = reference["name"], reference["alias"], reference["version"]
    quoted = name.replace("'", "''")
    versions = sorted(client.search_model_versions(f"name = '{quoted}'"), key=lambda v: int(v.version))
    if not versions:
        names = [model.name for model in client.search_registered_models(max_results=100)]
        known = ", ".join(f"models:/{close}" for close in nearest(name, names) or names[:5])
        guess = f"Known: {known}." if known else "It has none at all."
        raise UserError(
            f"there is no model '{name}' in the registry of {shown}: got '{reference[0]}'. {guess}"
        )
    numbers = ", ".join(str(v.version) for v in versions[-10:])
    if alias is not None:
        aliases = client.get_registered_model(name).aliases
        if alias not in aliases and alias.lower() != "latest":
            known = ", ".join(f"@{a} (version {v})" for a, v in sorted(aliases.items())) or "none"
            raise UserError(
                f"the model '{name}' in {shown} has no alias '{alias}': it has {known}. Versions: {numbers}."
            )
        version = str(aliases.get(alias, versions[-1].version))
    elif version is None or version.lower() == "latest":
        return versions[-1]
    if meant := [candidate for candidate in versions if str(candidate.version) == version]:
        return meant[0]
    raise UserError(
        f"the model '{name}' in {shown} has no version '{version}': it has {numbers}. "
        f"Try models:/{name}/{versions[-1].version}"
    )


def _fetch(client: MlflowClient, uri: str, place: Path) -> None:
    """Put the artifact file or folder at `place`, wherever MLflow would put it."""
    from mlflow.artifacts import download_artifacts

    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as beside:
        found = download_artifacts(uri, dst_path=beside, tracking_uri=client.tracking_uri)
        if Path(found) != Path(beside):
            os.rename(found, place)


def _unreadable(what: str, shown: str, error: Exception) -> UserError:
    return UserError(f"{what} of {shown} cannot be read: {said(error)}.")
