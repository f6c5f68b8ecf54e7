"""Where a server has files put: not into a folder of this machine, unless it is of this machine, or so agreed."""

from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.errors import UserError
from gptlab.tracking.beginning import SHARED, check_place
from gptlab.tracking.store import find_store, open_store
from tests.resuming import TINY, write_corpus

ELSEWHERE = "https://mlflow.example.org"


@pytest.mark.parametrize(
    "place", ["/elsewhere", "file:///elsewhere/.config", "file:/a%20b", "C:/Users", "./mlruns"]
)
def test_a_server_elsewhere_names_no_folder_here(place: str) -> None:
    with pytest.raises(UserError, match="must take a run's files itself"):
        check_place(find_store(ELSEWHERE), place)


@pytest.mark.parametrize("place", ["mlflow-artifacts:/1/a", "s3://bucket/1", ""])
def test_it_may_take_them_itself_or_name_a_store_of_files(place: str) -> None:
    check_place(find_store(ELSEWHERE), place)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:5000", "http://localhost:5000", "http://[::1]:5000"])
def test_a_server_of_this_machine_names_its_folder(uri: str) -> None:
    check_place(find_store(uri), "/elsewhere/mlruns/1")


def test_a_file_s_store_keeps_its_folder(tmp_path: Path) -> None:
    store = find_store(f"sqlite:///{tmp_path}/mlflow.db")
    check_place(store, str(tmp_path / "mlartifacts"))
    check_place(store, "./mlruns/0")  # below the current folder, as MLflow itself does
    for place in ("/elsewhere/.config", str(tmp_path / "../other"), f"file://{tmp_path}2"):
        with pytest.raises(UserError, match="must lie beside the MLflow store"):
            check_place(store, place)


@pytest.mark.slow
def test_a_gift_s_store_puts_nothing_elsewhere(
    mlflow_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An experiment in a mlflow.db that came with a folder, or was moved with it."""
    write_corpus(mlflow_folder)
    precious = mlflow_folder.parent / f"{mlflow_folder.name}-precious"
    client = open_store(find_store())
    client.create_experiment("gptlab", artifact_location=precious.as_uri())
    assert main([*TINY, "train.numSteps=1", "tracking=mlflow", "hydra.run.dir=run"]) == 2
    said = capsys.readouterr().err
    assert "must lie beside the MLflow store" in said and said.count("\n") == 1
    assert not precious.exists() and not (mlflow_folder / "run").exists()


def test_a_shared_folder_is_agreed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SHARED, str(tmp_path / "shared"))
    check_place(find_store(ELSEWHERE), (tmp_path / "shared/1/a").as_uri())
    for place in ("shared/../secret", "shared2", ""):
        with pytest.raises(UserError):
            check_place(find_store(ELSEWHERE), str(tmp_path / place))
