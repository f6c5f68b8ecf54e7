"""Folders of runs and sweeps from somebody else, each with one thing in them that is wrong. A program of its own:

python -m tests.runs.damaging FOLDER CASES [SEED]

A case is a copy of a run or a sweep, one damage to it, and one command that reads it. The command must end with status
0, 1 or 2, say what is wrong in a line, and touch nothing of what lies outside. Prints what it saw as JSON.
"""

import contextlib
import hashlib
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
from gptlab.runs.checkpoint.digests import SUMS
from gptlab.runs.files import RUN_FILES, SWEEP_FILES
from tests.resuming import TINY, as_killed, write_corpus

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


OFTEN = ("state.json", "run.json", "sweep.json", "job.json", "metrics.jsonl")  # most of what commands act on


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


def damage(gift: Path, gifts: Gifts, chance: random.Random) -> str:
    """Do one wrong thing to a folder; what."""
    names = [path for path in sorted(gift.rglob("*")) if path.is_file()]
    spots = [*names, *(gift / name for name in (*RUN_FILES, *SWEEP_FILES))]
    place = chance.choice(spots)
    told = [path for path in names if path.suffix in (".json", ".jsonl", ".yaml")]
    way = chance.choice([*WAYS, *["values"] * 6])
    if way == "values":
        place = chance.choice([*told, *(path for path in told if path.name in OFTEN for _ in range(3))])
        done = change_values(place, gifts, chance)
    elif way == "swapped":
        other = chance.choice(names)
        content = place.read_bytes() if place.is_file() else b""
        write(place, other.read_bytes())
        other.write_bytes(content)
        done = f"with {other.relative_to(gift)}"
    else:
        done = WAYS[way](place, gifts, chance)
    # What a person damaged is refused by its digest; what a person made has right ones.
    for folder in (gift.rglob(SUMS)) if chance.random() < 0.8 else ():
        made_right(folder.parent)
    return f"{way} {place.relative_to(gift)} {done}"


def made_right(folder: Path) -> None:
    files = [path for path in sorted(folder.iterdir()) if path.name != SUMS]
    if folder.is_symlink() or any(path.is_symlink() or not path.is_file() for path in folder.iterdir()):
        return
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / SUMS).write_text("".join(lines))


def write(place: Path, content: bytes) -> None:
    remove(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)


def remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)


def odd_text(gifts: Gifts, chance: random.Random) -> str:
    """A text that leads somewhere, or is read as something."""
    outside = gifts.outside
    return chance.choice(
        [
            *("../../outside/precious", "../../outside/secret.txt", "../../../outside/precious"),
            *(str(outside / "precious"), str(outside / "secret.txt"), str(outside / "new"), "/dev/zero", "/"),
            *(gifts.address, f"sqlite:///{outside}/new.db", f"file://{outside}", outside.as_uri()),
            *(
                "..",
                ".",
                "",
                "~",
                "\x1b]0;title\x07",
                "a\nb",
                "é" * 300,
                "9" * 5000,
                "nan",
                "RUNNING",
                "FINISHED",
            ),
            *("latest", "scalar", "xla", "none", "mlflow", "${oc.env:HOME}", "${model}", "step 9: a"),
        ]
    )


def odd_value(gifts: Gifts, chance: random.Random) -> Any:
    odd = [None, True, [], {}, [[]], [1], {"a": 1}, 0, -1, 1.5, 1e308, 10**30, float("nan"), [["a", "b"]]]
    return odd_text(gifts, chance) if chance.random() < 0.5 else chance.choice(odd)


def change_values(place: Path, gifts: Gifts, chance: random.Random) -> str:
    """Another value at one place of what a file holds, or none."""
    import yaml

    text = place.read_text(errors="replace")
    if place.suffix == ".jsonl":
        return change_line(place, text, gifts, chance)
    told = yaml.safe_load(text) if place.suffix == ".yaml" else json.loads(text)
    found = places_in(told)
    # Those that come first are nearest to the top, and more is made of them.
    holder, key = found[int(len(found) * chance.random() ** chance.choice([1, 4]))]
    if chance.random() < 0.2:
        del holder[key]
        done = f"without {key}"
    elif chance.random() < 0.1 and place.suffix == ".json":
        holder[key] = "HUGE"
        done = f"{key} has 5,000 digits"
    else:
        holder[key] = value = odd_value(gifts, chance)
        done = f"{key}={str(value)[:60]!r}"
    text = yaml.safe_dump(told) if place.suffix == ".yaml" else json.dumps(told)
    place.write_text(text.replace('"HUGE"', "9" * 5000))
    return done


def change_line(place: Path, text: str, gifts: Gifts, chance: random.Random) -> str:
    lines = text.splitlines()
    number = chance.randrange(len(lines))
    odd = ["[1, 2]", "null", '"a"', "{}", '{"step": null}', '{"step": Infinity, "train/loss": 1}', "1" * 5000]
    odd += [
        '{"step": -1, "train/loss": 2}',
        '{"step": "2", "train/loss": "x"}',
        '{"step": 2, "train/loss": []}',
    ]
    odd += [
        f'{{"step": {"9" * 400}, "train/loss": 1}}',
        f'{{"step": 3, "train/loss": {"9" * 400}}}',
        "[" * 9000,
    ]
    odd += [
        '{"step": 1, "train/loss": NaN}',
        '{"step": 2, "": 1}',
        '{"step": 1e30, "val/loss": 1}',
        "\x00" * 50,
    ]
    lines[number] = chance.choice(odd) if chance.random() < 0.7 else lines[chance.randrange(len(lines))]
    place.write_text("\n".join(lines) + chance.choice(["\n", ""]))
    return f"line {number}: {lines[number][:60]!r}"


