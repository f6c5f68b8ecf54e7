"""The verb `ablate`: is an arm better than the baseline, by how much, and is that more than luck?"""

from __future__ import annotations

import contextlib
import sys

from gptlab.cli.reading import with_settings
from gptlab.command.composing import prepared
from gptlab.command.line import CommandLine
from gptlab.config.schema import AblateConfig
from gptlab.streams import show

JSON = "--json"

HELP = """\
Compare arms with a baseline, seed by seed, until each is decided: better, worse, equivalent, or undecided.

  python -m gptlab ablate +experiment=tiny arms='[model/norm=layernorm, model/activation=gelu]' seeds=12
  python -m gptlab ablate +experiment=book minus='[norm, position, mlp]' plus='[+experiment=muon]' \\
      tune='train.learningRate=log(0.001,0.03,5)'
  python -m gptlab ablate +experiment=tiny arms='[model/position=rope]' \\
      sizes='model.nEmbd=16,32,64,128' match=flops

All other words describe the baseline, as for training. A run that was trained before is not trained again.

arms, plus  what is put in, one at a time: [model/norm=layernorm, [train.batchSize=8, train.numSteps=6000],
            +experiment=muon]; a list in brackets is one arm; an experiment's file is what that file says
minus       parts to take out, one at a time: [norm, position, mlp]
stack       true: one more arm with all winners at once, since gains need not add up
seeds       at most so many seeds for each arm (12); arms begin with fewer, and stop once they are decided
tune        values to choose from, for each arm by itself, on seeds of their own:
            train.learningRate=log(0.001,0.03,5)
sizes       does it hold? the same at each of these: model.nEmbd=16,32,64,128
match       what arms share with the baseline: steps (if left out), params, flops, seconds
epsilon     the difference, in nats a token, that counts as none (0.01)
budget      a limit of time: 90s, 2m, 1h
again       true: train again what has been trained before
--json      one JSON object on standard output; everything else goes to standard error
sweep.resume=latest  go on with one that was stopped\
"""


def run(arguments: list[str]) -> int:
    as_json = JSON in arguments
    rest = [argument for argument in arguments if argument != JSON]
    return with_settings("ablate", rest, lambda settings, line: ablate(settings, line, rest, as_json))


def ablate(settings: AblateConfig, line: CommandLine, arguments: list[str], as_json: bool) -> int:
    """Run it; 0, or 1 if a run failed."""
    from gptlab.ablation.running import Ablate

    asked = Ablate(settings, line, prepared(line), arguments, show)
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        status = asked.run()
    if as_json and asked.found is not None:
        from gptlab.ablation.report.as_json import json_text

        show(json_text(asked.found, curves=False))
    return status
