"""A tracking server that is true for some requests and then answers anything, in cases drawn by a seed.

python -m tests.tracking.answers FOLDER CASES [SEED]

Each case trains a run: it ends with status 0, or 2 before step 1, with no traceback and in good time. Once the server
is true again `sync` brings all that was kept. A true server serves the store of FOLDER.
"""

import contextlib
import io
import json
import math
import os
import random
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from gptlab.cli import main
from gptlab.runs.folder import RunFolder
from gptlab.tracking import tracker
from gptlab.tracking.connection import connections
from tests.resuming import TINY, write_corpus
from tests.statuses import stored_runs
from tests.tracked import make_store, server
from tests.tracking.killing import different_rows
from tests.tracking.serving import Handler, passing_on, saying, serving

SHORT = [word for word in TINY if word != "tracking=none"]
SHORT += [
    "engine=scalar",
    "train.numSteps=40",
    "train.logEvery=1",
    "train.evalEvery=20",
    "checkpoint.every=20",
]
QUICK = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_TRACKING_TOKEN": "secret",
}
CLOSING_SECONDS = 15.0  # as tracker's, for a server that never comes to an end
LONGEST = 90.0  # seconds that a command may take on a busy machine
PAGE = "<!DOCTYPE html><html><head><title>Log in</title></head><body>" + "x" * 3000 + "</body></html>"
ERROR = {"error_code": "INTERNAL_ERROR", "message": "psycopg2.Error\n[SQL: SELECT * FROM runs]"}
OTHER = {
    "run": {
        "info": {"run_id": "f" * 32, "run_uuid": "f" * 32, "status": "FINISHED", "lifecycle_stage": "active"}
    }
}
STATUSES = [400, 401, 403, 404, 405, 409, 413, 418, 429, 500, 501, 502, 503, 504]

Answer = Callable[[Handler], None]


def drip(handler: Handler) -> None:
    handler.reply(200, b"{", length=10**6)
    while not handler.server.ended.wait(0.2):
        handler.wfile.write(b" ")


def swallow(handler: Handler) -> None:
    """Nothing, until who asks has gone."""
    handler.server.ended.wait(30)


def kinds(true: Answer, elsewhere: str) -> dict[str, Callable[[random.Random], Answer]]:
    """What a server may answer that is no MLflow, or in trouble."""

    def no_file(handler: Handler) -> None:
        """A file is taken, and gone; all else is true."""
        (saying(200) if handler.command == "PUT" else true)(handler)

    return {
        "no file": lambda chance: no_file,
        "status": lambda chance: saying(chance.choice(STATUSES), chance.choice(["", PAGE, "no", "{}", "[]"])),
        "error": lambda chance: saying(chance.choice(STATUSES), ERROR),
        "truncated": lambda chance: lambda handler: handler.reply(200, b'{"run": {"in', length=10_000),
        "JSON": lambda chance: saying(
            200, chance.choice(["[]", "5", "null", '"run"', '{"run": 5}', "[" * 9999])
        ),
        "empty": lambda chance: saying(200, chance.choice(["", "{}", " \n"])),
        "page": lambda chance: saying(200, PAGE),
        "another run": lambda chance: saying(200, OTHER),
        "drip": lambda chance: drip,
        "never": lambda chance: swallow,
        "closed": lambda chance: lambda handler: None,
        "huge": lambda chance: saying(200, '{"run": "' + "x" * 20_000_000),
        "no HTTP": lambda chance: lambda handler: [handler.wfile.write(b"\xff\x00garbage\r\n" * 9)][0],
        "elsewhere": lambda chance: saying(chance.choice([301, 302, 307, 308]), Location=elsewhere),
        "in circles": lambda chance: lambda handler: handler.reply(302, Location=handler.path),
    }


@dataclass
class Faulty:
    """True for so many requests, then `wrong` for so many, then true again."""

    true: Answer
    wrong: Answer
    after: float
    count: float

    def __call__(self, handler: Handler) -> None:
        asked = len(handler.server.asked) - 1
        is_wrong = self.after <= asked < self.after + self.count
        (self.wrong if is_wrong else self.true)(handler)


def command(*words: str) -> tuple[int, str, float]:
    """Its status, all that it has printed, and how long it took."""
    printed, began = io.StringIO(), time.monotonic()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        status = main([*words])
    return status, printed.getvalue(), time.monotonic() - began


