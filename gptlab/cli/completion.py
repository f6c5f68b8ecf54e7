"""Tab completion: Hydra's own, which knows one config and no verbs, told which config is meant."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext, redirect_stderr
from io import StringIO

from gptlab.cli.files import FORMAT
from gptlab.cli.help import VERBS
from gptlab.registry import Registry

TAKE_A_WORD = ("export", "import")  # in front of the overrides


def complete(arguments: list[str], subcommand: list[str], registry: Registry) -> int:
    """`-sc install=bash` and the like; what a shell asks with `-sc query=bash` is in COMP_LINE."""
    from gptlab.cli.composing import through_hydra

    asked = any(word.startswith("query=") for word in subcommand)
    program = sys.argv[0]
    sys.argv[0] = "gptlab"  # also for python -m gptlab: it is the only command that can be completed
    line = os.environ.get("COMP_LINE", "")
    verb, rest, own = understood(line, registry)
    try:
        if asked:
            os.environ["COMP_LINE"] = f"gptlab {rest}"
            for choice in own:
                print(choice)
        with redirect_stderr(StringIO()) if asked else nullcontext():
            through_hydra(verb, arguments, lambda config: None)
    except (Exception, SystemExit):
        # A line that is not finished may be wrong in any way, and an error would be printed into it.
        if not asked:
            raise
    finally:
        sys.argv[0] = program
        if asked:
            os.environ["COMP_LINE"] = line
    return 0


def understood(line: str, registry: Registry) -> tuple[str, str, list[str]]:
    """The verb of a command line, what follows it, and what of gptlab's own could complete it."""
    _, _, rest = line.lstrip().partition(" ")
    rest = rest.lstrip()
    first, space, after = rest.partition(" ")
    if space and first in VERBS:
        return first, *of_verb(first, after.lstrip())
    word = rest.rpartition(" ")[2]
    if word == rest and "=" not in word:
        return "train", rest, [f"{verb} " for verb in VERBS if verb.startswith(word)]
    key, equals, begun = word.partition("=")
    if equals and key.startswith("ops."):
        return "train", rest, [f"{key}={name}" for name in registry.names("op") if name.startswith(begun)]
    return "train", rest, []


def of_verb(verb: str, rest: str) -> tuple[str, list[str]]:
    """What of a verb's line Hydra can complete, and the flags of gptlab's own that could."""
    if verb not in TAKE_A_WORD:
        return rest, []
    before, _, word = rest.rpartition(" ")
    # Hydra knows no words but overrides.
    overrides = [text for text in before.split() if "=" in text and not text.startswith("-")]
    flags = []
    if verb == "export" and word.startswith("-"):
        from gptlab.exchange.exporting import FORMATS

        flags = [f"{FORMAT}={name}" for name in FORMATS if f"{FORMAT}={name}".startswith(word)]
    return " ".join([*overrides, word]), flags
