"""Commands and experiments' files that nobody would write. A program of its own:

python -m tests.command.fuzzing FOLDER CASES [SEED]

Half of the cases are typed (keys with values that do not fit them), half are files, those of experiments/ damaged.
Each must end with status 0 or 2, in good time, and what it says in one short line; a run may be told to stop.
"""

import contextlib
import io
import os
import random
import re
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from gptlab.cli import main
from gptlab.config.experiments import folder_of
from gptlab.config.keys import Schema
from gptlab.config.typed import Config
from gptlab.plugins.loading import load_plugins
from gptlab.plugins.registry import GROUPS

SECONDS = 60  # for a case, on a machine that does much else
LONGEST = 6000  # signs of what is said
OWN_MEMORY = "of memory"
VALUES = [
    *("1", "0", "-1", "1e400", "nan", "inf", "null", "true", "[]", "{}", "[a]", "[a,[b]]", "{a:1}", "???"),
    *("${model.nEmbd}", '${oc.decode:"[1]"}', "${x}", "${", "}", "${hydra:runtime.cwd}", "${now:%H-%M}"),
    *("9" * 5000, "a" * 10000, "[" * 300 + "]" * 300, "1e8", "100000000", "1" * 20, str(2**70), "2**70"),
    *('""', "''", '"', "a b", "\\", "é", "\x01", "\x1b]0;t\x07", "\u202e", "[1,2", "{a:{b:{c:1}}}", "1,2"),
    *("choice(1,2)", "range(1,3)", "range(1,1e9)", "interval(0,1)", "sort(3,2)", "int(x)", "float(1)"),
    *("str(1)", "glob(*)", "extend_list(1)", "tag(a,1)", "{$a:1}", "~", "=", "==", "$", "%", "-0.0", "1_2"),
    *(
        "0x10",
        "010",
        "1:30",
        "on",
        "latest",
        ".",
        "/dev/null",
        "tiny",
        "book",
        "rmsnorm",
        "layernorm",
        "none",
    ),
    *(
        "mul",
        "1e-400",
        "[null]",
        "[1.5,true,null]",
        "{model: 1}",
        "!!python/object:x",
        "*a",
        "&a 1",
        "<<: *a",
    ),
]
OF_HYDRA = ["hydra.mode", "hydra/launcher", "hydra.verbose", "hydra.job.name", "hydra.sweep.subdir"]
OTHERS = [
    "model",
    "train",
    "x.y",
    "optimizer.name",
    "+sweep",
    "resume",
    "initFrom",
    "experiment",
    "listeners",
]
ONE_STEP = ["train.numSteps=1", "tracking=none", "progress=none", "hydra.run.dir=run"]


class Hangs(BaseException):
    pass


def typed(chance: random.Random, keys: list[str]) -> list[str]:
    """The words of a command."""
    trains = chance.random() < 0.1
    words = ["+experiment=tiny", *ONE_STEP] if trains else ["summary"]
    if not trains and chance.random() < 0.5:
        words.append("+experiment=tiny")
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        key = chance.choice(keys)
        if chance.random() < 0.15:
            key = chance.choice(["+", "++", "~"]) + key
        if chance.random() < 0.05:
            key = key.replace(".", "..")
        sign = "=" if chance.random() < 0.97 else chance.choice(["", "==", " = ", ":"])
        words.append(f"{key}{sign}{chance.choice(VALUES)}")
    return words


def damaged(chance: random.Random, texts: list[str], keys: list[str]) -> bytes:
    """An experiment's file with one to three things wrong."""
    data = chance.choice(texts).encode()
    for _ in range(chance.choice([1, 1, 2, 3])):
        data = damage(chance, data, chance.choice(keys), chance.choice(VALUES).encode())
    return data


def damage(chance: random.Random, data: bytes, key: str, value: bytes) -> bytes:
    lines = data.split(b"\n")
    i = chance.randrange(len(lines))
    nested = "".join(f"{'  ' * depth}{name}:\n" for depth, name in enumerate(key.split(".")))
    changes: list[Callable[[], bytes]] = [
        lambda: re.sub(rb"(?<=: )[^\n{}\[\]]+", lambda _: value, data, count=chance.randrange(1, 4)),
        lambda: b"\n".join([*lines[:i], *lines[i + 1 :]]),
        lambda: b"\n".join([*lines[: i + 1], *lines[i:]]),
        lambda: b"\n".join([*lines[:i], b" " * chance.randrange(1, 5) + lines[i], *lines[i + 1 :]]),
        lambda: data[: chance.randrange(len(data) + 1)],
        lambda: data + b"\n" + nested.encode()[:-1] + b" " + value + b"\n",
        lambda: data + f"\n{key}: ".encode() + value + b"\n",
        lambda: data.replace(b":", b"", 1),
        lambda: b"".join([data[:i], bytes([chance.randrange(256)]), data[i + 1 :]]),
        lambda: b"- " + data,
        lambda: b"a: &a\n  b: *a\n" + data,
    ]
    return chance.choice(changes)()


@contextlib.contextmanager
def limited() -> Iterator[None]:
    def hangs(*_: object) -> None:
        raise Hangs

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def fault(words: list[str]) -> str:
    """What is wrong with the way in which the command ends; nothing if all is well."""
    said = io.StringIO()
    try:
        with limited(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            status = main(words)
    except Hangs:
        return "hangs"
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if f"{os.sep}gptlab{os.sep}" in frame.filename][-1]
        return f"{type(error).__name__} at {Path(own.filename).name}:{own.lineno}: {str(error)[:100]}"
    text = said.getvalue()
    last = text.rstrip("\n").split("\n")[-1]
    if status not in (0, 1, 2) or (status == 1 and OWN_MEMORY not in text and "gptlab: " not in last):
        return f"status {status}"
    if "Traceback" in text:
        return "a traceback is printed"
    if status and not (last.startswith("gptlab: ") and len(text) < LONGEST):
        return f"{len(text)} signs: {last[:100]}"
    return ""


def fuzz(folder: Path, cases: int, seed: int = 0) -> dict[str, list[str]]:
    """A case of each fault that was found, by what it was."""
    chance = random.Random(seed)
    registry = load_plugins(quiet=True).registry
    keys = [leaf.key for leaf in Schema(Config, lambda: registry).leaves()]
    keys += [*GROUPS.values(), "ops.mul", "ops.add", *OF_HYDRA, *OTHERS]
    texts = [file.read_text() for file in sorted(folder_of("experiments").glob("*.yaml"))]
    odd = folder / "experiments/odd.yaml"
    odd.parent.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[str]] = {}
    times, counts, begun = [], Counter[str](), time.monotonic()
    with contextlib.chdir(folder):
        for case in range(cases):
            if case % 2:
                odd.write_bytes(damaged(chance, texts, keys))
                words = ["summary", "+experiment=odd"]
            else:
                odd.unlink(missing_ok=True)
                words = typed(chance, keys)
            started = time.monotonic()
            said = fault(words)
            times.append(time.monotonic() - started)
            if said:
                counts[said] += 1
                found.setdefault(
                    said, [*words, odd.read_bytes().decode(errors="replace")] if case % 2 else words
                )
    print(
        f"{cases} cases, seed {seed}: {sum(counts.values())} faults of {len(counts)} kinds; slowest {max(times):.1f} s"
    )
    print(f"{time.monotonic() - begun:.0f} s in all")
    return found


if __name__ == "__main__":
    faults = fuzz(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
    for what, example in faults.items():
        print(f"{what}\n    {[word[:300] for word in example]}")
    sys.exit(bool(faults))
