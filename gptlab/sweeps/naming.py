"""What a run is called: what was chosen on the command line, short enough to read in a table."""

import re

from gptlab.command.as_typed import unquoted
from gptlab.sweeps.values import short, shown_value


def run_name(overrides: list[str], in_sweep: bool) -> str:
    """`tiny nEmbd=32` for `+experiment=tiny model.nEmbd=32`; in a sweep only the overrides.

    How it is run, kept and shown (`hydra`, `sweep`, `tracking`, `progress`, `description`) is no part of its name.
    """
    experiment, chosen = "", []
    for override in overrides:
        key, _, value = override.partition("=")
        key = key.lstrip("+~")
        if key == "experiment":
            experiment = unquoted(value)
        elif not re.match(r"(tracking|progress|hydra|sweep|description|listeners?)\b", key):
            chosen.append(f"{short(key)}={shown_value(unquoted(value))}")
    words = [] if in_sweep and chosen else [experiment]
    return " ".join(filter(None, [*words, *chosen]))[:250] or "train"
