"""gptlab.load: from what names a run to what can be asked of it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from gptlab.exchange.finding import found_source
from gptlab.exchange.loading import check_vocabulary, with_model
from gptlab.loaded.loaded import Loaded
from gptlab.plugins.loading import load_plugins
from gptlab.plugins.registry import Registry
from gptlab.runs.finding import ID
from gptlab.sweeps.compared import metrics_in
from gptlab.training.metric_rows import Metrics


def load(
    run: str | os.PathLike[str] = "latest",
    *,
    engine: str | None = None,
    uri: str | None = None,
    tokenizer_path: str | None = None,
    registry: Registry | None = None,
) -> Loaded:
    """A finished run, with its model, its numbers and its losses.

    run: latest (the newest below ./runs), the folder of a run or of a checkpoint, an MLflow run id, runs:/ID,
    models:/NAME@ALIAS, or a file of weights. engine: where the model computes, by default where it was
    trained; "scalar" makes every number a Value. uri: the MLflow store of a run that is not below ./runs.
    tokenizer_path: the corpus of a file of weights that carries no vocabulary. registry: where names are
    looked up; by default what `load_plugins` finds.

    Raises UserError if there is no such run, it has no weights yet, or it is damaged.
    """
    registry = registry or load_plugins().registry
    if engine is not None:
        registry.get("engine", engine)
    reference = os.fspath(run)
    tracking = {"name": "mlflow", "uri": uri}
    with found_source(reference, tracking, tokenizer_path) as found:
        tokenizer = check_vocabulary(found, registry)
        source, model = with_model(found, registry)
        metrics = [] if source.folder is None else metrics_in(source.folder)
    if source.folder is not None and not source.folder.is_dir():  # it was fetched from a store
        source = replace(source, name=reference, folder=None)

    def metrics_of_run() -> Metrics:
        return metrics or fetched_metrics(reference, uri)

    return Loaded(source, model.definition, tokenizer, registry, engine, metrics_of_run)


def fetched_metrics(reference: str, uri: str | None) -> Metrics:
    """What the store has of a run that it knows by its id; [] for all else. Raises UserError as the store does."""
    run_id = reference.removeprefix("runs:/").strip("/")
    if os.path.exists(Path(os.path.expanduser(reference))) or not ID.fullmatch(run_id) or run_id == "latest":
        return []
    from gptlab.tracking.existing import metrics_in_store

    return metrics_in_store(run_id, uri)
