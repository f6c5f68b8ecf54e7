"""The verb `compare`: runs side by side, and one picture of their curves."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptlab.cli.command_line import Verb, read_command_line, read_flags
from gptlab.cli.output_file import output_file
from gptlab.errors import UserError

if TYPE_CHECKING:
    from gptlab.sweeps.compared import Compared

PNG = b"\x89PNG\r\n\x1a\n"


def compare(arguments: list[str]) -> int:
    """Print what sets runs apart, write their curves to a picture, and print its path."""
    from gptlab.cli import show
    from gptlab.cli.composing import prepared, settings_of

    words, rest = split(arguments)
    line = read_command_line(rest, "compare")
    if line.shows:
        return show("compare", line)
    settings = settings_of("compare", line, prepared(line))
    output = output_file(settings["output"], "compare.png", "a picture", lambda start: start.startswith(PNG))
    if not words:
        raise UserError(
            "compare takes runs, or a sweep: got none. Type python -m gptlab compare RUN RUN, each a run's "
            "folder, its MLflow id or latest, or python -m gptlab compare SWEEP."
        )
    runs = found_runs(words, settings["tracking"])
    from gptlab.sweeps.comparison import comparison, picture
    from gptlab.sweeps.summary import write_file

    print(comparison(runs))
    content = picture(runs)
    if not content:
        print("no picture: none of these runs has logged a loss")
        return 0
    try:
        write_file(output, content)
    except OSError as error:
        raise UserError(f"output must be a file that can be written: {output}: {error.strerror}.") from None
    print(f"curves: {output}")
    return 0


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The runs, which are bare words, and the rest."""
    overrides = read_flags(arguments, Verb("compare")).overrides
    # A path may have a sign of equality in it.
    words = [word for word in overrides if word[:1] not in "+~" and ("=" not in word or os.path.exists(word))]
    rest = [argument for argument in arguments if argument not in words]
    return words, rest


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
    from gptlab.exchange.finding import found_run, no_run
    from gptlab.runs.finding import ID, folder_of, path_of
    from gptlab.sweeps.compared import run_in, sweep_in

    sweep = sweep_folder(word)
    if sweep is not None:
        return sweep_in(sweep)
    run_id = word.removeprefix("runs:/").strip("/")
    is_reference = word == "latest" or os.path.isdir(path_of(word)) or word.startswith("models:/")
    if is_reference or folder_of(word) is not None:
        with found_run(word, tracking) as folder:
            return [run_in(folder)]
    if not ID.fullmatch(run_id):
        raise no_run(word)
    if tracking["name"] != "mlflow":
        raise no_run(word, " (nor is it looked for in MLflow, with tracking=none)")
    from gptlab.sweeps.in_store import runs_in_store

    return runs_in_store(run_id, tracking["uri"])


def sweep_folder(word: str) -> Path | None:
    """The sweep's folder that a folder, or the MLflow id of a parent run, names; None if it is another thing."""
    from gptlab.runs.files import SWEEP
    from gptlab.runs.finding import path_of
    from gptlab.sweeps.sweep import sweep_with_id

    folder = path_of(word)
    if os.path.isdir(folder):
        return folder if os.path.isfile(folder / SWEEP) else None
    return sweep_with_id(word)
