"""A store that only somebody else's folder or file names gets nothing, and no token, until the user has named it."""

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.errors import UserError
from gptlab.files import write_json
from gptlab.runs.checkpoint.digests import SUMS
from gptlab.runs.folder import RunFolder
from gptlab.tracking.named_stores import check_named, name_store, remembered, stores_file
from gptlab.tracking.store import find_store
from tests.resuming import TINY, write_corpus

TOKEN = "the-user-s-own-token"
SIZES = [*TINY, "train.numSteps=4", "checkpoint.every=2", "engine=scalar"]


class Server(ThreadingHTTPServer):
    """Counts what it is asked, with whose token; it is no MLflow."""

    def __init__(self) -> None:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.headers.get("Authorization", ""))
                self.send_error(404)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                """Nothing."""

        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = asked
        self.address = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that were stopped, one of them a sweep's."""
    folder = tmp_path_factory.mktemp("giver")
    write_corpus(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*SIZES, "hydra.run.dir=runs/gift"]) == 0
        assert main(["-m", *SIZES, "seed=1,2", "hydra.sweep.dir=runs/sweep"]) == 0
    return folder


@pytest.fixture
def gift(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> Path:
    """A copy of it, as made by somebody who has a server."""
    for name in ("runs", "corpus.txt"):
        copy = shutil.copytree if name == "runs" else shutil.copy
        copy(trained / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("GPTLAB_TYPED_STORES", "")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", TOKEN)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for run in (tmp_path / "runs/gift", tmp_path / "runs/sweep/0"):
        shutil.rmtree(run / "checkpoints/step-000004")
        folder = run / "checkpoints/step-000002"
        state = json.loads((folder / "state.json").read_text())
        tracking = {"name": "mlflow", "uri": server.address, "experimentName": "e", "logModel": True}
        write_json(folder / "state.json", {**state, "config": {**state["config"], "tracking": tracking}})
        files = [path for path in sorted(folder.iterdir()) if path.name != SUMS]
        sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
        (folder / SUMS).write_text("".join(sums))
        told = {"store": server.address, "experiment": "e", "synced": False, "process": "1 x", "began": 1}
        RunFolder(run).update(**told, typed="", status="FINISHED" if run.name == "gift" else "KILLED")
    record = json.loads((tmp_path / "runs/sweep/0/job.json").read_text())
    write_json(tmp_path / "runs/sweep/0/job.json", {**record, "status": "KILLED"})
    Path("experiments").mkdir()
    Path("experiments/theirs.yaml").write_text(f"tracking: {{uri: '{server.address}'}}\n")
    return tmp_path / "runs/gift"


SMALL = [word for word in SIZES if not word.startswith("tracking=")]
COMMANDS = {
    "resume": ["resume=runs/gift"],
    "sync": ["sync", "runs/gift"],
    "experiment": [*SMALL, "+experiment=theirs"],
    "sweep": ["-m", *SMALL, "+experiment=theirs", "seed=1,2"],
}


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS.values(), ids=list(COMMANDS))
def test_a_server_that_only_a_folder_or_a_file_names_is_asked_for(
    gift: Path, command: list[str], server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 2
    told = capsys.readouterr().err
    assert f"add 'tracking.uri=\"{server.address}\"' to the command, just this once" in told
    assert told.count("\n") == 1
    assert server.asked == []


@pytest.mark.slow
def test_a_job_of_somebody_else_s_sweep_goes_to_no_server_of_theirs(
    gift: Path, server: Server, mlflow_template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(mlflow_template, "mlflow.db")
    told = json.loads(Path("runs/sweep/sweep.json").read_text())
    command = [word for word in told["command"] if not word.startswith("tracking=")]
    write_json(Path("runs/sweep/sweep.json"), {**told, "command": command})
    assert main(["-m", *SMALL, "seed=1,2", "sweep.resume=runs/sweep"]) == 1
    assert "this once" in capsys.readouterr().err
    assert server.asked == []


@pytest.mark.slow
def test_what_is_typed_is_the_consent_and_remembered(gift: Path, server: Server) -> None:
    """And then it is the address of the user's own runs, also of those that an earlier shell began."""
    assert main(["sync", "runs/gift", f"tracking.uri={server.address}"]) == 2, "it is not MLflow"
    assert set(server.asked) == {f"Bearer {TOKEN}"}
    server.asked.clear()
    assert main(["sync", "runs/gift"]) == 2
    assert server.asked


@pytest.mark.slow
def test_the_store_of_the_current_folder_and_that_of_the_environment_need_no_naming(
    gift: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_named(find_store())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mine.example/")
    check_named(find_store("https://mine.example"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    check_named(find_store("https://mine.example"))  # in a later shell
    monkeypatch.chdir(gift)
    check_named(find_store(f"sqlite:///{gift.parents[1]}/mlflow.db"))


OTHERS = ["https://x.example", "http://mine.example", "https://mine.example.x", "https://mine.example/other"]
OTHERS += ["databricks", "databricks://theirs", "postgresql://u:p@h/db", "sqlite:////x/mlflow.db"]


@pytest.mark.slow
@pytest.mark.parametrize("address", OTHERS)
def test_every_other_store_needs_it(gift: Path, address: str) -> None:
    name_store("https://me:secret@mine.example")
    check_named(find_store("https://mine.example"))
    with pytest.raises(UserError, match="you must name an MLflow store yourself") as refusal:
        check_named(find_store(address))
    assert ":p@" not in str(refusal.value)
    stores = stores_file()
    assert stores is not None and "secret" not in stores.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00" * 9, b"https://mine.exam", None], ids=repr)
def test_a_damaged_or_unwritable_memory_stops_nothing(gift: Path, content: bytes | None) -> None:
    stores = stores_file()
    assert stores is not None
    stores.parent.mkdir(parents=True)
    if content is None:
        stores.mkdir()  # can be neither read nor written
    else:
        stores.write_bytes(content)
    name_store("https://mine.example")
    check_named(find_store("https://mine.example"))
    assert content is None or "https://mine.example" in remembered()


@pytest.mark.slow
def test_a_user_without_a_home_types_it_each_time(gift: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "relative")  # as the standard has it, that counts for nothing
    assert stores_file() == Path.home() / ".local/state/gptlab/stores"

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert stores_file() is None and remembered() == set()
    name_store("https://mine.example")
    check_named(find_store("https://mine.example"))
