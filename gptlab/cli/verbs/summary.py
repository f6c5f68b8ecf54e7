"""The verb `summary`: the model that a config describes, and what sets a second one apart."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from gptlab.cli.reading import with_line
from gptlab.command.composing import prepared, settings_of
from gptlab.command.line import read_command_line
from gptlab.config.typed import Config, as_dict, flatten, typed
from gptlab.errors import UserError
from gptlab.streams import show

if TYPE_CHECKING:
    from gptlab.plugins.loading import Plugins

VERSUS = "versus"

HELP = """\
Describe the model of a config without training it: each matrix, what each part costs, what training takes.

  python -m gptlab summary +experiment=book
  python -m gptlab summary +experiment=book versus='model.nEmbd=64 model.nLayer=4'
  python -m gptlab summary +experiment=book versus='+experiment=tiny model.nEmbd=64'

It takes the words that training takes, and reads the data only for the vocabulary.
versus       what changes in a second model: overrides in quotes, added to the first model's; with an experiment
             among them, they are a config of their own

parameters   how many numbers, and their share of all
forward      floating-point operations per token, at blockSize positions, as engine=xla computes them; a sum, a
training     product or another function of a number is one, a multiply-add two. Training adds loss and gradient
kept         bytes of activations that the backward pass needs, for batchSize documents of blockSize positions
peak         the most memory that the training process will hold, according to its compiled program\
"""


def run(arguments: list[str]) -> int:
    own, other = split(arguments)
    described = [words for words in (own, other) if words is not None]
    return with_line("train", own, lambda line: summary(described, prepared(line)), single=True)


def summary(described: list[list[str]], plugins: Plugins) -> int:
    """Print the model that the overrides describe; of two, side by side."""
    from gptlab.launch.experiment import Experiment

    configs = [config_of(words, plugins) for words in described]
    # What is wrong shows before data is read.
    experiments = [Experiment.of(config, plugins.registry) for config in configs]
    summaries = [experiment.summary() for experiment in experiments]

    from gptlab.drawing.table import console_here
    from gptlab.launch.fitting import advice, peak_of, told
    from gptlab.model.summary_table import differing, summary_table, versus_table

    console = console_here()
    if len(summaries) == 1:
        console.print(summary_table(summaries[0], experiments[0].plan.numSteps))
        if (peak := peak_of(experiments[0])) is not None:
            show(told(peak))
            if not peak.fits:
                show(f"It does not fit. {advice(experiments[0], peak)}")
        if experiments[0].config.engine.name == "scalar":
            show(
                "engine=scalar keeps a Value for each number and operation, which is far more memory than that"
            )
    else:
        keys = differing(*map(texts_of, configs))
        console.print(versus_table(summaries[0], summaries[1], keys, console.width))
    return 0


def split(arguments: list[str]) -> tuple[list[str], list[str] | None]:
    """The first config's overrides, and the second's: those of `versus=`, behind the first's or by themselves.

    Raises UserError for a second `versus=`, for one that is empty, and for quotes without their other half.
    """
    own = [argument for argument in arguments if not argument.lstrip("+").startswith(f"{VERSUS}=")]
    given = [argument.partition("=")[2] for argument in arguments if argument not in own]
    if not given:
        return own, None
    example = "Type python -m gptlab summary +experiment=book versus='model.nEmbd=64 model.nLayer=4'."
    if len(given) > 1:
        raise UserError(f"versus can be given once: got {' and '.join(given)}. {example}")
    try:
        words = shlex.split(given[0])
    except ValueError as error:
        raise UserError(
            f"versus must be overrides as you would type them: got {given[0]}: {error}."
        ) from None
    if not words:
        raise UserError(f"versus must name overrides: got none. {example}")
    # Two experiments in one config would be a third one.
    alone = any(word.lstrip("+").startswith("experiment=") for word in words)
    return own, words if alone else own + words


def config_of(overrides: list[str], plugins: Plugins) -> Config:
    """The checked config. Raises UserError for a sweep, and for what only a training has."""
    line = read_command_line(overrides, single=True)
    if line.sweeps:
        raise UserError("summary describes one config: got a sweep. Give one value for each key.")
    config = typed(Config, settings_of("summary", line, plugins))
    if config.resume is not None:
        raise UserError("summary describes a config, and resume= goes on with a run: leave it out.")
    return config


def texts_of(config: Config) -> dict[str, str]:
    """Values by dotted keys, as they are typed; the description, which describes no model, is left out."""
    values = {
        key: value for key, value in flatten(as_dict(config)).items() if key != "description" and value != {}
    }
    return {key: "null" if value is None else str(value) for key, value in values.items()}
