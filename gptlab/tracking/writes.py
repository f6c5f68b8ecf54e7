"""What is to be written to an MLflow run besides metrics: each a small JSON object, so that it can be kept.

A write names its kind under "write"; `Writer` has a method for each kind. All of them may be done twice.
"""

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptlab import strict_json
from gptlab.runs.checkpoint import name_run
from gptlab.runs.run import Run
from gptlab.tracking.facts import TAG_LENGTH, dataset_input, parameter_table
from gptlab.tracking.parent import forget_kill

if TYPE_CHECKING:
    from mlflow import MlflowClient

Write = dict[str, Any]
History = dict[str, list[tuple[int, float]]]


def kind_of(write: Write) -> str:
    return str(write["write"])


class Writer:
    """Does writes to the MLflow run `run.id`. Paths are relative to the run's folder."""

    def __init__(self, client: "MlflowClient", run: Run, history: History) -> None:
        self.client = client
        self.run = run
        self.history = history
        self.registered = ""  # what the run's model is called in the registry, once it is there

    def do(self, write: Write) -> None:
        """Raises whatever the store raises; a file that is gone is no error."""
        getattr(self, f"_{kind_of(write)}")(
            **{name: value for name, value in write.items() if name != "write"}
        )

    def _params(self, values: dict[str, str]) -> None:
        from mlflow.entities import Param

        params = [Param(key, value) for key, value in values.items()]
        self.client.log_batch(self.run.id, params=params, synchronous=True)

    def _tag(self, name: str, value: str) -> None:
        self.client.set_tag(self.run.id, name, value[:TAG_LENGTH])

    def _dataset(self) -> None:
        dataset = [dataset_input(self.run)]
        try:
            self.client.log_inputs(self.run.id, datasets=dataset)
        except Exception:
            # MLflow looks whether the data set is known and then adds it. Of runs that begin at once all but
            # one find it taken; now it is known.
            self.client.log_inputs(self.run.id, datasets=dataset)

    def _table(self) -> None:
        self.client.log_dict(self.run.id, parameter_table(self.run), "parameters.json")
        # The tag is what makes the UI show the file as a table, as it does for MlflowClient.log_table,
        # which would need pandas to write it.
        listed = strict_json.dumps([{"path": "parameters.json", "type": "table"}])
        self.client.set_tag(self.run.id, "mlflow.loggedArtifacts", listed)

    def _texts(self, texts: dict[str, str]) -> None:
        """Files by their paths, in one go: MLflow looks up the run for each time something is logged."""
        with tempfile.TemporaryDirectory() as folder:
            for path, text in texts.items():
                file = Path(folder, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            self.client.log_artifacts(self.run.id, folder)

    def _text(self, path: str, text: str) -> None:
        """As an earlier gptlab kept it."""
        self._texts({path: text})

    def _file(self, path: str) -> None:
        if (file := self.run.folder / path).exists():
            self.client.log_artifact(self.run.id, str(file))

    def _folder(self, path: str) -> None:
        """The files of a folder; `keep` may remove it at any moment, and then has it removed here too."""
        folder = self.run.folder / path
        with suppress(OSError):  # that it is gone shows below; what has no room for its id is good without
            name_run(folder, self.run.id)
        try:
            if folder.is_dir():
                self.client.log_artifacts(self.run.id, str(folder), path)
        except Exception:
            if folder.is_dir():
                raise
            self._remove(path)

    def _remove(self, path: str) -> None:
        repository = self.client._tracking_client._get_artifact_repo(self.run.id)
        # Not every artifact store can delete; and what is not there need not be.
        with suppress(Exception):
            repository.delete_artifacts(path)

    def _curve(self) -> None:
        from gptlab.training.figures import loss_curve

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "loss.png"
            path.write_bytes(loss_curve(self.history, self.run.dataset.facts, self.run.name))
            self.client.log_artifact(self.run.id, str(path))

    def _inspection(self, path: str, step: int) -> None:
        from gptlab.tracking.inspections import log_inspection

        log_inspection(self.client, self.run, path, step)

    def _model(self, path: str) -> None:
        from gptlab.tracking.logged_model import log_model

        self.registered = log_model(self.client, self.run, self.run.folder / path)

    def _status(self, status: str, ended: int) -> None:
        if status == "FINISHED":
            forget_kill(self.client, self.run.id)
        self.client.set_terminated(self.run.id, status, end_time=ended)
