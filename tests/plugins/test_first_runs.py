"""The line before the plugins of a folder run for the first time, and once they are not what they were."""

import json
import os
from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.plugins.loading import load_plugins
from tests.plugin_texts import HALF, SCALED

SMALL = [
    "data=questions",
    "model.nEmbd=8",
    "model.nHead=2",
    "train.numSteps=1",
    "samples.n=0",
    "tracking=none",
]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is remembered. The current folder has a plugin."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("GPTLAB_PLUGINS", raising=False)
    (tmp_path / "here/plugins").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    Path("plugins/half.py").write_text(HALF)
    return tmp_path / "state/gptlab/plugins.json"


def said(capsys: pytest.CaptureFixture[str]) -> str:
    load_plugins()
    return capsys.readouterr().err


def test_it_is_said_once_and_again_of_what_has_changed(state: Path, capsys) -> None:
    plugins = Path("plugins").resolve()
    first = (
        f"gptlab: running the plugins of {plugins} for the first time: half.py; GPTLAB_PLUGINS=off for none\n"
    )
    assert said(capsys) == first
    assert said(capsys) == ""
    Path("plugins/half.py").write_text(f"{HALF}# edited\n")
    Path("plugins/scaled").mkdir()
    Path("plugins/scaled/__init__.py").write_text(SCALED)
    again = f"gptlab: running the plugins of {plugins}, not all unchanged: changed: half.py, new: scaled; "
    assert said(capsys) == f"{again}GPTLAB_PLUGINS=off for none\n"
    assert said(capsys) == ""
    Path("plugins/half.py").unlink()
    assert said(capsys) == ""


def test_it_is_said_before_they_run(state: Path, capsys) -> None:
    Path("plugins/half.py").write_text(f"import sys\nprint('RUN', file=sys.stderr)\n{HALF}")
    assert said(capsys).splitlines()[1:] == ["RUN"]


def test_nothing_is_said_of_a_folder_without_any_and_of_the_checkouts(state: Path, capsys) -> None:
    Path("plugins/half.py").unlink()
    assert said(capsys) == ""
    assert not state.exists()


def test_a_folder_is_known_by_where_it_is(state: Path, capsys, monkeypatch) -> None:
    said(capsys)
    (state.parents[2] / "link").symlink_to(Path.cwd())
    monkeypatch.chdir(state.parents[2] / "link")
    assert said(capsys) == ""
    monkeypatch.chdir("/")
    monkeypatch.setenv("GPTLAB_PLUGINS", str(state.parents[2] / "here/plugins"))
    assert said(capsys) == ""


@pytest.mark.parametrize("content", ["{", "[]", "null", '{"/x": 3}', "\xff", "[" * 9000])
def test_a_damaged_memory_is_none(state: Path, capsys, content: str) -> None:
    state.parent.mkdir(parents=True)
    state.write_bytes(content.encode("latin-1"))
    assert "for the first time" in said(capsys)
    assert said(capsys) == ""
    assert list(json.loads(state.read_text())) == [str(Path("plugins").resolve())]


@pytest.mark.parametrize(
    "block",
    [lambda home: home.write_text(""), lambda home: (home / "gptlab/plugins.json").mkdir(parents=True)],
)
def test_what_cannot_be_remembered_stops_nothing(state: Path, capsys, block) -> None:
    block(state.parents[1])
    for _ in range(2):
        assert "for the first time" in said(capsys)


def test_a_memory_that_nobody_ends_is_not_waited_for(state: Path, capsys) -> None:
    state.parent.mkdir(parents=True)
    os.mkfifo(state)
    assert "for the first time" in said(capsys)


def test_folders_that_are_gone_are_forgotten(state: Path, capsys) -> None:
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps({"/there/is/none": {"a.py": "0"}}))
    said(capsys)
    assert list(json.loads(state.read_text())) == [str(Path("plugins").resolve())]


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher", [[], ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]], ids=["basic", "joblib"]
)
def test_the_jobs_of_a_sweep_do_not_say_it_again(state: Path, capfd, launcher: list[str]) -> None:
    assert main(["-m", *SMALL, "seed=1,2", "ops.mul=halfmul", "engine=scalar", *launcher]) == 0
    assert capfd.readouterr().err.count("for the first time") == 1


@pytest.mark.slow
def test_off_runs_none_and_says_why_where_one_is_named(state: Path, capsys, monkeypatch) -> None:
    for value in ("off", "OFF", f"/tmp{os.pathsep}off"):
        monkeypatch.setenv("GPTLAB_PLUGINS", value)
        assert "halfmul" not in load_plugins().registry.names("op")
        assert "logmul" not in load_plugins().registry.names("op")
        assert capsys.readouterr().err == ""
    assert main([*SMALL, "ops.mul=halfmul"]) == 2
    assert "The plugin 'half' may have it, but is left out: GPTLAB_PLUGINS=off" in capsys.readouterr().err
    assert main(["plugins"]) == 0
    assert "half (plugins/half.py)\n  left out: GPTLAB_PLUGINS=off" in capsys.readouterr().out
    assert not state.exists()


def test_a_folder_that_is_not_there_is_told(state: Path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("GPTLAB_PLUGINS", f"none{os.pathsep}{Path('plugins').absolute()}")
    assert "GPTLAB_PLUGINS names folders, or is off: there is no folder none" in said(capsys)
