"""The verb `train`, which may be left out: one run, or a sweep's."""

from __future__ import annotations

from gptlab.cli.reading import with_line
from gptlab.command.composing import explained, prepared
from gptlab.command.line import CommandLine
from gptlab.command.sweepers import with_ready_sweeper
from gptlab.command.typed_keys import check_typed_keys
from gptlab.command.verbs import ROOTS
from gptlab.errors import UserError
from gptlab.plugins.loading import Plugins
from gptlab.streams import guarded

HELP = """\
gptlab: take a GPT apart, change any piece, see what that does to learning.

  python -m gptlab +experiment=tiny                       train; seconds
  python -m gptlab +experiment=tiny model.nEmbd=32        change a number
  python -m gptlab +experiment=tiny model/norm=layernorm  change a component
  python -m gptlab +experiment=tiny ops.mul=maximum       change what "multiply" means
  python -m gptlab -m +experiment=tiny model.nEmbd=16,32  a sweep, a run for each value
  python -m gptlab resume=latest                          go on with a run that was stopped, or killed
  python -m gptlab +experiment=questions initFrom=latest  begin another from the newest run's weights
  python -m gptlab generate prompt="the cat"              sample from the newest run
  python -m gptlab compare RUN RUN                        what sets runs apart, side by side
  python -m gptlab summary +experiment=tiny               its parts, shapes and costs, without training
  python -m gptlab inspect text="the cat eats" to=html    what the newest run makes of a text, as a page
  python -m gptlab graph expr="relu(a*b)" a=2 b=3         draw the graph of Values of an expression
  python -m gptlab export latest --format=json            its weights to a file for other programs
  python -m gptlab ui                                     browse the runs in MLflow

VERBS

--cfg job        print the whole config and train nothing (--info defaults: what it is made of)
-m               a sweep over values given as 1,2,3; sweep.resume=latest goes on with one that was stopped
train.logEvery   steps between two that are logged; left out, so many that a run has at most 1,000 rows
checkpoint.every steps between checkpoints, by time if left out; checkpoint.keep of them stay, and the best
register=NAME    the finished model into MLflow's model registry: generate run=models:/NAME@newest
tracking=none    without MLflow
progress=none    print nothing
--hydra-help     Hydra's own flags
Tab completion for the command `gptlab`, in bash: eval "$(gptlab -sc install=bash)"\
"""


def run(arguments: list[str]) -> int:
    return with_line("train", with_ready_sweeper(arguments), train)


def train(line: CommandLine) -> int:
    """Train what the line describes."""
    check_typed_keys(line, ROOTS["train"])
    plugins = prepared(line)
    # What a run prints is no reason to end it.
    with guarded(forgives=True):
        return run_training(line, plugins)


def run_training(line: CommandLine, plugins: Plugins) -> int:
    """What `train` does once the plugins are loaded."""
    from gptlab.cli.jobs import OneRun
    from gptlab.command.hydra_insides import run_one

    job = OneRun(plugins)
    try:
        with explained(plugins, line.flags.overrides):
            sweeps = line.sweeps or not run_one(line.flags, job.run, job.place)
    except (OSError, ValueError) as error:
        # Of the run it would be a fault of gptlab's; before it, it is what Hydra could not read or write.
        if job.begun:
            raise
        raise UserError(f"Hydra cannot begin: {error}") from None
    if sweeps:
        from gptlab.sweeps.running import run_sweep

        return run_sweep(line, line.arguments, plugins)
    if job.error is not None:
        raise job.error
    return 0
