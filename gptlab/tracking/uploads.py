"""The artifacts of a run: its files, and what is drawn and made of them. Each is sent once, whoever asks."""

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gptlab import strict_json
from gptlab.runs.checkpoint import CHECKPOINTS, name_run
from gptlab.runs.files import INSPECTIONS, PARAMETERS, SAMPLES, TOKENIZER
from gptlab.runs.folder import RunFolder
from gptlab.runs.run import FINISHED, Run
from gptlab.tracking.facts import dataset_input
from gptlab.training.metric_rows import Metrics

if TYPE_CHECKING:
    from mlflow import MlflowClient

CURVE, MODEL = "loss.png", "model"
SAMPLES_FOLDER = "samples"  # of a run in MLflow


class Uploads:
    """Knows what is in the store: what it has sent itself, and, after `look`, what others have."""

    def __init__(self, client: "MlflowClient", run: Run) -> None:
        self.client = client
        self.run = run
        self.registered = ""  # what the run's model is called in the registry, once it is there
        self._sent: set[str] = set()  # files, and folders of checkpoints that are there whole
        self._samples_read = 0  # bytes

    def look(self) -> None:
        """Ask the store what it has of a run that others have written."""
        self._sent |= self._listed(SAMPLES_FOLDER)
        for step in self._listed(CHECKPOINTS):
            names = {path.rpartition("/")[2] for path in self._listed(step)}
            folder = self.run.folder / step
            if not folder.is_dir() or names == {file.name for file in folder.iterdir()}:
                self._sent.add(step)

    def _listed(self, path: str) -> set[str]:
        return {file.path for file in self.client.list_artifacts(self.run.id, path)}

    def dataset(self) -> None:
        dataset = [dataset_input(self.run)]
        try:
            self.client.log_inputs(self.run.id, datasets=dataset)
        except Exception:
            # MLflow looks whether the data set is known and then adds it. Of runs that begin at once all but
            # one find it taken; now it is known.
            self.client.log_inputs(self.run.id, datasets=dataset)

    def file(self, name: str) -> None:
        """A file of the run's folder; one that is not there is no error."""
        if name in self._sent or not (file := self.run.folder / name).exists():
            return
        self.client.log_artifact(self.run.id, str(file))
        if name == PARAMETERS:
            # The tag is what makes the UI show the file as a table, as it does for MlflowClient.log_table,
            # which would need pandas to write it.
            listed = strict_json.dumps([{"path": name, "type": "table"}])
            self.client.set_tag(self.run.id, "mlflow.loggedArtifacts", listed)
        self._sent.add(name)

    def samples(self, folder: RunFolder) -> None:
        """A file a step, in one go: MLflow looks up the run for each time something is logged."""
        file = folder.path / SAMPLES
        size = file.stat().st_size if file.exists() else 0
        if size == self._samples_read:
            return
        texts = {f"{SAMPLES_FOLDER}/step-{step:06d}.txt": texts for step, texts in folder.samples()}
        new = {path: lines for path, lines in texts.items() if path not in self._sent}
        if new:
            with tempfile.TemporaryDirectory() as place:
                Path(place, SAMPLES_FOLDER).mkdir()
                for path, lines in new.items():
                    Path(place, path).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
                self.client.log_artifacts(self.run.id, place)
        self._sent |= new.keys()
        self._samples_read = size

    def checkpoints(self) -> None:
        """Those of the folder, under the same paths; those that had to make room for newer ones are removed."""
        there = [f"{CHECKPOINTS}/{folder.name}" for folder in RunFolder(self.run.folder).checkpoints()]
        for path in there:
            if path not in self._sent:
                self._checkpoint(path)
        known = {path for path in self._sent if path.startswith(f"{CHECKPOINTS}/")}
        for gone in sorted(known - set(there)):
            newer = [path for path in there if (len(path), path) > (len(gone), gone)]
            if newer:  # else somebody has cleared the folder
                self._remove(gone)

    def _checkpoint(self, path: str) -> None:
        """It may be removed at any moment, and is then removed here, too."""
        folder = self.run.folder / path
        with suppress(OSError):  # that it is gone shows below; what has no room for its id is good without
            name_run(folder, self.run.id)
        self._sent.add(path)
        try:
            if folder.is_dir():
                self.client.log_artifacts(self.run.id, str(folder), path)
        except Exception:
            if folder.is_dir():
                self._sent.discard(path)
                raise
            self._remove(path)

    def _remove(self, path: str) -> None:
        repository = self.client._tracking_client._get_artifact_repo(self.run.id)
        # Not every artifact store can delete; and what is not there need not be.
        with suppress(Exception):
            repository.delete_artifacts(path)
        self._sent.discard(path)

    def inspections(self) -> None:
        """What is to be drawn lies in a file; it is gone once that is done."""
        for file in sorted((self.run.folder / INSPECTIONS).glob("step-*.npz")):
            from gptlab.tracking.inspections import log_inspection

            step = int(file.stem.removeprefix("step-"))
            log_inspection(self.client, self.run, f"{INSPECTIONS}/{file.name}", step)

    def curve(self, folder: RunFolder) -> None:
        """The losses as a picture, once no more of them come."""
        if CURVE in self._sent:
            return
        log_curve(self.client, self.run, folder.rows())
        self._sent.add(CURVE)

    def results(self, status: str, newest: Path | None) -> None:
        """What a run that is over has to show; of one that FINISHED, the model of its newest checkpoint."""
        self.curve(RunFolder(self.run.folder))
        self.file(TOKENIZER)
        settings = self.run.config.get("tracking") or {}
        wanted = status == FINISHED and newest is not None and settings.get("logModel", True)
        if wanted and MODEL not in self._sent:
            assert newest is not None
            self.registered = log_model(self.client, self.run, newest)
            self._sent.add(MODEL)


def log_curve(client: "MlflowClient", run: Run, rows: Metrics) -> None:
    """The losses as a picture; nothing if there are none."""
    from gptlab.training.figures import loss_curve

    history: dict[str, list[tuple[int, float]]] = {}
    for step, values in rows:
        for name, value in values.items():
            history.setdefault(name, []).append((step, value))
    if any(name.endswith("/loss") for name in history):
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / CURVE
            path.write_bytes(loss_curve(history, run.dataset.facts, run.name))
            client.log_artifact(run.id, str(path))


def log_model(client: "MlflowClient", run: Run, checkpoint: Path) -> str:
    from gptlab.tracking import logged_model

    return logged_model.log_model(client, run, checkpoint)
