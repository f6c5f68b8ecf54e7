"""What a run tells MLflow of itself, in MLflow's words: tags, params, data set, table of matrices."""

import getpass
import os
import re
import sys
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from gptlab import strict_json
from gptlab.config.typed import flatten
from gptlab.runs.run import Run
from gptlab.tracking import orphans

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput

# MLflow shows a section of charts for what comes before a metric's `/`, by the alphabet, and last of all the
# metrics without one: curves have it, and numbers that never change have a dot, so that the curves come first.
COUNTS = "parameters"  # parameters.total, parameters.attention ...
JOBS = "jobs"  # of a sweep: jobs.finished, jobs.failed ...
PARENT = "mlflow.parentRunId"  # empty until the run of a job's sweep is made: see opening.with_parent
KEY = "gptlab.runs.run"  # what a run's folder is known by before it has an MLflow id
PARAM_LENGTH = 6000
TAG_LENGTH = 8000
PARAMS_A_BATCH, METRICS_A_BATCH = 100, 1000  # MLflow's limits


def begun_facts(known: dict[str, Any]) -> dict[str, Any]:
    """What a folder tells of the process that begins a run, or goes on with it. known: what it told before."""
    first = {"began": int(time.time() * 1000), "key": uuid4().hex}
    first |= {name: known[name] for name in first if name in known}
    return {"process": orphans.own_process(), "typed": command_typed(), **first}


def command_typed() -> str:
    """What was typed to begin this process."""
    program = Path(sys.argv[0]).name
    return " ".join(["python -m gptlab" if program == "__main__.py" else program, *sys.argv[1:]])


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


def log_params(client: "MlflowClient", run_id: str, params: dict[str, str]) -> None:
    """Log params, as many at once as MLflow takes."""
    from mlflow.entities import Param

    left = iter(params.items())
    while batch := [Param(key, value) for key, value in islice(left, PARAMS_A_BATCH)]:
        client.log_batch(run_id, params=batch, synchronous=True)


def show_as_table(client: "MlflowClient", run_id: str, artifact: str) -> None:
    """Have the UI show an artifact as a table, as for MlflowClient.log_table, which needs pandas to write it."""
    listed = strict_json.dumps([{"path": artifact, "type": "table"}])
    client.set_tag(run_id, "mlflow.loggedArtifacts", listed)


def user() -> str:
    """Who runs this; a number where they have no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run as a user without a name
        return str(os.getuid())
