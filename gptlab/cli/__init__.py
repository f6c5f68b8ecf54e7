"""The verbs: each composes a config, then calls one function below.

python -m gptlab                              what there is
python -m gptlab [train] +experiment=tiny     train; the verb that may be left out
python -m gptlab generate n=5                 sample from a finished run
python -m gptlab export latest --format=json  weights to a file
python -m gptlab import weights.json ...      and from one
python -m gptlab compare RUN RUN              what sets runs apart, side by side
python -m gptlab summary +experiment=tiny     what a config describes: parts, shapes, costs
python -m gptlab inspect text="the cat"       what a model makes of a text
python -m gptlab graph expr="a*b" a=2 b=3     the graph of Values: of an expression, of a step
python -m gptlab sync runs/...                to MLflow, what it has not of a run's folder
python -m gptlab ui                           browse the runs
python -m gptlab plugins                      what was found, and what it registers
python -m gptlab check halfmul                try everything that can go wrong with it
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from gptlab.calling import as_called
from gptlab.cli.files import export, import_file
from gptlab.cli.help import VERBS, help_of, overview
from gptlab.config.addresses import hide_in_arguments
from gptlab.errors import TrainingStopped, UserError
from gptlab.signals import ending_at_once
from gptlab.streams import guarded

if TYPE_CHECKING:
    from gptlab.cli.command_line import CommandLine
    from gptlab.plugins.loading import Plugins

USER_ERROR = 2
FAILED = 1


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
                raise
            if not isinstance(error, BrokenPipeError):  # then whoever read it has gone, and knows
                complain(f"standard output must be writable: {error.strerror}.", FAILED)
            return FAILED


def complain(message: str, status: int) -> int:
    print(as_called(f"gptlab: {message}"), file=sys.stderr, flush=True)
    return status


def dispatch(arguments: list[str]) -> int:
    if not arguments or arguments == ["--"]:
        print(as_called(overview()))
        return 0
    verb, rest = verb_of(arguments)
    if "--help" in rest or "-h" in rest:
        print(as_called(help_of(verb)))
        return 0
    if "--version" in rest:
        from importlib.metadata import version

        print(f"gptlab {version('gptlab')}")
        return 0
    if any(word.lstrip("+-").startswith("experiment") for word in rest):
        from gptlab.cli.slips import refuse_experiment

        refuse_experiment(rest, verb)
    commands: dict[str, Callable[[list[str]], int]] = {
        "train": train,
        "generate": generate,
        "ui": ui,
        "plugins": plugins_verb,
        "check": check,
        "export": export,
        "import": import_file,
        "compare": at_first_use("comparing", "compare"),
        "inspect": at_first_use("inspecting", "inspect"),
        "summary": at_first_use("summarizing", "summary"),
        "graph": at_first_use("graphing", "graph"),
        "sync": sync,
    }
    return commands[verb](rest)


def at_first_use(module: str, name: str) -> Callable[[list[str]], int]:
    """A verb whose file is imported when it is typed: `--help` must not wait for what others need."""

    def verb(arguments: list[str]) -> int:
        status: int = getattr(import_module(f"gptlab.cli.{module}"), name)(arguments)
        return status

    return verb


def verb_of(arguments: list[str]) -> tuple[str, list[str]]:
    """The verb, and what follows it. Raises UserError for a bare word that is none."""
    if not arguments or arguments[0].startswith(("-", "+", "~")) or "=" in arguments[0]:
        return "train", arguments
    verb = arguments[0]
    if verb not in VERBS:
        from gptlab.cli.slips import wrong_first_word

        raise wrong_first_word(arguments)
    return verb, arguments[1:]


def train(arguments: list[str]) -> int:
    """Train what the arguments describe: one run, or a sweep's."""
    from gptlab.cli.command_line import read_command_line
    from gptlab.cli.typed_keys import check_typed_keys
    from gptlab.config.schema import ROOTS
    from gptlab.sweeps.sweepers import with_ready_sweeper

    arguments = with_ready_sweeper(arguments)
    line = read_command_line(arguments)
    arguments = line.arguments
    if line.shows:
        return show("train", line)
    check_typed_keys(line, ROOTS["train"])
    from gptlab.cli.composing import prepared

    plugins = prepared(line)
    # What a run prints is no reason to end it.
    with guarded(forgives=True):
        return run_training(line, arguments, plugins)


