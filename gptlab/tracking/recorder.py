"""What a run looks like in MLflow: writes one run through an `MlflowClient`, in batches.

Called from one thread. Whatever cannot be written stays queued, in order, and is tried again.
"""

import getpass
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptlab.errors import UserError
from gptlab.run import Run
from gptlab.tracking import orphans
from gptlab.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric

METRICS_A_BATCH = 1000  # MLflow's limits
PARAMS_A_BATCH = 100
PARAM_LENGTH = 6000
TAG_LENGTH = 8000
ENDING_SECONDS = 20.0  # no new artifact is begun after so long: a dead server must not hold a finished run


class Recorder:
    """One MLflow run, from `start` to `end`; `metrics` and `samples` queue, `flush` writes."""

    def __init__(self, client: "MlflowClient", store: Store, run: Run) -> None:
        self.client = client
        self.store = store
        self.run = run
        self.experiment_id = ""
        self.history: dict[str, list[tuple[int, float]]] = {}
        self._metrics: list[Metric] = []
        self._writes: list[Callable[[], Any]] = []

    def start(self, experiment: str, process: str, command: str, began: int) -> str:
        """Make the run and queue what is known of it; the run's id.

        `process` is `orphans.process` of the process that trains. `began`, in milliseconds since 1970,
        is when it began: it may have taken its first steps while MLflow was loaded here. Raises UserError if the
        experiment is deleted, or keeps its artifacts where this store cannot write.
        """
        self.experiment_id = self._experiment_id(experiment)
        self.run.id = self.client.create_run(
            self.experiment_id,
            start_time=began,
            run_name=self.run.name,
            tags=self._tags(process, command),
        ).info.run_id
        self._queue_facts()
        return self.run.id

    def metrics(self, step: int, timestamp: int, values: dict[str, float]) -> None:
        """Queue the metrics of a step; `timestamp` in milliseconds since 1970."""
        from mlflow.entities import Metric

        for name, value in values.items():
            self.history.setdefault(name, []).append((step, value))
            self._metrics.append(Metric(clean_key(name), value, timestamp, step))

    def samples(self, step: int, texts: list[str]) -> None:
        """Queue the texts sampled at a step, one a line, as an artifact of that step."""
        text = "".join(f"{line}\n" for line in texts)
        self._writes.append(lambda: self.client.log_text(self.run.id, text, f"samples/step-{step:06d}.txt"))

    @property
    def queued(self) -> int:
        """How many writes are waiting: metrics count one by one."""
        return len(self._metrics) + len(self._writes)

    def flush(self, on_written: Callable[[], None] = lambda: None) -> None:
        """Write all that is queued; on an error the rest stays queued and the error is raised.

        `on_written` is called after each batch of metrics: there may be many.
        """
        while self._metrics:
            batch = self._metrics[:METRICS_A_BATCH]
            self.client.log_batch(self.run.id, metrics=batch, synchronous=True)
            del self._metrics[: len(batch)]
            on_written()
        while self._writes:
            self._writes[0]()
            del self._writes[0]

    def end(
        self, status: str, reason: str, weights: Path | None, on_written: Callable[[], None] = lambda: None
    ) -> Exception | None:
        """Write what is queued and the last artifacts, then close the run as `status`.

        Every write is tried once, also after one has failed. The first error, if any. `on_written` as in `flush`.
        """
        self._queue_results(weights)
        if reason:
            note = f"{self.run.description}\n\n{status}: {reason}".strip()
            self._writes.append(lambda: self._set_tag("error", reason))
            self._writes.append(lambda: self._set_tag("mlflow.note.content", note))
        failure: Exception | None = None
        deadline = time.monotonic() + ENDING_SECONDS
        while self.queued and time.monotonic() < deadline:
            try:
                self.flush(on_written)
            except Exception as error:
                failure = failure or error
                if not self._metrics:
                    del self._writes[0]
                    continue
                break
        try:
            self.client.set_terminated(self.run.id, status)
        except Exception as error:
            failure = failure or error
        return failure

    def _experiment_id(self, name: str) -> str:
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            try:
                return self.client.create_experiment(name, artifact_location=self._artifact_location(name))
            except Exception:
                # Another process may have made it since; if not, this is the error to show.
                experiment = self.client.get_experiment_by_name(name)
                if experiment is None:
                    raise
        if experiment.lifecycle_stage != "active":
            raise UserError(
                f"the MLflow experiment '{name}' must not be deleted, and is. Restore it (mlflow experiments "
                f"restore -x {experiment.experiment_id}) or name another with tracking.experimentName="
            )
        if experiment.artifact_location.startswith("mlflow-artifacts:") and self.store.artifacts:
            raise UserError(
                f"the MLflow experiment '{name}' was made by an MLflow server and keeps its artifacts behind "
                "it. Name another with tracking.experimentName=, or start the server and log to it: "
                "tracking.uri=http://127.0.0.1:5000"
            )
        return str(experiment.experiment_id)

    def _artifact_location(self, name: str) -> str | None:
        if self.store.artifacts is None:
            return None
        # MLflow's own folders are numbers; a readable name serves whoever looks into the folder.
        return f"{self.store.artifacts}/{re.sub(r'[^A-Za-z0-9._-]', '_', name)}"

    def _tags(self, process: str, command: str) -> dict[str, str]:
        tags = {
            "mlflow.note.content": self.run.description,
            "mlflow.user": _user(),
            "mlflow.source.name": command,
            "mlflow.source.type": "LOCAL",
            **self.run.tags,
            # Last, since MLflow shows tags in this order, and these are for close_orphans only.
            orphans.HOST: orphans.host(),
            orphans.PROCESS: process,
        }
        return {clean_key(name): value[:TAG_LENGTH] for name, value in tags.items() if value}

    def _set_tag(self, name: str, value: str) -> None:
        self.client.set_tag(self.run.id, name, value[:TAG_LENGTH])

    def _queue_facts(self) -> None:
        from mlflow.entities import Metric, Param

        client, run = self.client, self.run
        params = [Param(key, value) for key, value in flat_params(run.config).items()]
        for first in range(0, len(params), PARAMS_A_BATCH):
            batch = params[first : first + PARAMS_A_BATCH]
            self._writes.append(partial(client.log_batch, run.id, params=batch, synchronous=True))
        now = int(time.time() * 1000)
        for part, count in run.parameter_counts().items():
            self._metrics.append(Metric(clean_key(f"parameters/{part}"), count, now, 0))
        self._writes.append(lambda: client.log_inputs(run.id, datasets=[dataset_input(run)]))
        self._writes.append(lambda: client.log_dict(run.id, parameter_table(run), "parameters.json"))
        # The tag is what makes the UI show the file as a table, as it does for MlflowClient.log_table,
        # which would need pandas to write it.
        listed = json.dumps([{"path": "parameters.json", "type": "table"}])
        self._writes.append(lambda: client.set_tag(run.id, "mlflow.loggedArtifacts", listed))
        self._queue_file(run.folder / "config.yaml")

    def _queue_results(self, weights: Path | None) -> None:
        self._queue_file(self.run.folder / "tokenizer.json")
        if weights is not None:
            self._queue_file(weights, "weights")
        if any(name.endswith("/loss") for name in self.history):
            self._writes.append(self._log_loss_curve)

    def _queue_file(self, path: Path, folder: str | None = None) -> None:
        if path.exists():
            self._writes.append(lambda: self.client.log_artifact(self.run.id, str(path), folder))

    def _log_loss_curve(self) -> None:
        from gptlab.figures import loss_curve

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "loss.png"
            path.write_bytes(loss_curve(self.history, self.run.dataset.facts, self.run.name))
            self.client.log_artifact(self.run.id, str(path))


