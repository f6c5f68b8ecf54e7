"""Hydra's sweepers and launchers: how they are asked for, what they need to be there, and what they take."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from typing import TYPE_CHECKING

from gptlab.errors import UserError, require

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

GROUP = "sweep"  # the ready files: +sweep=joblib

# What Hydra calls a launcher or sweeper, and the extra of gptlab that has it.
EXTRAS = {
    "hydra/launcher/joblib": "joblib",
    "hydra/launcher/submitit_local": "submitit",
    "hydra/launcher/submitit_slurm": "submitit",
    "hydra/launcher/ray": "ray",
    "hydra/launcher/ray_aws": "ray",
    "hydra/sweeper/optuna": "optuna",
}

# What Ray reads when it is imported. As with MLflow nobody is told of what is run here, unless the user says so.
RAY = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0", "RAY_COLOR_PREFIX": "0"}

BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
OPTUNA = "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper"
TYPED = "hydra/sweeper=optuna"  # as Hydra's manual has it
NEEDED = {"CmaEsSampler": "cmaes", "GPSampler": "torch"}  # packages of samplers, which Optuna loads late
TRIED = 12  # whole numbers in a row: one of them is a multiple of whatever it must be


def with_ready_sweeper(arguments: list[str]) -> list[str]:
    """The arguments with `+sweep=optuna` for `hydra/sweeper=optuna`, beside another ready file if there is one.

    gptlab's settings for the sweeper are there.
    Raises UserError for a sampler that they do not fit.
    """
    if "hydra/sweeper/sampler=grid" in arguments:
        raise UserError(
            "-m makes a grid by itself: leave out hydra/sweeper/sampler=grid and Optuna, and name the values, e.g. "
            "model.nEmbd=16,32"
        )
    if TYPED not in arguments:
        return arguments
    sign = f"+{GROUP}="
    chosen = [text.removeprefix(sign).strip("[]") for text in arguments if text.startswith(sign)]
    names = [*(part for text in chosen for part in text.split(",")), "optuna"]
    names = list(dict.fromkeys(filter(None, names)))
    ready = sign + (names[0] if len(names) == 1 else f"[{','.join(names)}]")
    return [ready if text == TYPED else text for text in arguments if not text.startswith(sign)]


def values_of_interval(override: Override) -> list[str]:
    """Some of the overrides that `key=interval(low, high)` stands for: its ends, and some between.

    Raises UserError if there is nothing between its ends.
    """
    from hydra.core.override_parser.types import IntervalSweep

    value, key = override.value(), override.get_key_element()
    assert isinstance(value, IntervalSweep) and value.start is not None and value.end is not None
    low, high = value.start, value.end
    if not low < high:
        raise UserError(
            f"an interval goes from a lower number to a higher one: got {override.input_line}. "
            f"Try {key}=interval({min(low, high)}, {max(low, high) if low != high else high + 1})"
        )
    if "log" in value.tags and low <= 0:
        raise UserError(f"an interval on a log scale must begin above 0: got {override.input_line}.")
    if isinstance(low, int) and isinstance(high, int):
        between: list[float] = list(range(low + 1, min(high, low + TRIED)))
    else:
        between = [(low + high) / 2]
    return [f"{key}={number}" for number in (low, high, *between)]


def check_sweeper(sweeper: DictConfig, overrides: list[Override], swept: list[str]) -> None:
    """Raises UserError for what this sweeper, the config in `hydra.sweeper`, cannot do."""
    intervals = [o for o in overrides if o.is_sweep_override() and not o.is_discrete_sweep()]
    if intervals and sweeper._target_ == BASIC:
        key = intervals[0].get_key_element()
        raise UserError(
            f"an interval needs a sampler that chooses values from it: got {intervals[0].input_line}. Let Optuna "
            f"choose, with +sweep=optuna, or name the values: {key}=1,2"
        )
    if sweeper._target_ != OPTUNA:
        return
    for key in ("n_trials", "n_jobs"):
        require(f"hydra.sweeper.{key}", sweeper[key], at_least=1, example=1)
    sampler = str(sweeper.sampler._target_).rpartition(".")[2]
    package = NEEDED.get(sampler)
    if package is not None and find_spec(package) is None:
        raise UserError(
            f"Optuna's {sampler} needs the package {package}, which is not installed. Type pip install {package}, "
            "or use the sampler that needs no other package: hydra/sweeper/sampler=tpe"
        )
    if not swept:
        raise UserError(
            "Optuna needs a key to choose values for, and none is swept. Give one, e.g. "
            "'train.learningRate=tag(log,interval(0.001,0.1))'"
        )


def not_installed(group: str, name: str) -> UserError | None:
    """What a person is told who has chosen what an extra brings, and has not got it; None if no extra does."""
    extra = EXTRAS.get(f"{group}/{name}")
    if extra is None:
        return None
    what = group.rpartition("/")[2]
    return UserError(f"the {what} '{name}' is not installed. Type pip install 'gptlab[{extra}]'")


def check_launcher(target: str) -> None:
    """Raises UserError if the launcher, by the name of its class, could not launch anything here."""
    if target.endswith(".SlurmLauncher") and shutil.which("srun") is None:
        raise UserError(
            "jobs are sent to SLURM from a machine that has its commands: there is no srun here. Type "
            "+sweep=submitit_local to try the same without SLURM, or +sweep=joblib to use processes on this "
            "machine."
        )
    if ".hydra_ray_launcher." in target:
        for name, value in RAY.items():
            os.environ.setdefault(name, value)