def places_in(told: Any) -> list[tuple[Any, Any]]:
    """Each place of what JSON holds: what it is in, and its key there."""
    found: list[tuple[Any, Any]] = []
    waiting = [told]
    while waiting:
        holder = waiting.pop(0)
        if isinstance(holder, (dict, list)):
            keys = list(holder) if isinstance(holder, dict) else list(range(min(len(holder), 20)))
            found += [(holder, key) for key in keys]
            waiting += [holder[key] for key in keys]
    return found


def cut(place: Path, _: Gifts, chance: random.Random) -> str:
    content = place.read_bytes() if place.is_file() else b""
    size = chance.randrange(len(content) + 1)
    write(place, content[:size])
    return f"to {size}"


def flip(place: Path, _: Gifts, chance: random.Random) -> str:
    content = bytearray(place.read_bytes() if place.is_file() else b"x" * 9)
    for _n in range(chance.choice([1, 1, 3, 30])):
        if content:
            content[chance.randrange(len(content))] = chance.randrange(256)
    write(place, bytes(content))
    return ""


def replaced(place: Path, gifts: Gifts, chance: random.Random) -> str:
    deep = "[" * 100_000
    texts = [
        "[]",
        "{}",
        "null",
        "1",
        '"a"',
        "9" * 5000,
        deep,
        '{"a":' * 9000,
        "\x00" * 99,
        "{",
        "- a\n- b",
        "a: b",
    ]
    text = chance.choice([*texts, odd_text(gifts, chance), json.dumps([odd_text(gifts, chance)])])
    write(place, text.encode())
    return repr(text[:40])


def emptied(place: Path, _: Gifts, __: random.Random) -> str:
    write(place, b"")
    return ""


def deleted(place: Path, _: Gifts, chance: random.Random) -> str:
    remove(place if chance.random() < 0.7 else place.parent)
    return ""


def linked(place: Path, gifts: Gifts, chance: random.Random) -> str:
    away = place.with_name(f"{place.name}.whole")
    if place.exists() and chance.random() < 0.3:
        place.rename(away)
    targets = [gifts.outside / "secret.txt", gifts.outside / "precious", gifts.outside / "new", place, away]
    target = chance.choice([*targets, Path("/dev/zero"), gifts.outside])
    if chance.random() < 0.3:
        place = place.parent
    remove(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)
    return f"to {target}"


def piped(place: Path, _: Gifts, __: random.Random) -> str:
    remove(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(place)
    return ""


def foldered(place: Path, _: Gifts, chance: random.Random) -> str:
    remove(place)
    place.mkdir(parents=True)
    if chance.random() < 0.5:
        (place / "inside").write_text("x")
    return ""


def locked(place: Path, _: Gifts, __: random.Random) -> str:
    if place.exists():
        place.chmod(0)
    return ""


def more(place: Path, gifts: Gifts, chance: random.Random) -> str:
    name = chance.choice(
        ["notes.txt", "step-x.npz", "step-000009", ".part", "é", "a" * 200, "-rf", "step-999999999999"]
    )
    beside = place.with_name(name) if place.parent.is_dir() else place.parent
    write(beside, odd_text(gifts, chance).encode())
    return f"{name} beside"


WAYS: dict[str, Callable[[Path, Gifts, random.Random], str]] = {
    **{"cut": cut, "flipped": flip, "replaced": replaced, "emptied": emptied, "deleted": deleted},
    **{"linked": linked, "piped": piped, "folder": foldered, "locked": locked, "more": more},
    "swapped": lambda *_: "",  # of two
}


def attempt(command: list[str] | Callable[[], int]) -> tuple[str, str]:
    """What a command came to, empty if well, and what it printed."""

    def late(*_: object) -> None:
        raise Late

    said = io.StringIO()
    signal.signal(signal.SIGALRM, late)
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
    wrong = damage(place / "runs/gift", gifts, chance)
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


def try_cases(folder: Path, cases: int, seed: int, only: int | None = None) -> Found:
    """So many cases, in a folder that is empty; those of a seed are always the same."""
    os.environ |= {"GPTLAB_PLUGINS": "", "XDG_STATE_HOME": str(folder / "state")}
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    gifts, found = Gifts(folder), Found()
    try:
        for number in range(cases):
            if only is None or number == only:
                try_case(gifts, number, random.Random(f"{seed} {number}"), found)
    finally:
        gifts.server.shutdown()
    return found


if __name__ == "__main__":
    place = Path(sys.argv[1])
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    only = int(sys.argv[4]) if len(sys.argv) > 4 else None
    began = time.monotonic()
    result = try_cases(place, int(sys.argv[2]), seed, only)
    seconds = f"{time.monotonic() - began:.0f} s, the slowest {result.slowest:.1f} s"
    print(f"tried {result.tried}, failed {result.failed.total()}, {seconds}")
    for what, count in result.failed.most_common():
        print(f"{count} x {what}\n    {result.first[what]}")
