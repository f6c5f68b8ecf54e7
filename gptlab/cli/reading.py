"""What each verb begins with: its line is read, shown if that is all, its config composed and checked."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

from gptlab.cli.completion import complete
from gptlab.command.as_typed import unquoted
from gptlab.command.composing import explained, prepared, settings_of
from gptlab.command.line import CommandLine, choices_of, read_command_line
from gptlab.command.verbs import ROOTS
from gptlab.config.addresses import KEY
from gptlab.config.typed import typed
from gptlab.streams import shown_at_last


def with_line(
    verb: str, arguments: list[str], run: Callable[[CommandLine], int], single: bool | None = None
) -> int:
    """`run` what is typed, unless Hydra is only to show something. single: as in `read_command_line`."""
    line = read_command_line(arguments, verb, single)
    name_typed_stores(line)
    return show_hydras(verb, line) if line.shows else run(line)


def name_typed_stores(line: CommandLine) -> None:
    """Whoever types an address trusts it: a store that a run's folder names is asked for once."""
    for override in line.overrides:
        if override.get_key_element().lstrip("+") == KEY:
            from gptlab.tracking.named_stores import name_store

            for choice in choices_of(override):
                name_store(unquoted(choice.partition("=")[2]))


def with_settings(verb: str, arguments: list[str], run: Callable[[Any, CommandLine], int]) -> int:
    """`run` with the checked config: the verb's dataclass."""

    def configured(line: CommandLine) -> int:
        return run(typed(ROOTS[verb], settings_of(verb, line, prepared(line))), line)

    return with_line(verb, arguments, configured)


def show_hydras(verb: str, line: CommandLine) -> int:
    """What Hydra itself shows: --cfg, --info, --hydra-help, and completion in the shell."""
    from gptlab.command import hydra_insides

    plugins = prepared(line)
    if line.flags.shell_completion:
        return complete(line.flags, plugins.registry)
    logging.raiseExceptions = (
        False  # Hydra shows some of it by logging, and `| head` is no reason for tracebacks
    )
    try:
        with explained(plugins, line.flags.overrides, verb), shown_at_last():
            hydra_insides.show(verb, line.flags)
    except SystemExit as done:
        return int(done.code or 0)
    return 0


MEANT = {"n": "\n", "t": "\t", "\\": "\\"}
ESCAPE = re.compile(r"\\([nt\\])")


def with_line_ends(text: str) -> str:
    r"""The text with what `\n`, `\t` and `\\` stand for; a backslash before anything else is one."""
    return ESCAPE.sub(lambda found: MEANT[found[1]], text)
