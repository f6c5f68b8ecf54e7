"""What the page asks and is answered, as plain dicts: which runs there are, what they expect next, a text that goes on.

Runs are named by what the server itself has listed; the page cannot name a file.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gptlab.errors import UserError, unknown_name
from gptlab.loaded.loaded import Loaded
from gptlab.runs.checkpoint.folder import CHECKPOINTS
from gptlab.runs.files import RUN
from gptlab.runs.finding import RUNS
from gptlab.runs.folder import RunFolder

MOST_RUNS = 200  # in the list, the newest
KEPT = 4  # loaded at a time
LONGEST = 20_000  # characters of a prompt
COUNT = 12  # next tokens that are shown
LENGTH = 200  # tokens of one continuation, at most


class Answers:
    """One question at a time, whichever thread asks. load: a run by its name. chosen: those on the command line."""

    def __init__(self, load: Callable[[str], Loaded], chosen: Mapping[str, Loaded]) -> None:
        self._load = load
        self._loaded: OrderedDict[str, Loaded] = OrderedDict(chosen)
        self._first = list(chosen)
        self._computing = threading.Lock()

    def runs(self) -> dict[str, Any]:
        """{"runs": [{"id", "name"}], "chosen": [id]}: those of the command line, then the newest below ./runs."""
        listed = {name: self._loaded[name].name for name in self._first if name in self._loaded}
        files = sorted(Path(RUNS).rglob(RUN), key=when, reverse=True)
        for folder in (file.parent for file in files[:MOST_RUNS]):
            if str(folder) not in listed and (folder / CHECKPOINTS).is_dir():
                name = RunFolder(folder).identity().get("name")
                listed[str(folder)] = f"{name} ({folder})" if name else str(folder)
        return {"runs": [{"id": key, "name": name} for key, name in listed.items()], "chosen": self._first}

    def next(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Of {"run", "prompt", "temperature", "topK"}: {"next": [...]}, the fields of each `NextToken`."""
        with self._computing:
            run = self._run(asked)
            found = run.next(
                prompt_of(asked), number_of(asked, "temperature"), whole_of(asked, "topK"), COUNT
            )
        return {"next": [asdict(token) for token in found]}

    def generate(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Of the same, and "seed": {"text": the prompt as it goes on}."""
        how: dict[str, Any] = {
            "temperature": number_of(asked, "temperature"),
            "topK": whole_of(asked, "topK"),
            "seed": whole_of(asked, "seed"),
        }
        with self._computing:
            run = self._run(asked)
            length = min(LENGTH, run.definition.sizes.blockSize)
            (text,) = run.generate(prompt_of(asked), 1, length=length, **how)
        return {"text": text}

    def _run(self, asked: Mapping[str, Any]) -> Loaded:
        """Raises UserError for one that is not in the list."""
        name = asked.get("run")
        if not isinstance(name, str) or not name:
            raise UserError("there is no run to choose. Train one: python -m gptlab +experiment=tiny")
        if name not in self._loaded:
            known = [run["id"] for run in self.runs()["runs"]]
            if name not in known:
                raise unknown_name("run", name, known)
            self._loaded[name] = self._load(name)
            while len(self._loaded) > KEPT:
                oldest = next(key for key in self._loaded if key not in self._first)
                del self._loaded[oldest]
        self._loaded.move_to_end(name)
        return self._loaded[name]


def when(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:  # removed meanwhile
        return 0.0


def prompt_of(asked: Mapping[str, Any]) -> str:
    prompt = asked.get("prompt", "")
    if not isinstance(prompt, str) or len(prompt) > LONGEST:
        raise UserError(f"prompt must be a text of at most {LONGEST:,} characters.")
    return prompt


def number_of(asked: Mapping[str, Any], key: str) -> float:
    value = asked.get(key, 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{key} must be a number: got {value!r}.")
    return float(value)


def whole_of(asked: Mapping[str, Any], key: str) -> int:
    value = asked.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError(f"{key} must be a whole number: got {value!r}.")
    return value
