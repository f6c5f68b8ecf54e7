"""The MLflow model of a finished run: `mlflow.pyfunc.load_model("models:/NAME@newest").predict(["the cat"])`.

Models from code: the model's folder holds `model_code.py`, which imports gptlab, and a run's folder in
small: config, tokenizer and the weights as a checkpoint. Nothing in it is pickled.
"""

import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow.pyfunc
from mlflow.entities import LoggedModelOutput, LoggedModelStatus
from mlflow.models import Model, ModelSignature
from mlflow.tracking._tracking_service.utils import _use_tracking_uri
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from mlflow.utils import requirements_utils

from gptlab.config.typed import Config
from gptlab.runs.checkpoint.folder import read_checkpoint, write_checkpoint
from gptlab.runs.files import CONFIG, PLUGINS, TOKENIZER
from gptlab.runs.run import Run
from gptlab.tracking import model_code
from gptlab.training.generation import Sampling

if TYPE_CHECKING:
    from mlflow import MlflowClient

NAME = "model"
PACKAGES = ("gptlab", "mlflow")
RUN_ARTIFACT = "run"  # the name of the run's folder within the model
DTYPES = {int: "long", float: "double", str: "string"}
PARAMS = ("temperature", "topK", "topP", "n", "seed")


def signature() -> ModelSignature:
    """Prompts in, texts out; the params are those of `Sampling`, with one text a prompt by default."""
    default = Sampling(n=1)
    params = [ParamSpec(p, DTYPES[type(getattr(default, p))], getattr(default, p)) for p in PARAMS]
    # No name: with one, MLflow would take a DataFrame, but no list of strings.
    texts = Schema([ColSpec("string")])
    return ModelSignature(texts, texts, ParamSchema(params))


def log_model(client: "MlflowClient", run: Run, checkpoint: Path) -> str:
    """Log the weights of a checkpoint as the run's model, once, and register it if the config says so.

    What it is called in the registry, for a person to read; empty if it is not in there.

    Raises what the store raises, and UserError if the checkpoint is not whole.
    """
    found = client.get_run(run.id)
    outputs = found.outputs.model_outputs if found.outputs else []
    models = [client.get_logged_model(output.model_id) for output in outputs]
    ready = [model for model in models if model.status == LoggedModelStatus.READY]
    model_id = ready[0].model_id if ready else _log(client, found.info.experiment_id, run, checkpoint)
    name = run.config.get("register")
    if name is None:
        return ""
    alias = run.config.get("registerAlias", Config.registerAlias)
    version = _register(client, run, model_id, name, alias)
    return (
        f"{name}, version {version}: models:/{name}/{version}, and models:/{name}@{alias} until the next one"
    )


def _log(client: "MlflowClient", experiment_id: str, run: Run, checkpoint: Path) -> str:
    with tempfile.TemporaryDirectory(prefix="gptlab-model-") as place:
        small = Path(place, RUN_ARTIFACT)
        state = _small_run(run, checkpoint, small)
        model = client.create_logged_model(experiment_id, NAME, source_run_id=run.id)
        try:
            described = Model(artifact_path=model.artifact_location, run_id=run.id, model_id=model.model_id)
            folder = Path(place, "model")
            _save(folder, small, described, _example(state["tokenizer"]))
            client.log_model_artifacts(model.model_id, str(folder))
        except BaseException:
            client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)
            raise
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.log_outputs(run.id, [LoggedModelOutput(model.model_id, state["step"])])
    return str(model.model_id)


def _small_run(run: Run, checkpoint: Path, folder: Path) -> dict[str, Any]:
    """Make a run's folder with all that sampling needs: no optimizer, no metrics. The checkpoint's state."""
    whole = read_checkpoint(checkpoint)
    folder.mkdir()
    for name in (CONFIG, TOKENIZER, PLUGINS):
        if (run.folder / name).is_file():
            shutil.copyfile(run.folder / name, folder / name)
    write_checkpoint(folder, {k: v for k, v in whole.state.items() if k != "format"}, whole.weights, {})
    return whole.state


def _example(tokenizer: dict[str, Any]) -> str:
    """A prompt that the vocabulary knows: its first word, or nothing."""
    pieces = tokenizer.get("pieces")
    return str(pieces[0]) if tokenizer.get("name") in ("word", "char") and pieces else ""


def _save(folder: Path, small: Path, model: Model, example: str) -> None:
    requirements = [f"{package}=={importlib.metadata.version(package)}" for package in PACKAGES]
    # MLflow would read the list of files of every installed package (0.8 s) to see that these are installed.
    if vars(requirements_utils).get("_MODULES_TO_PACKAGES", True) is None:
        vars(requirements_utils)["_MODULES_TO_PACKAGES"] = {package: [package] for package in PACKAGES}
    code = Path(str(model_code.__file__))
    mlflow.pyfunc.save_model(
        folder,
        mlflow_model=model,
        python_model=str(code),
        artifacts={RUN_ARTIFACT: str(small)},
        signature=signature(),
        input_example=([example], {"temperature": 0.8}),
        pip_requirements=requirements,
    )
    # MLflow writes down where the files were on this machine, and a pickler that nothing was pickled with.
    flavor = model.flavors["python_function"]
    flavor["model_code_path"] = code.name
    flavor["artifacts"][RUN_ARTIFACT]["uri"] = flavor["artifacts"][RUN_ARTIFACT]["path"]
    flavor.pop("cloudpickle_version", None)
    model.save(str(folder / "MLmodel"))
    for cache in folder.rglob("__pycache__"):
        shutil.rmtree(cache, ignore_errors=True)


def _register(client: "MlflowClient", run: Run, model_id: str, name: str, alias: str) -> str:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    mine = [v for v in client.search_model_versions(f"run_id = '{run.id}'") if v.name == name]
    if mine:
        version = mine[0].version
    else:
        with _as_default(client):
            version = client.create_model_version(
                name, source=f"models:/{model_id}", run_id=run.id, model_id=model_id
            ).version
    client.set_registered_model_alias(name, alias, version)
    return str(version)


@contextmanager
def _as_default(client: "MlflowClient") -> Iterator[None]:
    """MLflow looks up `models:/ID` in its default store, whatever the store of the client that is asked."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    try:
        with _use_tracking_uri(client.tracking_uri):
            yield
    finally:
        if given is not None:
            os.environ["MLFLOW_TRACKING_URI"] = given
