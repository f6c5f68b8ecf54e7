"""Folders of runs and sweeps from somebody else, each with one thing in them that is wrong. A program of its own:

python -m tests.runs.damaging FOLDER CASES [SEED [FIRST]]

A case is a copy of a run or a sweep, one damage to it, and one command that reads it. The command must end with status
0, 1 or 2, say what is wrong in a line, and touch nothing of what lies outside. Prints what it saw as JSON.
"""

import contextlib
import io
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import gptlab
from gptlab.cli import main
from gptlab.errors import UserError
from tests.resuming import TINY, as_killed, write_corpus
from tests.runs.damages import Outside, damage

SECRET = "nobody-but-me-4711"
SECONDS = 60  # that a command may take
SIZES = ["train.numSteps=4", "train.logEvery=1", "train.evalEvery=2", "checkpoint.every=2", "engine=scalar"]
TRAINS = [*(word for word in TINY if not word.startswith("tracking=")), *SIZES]
SWEPT = [*TRAINS, "tracking=none", "seed=1,2", "hydra.sweep.dir=runs/gift"]
# What a command may make in the folder that it is typed in; what else is there is not its own.
MADE = {"runs", "weights.json", "compare.png", "inspect.html", "mlartifacts"}


def notebook() -> int:
    """What a notebook asks of a run."""
    try:
        run = gptlab.load("runs/gift")
        print(run, run.metrics, run.config, run.generate(n=1))
    except UserError as error:
        print(error)
        return 2
    return 0


# By the kind of folder; a line of words is a command.
COMMANDS: dict[str, list[list[str] | Callable[[], int]]] = {
    "run": [
        ["resume=runs/gift", "tracking=none"],
        ["resume=latest", "tracking=none", "progress=none"],
        ["resume=runs/gift"],
        ["generate", "run=runs/gift", "n=1"],
        ["generate", "run=runs/gift/checkpoints/step-000002", "n=1"],
        ["generate", "run=latest", "n=1", "tracking=none"],
        ["compare", "runs/gift", "runs/mine"],
        ["inspect", "run=runs/gift", "text=the cat"],
        ["inspect", "run=runs/gift", "text=the cat", "to=html"],
        ["export", "runs/gift", "output=weights.json"],
        ["sync", "runs/gift"],
        [*TRAINS, "initFrom=runs/gift", "tracking=none", "hydra.run.dir=runs/next"],
        ["graph", *TRAINS, "initFrom=runs/gift", "tracking=none"],
        ["generate", "run=0123456789abcdef0123456789abcdef", "n=1", "tracking=none"],
        notebook,
    ],
    "stored": [["sync", "runs/gift"]],
    "sweep": [
        ["-m", *SWEPT, "sweep.resume=runs/gift"],
        ["-m", *SWEPT, "sweep.resume=latest"],
        ["compare", "runs/gift"],
        ["compare", "runs/gift/0", "runs/mine"],
        ["sync", "runs/gift"],
        ["generate", "run=runs/gift/0", "n=1"],
        ["resume=runs/gift/1", "tracking=none"],
    ],
}


class Asked(BaseHTTPRequestHandler):
    """A server that only a gift names: whoever asks it anything is counted."""

    paths: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.paths.append(self.path)
        self.send_response(200)
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Late(BaseException):
    """The command takes too long."""


@dataclass
class Found:
    """What the cases came to. failed: by kind, with the first case of it."""

    tried: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    first: dict[str, list[str]] = field(default_factory=dict)
    slowest: float = 0.0

    def add(self, what: str, case: list[str]) -> None:
        self.failed[what] += 1
        if what not in self.first:
            print(what, case, file=sys.stderr, flush=True)
        self.first.setdefault(what, case)


class Gifts:
    """A folder with a run, one that has a store, a sweep, and beside them what nobody may touch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.outside = folder / "outside"
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Asked)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        (self.outside / "precious").mkdir(parents=True)
        for name in ("secret.txt", "precious/own.txt"):
            (self.outside / name).write_text(f"{SECRET}\n")
        for kind, make in (("run", self._run), ("stored", self._stored), ("sweep", self._sweep)):
            place = folder / kind
            place.mkdir()
            write_corpus(place)
            os.chdir(place)
            status(["tracking=none", *TRAINS, "hydra.run.dir=runs/mine"])
            make()
        os.chdir(folder)
        self.untouched = contents(self.outside)

    def _run(self) -> None:
        status(["tracking=none", *TRAINS, "hydra.run.dir=runs/whole"])
        as_killed(Path("runs/whole"), Path("runs/gift"), step=2)
        shutil.rmtree("runs/whole")
        told = Path("runs/gift/run.json")
        told.write_text(json.dumps({**json.loads(told.read_text()), "status": "KILLED"}))

    def _stored(self) -> None:
        status([*TRAINS, "hydra.run.dir=runs/gift"])
        told = Path("runs/gift/run.json")
        told.write_text(json.dumps({**json.loads(told.read_text()), "synced": False}))

    def _sweep(self) -> None:
        status(["-m", *SWEPT])

    def copy(self, kind: str, number: int) -> Path:
        """One to be damaged; a store in it is where it says."""
        place = self.folder / f"case-{number}"
        shutil.copytree(self.folder / kind, place)
        if (database := place / "mlflow.db").exists():
            old, new = str(self.folder / kind), str(place)
            told = place / "runs/gift/run.json"
            told.write_text(told.read_text().replace(old, new))
            with closing(sqlite3.connect(database)) as store:
                for table, column in (("runs", "artifact_uri"), ("experiments", "artifact_location")):
                    store.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (old, new))
                store.commit()
        return place


def status(arguments: list[str]) -> None:
    if main(arguments) != 0:
        raise AssertionError(arguments)


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Of each file, and when it was changed."""
    return {
        str(path): (path.read_bytes() if path.is_file() else b"", path.lstat().st_mtime_ns)
        for path in folder.rglob("*")
    }


