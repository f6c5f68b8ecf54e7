"""Hydra's launchers: the extra that each is in, what it needs to be there, and what it is told."""

from __future__ import annotations

import os
import shutil

from gptlab.errors import UserError

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


def not_installed(group: str, name: str) -> UserError | None:
    """What a person is told who has chosen what an extra brings, and has not got it; None if no extra does."""
    extra = EXTRAS.get(f"{group}/{name}")
    if extra is None:
        return None
    what = group.rpartition("/")[2]
    return UserError(f"the {what} '{name}' must be installed, and is not. Type pip install 'gptlab[{extra}]'")


def check_launcher(target: str) -> None:
    """Raises UserError if the launcher, by the name of its class, could not launch anything here."""
    if target.endswith(".SlurmLauncher") and shutil.which("srun") is None:
        raise UserError(
            "jobs go to SLURM from a machine that has its commands: there is no srun here. Type "
            "+sweep=submitit_local to try the same without SLURM, or +sweep=joblib for processes of this machine."
        )
    if ".hydra_ray_launcher." in target:
        for name, value in RAY.items():
            os.environ.setdefault(name, value)
