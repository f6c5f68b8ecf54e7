"""What a command does, as a call: from a notebook or a script, in its own process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptlab.command.composing import prepared, settings_of
from gptlab.command.line import CommandLine, check_typed_keys, read_command_line
from gptlab.command.verbs import ROOTS
from gptlab.config.schema import AblateConfig
from gptlab.config.typed import typed
from gptlab.errors import UserError
from gptlab.streams import show

if TYPE_CHECKING:
    from gptlab.ablation.result import Ablation
    from gptlab.loaded.loaded import Loaded


def train(*overrides: str) -> Loaded:
    """`train("+experiment=tiny", "model.nEmbd=32")`: what `python -m gptlab` trains; the run as `load` gives it.

    Raises UserError for overrides that cannot be meant, TrainingStopped for a run that ends before its last step.
    """
    from gptlab.cli.verbs.train import OneRun, run_one
    from gptlab.loaded.loaded import load

    line = line_of("train", overrides)
    check_typed_keys(line, ROOTS["train"])
    job = OneRun(prepared(line))
    if line.sweeps or not run_one(line, job):
        raise UserError("train makes one run: for a sweep type python -m gptlab -m ...")
    if job.error is not None:
        raise job.error
    assert job.trained is not None
    return load(job.trained.folder, registry=job.plugins.registry)


def ablate(*overrides: str) -> Ablation:
    """`ablate("+experiment=tiny", "arms=[model/norm=layernorm]", "seeds=12")`: what `python -m gptlab ablate` finds.

    Raises UserError for overrides that cannot be meant.
    """
    from gptlab.ablation.running import Ablate

    line = line_of("ablate", overrides)
    plugins = prepared(line)
    settings: AblateConfig = typed(ROOTS["ablate"], settings_of("ablate", line, plugins))
    asked = Ablate(settings, line, plugins, list(overrides), show)
    asked.run()
    if asked.found is None:
        raise UserError("the ablation has ended, but its result could not be shown: see its folder")
    return asked.found


def line_of(verb: str, overrides: tuple[str, ...]) -> CommandLine:
    """Raises UserError for a flag, which only a command has."""
    flags = [text for text in overrides if text.startswith("-")]
    if flags:
        raise UserError(f"{verb} takes overrides, each as a string of its own: got {' '.join(flags)}.")
    return read_command_line(list(overrides), verb, single=True)
