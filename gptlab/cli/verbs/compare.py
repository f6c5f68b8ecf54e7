"""The verb `compare`: runs side by side, and one picture of their curves."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from gptlab.cli.output_file import output_file, write_output
from gptlab.cli.reading import with_settings
from gptlab.command.line import CommandLine, bare_words
from gptlab.config.schema import CompareConfig
from gptlab.errors import UserError
from gptlab.streams import show

if TYPE_CHECKING:
    from gptlab.sweeps.compared import Compared

PNG = b"\x89PNG\r\n\x1a\n"

HELP = """\
Compare runs: the config keys that differ, the final numbers, and one picture of the curves.

  python -m gptlab compare latest runs/2026-11-22/19-55-47-000000
  python -m gptlab compare runs/2026-11-22/20-15-01-123456-sweep output=sweep.png

Each word names a run: its folder, its MLflow id, its name or its experiment's (the newest of that name), latest
(the newest below ./runs), or models:/NAME@ALIAS. A sweep (its folder, its name or the MLflow id of its parent
run) means all its runs, best first.
output        the picture; if left out, compare.png, which is replaced
tracking.uri  another store to look up ids in, e.g. tracking.uri=sqlite:////path/mlflow.db\
"""


def run(arguments: list[str]) -> int:
    words = bare_words(arguments, "compare")
    rest = [argument for argument in arguments if argument not in words]
    return with_settings("compare", rest, partial(compare, words))


def compare(words: Sequence[str], settings: CompareConfig, line: CommandLine) -> int:
    """Print what sets the runs apart, write their curves to a picture, and print its path."""
    output = output_file(settings.output, "compare.png", "a picture", lambda start: start.startswith(PNG))
    if not words:
        raise UserError(
            "compare takes runs, or a sweep: got none. Type python -m gptlab compare RUN RUN, each a run's "
            "folder, its name, its MLflow id or latest, or python -m gptlab compare SWEEP."
        )
    runs = found_runs(words, settings.tracking)
    from gptlab.sweeps.comparison import comparison, picture

    show(comparison(runs))
    content = picture(runs)
    if not content:
        show("no picture: none of these runs has logged a loss")
        return 0
    write_output(output, content)
    show(f"curves: {output}")
    return 0


def found_runs(words: Sequence[str], tracking: dict[str, Any]) -> list[Compared]:
    """The runs that the words name, each once. Raises UserError if there are fewer than two."""
    found: dict[str, Compared] = {}
    for word in words:
        for run in runs_of(word, tracking):
            found.setdefault(run.record.runId or os.path.abspath(run.record.folder), run)
    if len(found) < 2:
        names = ", ".join(run.record.name for run in found.values()) or "none"
        raise UserError(
            f"compare needs two runs or more: {' '.join(words)} names {names}. Add another, or give the folder or "
            "the MLflow id of a sweep."
        )
    return list(found.values())


def runs_of(word: str, tracking: dict[str, Any]) -> list[Compared]:
    """A run, or the children of a sweep, here or in the store. Raises UserError if there is no such thing."""
    from gptlab.exchange.finding import check_is_elsewhere, find_folder
    from gptlab.runs.finding import LATEST, named_here
    from gptlab.runs.folder import SweepFolder
    from gptlab.sweeps.compared import run_in, runs_in_store, sweep_in

    found = None if word == LATEST else named_here(word)
    if isinstance(found, SweepFolder):
        return sweep_in(found.path)
    if word == LATEST or found is not None or word.startswith("models:/"):
        with find_folder(word, tracking) as folder:
            return [run_in(folder)]
    check_is_elsewhere(word, tracking)
    return runs_in_store(word.removeprefix("runs:/").strip("/"), tracking["uri"])
