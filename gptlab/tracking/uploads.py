"""The artifacts of a run: its files, and what is drawn and made of them. Each is sent once, whoever asks."""

from __future__ import annotations

import io
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gptlab.inspection.inspection import read_inspection
from gptlab.runs.checkpoint.folder import CHECKPOINTS, step_of
from gptlab.runs.checkpoint.folder import FILES as OF_CHECKPOINT
from gptlab.runs.checkpoint.newest import name_run
from gptlab.runs.files import CONFIG, INSPECTION, INSPECTIONS, PARAMETERS, PLUGINS, SAMPLES, TOKENIZER
from gptlab.runs.folder import RunFolder
from gptlab.runs.inspected import link_to_page, sweep_over
from gptlab.runs.run import FINISHED, Run
from gptlab.tracking.facts import dataset_input, show_as_table
from gptlab.training.metric_rows import Metrics

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from gptlab.inspection.page import Way

FILES = (CONFIG, PLUGINS, PARAMETERS)  # that a run has from its start
CURVE, MODEL = "loss.png", "model"
SAMPLES_FOLDER = "samples"  # of a run in MLflow
PICTURE, FAILURE = "attention.png", "failed.txt"  # of an inspection
SERIES = "attention"  # the name of its pictures as one series


class Uploads:
    """Knows what is in the store: what it has sent itself, and, after `look`, what others have."""

    def __init__(self, client: MlflowClient, run: Run) -> None:
        self.client = client
        self.run = run
        self.folder = RunFolder(run.folder)
        self.registered = ""  # what the run's model is called in the registry, once it is there
        self._sent: set[str] = set()  # files, and folders of checkpoints that are there whole
        self._samples_read = 0  # bytes

    def look(self) -> None:
        """Ask the store what it has of a run that others have written."""
        # What else is there may be of a run that has gone on since, and is sent anew.
        there = self._listed("") & {*FILES}
        self._sent |= there | self._listed(SAMPLES_FOLDER) | self._whole_checkpoints()

    @property
    def has_files(self) -> bool:
        """Whether the files of the start are in the store, those of them that there are."""
        return all(name in self._sent or not (self.run.folder / name).exists() for name in FILES)

    def forget_lost(self) -> bool:
        """Whether the store lacks something that it has taken: all of that is to be sent again."""
        there = self._listed("") | self._listed(SAMPLES_FOLDER) | self._whole_checkpoints()
        lost = self._sent - there - {MODEL} - ({CURVE} if not losses_of(self.folder.rows()) else set())
        self._sent -= lost
        self._samples_read = 0
        return bool(lost)

    def _whole_checkpoints(self) -> set[str]:
        """Those in the store that have all files of the folder's, and those that are in the store only."""
        whole = set()
        for step in self._listed(CHECKPOINTS):
            names = {path.rpartition("/")[2] for path in self._listed(step)}
            folder = self.run.folder / step
            if not folder.is_dir() or names == {file.name for file in files_of(folder)}:
                whole.add(step)
        return whole

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
            show_as_table(self.client, self.run.id, name)
        self._sent.add(name)

    def samples(self) -> None:
        """A file a step, in one go: MLflow looks up the run for each time something is logged."""
        file = self.folder.path / SAMPLES
        size = file.stat().st_size if file.exists() else 0
        if size == self._samples_read:
            return
        texts = {f"{SAMPLES_FOLDER}/step-{step:06d}.txt": texts for step, texts in self.folder.samples()}
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
        there = [f"{CHECKPOINTS}/{folder.name}" for folder in self.folder.checkpoints()]
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
            log_known(self.client, self.run.id, files_of(folder), path)
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
            step = step_of(file.with_suffix(""))
            if step is None or not file.is_file():
                continue
            log_inspection(self.client, self.run, f"{INSPECTIONS}/{file.name}", step)

    def curve(self) -> None:
        """The losses as a picture, once no more of them come."""
        if CURVE not in self._sent:
            log_curve(self.client, self.run, self.folder.rows())
            self._sent.add(CURVE)

    def results(self, status: str, newest: Path | None) -> None:
        """What a run that is over has to show; of one that FINISHED, the model of its newest checkpoint."""
        self.curve()
        self.file(TOKENIZER)
        settings = self.run.config.get("tracking") or {}
        wanted = status == FINISHED and MODEL not in self._sent and settings.get("logModel", True)
        if wanted and newest is not None:
            from gptlab.tracking import logged_model

            self.registered = logged_model.log_model(self.client, self.run, newest)
            self._sent.add(MODEL)


