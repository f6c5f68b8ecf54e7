"""Where a server has files put: not into a folder of this machine, unless it is of this machine, or so agreed."""

from pathlib import Path

import pytest

from gptlab.errors import UserError
from gptlab.tracking.beginning import SHARED, check_place
from gptlab.tracking.store import find_store

ELSEWHERE = "https://mlflow.example.org"


@pytest.mark.parametrize(
    "place", ["/home/me", "file:///home/me/.config", "file:/a%20b", "C:/Users", "./mlruns"]
)
def test_a_server_elsewhere_names_no_folder_here(place: str) -> None:
    with pytest.raises(UserError, match="must take a run's files itself"):
        check_place(find_store(ELSEWHERE), place)


@pytest.mark.parametrize("place", ["mlflow-artifacts:/1/a", "s3://bucket/1", ""])
def test_it_may_take_them_itself_or_name_a_store_of_files(place: str) -> None:
    check_place(find_store(ELSEWHERE), place)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:5000", "http://localhost:5000", "http://[::1]:5000"])
def test_a_server_of_this_machine_names_its_folder(uri: str) -> None:
    check_place(find_store(uri), "/home/me/mlruns/1")


def test_a_file_s_store_keeps_its_folder(tmp_path: Path) -> None:
    check_place(find_store(f"sqlite:///{tmp_path}/mlflow.db"), str(tmp_path / "mlartifacts"))


def test_a_shared_folder_is_agreed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SHARED, str(tmp_path / "shared"))
    check_place(find_store(ELSEWHERE), (tmp_path / "shared/1/a").as_uri())
    for place in ("shared/../secret", "shared2", ""):
        with pytest.raises(UserError):
            check_place(find_store(ELSEWHERE), str(tmp_path / place))
