"""A run's folder: what it tells of the run, and the one way to change that.

run.json is there before all other files. The process that trains writes how the run is, MLflow's process the id:
each change is merged into what the file holds by then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml

from gptlab.data.facts import DatasetFacts
from gptlab.errors import UserError
from gptlab.files import lock, read_json, read_regular, write_json, write_text
from gptlab.runs.checkpoint.folder import checkpoint_folders
from gptlab.runs.config_file import read_config
from gptlab.runs.equality import equality_key
from gptlab.runs.files import CONFIG, LOCK, METRICS, PARAMETERS, PLUGINS, RUN, SAMPLES, SWEEP, TOKENIZER
from gptlab.runs.run import FAILED, FINISHED, KILLED, STARTING, Run
from gptlab.training.metric_rows import Metrics, rows_in

DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # in C where there is libyaml: a tenth of the time
RUN_KINDS = {"name": str, "description": str, "tags": dict, "dataset": dict}
DATASET_KINDS = {
    **dict.fromkeys(("name", "source", "digest"), str),
    **dict.fromkeys(("documents", "train", "validation"), int),
    "facts": dict,
}
NAMED = {str: "a text", int: "a whole number", dict: "an object"}
OVER = (FINISHED, FAILED, KILLED)
SAMPLE = re.compile(r"step (\d{1,18}): (.*)")
Samples = list[tuple[int, list[str]]]


@dataclass(frozen=True)
class ToldFolder:
    """A folder of which one file tells what it is of: name, MLflow id, status. What it cannot tell is empty."""

    path: Path
    FILE: ClassVar[str]

    def identity(self) -> dict[str, Any]:
        """What the file tells. One that leads elsewhere tells nothing."""
        file = self.path / self.FILE
        try:
            found = {} if file.is_symlink() else read_json(file)
        except UserError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def id(self) -> str:
        found = self.identity().get("id", "")
        return found if isinstance(found, str) else ""

    @property
    def status(self) -> str:
        return str(self.identity().get("status", ""))

    def update(self, **facts: Any) -> None:
        """Have the file tell this as well. Raises OSError."""
        self.update_if({}, **facts)

    def update_if(self, expected: dict[str, Any], **facts: Any) -> bool:
        """As `update`, if it tells what is expected by then: another process may have taken the run over."""
        with lock(self.path / LOCK):
            told = self.identity()
            if any(told.get(key) != value for key, value in expected.items()):
                return False
            if not facts.items() <= told.items():
                write_json(self.path / self.FILE, {**told, **facts})
            return True


class SweepFolder(ToldFolder):
    """The folder of a sweep."""

    FILE = SWEEP


class RunFolder(ToldFolder):
    """The folder of one run. What it cannot tell, for a file that is missing or broken, is empty."""

    FILE = RUN

    def begin(self, run: Run, tokenizer: dict[str, Any], brought: dict[str, str]) -> None:
        """The first files of a run, in a folder that is claimed for it. Raises UserError if they cannot be written."""
        try:
            equality = equality_key(run.config, run.dataset.digest, brought, run.tags)
            self.update(id=run.id, status=STARTING, equality=equality, **facts_of(run))
            self.describe(run.config, tokenizer, brought)
            write_json(self.path / PARAMETERS, parameter_table(run))
        except OSError as error:
            raise UserError(f"the run's folder must be writable: {self.path}: {error.strerror}.") from None

    def describe(self, config: dict[str, Any], tokenizer: Any, brought: dict[str, str]) -> None:
        """The files that say what the run is of. Raises OSError."""
        text = yaml.dump(config, Dumper=DUMPER, sort_keys=False, allow_unicode=True)
        write_text(self.path / CONFIG, text)
        write_json(self.path / TOKENIZER, tokenizer)
        if brought:
            write_json(self.path / PLUGINS, brought)

    def run(self) -> Run:
        """The run as it was at its start; of its weights only the folder's table tells.

        Raises UserError if run.json or config.yaml does not tell enough.
        """
        told, config = self.identity(), read_config(self.path)
        check_kinds(told, RUN_KINDS, self.path / RUN)
        try:
            dataset = DatasetFacts(**told["dataset"])
        except TypeError as error:
            raise UserError(f"{self.path / RUN} is not as gptlab wrote it: {error}.") from None
        check_kinds(vars(dataset), DATASET_KINDS, self.path / RUN)
        return Run(
            told["name"], told["description"], self.path, config, [], dataset, told["tags"], id=self.id
        )

    def rows(self) -> Metrics:
        """What was logged, a row a step."""
        return rows_in(self.path / METRICS)

    def samples(self) -> Samples:
        """What was sampled, by step."""
        found: Samples = []
        for line in lines_of(self.path / SAMPLES):
            match = SAMPLE.fullmatch(line)
            if match is None and found:  # a text of several lines
                found[-1][1][-1] += f"\n{line}"
            elif match and found and found[-1][0] == int(match[1]):
                found[-1][1].append(match[2])
            elif match:
                found.append((int(match[1]), [match[2]]))
        return found

    def checkpoints(self) -> list[Path]:
        """The checkpoints that are in place, oldest first."""
        return checkpoint_folders(self.path)


def runs_below(folder: Path) -> list[RunFolder]:
    """Of a run itself, a sweep, or all runs; by path."""
    return [RunFolder(file.parent) for file in sorted(folder.rglob(RUN))]


def check_kinds(told: dict[str, Any], kinds: Mapping[str, type], path: Path) -> None:
    """Raises UserError if one of these facts is missing, or of another kind."""
    for key, kind in kinds.items():
        value = told.get(key)
        texts = [*value, *value.values()] if key == "tags" and isinstance(value, dict) else []
        if not isinstance(value, kind) or not all(isinstance(text, str) for text in texts):
            raise UserError(
                f"{path} is not as gptlab wrote it: {key} must be {NAMED[kind]}: got {str(value)[:60]!r}."
            )


def facts_of(run: Run) -> dict[str, Any]:
    """What is known of a run when it starts, as run.json keeps it."""
    return {
        "name": run.name,
        "description": run.description,
        "tags": run.tags,
        "dataset": vars(run.dataset),
        "parameters": run.parameter_counts(),
    }


def parameter_table(run: Run) -> dict[str, list[Any]]:
    rows = [[m.name, " x ".join(map(str, m.shape)), m.count, m.part] for m in run.matrices]
    return {"columns": ["matrix", "shape", "count", "part"], "data": rows}


def lines_of(path: Path) -> list[str]:
    """What stands between its ends of lines; a text may hold other characters that Python splits at."""
    try:
        text = read_regular(path).decode("utf-8", "replace")
    except OSError:
        return []
    return text.removesuffix("\n").split("\n") if text else []
