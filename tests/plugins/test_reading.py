"""Help and completion know the names of plugins in folders, and run none of them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.plugins.loading import load_plugins
from gptlab.plugins.reading import UNREAD, read_plugins
from tests.plugin_texts import EVERY_HOOK, HALF, SCALED

RUNS = "open('was_run', 'w').close()\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GPTLAB_PLUGINS", raising=False)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/half.py").write_text(RUNS + HALF)
    (tmp_path / "plugins/scaled.py").write_text(RUNS + SCALED)
    (tmp_path / "plugins/package").mkdir()
    (tmp_path / "plugins/package/__init__.py").write_text(RUNS + "from . import other")
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        *([verb, word] for verb in ("train", "generate", "plugins", "check") for word in ("--help", "-h")),
        ["--help"],
        ["--version"],
        ["--hydra-help"],
        [],
        ["-sc", "install=bash"],
        ["-sc", "query=bash"],
    ],
    ids=" ".join,
)
def test_what_runs_no_plugin(
    folder: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMP_LINE", "gptlab ops.mul=half")
    assert main(arguments) == 0
    assert not (folder / "was_run").exists()
    assert capfd.readouterr().err == ""


def test_the_verb_that_lists_them_runs_them(folder: Path) -> None:
    assert main(["plugins"]) == 0
    assert (folder / "was_run").exists()


@pytest.mark.slow
def test_their_names_are_there_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    complete: Callable[[str], list[str]] = lambda line: [  # noqa: E731
        monkeypatch.setenv("COMP_LINE", line),
        main(["-sc", "query=bash"]),
        capfd.readouterr().out.split(),
    ][-1]
    assert main(["--help"]) == 0
    said = capfd.readouterr().out
    assert "halfmul" in said and "scaled" in said
    assert complete("gptlab ops.mul=half") == ["ops.mul=halfmul"]
    assert complete("gptlab check halfm") == ["halfmul"]
    assert complete("gptlab model/norm=sc") == ["model/norm=scaled"]
    assert "model.norm.factor=" in complete("gptlab model/norm=scaled model.norm.f")


@pytest.mark.parametrize("text", [HALF, SCALED, EVERY_HOOK], ids=["half", "scaled", "every"])
def test_what_is_read_is_what_running_them_registers(tmp_path: Path, monkeypatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/one.py").write_text(text)
    read, run = (
        {(e.kind, e.name, e.owner) for e in made().registry} for made in (read_plugins, load_plugins)
    )
    unread = {plugin.source.name for plugin in read_plugins().found if plugin.failure == UNREAD}
    assert unread == {"fixedpoint"}  # of the examples, which make their names in a loop
    assert read == {entry for entry in run if entry[2] not in unread}


@pytest.mark.parametrize(
    "text",
    [
        "def (",
        "\0",
        "import gptlab\n@gptlab.hookimpl\ndef gptlab_register_ops(register):\n    [register(x) for x in gptlab]",
        "@gptlab.hookimpl\ndef gptlab_register_optimizers(register): register('a' + 'b', X)",
        "@gptlab.op(name=name())\ndef f(xp, a): 0\n@gptlab.hookimpl\ndef gptlab_register_ops(register): register(f)",
        "def gptlab_register_ops(register): register()",
        "(" * 500,
    ],
)
def test_what_cannot_be_read_is_left_to_who_runs_it(folder: Path, capfd, text: str) -> None:
    (folder / "plugins/odd.py").write_text(text)
    assert main(["--help"]) == 0
    said = capfd.readouterr()
    assert "plugins tells: fixedpoint, odd" in said.out and said.err == ""
