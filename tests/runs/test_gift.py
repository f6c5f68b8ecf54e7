"""A run's folder from somebody else: nothing outside of it is read, sent or written, and nothing waits for ever."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.errors import UserError
from gptlab.runs.files import RUN_FILES, SWEEP_FILES, check_leads_nowhere
from gptlab.sweeps.record import JobRecord, read_records
from tests.resuming import TINY, write_corpus

SECRET = "nobody's business\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with everything that gptlab keeps of one."""
    folder, before = tmp_path_factory.mktemp("giver"), Path.cwd()
    write_corpus(folder)
    os.chdir(folder)
    try:
        sizes = ["train.numSteps=4", "train.evalEvery=2", "checkpoint.every=2", "engine=scalar"]
        assert main(["data=text", *TINY, *sizes, "hydra.run.dir=gift"]) == 0
    finally:
        os.chdir(before)
    return folder / "gift"


@pytest.fixture
def gift(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of it below ./runs, beside a file and a folder that are the user's own."""
    write_corpus(tmp_path)
    (tmp_path / "secret.txt").write_text(SECRET)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/own.txt").write_text(SECRET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GPTLAB_PLUGINS", "")
    shutil.copytree(trained, tmp_path / "runs/gift")
    yield tmp_path / "runs/gift"
    assert (tmp_path / "secret.txt").read_text() == SECRET
    assert [path.name for path in (tmp_path / "precious").iterdir()] == ["own.txt"]
    assert (tmp_path / "precious/own.txt").read_text() == SECRET


COMMANDS = {
    "resume": ["resume=runs/gift", "train.numSteps=4"],
    "generate": ["generate", "run=runs/gift", "n=1"],
    "sync": ["sync", "runs/gift"],
    "export": ["export", "runs/gift", "output=w.json"],
}


def names_in(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in sorted(folder.rglob("*"))]


@contextmanager
def in_place_of(place: Path, make: Callable[[Path], object]) -> Iterator[None]:
    """Meanwhile there is something else of this name."""
    whole = place.with_name(f".{place.name}.whole")
    kept = place.exists()
    if kept:
        place.rename(whole)
    make(place)
    yield
    place.unlink()
    if kept:
        whole.rename(place)


def link(place: Path) -> None:
    place.symlink_to(Path.cwd() / ("precious" if place.suffix == "" else "secret.txt"))


@pytest.mark.parametrize("make", [link, os.mkfifo], ids=["link", "pipe"])
def test_no_file_of_a_run_leads_elsewhere(gift: Path, make: Callable[[Path], object]) -> None:
    check_leads_nowhere(gift)
    names = {*names_in(gift), *RUN_FILES}
    assert {"checkpoints/step-000004/weights.safetensors", "unsent.jsonl", "inspect"} <= names
    for name in names:
        with in_place_of(gift / name, make), pytest.raises(UserError, match=f"{name} is a "):
            check_leads_nowhere(gift)
    check_leads_nowhere(gift)


@pytest.mark.parametrize("make", [link, os.mkfifo], ids=["link", "pipe"])
@pytest.mark.parametrize("name", ["run.json", "metrics.jsonl", "checkpoints/step-000004/state.json"])
@pytest.mark.parametrize("command", COMMANDS.values(), ids=list(COMMANDS))
def test_who_reads_a_run_s_folder_looks_first(
    gift: Path,
    command: list[str],
    name: str,
    make: Callable[[Path], object],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with in_place_of(gift / name, make):
        assert main(command) == 2
    told = capsys.readouterr().err
    assert "is a link" in told or "is a pipe" in told
    assert told.count("\n") == 1 and SECRET.strip() not in told


@pytest.mark.slow
@pytest.mark.parametrize("name", ["0", "stop", *SWEEP_FILES])
def test_no_file_of_a_sweep_leads_elsewhere(
    gift: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = {"format": 1, "name": "gift", "command": ["+experiment=tiny", "seed=1,2"], "swept": ["seed"]}
    (gift / "sweep.json").write_text(json.dumps(sweep))
    target = gift.parents[1] / ("precious" if name == "0" else "secret.txt")
    (gift / name).unlink(missing_ok=True)
    if name == "sweep.json":
        target = gift.with_name("sweep.json")
        target.write_text(json.dumps(sweep))
    (gift / name).symlink_to(target)
    assert main(["-m", "+experiment=tiny", "seed=1,2", "tracking=none", "sweep.resume=runs/gift"]) == 2
    assert "is a link" in capsys.readouterr().err


def test_a_job_is_where_its_record_lies(gift: Path) -> None:
    for folder in ("../../precious", "/etc", "x"):
        JobRecord(0, "job", {}, folder, "FAILED").write(gift / "0")
        assert [record.folder for record in read_records(gift)] == ["0"]
