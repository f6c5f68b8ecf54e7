"""What goes from a folder to MLflow goes by the names that gptlab writes, whatever the folder holds or says."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest

from gptlab.runs.checkpoint.folder import FILES
from gptlab.tracking.parent import close_parent
from gptlab.tracking.uploads import Uploads
from tests.tracked import make_run


def finished() -> MagicMock:
    """A client of a store that tells of the run "id" as it was told."""
    client = MagicMock()
    client.get_run.return_value.info = SimpleNamespace(run_id="id", status="FINISHED")
    return client


def sent_by(client: MagicMock) -> set[str]:
    """The files that were logged, those of whole folders among them."""
    files = {call.args[1] for call in client.log_artifact.call_args_list}
    for call in client.log_artifacts.call_args_list:
        files |= {str(path) for path in Path(call.args[1]).rglob("*")}
    return {os.path.basename(file) for file in files}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("nobody's business")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/run.json").write_text(json.dumps({"id": "an-id", "name": "own"}))
    (tmp_path / "secret.png").write_bytes(b"nobody's business")
    (tmp_path / "sweep/0").mkdir(parents=True)
    return tmp_path


def test_of_a_sweep_s_folder_only_files_of_sweeps_are_sent(place: Path) -> None:
    sweep = place / "sweep"
    for name in ("summary.csv", "by-nEmbd.png", "notes.txt"):
        (sweep / name).write_text("x")
    (sweep / "by-x").mkdir()
    names = [
        "../secret.txt",
        str(place / "secret.txt"),
        "by-x/../../secret.png",
        "notes.txt",
        "0",
        "..",
        None,
        3,
        [],
    ]
    client = finished()
    shown = {"files": [*names, "summary.csv", "by-nEmbd.png"]}
    close_parent(client, "id", sweep, {"status": "FINISHED", "shown": shown})
    assert sent_by(client) == {"summary.csv", "by-nEmbd.png"}


@pytest.mark.parametrize("best", ["../precious", "{place}/precious", ".", "..", "0/../../precious"])
def test_the_best_run_of_a_sweep_lies_in_it(place: Path, best: str) -> None:
    client = finished()
    shown = {"best": best.format(place=place), "tags": {}}
    close_parent(client, "id", place / "sweep", {"status": "FINISHED", "shown": shown})
    assert client.log_batch.call_args.kwargs["tags"] == []


def test_of_a_checkpoint_and_an_inspection_only_their_own_files_are_sent(place: Path) -> None:
    run = make_run(place)
    checkpoint = run.folder / "checkpoints/step-000002"
    checkpoint.mkdir(parents=True)
    for name in FILES:
        (checkpoint / name).write_text("{}")
    (checkpoint / "notes.txt").write_text("x")
    shown = run.folder / "inspect/step-000001"
    shown.mkdir(parents=True)
    (shown / "notes.txt").write_text("x")
    for name in ("step-000001.npz", "step-x.npz"):
        (run.folder / "inspect" / name).write_bytes(b"no inspection")
    client = MagicMock()
    uploads = Uploads(client, run)
    uploads.checkpoints()
    uploads.inspections()
    assert sent_by(client) == {*FILES, "failed.txt"}


def test_a_checkpoint_that_holds_nothing_else_is_sent_in_one_go(place: Path) -> None:
    run = make_run(place)
    checkpoint = run.folder / "checkpoints/step-000002"
    checkpoint.mkdir(parents=True)
    for name in FILES:
        (checkpoint / name).write_text("{}")
    client = MagicMock()
    Uploads(client, run).checkpoints()
    assert client.log_artifacts.call_count == 1 and not client.log_artifact.called