def one_case(folder: Path, name: str, address: str, faulty: Faulty) -> tuple[str, list[str]]:
    """How the run of a case has ended, and what is wrong with that."""
    status, printed, seconds = command(*SHORT, f"tracking.uri={address}", f"hydra.run.dir={name}")
    wrong = []
    if status not in (0, 2) or "Traceback" in printed or "<html" in printed or "[SQL" in printed:
        wrong.append(f"status {status}: {printed}")
    if seconds > LONGEST:
        wrong.append(f"it took {seconds:.0f} s")
    run = RunFolder(folder / name)
    if status == 2:
        return "refused", wrong + ([f"{name} is there"] if run.path.exists() else [])
    synced = run.identity().get("synced")
    if not synced and f"gptlab sync {name}" not in printed:
        wrong.append(f"it does not say what to type: {printed}")
    ended = "written" if synced else "kept"
    faulty.after = math.inf  # the server is true again
    status, printed, seconds = command("sync", name)
    if status != 0 or seconds > LONGEST:
        wrong.append(f"sync: status {status} after {seconds:.0f} s: {printed}")
    return ended, wrong


def lacking(folder: Path, port: int) -> list[str]:
    """What the store has not of what the folders tell."""
    wrong, client = different_rows(folder), MlflowClient(f"http://127.0.0.1:{port}")
    stored = stored_runs(folder / "mlflow.db")
    ids = []
    for file in folder.glob("case-*/run.json"):
        run = RunFolder(file.parent)
        ids.append(run.id)
        if stored[run.id].status != "FINISHED":
            wrong.append(f"{run.path.name} is {stored[run.id].status}")
        there = {file.path for file in client.list_artifacts(run.id, "checkpoints")}
        files = {each.path for place in there for each in client.list_artifacts(run.id, place)}
        wanted = {
            f"checkpoints/{place.name}/{each.name}" for place in run.checkpoints() for each in place.iterdir()
        }
        root = {each.path for each in client.list_artifacts(run.id)}
        if files != wanted or not {"config.yaml", "loss.png", "tokenizer.json", "samples"} <= root:
            wrong.append(f"{run.path.name} has {sorted(root)}, {sorted(files ^ wanted)}")
        if "train.numSteps" not in client.get_run(run.id).data.params:
            wrong.append(f"{run.path.name} has no params")
    # Of a run whose making was not answered there is no second one, nor one of a run that was refused.
    return wrong + [f"{run.name} {run.status} is nobody's" for run in stored.values() if run.id not in ids]


def main_of_answers(folder: Path, cases: int, seed: int) -> None:
    os.chdir(folder)
    write_corpus(folder)
    os.environ |= QUICK
    tracker.CLOSING_SECONDS = CLOSING_SECONDS
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    chance = random.Random(seed)
    ends: dict[str, int] = {}
    wrong: dict[str, list[str]] = {}
    seconds: dict[str, float] = {}
    with server(port), serving(saying(200)) as other:
        drawn = kinds(passing_on(port), other.address)
        names = list(drawn)
        for number in range(cases):
            kind = names[number % len(names)]
            after = chance.choice([0, 1, 2, 4, 8, 12, 16, 24, 32, 48])
            count = chance.choice([1, 3, 10, math.inf, math.inf])
            faulty = Faulty(passing_on(port), drawn[kind](chance), after, count)
            name, began = f"case-{number}", time.monotonic()
            with serving(faulty) as front:
                ended, faults = one_case(folder, name, front.address, faulty)
            case = f"{name}: {kind}, after {after} requests, {count} times"
            seconds[case] = round(time.monotonic() - began, 1)
            ends[ended] = ends.get(ended, 0) + 1
            if faults:
                wrong[case] = faults
            print(f"{case}: {ended}, {seconds[case]} s {faults}", file=sys.stderr, flush=True)
        if tokens := [token for _, token in other.asked if token]:
            wrong["elsewhere"] = [f"it was given {tokens}"]
        lost = lacking(folder, port)
    connections.close()
    said: dict[str, Any] = {"ends": ends, "wrong": wrong, "lost": lost, "seconds": sum(seconds.values())}
    print(json.dumps(said))


if __name__ == "__main__":
    make_store(Path(sys.argv[1]))
    main_of_answers(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
