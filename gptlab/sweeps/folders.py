"""The folders that a sweep's jobs will have, known before the first one where nobody chooses values meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from gptlab.command.composing import compose_job
from gptlab.command.line import CommandLine, choices_of, parsed
from gptlab.command.sweepers import BASIC
from gptlab.errors import UserError
from gptlab.runs.claiming import check_free_for_run
from gptlab.runs.files import SWEEP

if TYPE_CHECKING:
    from omegaconf import DictConfig

BY_NUMBER = ("${hydra.job.num}", "${hydra:job.num}")  # gptlab's own: it tells all jobs apart
# What Hydra works out of a whole command: a config must be composed to know it.
COMPOSED = ("override_dirname", "overrides", "choices")
CLOCK = "${now:"
SUBDIR = "hydra.sweep.subdir"


def check_folders_of_jobs(
    line: CommandLine, sweeper: DictConfig, as_written: str, root: Path, new: bool
) -> None:
    """Raises UserError if two jobs of a sweep would have one folder, or one would have another run's.

    Where Optuna or a clock chooses, it is not known before: there a job is refused once it finds its folder taken.
    sweeper: `hydra.sweeper`. as_written: `hydra.sweep.subdir`, unresolved. new: whether nothing of it is there yet.
    """
    if sweeper._target_ != BASIC or CLOCK in as_written:
        return
    new = new and not (root / SWEEP).exists()  # which is refused for itself
    by_number = as_written in BY_NUMBER
    if by_number and not (new and root.is_dir() and any(root.iterdir())):
        return
    seen: dict[str, tuple[int, list[str]]] = {}
    for number, (job, subdir) in enumerate(folders_of_jobs(line, sweeper, as_written)):
        if subdir is None:
            continue  # what is wrong with it shows when it runs
        folder = Path(os.path.abspath(root / subdir))
        if root not in folder.parents:
            raise UserError(
                f"a job's folder must lie in its sweep's: {SUBDIR}={as_written} puts job {number} into "
                f"{os.path.relpath(folder)}. Leave it out"
            )
        place = os.path.realpath(folder)
        if place in seen:
            other, its = seen[place]
            differing = [text for text in its if text not in job], [text for text in job if text not in its]
            raise UserError(
                f"each job of a sweep needs a folder of its own: {SUBDIR}={as_written} gives {subdir} to job {other}"
                f"{told(differing[0])} and to job {number}{told(differing[1])}. Leave it out{apart(as_written)}"
            )
        seen[place] = number, job
        if new:
            check_free_for_run(folder, "hydra.sweep.dir=")


def told(overrides: list[str]) -> str:
    return f" ({' '.join(overrides)})" if overrides else ""


def apart(as_written: str) -> str:
    if not as_written.strip("./"):
        return ""
    return f", or add the job's number: '{SUBDIR}={as_written.rstrip('/')}-${{hydra.job.num}}'"


def folders_of_jobs(
    line: CommandLine, sweeper: DictConfig, as_written: str
) -> Iterator[tuple[list[str], str | None]]:
    """The overrides of each job in Hydra's order, with `hydra.sweep.subdir` as they make it; None if that fails.

    Composing takes as long as training a small model: it is done once for each choice of components, and what is
    but a number or a text is set in what was composed.
    """
    params = [parsed(f"{key}={value}") for key, value in (sweeper.get("params") or {}).items()]
    choices = {override.get_key_element(): choices_of(override) for override in [*params, *line.overrides]}
    composes = bool(line.flags.config_name or line.flags.config_path or line.flags.config_dir)
    composes = composes or any(word in as_written for word in COMPOSED)
    values = {key for key, texts in choices.items() if len(texts) > 1 and not composes and is_value(key)}
    composed: dict[tuple[str, ...], DictConfig] = {}
    for number, texts in enumerate(product(*choices.values())):
        job = dict(zip(choices, texts, strict=True))
        parts = tuple(text for key, text in job.items() if key not in values)
        try:
            if parts not in composed:
                composed[parts] = compose_job(line.flags, list(parts))
            yield list(texts), subdir_of(composed[parts], number, [job[key] for key in values])
        except UserError:
            raise
        except Exception:  # of Hydra's or of whatever is asked by an interpolation
            yield list(texts), None


def is_value(key: str) -> bool:
    """Whether an override of this key sets a value, and selects no component or experiment."""
    from gptlab.command.sweepers import GROUP as SWEEP
    from gptlab.config.experiments import GROUP as EXPERIMENT
    from gptlab.plugins.registry import GROUPS

    return key[:1] not in "+~" and "/" not in key and key not in (*GROUPS.values(), EXPERIMENT, SWEEP)


def subdir_of(config: DictConfig, number: int, overrides: list[str]) -> str:
    """What `hydra.sweep.subdir` is in this config for the job with this number and these values."""
    from omegaconf import OmegaConf, open_dict, read_write

    with read_write(config), read_write(config.hydra), open_dict(config), open_dict(config.hydra):
        config.hydra.job.num = number
        config.hydra.job.id = str(number)
        for text in overrides:
            override = parsed(text)
            value = override.value()
            # A number as it was typed: the schema says what kind it is of.
            typed = text.partition("=")[2] if isinstance(value, (int, float)) else value
            OmegaConf.update(config, override.key_or_group, typed)
    with known_to_resolvers(config):
        return str(config.hydra.sweep.subdir)


@contextmanager
def known_to_resolvers(config: DictConfig) -> Iterator[None]:
    """`${hydra:...}` asks for this config."""
    from hydra.core.hydra_config import HydraConfig

    instance = HydraConfig.instance()
    earlier, instance.cfg = instance.cfg, config  # type: ignore[assignment]
    try:
        yield
    finally:
        instance.cfg = earlier
