"""The command line: `main` runs the verb that is typed, each a row of gptlab/cli/verbs."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Sequence

from gptlab.calling import as_called, warn
from gptlab.cli.help import help_of, overview
from gptlab.command.verbs import VERBS
from gptlab.config.addresses import hide_in_arguments
from gptlab.errors import TrainingStopped, UserError
from gptlab.signals import ending_at_once
from gptlab.streams import guarded, show
from gptlab.tracking.left import failures

USER_ERROR = 2
FAILED = 1
LONG = re.compile(r"\S{1000,}")
TRACEBACK = "GPTLAB_TRACEBACK"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status: 0, 1 for a failed run, 2 for a mistake, 128 + n for a signal."""
    given = hide_in_arguments(list(sys.argv[1:] if arguments is None else arguments))
    if arguments is None:
        sys.argv[1:] = given  # what a run keeps of how it was begun
    with guarded(forgives=False) as output:
        try:
            with ending_at_once():
                status = dispatch(given)
                output.flush()
                return status
        except UserError as error:
            return complain(str(error), USER_ERROR)
        except TrainingStopped as error:
            return complain(str(error), FAILED)
        except KeyboardInterrupt as stop:
            words = ["stopped by", str(stop) or "Ctrl-C", *getattr(stop, "told", [])]
            return complain(" ".join(words), getattr(stop, "status", 130))
        except OSError as error:
            if error is not output.failure:
                if os.environ.get(TRACEBACK):
                    raise
                return complain(refused_by_system(error), FAILED)
            if not isinstance(error, BrokenPipeError):  # then whoever read it has gone, and knows
                complain(f"standard output must be writable: {error.strerror}.", FAILED)
            return FAILED


def refused_by_system(error: OSError) -> str:
    """What nobody expected of the files or of the machine, in a line."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return "more files must be open at once than this shell allows. Type ulimit -n 256, and the command again."
    file = f"{error.filename}: " if isinstance(error.filename, str) else ""
    notes = getattr(error, "__notes__", [])  # what was saved of a run that it ended
    return " ".join([f"{file}{error.strerror or error}. Set {TRACEBACK}=1 to see where.", *notes])


def complain(message: str, status: int) -> int:
    """Print it, a word that nobody can read (a number of thousands of digits) by its beginning."""
    message = LONG.sub(lambda word: f"{word[0][:60]}... ({len(word[0]):,} signs)", message)
    warn(message)
    return status


def dispatch(arguments: list[str]) -> int:
    if not arguments or arguments == ["--"]:
        show(as_called(overview()))
        return 0
    if is_word(arguments[0]) and arguments[0] not in VERBS:
        from gptlab.cli.brought_verbs import names_of_brought, run_brought
        from gptlab.command.slips import wrong_first_word

        status = run_brought(arguments)
        if status is None:
            raise wrong_first_word(arguments, names_of_brought())
        return status
    verb, rest = verb_of(arguments)
    if "--help" in rest or "-h" in rest:
        show(as_called(help_asked_for(verb, rest)))
        return 0
    if "--version" in rest:
        from importlib.metadata import version

        show(f"gptlab {version('gptlab')}")
        return 0
    if any(word.lstrip("+-").startswith("experiment") for word in rest):
        from gptlab.command.slips import refuse_experiment

        refuse_experiment(rest, verb)
    tell_unsent(rest)
    return VERBS[verb].run(rest)


def tell_unsent(arguments: list[str]) -> None:
    """Of runs whose end was not waited for, those that MLflow has not whole."""
    if {"-sc", "--shell-completion"}.isdisjoint(arguments):
        for failure in failures():
            show(as_called(failure), sys.stderr)


def help_asked_for(verb: str, rest: list[str]) -> str:
    """The text of a verb; of a word behind --help, if there is one: another verb, a key, or what keys begin with."""
    asked = rest[1 + min(rest.index(flag) for flag in ("--help", "-h") if flag in rest) :]
    word = next((word for word in asked if not word.startswith("-")), "")
    if not word or word in VERBS:
        return help_of(word or verb)
    from gptlab.cli.key_help import help_of_keys

    return help_of_keys(verb, word)


def verb_of(arguments: list[str]) -> tuple[str, list[str]]:
    """The verb, and what follows it."""
    return (arguments[0], arguments[1:]) if arguments and is_word(arguments[0]) else ("train", arguments)


def is_word(argument: str) -> bool:
    """Whether it stands where a verb does, and is no flag and no override."""
    return not argument.startswith(("-", "+", "~")) and "=" not in argument