def run_training(line: CommandLine, arguments: list[str], plugins: Plugins) -> int:
    """What `train` does once the plugins are loaded."""
    from gptlab.cli.composing import compose_job, explained, makes_sweep, one_job, through_hydra
    from gptlab.cli.jobs import OneRun

    job = OneRun(plugins)
    try:
        with explained(plugins, line.flags.overrides):
            sweeps = line.sweeps
            if not sweeps and not (line.is_single and one_job(line.flags.overrides, job.run, job.place)):
                config = compose_job(line.flags, line.flags.overrides)
                sweeps = makes_sweep(config)
                if not sweeps:
                    with job.place(config):
                        through_hydra("train", arguments, job.run)
    except (OSError, ValueError) as error:
        # Of the run it would be a fault of gptlab's; before it, it is what Hydra could not read or write.
        if job.begun:
            raise
        raise UserError(f"Hydra cannot begin: {error}") from None
    if sweeps:
        from gptlab.sweeps.running import run_sweep

        return run_sweep(line, arguments, plugins)
    if job.error is not None:
        raise job.error
    return 0


def show(verb: str, line: CommandLine) -> int:
    """What Hydra itself shows: --cfg, --info, --hydra-help, and completion in the shell."""
    import logging

    from gptlab.cli.completion import complete
    from gptlab.cli.composing import explained, prepared, through_hydra

    plugins = prepared(line)
    if line.flags.shell_completion:
        return complete(line.arguments, line.flags.overrides, plugins.registry)
    logging.raiseExceptions = (
        False  # Hydra shows some of it by logging, and `| head` is no reason for tracebacks
    )
    try:
        with explained(plugins, line.flags.overrides, verb):
            through_hydra(verb, line.arguments, lambda config: None)
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def generate(arguments: list[str]) -> int:
    """Print samples of a finished run, or of whatever names weights, one a line; texts of several lines apart."""
    from gptlab.cli.command_line import read_command_line
    from gptlab.cli.composing import prepared, settings_of
    from gptlab.cli.escapes import with_line_ends
    from gptlab.exchange.finding import found_source
    from gptlab.exchange.loading import load_source, with_corpus
    from gptlab.training.generation import Sampling
    from gptlab.training.generation import generate as sample

    line = read_command_line(arguments, "generate")
    if line.shows:
        return show("generate", line)
    plugins = prepared(line)
    settings = settings_of("generate", line, plugins)
    settings["prompt"] = with_line_ends(settings["prompt"])
    how = Sampling(**{key: settings[key] for key in ("n", "temperature", "topK", "topP", "prompt", "seed")})
    with found_source(settings["run"], settings["tracking"]) as found:
        source = with_corpus(found, settings["tokenizer"], plugins.registry)
        run = load_source(source, plugins.registry, settings["engine"])
    blockSize = run.definition.sizes.blockSize
    texts = sample(run.session, run.state, run.tokenizer, blockSize, how, run.start)
    if texts:
        print(*texts, sep="\n\n" if any("\n" in text for text in texts) else "\n")
    return 0


def ui(arguments: list[str]) -> int:
    """Serve MLflow's pages for the store of this folder until Ctrl-C."""
    from gptlab.cli.command_line import read_command_line
    from gptlab.cli.composing import prepared, settings_of
    from gptlab.tracking.ui import serve_ui

    line = read_command_line(arguments, "ui")
    if line.shows:
        return show("ui", line)
    settings = settings_of("ui", line, prepared(line))
    return serve_ui(settings["tracking"].get("uri"), settings["host"], settings["port"])


def sync(arguments: list[str]) -> int:
    """Send to MLflow what it has not of a run's folder.

    A run that was killed after its last step is ended, as by `resume`, which writes all that is missing.
    """
    from gptlab.calling import quoted
    from gptlab.runs.resuming import lacks_its_end
    from gptlab.tracking.catch_up import sync_folder

    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise UserError(
            f"sync takes one run's folder: got '{' '.join(arguments)}'. Type python -m gptlab sync runs/..."
        )
    folder = Path(os.path.expanduser(arguments[0]))
    if lacks_its_end(folder):
        return train([quoted("resume", str(folder))])
    print(sync_folder(folder))
    return 0


def plugins_verb(arguments: list[str]) -> int:
    """List the plugins with what each registers, and those left out with the reason."""
    from gptlab.cli.listing import listing
    from gptlab.plugins.loading import load_plugins

    if arguments:
        raise UserError(
            f"plugins takes nothing more: got '{' '.join(arguments)}'. Type python -m gptlab plugins."
        )
    print(as_called(listing(load_plugins(quiet=True))))
    return 0


def check(arguments: list[str]) -> int:
    """Check the names given, or all there are; 1 if a check fails."""
    from gptlab.plugins.loading import load_plugins

    for argument in arguments:
        if argument.startswith("-") or "=" in argument:
            raise UserError(
                f"check takes names of ops, components or plugins: got '{argument}'. "
                "Type python -m gptlab check halfmul, or python -m gptlab check for all."
            )
    registry = load_plugins().registry
    from gptlab.checks.report import check_names, table

    checks = check_names(registry, arguments)
    print(table(checks))
    failed = [c for c in checks if not c.passed]
    print(f"{len(checks) - len(failed)} passed, {len(failed)} failed")
    return FAILED if failed else 0
