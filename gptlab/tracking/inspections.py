"""Inspections in MLflow: of each a page and a picture as artifacts, and the pictures as one that a slider moves."""

from __future__ import annotations

import io
import traceback
from typing import TYPE_CHECKING

from gptlab.inspection.inspection import read_inspection
from gptlab.inspection.page import page
from gptlab.inspection.pictures import attention_picture
from gptlab.runs.files import INSPECTIONS
from gptlab.runs.run import Run

if TYPE_CHECKING:
    from mlflow import MlflowClient

PAGE, PICTURE, FAILURE = "inspect.html", "attention.png", "failed.txt"
SERIES = "attention"  # the name of the pictures as one series


def log_inspection(client: MlflowClient, run: Run, path: str, step: int) -> None:
    """Draw what the file at `path` of the run's folder holds, log it, and remove the file.

    What is drawn stays beside it, in a folder of its name. Nothing if the file is gone: that is done.
    Raises whatever the store raises. What cannot be drawn is logged as the reason why: a fault of the
    drawing must not keep the rest of a run from being written.
    """
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
        (folder / PAGE).write_text(page(inspection, title), encoding="utf-8")
    except Exception:
        (folder / FAILURE).write_text(traceback.format_exc(), encoding="utf-8")
    client.log_artifacts(run.id, str(folder), f"{INSPECTIONS}/{folder.name}")
    if picture:
        log_picture(client, run.id, picture, step)
    file.unlink(missing_ok=True)


def log_picture(client: MlflowClient, run_id: str, picture: bytes, step: int) -> None:
    """One picture of a series that MLflow's page shows with a slider of steps, unless it has it."""
    from PIL import Image

    known = [file.path for file in client.list_artifacts(run_id, "images")]
    if not any(path.startswith(f"images/{SERIES}+step+{step}+") for path in known):
        with Image.open(io.BytesIO(picture)) as image:
            # Without transparency, of which there is none: MLflow encodes the picture anew, twice.
            client.log_image(run_id, image.convert("RGB"), key=SERIES, step=step, synchronous=True)
