"""What a run is called: what was chosen on the command line, short enough to read in a table."""

import re

GROUP_PREFIXES = ("model.", "train.", "optimizer.", "schedule.", "data.", "tokenizer.", "engine.")


def run_name(overrides: list[str], in_sweep: bool) -> str:
    """`tiny nEmbd=32` for `+experiment=tiny model.nEmbd=32`; in a sweep only the overrides.

    Where a run is kept and shown (`tracking`, `progress`, `hydra`, `description`) is no part of its name.
    """
    experiment, chosen = "", []
    for override in overrides:
        key, _, value = override.partition("=")
        key = key.lstrip("+~")
        if key == "experiment":
            experiment = value
        elif not re.match(r"(tracking|progress|hydra|description|listeners)\b", key):
            chosen.append(f"{short(key)}={value}")
    words = chosen if in_sweep and chosen else [experiment or "train", *chosen]
    return " ".join(words)[:250]


def short(key: str) -> str:
    key = key.removeprefix("model/")
    for prefix in GROUP_PREFIXES:
        key = key.removeprefix(prefix)
    return key
