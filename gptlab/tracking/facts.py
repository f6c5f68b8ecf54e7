"""What a run tells MLflow of itself, in MLflow's words: tags, params, data set, table of matrices."""

import getpass
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptlab import strict_json
from gptlab.config.typed import flatten
from gptlab.runs.run import Run
from gptlab.tracking import orphans

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

# MLflow shows a section of charts for what comes before a metric's `/`, by the alphabet, and last of all the
# metrics without one: curves have it, and numbers that never change have a dot, so that the curves come first.
COUNTS = "parameters"  # parameters.total, parameters.attention ...
JOBS = "jobs"  # of a sweep: jobs.finished, jobs.failed ...
KEY = "gptlab.runs.run"  # what a run's folder is known by before it has an MLflow id
PARAM_LENGTH = 6000
TAG_LENGTH = 8000


def tags_of(folder: Path, told: dict[str, Any]) -> dict[str, str]:
    """The tags of a new run. told: what its folder tells of it, and of the process that trains."""
    tags = {
        "mlflow.note.content": told["description"],
        "mlflow.user": user(),
        "mlflow.source.name": told["typed"],
        "mlflow.source.type": "LOCAL",
        **told.get("tags", {}),
        # Last, since MLflow shows tags in this order, and these are only for what closes runs that were left open.
        KEY: told.get("key", ""),
        orphans.FOLDER: str(folder.absolute()),
        **orphans.marks(told["process"]),
    }
    return {clean_key(name): value[:TAG_LENGTH] for name, value in tags.items() if value}


def flat_params(config: dict[str, Any]) -> dict[str, str]:
    """`{"model.nEmbd": "32", ...}`: a config as MLflow takes it, values as YAML would show them."""
    return {clean_key(key): _cut(_text(value)) for key, value in flatten(config).items()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else strict_json.dumps(value, default=str)


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
        source=strict_json.dumps({"uri": data.source}),
        profile=strict_json.dumps(profile),
    )
    return DatasetInput(entity, [InputTag("mlflow.data.context", "training")])


def user() -> str:
    """Who runs this; a number where they have no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run as a user without a name
        return str(os.getuid())
