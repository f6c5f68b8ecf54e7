"""The command of a sweep: with its folder, held against an earlier one, and as it is typed to go on."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from gptlab.calling import quoted
from gptlab.command.line import CommandLine
from gptlab.errors import UserError
from gptlab.sweeps.sweep import RUNS, Sweep

# What may differ when a sweep goes on: where and how its jobs run, nothing of what they learn.
FREE = re.compile(r"(sweep|anyway|progress|tracking|checkpoint|listeners|hydra(?!.sweeper))\b")
RESUME = "sweep.resume"


def with_folder(line: CommandLine, arguments: list[str], folder: Path) -> list[str]:
    """The arguments, with the sweep's folder as it is known by now; what was said of it before gives way."""
    given = [text for text in line.flags.overrides if not text.startswith("hydra.sweep.dir=")]
    # Beside the other overrides: argparse takes only one row of them, before or after the flags.
    first = min((arguments.index(text) for text in line.flags.overrides), default=len(arguments))
    others = [text for text in arguments if text not in line.flags.overrides]
    flags = len([text for text in arguments[:first] if text in others])
    return [*others[:flags], quoted("hydra.sweep.dir", str(folder)), *given, *others[flags:]]


def typed(overrides: list[str]) -> dict[str, str]:
    """What counts of a command, by its keys."""
    found = {text.partition("=")[0].lstrip("+~"): text for text in overrides}
    return {key: text for key, text in found.items() if not FREE.match(key)}


def refuse_other_command(sweep: Sweep, overrides: list[str], folder: Path) -> None:
    """Raises UserError that says what differs from the command that the sweep was begun with."""
    had, has = typed(sweep.command), typed(overrides)
    differing = []
    for key in [*had, *(key for key in has if key not in had)]:
        if had.get(key) == has.get(key):
            continue
        if key not in has:
            differing.append(f"{had[key]} is missing")
        elif key not in had:
            differing.append(f"{has[key]} is new")
        else:
            differing.append(f"{has[key]} was {had[key]}")
    if differing:
        raise UserError(
            f"{RESUME} goes on with a sweep by the same command: {'; '.join(differing)}. The sweep of "
            f"{os.path.relpath(folder)} was begun with {shlex.join(sweep.command)}"
        )


def command_to_go_on(arguments: list[str], sweep: Sweep, folder: Path) -> str:
    """What to type to have the rest done."""
    kept = [text for text in arguments if not text.startswith(f"{RESUME}=")]
    below = Path(RUNS).absolute() in folder.parents
    reference = sweep.id if sweep.id and below else os.path.relpath(folder)
    return f"python -m gptlab {shlex.join([*kept, f'{RESUME}={reference}'])}"
