"""What can be wrong with a folder of a run or a sweep that somebody else made: one thing at a time, at random."""

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gptlab.runs.checkpoint.digests import SUMS
from gptlab.runs.files import RUN_FILES, SWEEP_FILES

OFTEN = ("state.json", "run.json", "sweep.json", "job.json", "metrics.jsonl")  # most of what commands act on


@dataclass(frozen=True)
class Outside:
    """What lies outside of the folder: files that nobody may touch, and a server that only the folder names."""

    folder: Path
    address: str


def damage(gift: Path, outside: Outside, chance: random.Random) -> str:
    """Do one wrong thing to a folder; what."""
    names = [path for path in sorted(gift.rglob("*")) if path.is_file()]
    spots = [*names, *(gift / name for name in (*RUN_FILES, *SWEEP_FILES))]
    place = chance.choice(spots)
    told = [path for path in names if path.suffix in (".json", ".jsonl", ".yaml")]
    way = chance.choice([*WAYS, *["values"] * 6])
    if way == "values":
        place = chance.choice([*told, *(path for path in told if path.name in OFTEN for _ in range(3))])
        done = change_values(place, outside, chance)
    elif way == "swapped":
        place, other = chance.choice(names), chance.choice(names)
        content = place.read_bytes()
        place.write_bytes(other.read_bytes())
        other.write_bytes(content)
        done = f"with {other.relative_to(gift)}"
    else:
        done = WAYS[way](place, outside, chance)
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


def odd_text(outside: Outside, chance: random.Random) -> str:
    """A text that leads somewhere, or is read as something."""
    place = outside.folder
    texts = [
        "../../outside/precious",
        "../../outside/secret.txt",
        "../../../outside/precious",
        "/dev/zero",
        "/",
    ]
    texts += [str(place / "precious"), str(place / "secret.txt"), str(place / "new"), place.as_uri()]
    texts += [outside.address, f"sqlite:///{place}/new.db", f"file://{place}", "..", ".", "", "~", "a\nb"]
    texts += ["\x1b]0;title\x07", "é" * 300, "9" * 5000, "nan", "RUNNING", "FINISHED", "latest", "scalar"]
    texts += ["xla", "none", "mlflow", "${oc.env:HOME}", "${model}", "step 9: a"]
    return chance.choice(texts)


def odd_value(outside: Outside, chance: random.Random) -> Any:
    odd = [None, True, [], {}, [[]], [1], {"a": 1}, 0, -1, 1.5, 1e308, 10**30, float("nan"), [["a", "b"]]]
    return odd_text(outside, chance) if chance.random() < 0.5 else chance.choice(odd)


def change_values(place: Path, outside: Outside, chance: random.Random) -> str:
    """Another value at one place of what a file holds, or none."""
    text = place.read_text(errors="replace")
    if place.suffix == ".jsonl":
        return change_line(place, text, outside, chance)
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
        holder[key] = value = odd_value(outside, chance)
        done = f"{key}={str(value)[:60]!r}"
    text = yaml.safe_dump(told) if place.suffix == ".yaml" else json.dumps(told)
    place.write_text(text.replace('"HUGE"', "9" * 5000))
    return done


def change_line(place: Path, text: str, outside: Outside, chance: random.Random) -> str:
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


def cut(place: Path, _: Outside, chance: random.Random) -> str:
    content = place.read_bytes() if place.is_file() else b""
    size = chance.randrange(len(content) + 1)
    write(place, content[:size])
    return f"to {size}"


def flip(place: Path, _: Outside, chance: random.Random) -> str:
    content = bytearray(place.read_bytes() if place.is_file() else b"x" * 9)
    for _n in range(chance.choice([1, 1, 3, 30])):
        if content:
            content[chance.randrange(len(content))] = chance.randrange(256)
    write(place, bytes(content))
    return ""


def replaced(place: Path, outside: Outside, chance: random.Random) -> str:
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
    text = chance.choice([*texts, odd_text(outside, chance), json.dumps([odd_text(outside, chance)])])
    write(place, text.encode())
    return repr(text[:40])


def emptied(place: Path, _: Outside, __: random.Random) -> str:
    write(place, b"")
    return ""


def deleted(place: Path, _: Outside, chance: random.Random) -> str:
    remove(place if chance.random() < 0.7 else place.parent)
    return ""


def linked(place: Path, outside: Outside, chance: random.Random) -> str:
    away = place.with_name(f"{place.name}.whole")
    if place.exists() and chance.random() < 0.3:
        place.rename(away)
    targets = [
        outside.folder / "secret.txt",
        outside.folder / "precious",
        outside.folder / "new",
        place,
        away,
    ]
    target = chance.choice([*targets, Path("/dev/zero"), outside.folder])
    if chance.random() < 0.3:
        place = place.parent
    remove(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)
    return f"to {target}"


def piped(place: Path, _: Outside, __: random.Random) -> str:
    remove(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(place)
    return ""


def foldered(place: Path, _: Outside, chance: random.Random) -> str:
    remove(place)
    place.mkdir(parents=True)
    if chance.random() < 0.5:
        (place / "inside").write_text("x")
    return ""


def locked(place: Path, _: Outside, __: random.Random) -> str:
    if place.exists():
        place.chmod(0)
    return ""


def more(place: Path, outside: Outside, chance: random.Random) -> str:
    name = chance.choice(
        ["notes.txt", "step-x.npz", "step-000009", ".part", "é", "a" * 200, "-rf", "step-999999999999"]
    )
    beside = place.with_name(name) if place.parent.is_dir() else place.parent
    write(beside, odd_text(outside, chance).encode())
    return f"{name} beside"


WAYS: dict[str, Callable[[Path, Outside, random.Random], str]] = {
    **{"cut": cut, "flipped": flip, "replaced": replaced, "emptied": emptied, "deleted": deleted},
    **{"linked": linked, "piped": piped, "folder": foldered, "locked": locked, "more": more},
    "swapped": lambda *_: "",  # of two
}
