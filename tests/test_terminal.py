"""What comes from elsewhere (documents, names, files of others) is shown on a terminal, and not obeyed by it."""

import ast
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from gptlab.cli import main
from gptlab.streams import visible
from tests.project.imports import MODULES
from tests.resuming import TINY

CLIPBOARD, TITLE, CLEAR = "\x1b]52;c;ZXZpbA==\x07", "\x1b]0;t\x07", "\x1b[2J\x1b[H"
HARMFUL = f"{CLIPBOARD}{TITLE}{CLEAR}\x9b2J\x9d0;t\x9c\x7f\x08\u202eb\u2066c"
# Less what rich itself writes: colours, the cursor of a panel that is redrawn.
DRAWN = re.compile(r"\x1b\[[\d;?]*[mAKhl]|\r")
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
RUN = [text for text in TINY if not text.startswith("progress=")]
RUN += ["engine=scalar", "tokenizer=char", "model.blockSize=64", "train.numSteps=4", "train.evalEvery=2"]

OnTerminal = Callable[[list[str]], str]


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> OnTerminal:
    """What a command writes to a terminal that is its standard output and error."""
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "150", "LINES": "40"}.items():
        monkeypatch.setenv(name, value)

    def run(arguments: list[str]) -> str:
        master, slave = os.openpty()
        read: list[bytes] = []

        def drain() -> None:
            try:
                while part := os.read(master, 65536):
                    read.append(part)
            except OSError:
                return  # the other end is closed

        reader = Thread(target=drain)
        reader.start()
        with os.fdopen(slave, "w", encoding="utf-8") as terminal, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", terminal)
            patch.setattr(sys, "stderr", terminal)
            main(arguments)
        reader.join()
        os.close(master)
        return b"".join(read).decode()

    return run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a corpus, experiments and a plugin of somebody who means harm."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus.txt").write_text(f"{HARMFUL}\nwhat\n" * 12, encoding="utf-8")
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments/odd.yaml").write_text(
        json.dumps({"description": HARMFUL, "model": {HARMFUL: 1}})
    )
    (tmp_path / "experiments/even.yaml").write_text(json.dumps({"inspect": {"text": HARMFUL}}))
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/odd.py").write_text(f"raise ValueError({HARMFUL!r})")
    return tmp_path


@pytest.fixture
def runs(folder: Path) -> None:
    """Two runs of theirs: one and two."""
    for name in ("one", "two"):
        assert (
            main([*RUN, f"hydra.run.dir={name}", "progress=none", f"optimizer.epsAdam=1e-{len(name) + 1}"])
            == 0
        )
    told = json.loads((folder / "two/run.json").read_text())
    (folder / "two/run.json").write_text(json.dumps({**told, "name": HARMFUL, "status": HARMFUL}))


def check(on_terminal: OnTerminal, commands: dict[str, list[str]]) -> dict[str, str]:
    """What each writes, once it is known that the terminal obeys nothing of it."""
    said = {name: on_terminal(arguments) for name, arguments in commands.items()}
    assert {name: OBEYED.findall(DRAWN.sub("", out)) for name, out in said.items()} == {
        name: [] for name in said
    }
    assert all(said.values())
    return said


@pytest.mark.slow
def test_a_terminal_obeys_nothing_of_what_is_there(folder: Path, on_terminal: OnTerminal) -> None:
    commands = {
        "an experiment": ["+experiment=odd", "tracking=none"],
        "all experiments": ["--help"],
        "plugins": ["plugins"],
        "a config": ["+experiment=even", "--cfg", "job"],
        "Hydra's help": ["--hydra-help"],
        "what a config is made of": ["+experiment=even", "--info", "config"],
        "a key": [f"{HARMFUL}=1"],
        "a name": ["check", HARMFUL],
    }
    said = check(on_terminal, commands)
    assert r"\x1b]0" in said["all experiments"] and r"\x1b]52" in said["plugins"]
    assert r"\x1b]52" in said["a config"] and "inspect:" in said["what a config is made of"]
    assert "Overrides" in said["Hydra's help"]


@pytest.mark.slow
def test_a_terminal_obeys_nothing_of_a_run(runs: None, on_terminal: OnTerminal) -> None:
    commands = {
        "a run": [*RUN, "hydra.run.dir=three", "progress=auto"],
        "samples": ["generate", "run=one", "n=3", "temperature=0", f"prompt='{HARMFUL[:8]}'"],
        "a prompt that cannot be": ["generate", "run=one", "prompt='\x1b]9;z'"],
        "a text": ["inspect", "run=one", f"text='{HARMFUL[:8]}w'"],
        "runs": ["compare", "one", "two"],
        "a folder": ["generate", f"run={HARMFUL}"],
        "an expression": ["graph", f"expr='a{HARMFUL}'"],
        "a picture": ["graph", *RUN, "text=what"],
        "counts": ["summary", *RUN],
    }
    said = check(on_terminal, commands)
    assert r"\x1b]52;c;z" in said["samples"] and r"\x1b]52" in said["runs"]


@pytest.mark.slow
def test_a_pipe_gets_what_it_is(runs: None, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "run=one", "n=1", "temperature=0", f"prompt='{HARMFUL[:8]}'"]) == 0
    assert capfd.readouterr().out.startswith(HARMFUL[:8].lower())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, with a\ttab\nand a line: größe 日本 🙂 👩‍👧", None),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\rb\x07\x00", r"a\rb\x07\x00"),
        ("\x85\x9b", r"\x85\x9b"),
        ("\u202eevil\u202c \u2066x\u2069", r"\u202eevil\u202c \u2066x\u2069"),
        ("\udce9", r"\udce9"),
    ],
)
def test_what_is_visible(text: str, shown: str | None) -> None:
    assert visible(text) == (text if shown is None else shown)


# What is read before `show` could be, and what another process reads.
PRINT = {"gptlab.__main__", "gptlab.streams", "gptlab.tracking.worker", "gptlab.tracking.connection"}
# Which write what they draw of texts that are `visible` already; in the others it is only the type.
DRAW = {"gptlab.drawing.console", "gptlab.drawing.table", "gptlab.launch.progress", "gptlab.data.watching"}


@pytest.mark.parametrize("name", MODULES)
def test_all_is_printed_by_what_makes_it_visible(name: str) -> None:
    calls = [
        node.func
        for node in ast.walk(ast.parse(MODULES[name].read_text("utf-8")))
        if isinstance(node, ast.Call)
    ]
    called = {call.id for call in calls if isinstance(call, ast.Name)}
    written = {ast.unparse(call) for call in calls if isinstance(call, ast.Attribute)}
    assert "print" not in called or name in PRINT
    assert "Console" not in called or name in DRAW
    assert written.isdisjoint(("sys.stdout.write", "sys.stderr.write"))