def flat_params(config: dict[str, Any]) -> dict[str, str]:
    """`{"model.nEmbd": "32", ...}`: a config as MLflow takes it, values as YAML would show them."""
    return {clean_key(key): _cut(value) for key, value in _leaves(config, "")}


def _leaves(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, str):
        yield key, value
    else:
        yield key, json.dumps(value, default=str)


def _cut(text: str) -> str:
    return text if len(text) <= PARAM_LENGTH else text[: PARAM_LENGTH - 1] + "…"


def clean_key(key: str) -> str:
    """A name that MLflow takes for a metric, param or tag: at most 250 letters, digits and `. / : - _`."""
    return re.sub(r"[^A-Za-z0-9./:_ -]", "_", key)[:250]


def dataset_input(run: Run) -> "DatasetInput":
    """The run's data as MLflow keeps it; from the entities, since `mlflow.data` wants the data itself."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    data = run.dataset
    profile = {
        "num_documents": data.documents,
        "num_train": data.train,
        "num_validation": data.validation,
        **data.facts,
    }
    entity = Dataset(
        name=data.name,
        digest=data.digest[:36],
        source_type="local",
        source=json.dumps({"uri": data.source}),
        profile=json.dumps(profile),
    )
    return DatasetInput(entity, [InputTag("mlflow.data.context", "training")])


def parameter_table(run: Run) -> dict[str, list[Any]]:
    """The table of matrices in the JSON form of `mlflow.log_table`."""
    rows = [[m.name, " x ".join(map(str, m.shape)), m.count, m.part] for m in run.matrices]
    return {"columns": ["matrix", "shape", "count", "part"], "data": rows}


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run as a user without a name
        return str(os.getuid())