def files_of(checkpoint: Path) -> list[Path]:
    """Of a checkpoint's folder, what gptlab has written; none if it is gone."""
    return [file for name in OF_CHECKPOINT if (file := checkpoint / name).is_file()]


def log_known(client: MlflowClient, run_id: str, files: list[Path], path: str) -> None:
    """Log these files, which lie in one folder, and nothing else that may be there.

    In one go, if they are all that is there: MLflow looks up the run for each time something is logged.
    """
    if not files:
        return
    folder = files[0].parent
    if {file.name for file in files} == {file.name for file in folder.iterdir()}:
        client.log_artifacts(run_id, str(folder), path)
        return
    for file in files:
        client.log_artifact(run_id, str(file), path)


def losses_of(rows: Metrics) -> dict[str, list[tuple[int, float]]]:
    """All that was logged, by name; nothing if there is no loss in it."""
    history: dict[str, list[tuple[int, float]]] = {}
    for step, values in rows:
        for name, value in values.items():
            history.setdefault(name, []).append((step, value))
    return history if any(name.endswith("/loss") for name in history) else {}


def log_curve(client: MlflowClient, run: Run, rows: Metrics) -> None:
    """The losses and metrics as a picture; nothing if there are no losses."""
    from gptlab.training.figures import loss_figure

    if history := losses_of(rows):
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / CURVE
            listeners = run.config.get("listeners") or ()
            path.write_bytes(loss_figure(history, run.dataset.facts, run.name, listeners).png())
            client.log_artifact(run.id, str(path))


def log_inspection(client: MlflowClient, run: Run, path: str, step: int) -> None:
    """Draw what the file at `path` of the run's folder holds, log it, and remove the file.

    What is drawn stays beside it, in a folder of its name. Nothing if the file is gone: that is done.
    Raises whatever the store raises. What cannot be drawn is logged as the reason why: a fault of the
    drawing must not keep the rest of a run from being written.
    """
    from gptlab.inspection.page import page
    from gptlab.inspection.pictures import attention_picture

    file = run.folder / path
    if not file.exists():
        return
    folder = file.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    picture = b""
    try:
        inspection = read_inspection(file)
        title = f'{run.name}, step {step:,}: "{inspection.text}"'
        picture = attention_picture(inspection, title)
        if picture:
            (folder / PICTURE).write_bytes(picture)
        (folder / INSPECTION).write_text(page(inspection, title, way=way_from(folder)), encoding="utf-8")
    except Exception:
        (folder / FAILURE).write_text(traceback.format_exc(), encoding="utf-8")
    made = [folder / name for name in (INSPECTION, PICTURE, FAILURE)]
    log_known(client, run.id, [file for file in made if file.is_file()], f"{INSPECTIONS}/{folder.name}")
    if picture:
        log_picture(client, run.id, picture, step)
    file.unlink(missing_ok=True)


def way_from(inspection: Path) -> Way | None:
    """From the folder of an inspection to the page of the sweep that its run is a job of, which comes at its end."""
    from gptlab.inspection.page import Way

    sweep = sweep_over(inspection.parent.parent)
    link = None if sweep is None else link_to_page(sweep, inspection)
    return None if link is None else Way(*link, at=f"{INSPECTIONS}/{inspection.name}/{INSPECTION}")


def log_picture(client: MlflowClient, run_id: str, picture: bytes, step: int) -> None:
    """One picture of a series that MLflow's page shows with a slider of steps, unless it has it."""
    from PIL import Image

    known = [file.path for file in client.list_artifacts(run_id, "images")]
    if not any(path.startswith(f"images/{SERIES}+step+{step}+") for path in known):
        with Image.open(io.BytesIO(picture)) as image:
            # Without transparency, of which there is none: MLflow encodes the picture anew, twice.
            client.log_image(run_id, image.convert("RGB"), key=SERIES, step=step, synchronous=True)