def attempt(command: list[str] | Callable[[], int]) -> tuple[str, str]:
    """What a command came to, empty if well, and what it printed."""

    def late(*_: object) -> None:
        raise Late

    said = io.StringIO()
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            ended = command() if callable(command) else main(command)
    except Late:
        return "it hangs", said.getvalue()
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        frames = [frame for frame in frames if "/gptlab/" in frame.filename] or frames
        place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
        return f"{type(error).__name__} at {place}: {str(error)[:80]}", said.getvalue()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    text = said.getvalue()
    if ended not in (0, 1, 2):
        return f"status {ended}", text
    if "Traceback" in text:
        return f"a traceback is printed: {text.strip().splitlines()[-1][:100]}", text
    if ended == 2 and not 1 <= text.strip().count("\n") + 1 <= 6:
        return "many lines", text
    if len(text) > 8000:
        return "a long text", text
    return "", text


def check_outside(gifts: Gifts, place: Path, before: set[str], mine: dict[str, Any], said: str) -> str:
    """What came to harm; empty if nothing did."""
    if contents(gifts.outside) != gifts.untouched:
        return "something outside was changed"
    if contents(place / "runs/mine") != mine:
        return "another run was changed"
    if Asked.paths:
        return f"asked a server that only the gift names: {Asked.paths.pop()}"
    if SECRET in said:
        return "it prints what lies outside"
    for path in place.rglob("*"):
        if path.is_file() and not path.is_symlink() and SECRET.encode() in path.read_bytes():
            return f"it copies what lies outside to {path.name}"
    new = (
        {path.name for path in place.iterdir() if not path.name.startswith((".", "mlflow.db"))}
        - before
        - MADE
    )
    return f"it makes {sorted(new)}" if new else ""


def try_case(gifts: Gifts, number: int, chance: random.Random, found: Found) -> None:
    """Copy, damage, command, and look."""
    kind = chance.choice(["run"] * 6 + ["stored"] * 2 + ["sweep"] * 3)
    place = gifts.copy(kind, number)
    os.chdir(place)
    command = chance.choice(COMMANDS[kind])
    before, mine = {path.name for path in place.iterdir()}, contents(place / "runs/mine")
    wrong = damage(place / "runs/gift", Outside(gifts.outside, gifts.address), chance)
    words = "notebook" if callable(command) else " ".join(w for w in command if w not in TRAINS)
    case = [str(number), kind, words, wrong]
    began = time.monotonic()
    failure, said = attempt(command)
    found.slowest = max(found.slowest, time.monotonic() - began)
    harm = check_outside(gifts, place, before, mine, said)
    for what in filter(None, [failure, harm]):
        found.add(what, [*case, said[-300:]])
    found.tried += 1
    os.chdir(gifts.folder)
    if os.environ.get("KEEP") != str(number):
        shutil.rmtree(place, ignore_errors=True)


def try_cases(folder: Path, cases: int, seed: int, first: int = 0) -> Found:
    """So many cases, in a folder that is empty; those of a seed, by their numbers, are always the same."""
    gifts, found = Gifts(folder), Found()
    try:
        for number in range(first, first + cases):
            try_case(gifts, number, random.Random(f"{seed} {number}"), found)
    finally:
        gifts.server.shutdown()
        gifts.server.server_close()
    return found


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True)  # a new one: all in it is this program's
    os.environ |= {"GPTLAB_PLUGINS": "", "XDG_STATE_HOME": str(place / "state")}
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    first = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    began = time.monotonic()
    result = try_cases(place, int(sys.argv[2]), seed, first)
    seconds = f"{time.monotonic() - began:.0f} s, the slowest {result.slowest:.1f} s"
    print(f"tried {result.tried}, failed {result.failed.total()}, {seconds}")
    for what, count in result.failed.most_common():
        print(f"{count} x {what}\n    {result.first[what]}")
    sys.exit(bool(result.failed))
