"""The MLflow model that a run leaves: what is in it, who can load it, and what `register` and addresses make of it."""

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from gptlab.cli import main
from gptlab.config.typed import Config, typed
from gptlab.config.values import check_registering
from gptlab.errors import UserError
from gptlab.tracking.connection import environment
from gptlab.tracking.download import download_reference
from gptlab.tracking.store import find_store, open_store
from tests.processes import wait_until
from tests.repository import ROOT

SMALL = ["data=questions", "engine=scalar", "model.nEmbd=4", "model.nHead=2", "model.blockSize=6"]
SMALL += ["train.numSteps=2", "samples.n=0", "data.valFraction=0", "progress=none"]
NAME = "small talk"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, mlflow_template: Path) -> Path:
    """A folder with the MLflow store of a registered run, whose own folder is gone; expected.json: its samples."""
    folder = tmp_path_factory.mktemp("registered")
    shutil.copy(mlflow_template, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        (folder / "elsewhere").mkdir()
        patch.chdir(folder / "elsewhere")  # not where the store is: MLflow must not look for it here
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        command = [*SMALL[:-1], f"register={NAME}", f"tracking.uri=sqlite:///{folder}/mlflow.db"]
        with redirect_stdout(io.StringIO()) as printed:
            assert main(command) == 0
        (folder / "printed.txt").write_text(printed.getvalue())
        command = [
            sys.executable,
            "-m",
            "gptlab",
            "generate",
            "n=3",
            "seed=5",
            "prompt=what is",
            "temperature=0.7",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        (folder / "expected.json").write_text(json.dumps(done.stdout.splitlines()))
        shutil.rmtree(folder / "elsewhere/runs")
    return folder


@pytest.mark.slow
def test_a_run_prints_under_what_name_and_version_its_model_was_registered(trained: Path) -> None:
    printed = (trained / "printed.txt").read_text().splitlines()
    assert (
        f"registered as {NAME}, version 1: models:/{NAME}/1, and models:/{NAME}@newest until the next one"
        in printed
    )


@pytest.fixture
def there(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`trained`, as the current folder."""
    monkeypatch.chdir(trained)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return trained


def model_folder(folder: Path) -> Path:
    (found,) = folder.glob("mlartifacts/gptlab/models/*/artifacts")
    return found


def test_the_model_is_code_and_data_and_nothing_is_pickled(there: Path) -> None:
    from mlflow.models import Model

    folder = model_folder(there)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert [file for file in files if file.startswith("artifacts/")] == [
        "artifacts/run/checkpoints/step-000002/SHA256SUMS",
        "artifacts/run/checkpoints/step-000002/optimizer.safetensors",
        "artifacts/run/checkpoints/step-000002/state.json",
        "artifacts/run/checkpoints/step-000002/weights.safetensors",
        "artifacts/run/config.yaml",
        "artifacts/run/tokenizer.json",
    ]
    assert not [file for file in files if "pkl" in file or "pickle" in file]
    described = (folder / "MLmodel").read_text()
    assert "pickle" not in described
    assert str(ROOT) not in described, "where gptlab lies on this machine is nobody's business"
    assert (folder / "requirements.txt").read_text().split()[0].startswith("gptlab==")
    model = Model.load(str(folder))
    assert model.signature is not None
    assert [param.name for param in model.signature.params] == ["temperature", "topK", "topP", "n", "seed"]
    example = json.loads((folder / "input_example.json").read_text())
    words = json.loads((folder / "artifacts/run/tokenizer.json").read_text())["pieces"]
    assert example["inputs"][0] in words


def test_the_registry_has_the_model_of_the_run_under_name_and_alias(there: Path) -> None:
    client = open_store(find_store())
    version = client.get_model_version_by_alias(NAME, "newest")
    (run,) = client.search_runs(["1"])
    assert (version.run_id, version.version) == (run.info.run_id, 1)
    (output,) = run.outputs.model_outputs
    assert version.source == f"models:/{output.model_id}"
    logged = client.get_logged_model(output.model_id)
    assert (str(logged.status), logged.source_run_id) == ("READY", run.info.run_id)


LOAD = """
import json, sys, warnings
import mlflow.pyfunc
import pandas as pd
from mlflow.exceptions import MlflowException
mlflow.set_tracking_uri(sys.argv[1])
warnings.simplefilter("error", UserWarning)
model = mlflow.pyfunc.load_model(sys.argv[2])
params = {"temperature": 0.7, "topK": 0, "topP": 1.0, "n": 3, "seed": 5}
said = []
for bad, more in ((["what zzz"], {}), (["what"], {"topP": 2.0}), (pd.DataFrame({"x": ["what"]}), {})):
    try:
        model.predict(bad, params=more)
    except MlflowException as error:
        said.append(error.message)
print(json.dumps({
    "list": model.predict(["what is"], params=params),
    "frame": model.predict(pd.DataFrame({"prompt": ["what is", "what is"]}), params=params),
    "alone": model.predict(["what"]),
    "said": said,
    "path": [place for place in sys.path if place.endswith("/main")],
}))
"""


@pytest.mark.slow
def test_the_model_loads_elsewhere_and_samples_as_generate_does(there: Path, tmp_path: Path) -> None:
    script = tmp_path / "load.py"
    script.write_text(LOAD)
    command = [sys.executable, "-P", str(script), find_store().uri, f"models:/{NAME}@newest"]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    expected = json.loads((there / "expected.json").read_text())
    assert answers["list"] == expected
    assert answers["frame"] == [*expected, *expected]
    assert len(answers["alone"]) == 1 and answers["alone"][0].startswith("what")
    assert [text.split()[0:3] for text in answers["said"]] == [
        ["the", "word", "'zzz'"],
        ["topP", "must", "be"],
        ["the", "input", "must"],
    ]


@pytest.mark.slow
def test_the_model_answers_over_http(there: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    command += ["--model-uri", f"models:/{NAME}/1", "--host", "127.0.0.1", "--port", str(port)]
    env = {**environment(), "MLFLOW_TRACKING_URI": find_store().uri}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"  # MLflow starts `uvicorn` by name
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=tmp_path, env=env, stdout=log, stderr=log, start_new_session=True
        )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def post(content: dict[str, Any]) -> tuple[int, Any]:
        address = f"http://127.0.0.1:{port}/invocations"
        request = urllib.request.Request(
            address, json.dumps(content).encode(), {"Content-Type": "application/json"}
        )
        try:
            with direct.open(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def up() -> bool:
        assert server.poll() is None, (tmp_path / "log").read_text()
        try:
            direct.open(f"http://127.0.0.1:{port}/ping", timeout=5).close()
        except OSError:
            return False
        return True

    try:
        wait_until(up, 180)
        params = {"temperature": 0.7, "n": 3, "seed": 5}
        expected = json.loads((there / "expected.json").read_text())
        assert post({"inputs": ["what is"], "params": params}) == (200, {"predictions": expected})
        split = {"columns": ["prompt"], "data": [["what is"]]}
        assert post({"dataframe_split": split, "params": params}) == (200, {"predictions": expected})
        status, answer = post({"inputs": ["what zzz"]})
        assert status == 400 and "'zzz' is not in the vocabulary" in answer["message"]
    finally:
        os.killpg(server.pid, 9)
        server.wait()


# Names


MLFLOW = {"tracking": {"name": "mlflow"}}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"register": "a/b"}, "Try register=a-b"),
        ({"register": "a:b"}, "Try register=a-b"),
        ({"register": ""}, "Try register=sentences"),
        ({"register": ".."}, "without slashes and colons"),
        ({"register": "x" * 256}, "at most 255"),
        ({"register": "a", "registerAlias": "latest"}, "Try registerAlias=newest"),
        ({"register": "a", "registerAlias": "v3"}, "Try registerAlias=newest"),
        ({"register": "a", "registerAlias": "a b"}, "letters, digits"),
        ({"register": "a", "registerAlias": ""}, "letters, digits"),
        ({"register": "a", "tracking": {"name": "none"}}, "needs tracking=mlflow"),
        ({"register": "a", "tracking": {"name": "mlflow", "logModel": False}}, "logModel=true"),
    ],
)
def test_a_name_that_mlflow_would_refuse_is_refused_first(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_registering(typed(Config, {**MLFLOW, **config}))


@pytest.mark.parametrize("name", ["a", "small talk", "größe.2", "A-b_c"])
def test_a_name_that_mlflow_takes_is_taken(name: str) -> None:
    from mlflow.utils.validation import _validate_model_name

    check_registering(typed(Config, {**MLFLOW, "register": name}))
    _validate_model_name(name)


def test_a_wrong_name_ends_the_command_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*SMALL, "register=a/b"]) == 2
    assert capsys.readouterr().err.startswith("gptlab: register must be a name")
    assert list(tmp_path.iterdir()) == []


# Addresses


@pytest.mark.parametrize(
    "reference", ["models:/small talk@newest", "models:/small talk/1", "models:/small talk", "run"]
)
def test_an_address_gives_the_folder_of_a_run(there: Path, tmp_path: Path, reference: str) -> None:
    if reference == "run":
        (run,) = open_store(find_store()).search_runs(["1"])
        reference = f"runs:/{run.info.run_id}"
    folder = download_reference(reference, None, tmp_path)
    assert {"config.yaml", "tokenizer.json", "checkpoints"} <= {path.name for path in folder.iterdir()}
    (checkpoint,) = (folder / "checkpoints").iterdir()
    assert (checkpoint / "SHA256SUMS").is_file()
    assert tmp_path in folder.parents


def test_generate_knows_the_model_by_its_address(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["n=3", "seed=5", "prompt=what is", "temperature=0.7"]
    assert main(["generate", f"run='models:/{NAME}@newest'", *asked]) == 0
    assert capsys.readouterr().out.splitlines() == json.loads((there / "expected.json").read_text())


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("models:/small talk@best", r"no alias 'best': it has @newest \(version 1\)"),
        ("models:/small talk/2", "no version '2': it has 1. Try models:/small talk/1"),
        ("models:/small talks@newest", "no model 'small talks'.*Known: models:/small talk"),
        ("models:/it's/1", "no model 'it's'"),
        ("models:/", "must read runs:/ID"),
        ("runs:/", "must read runs:/ID"),
        ("runs:/0123456789abcdef0123456789abcdef", "there is no run"),
    ],
)
def test_what_is_not_in_the_store_is_said(there: Path, tmp_path: Path, reference: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        download_reference(reference, None, tmp_path)


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="there is no MLflow store at"):
        download_reference("models:/a/1", None, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(UserError, match="does not answer within"):
        download_reference("runs:/a", f"http://127.0.0.1:{port}", tmp_path / "x")


def test_a_run_without_a_checkpoint_and_a_model_of_others_are_said(mlflow_folder: Path) -> None:
    client = open_store(find_store())
    run_id = client.create_run(client.create_experiment("e")).info.run_id
    with pytest.raises(UserError, match=r"has logged no checkpoint \(it is RUNNING\)"):
        download_reference(run_id, None, mlflow_folder / "x")
    client.create_registered_model("foreign")
    (mlflow_folder / "foreign").mkdir()
    client.create_model_version("foreign", (mlflow_folder / "foreign").as_uri(), run_id)
    with pytest.raises(UserError, match="version 1 of the model 'foreign'"):
        download_reference("models:/foreign/1", None, mlflow_folder / "x")
