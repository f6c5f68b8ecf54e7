"""What the values of a config must be besides their types, which Hydra checks."""

from __future__ import annotations

import re

from gptlab.config.duration import seconds_in
from gptlab.config.ranges import BOUNDS
from gptlab.config.typed import ALL, Config
from gptlab.errors import UserError, require

LONGEST = 255  # of a name in MLflow's model registry


def check_values(config: Config) -> None:
    """Raises UserError for numbers out of range, before anything is built."""
    check_registering(config)
    train, saved = config.train, config.checkpoint
    if isinstance(train.batchSize, str) and train.batchSize != ALL:
        raise UserError(
            f"train.batchSize must be a whole number, or {ALL}: got {train.batchSize}. Try train.batchSize=16."
        )
    for key, value, example in (
        ("train.numSteps", train.numSteps, 1000),
        ("train.batchSize", None if train.batchSize == ALL else train.batchSize, f"16, or {ALL}"),
        ("train.accumulate", train.accumulate, 4),
        ("train.logEvery", train.logEvery, 10),
        ("train.evalEvery", train.evalEvery, 250),
        ("seed", config.seed, 0),
        ("samples.n", config.samples.n, 5),
        ("checkpoint.every", saved.every, "1000, or checkpoint.every=null"),
        ("checkpoint.keep", saved.keep, 2),
        ("inspect.every", config.inspect.every, "100, or inspect.every=null"),
        ("train.learningRate", train.learningRate, 0.01),
        ("train.average", train.average, "0.999, or train.average=null"),
        ("model.softCap", config.model.softCap, "30.0, or model.softCap=null"),
        ("model.initStd", config.model.initStd, 0.08),
        ("sweep.jobs", config.sweep.jobs, 2),
    ):
        if value is not None:
            require(key, value, **BOUNDS[key], example=example)
    if train.budget is not None:
        seconds_in("train.budget", train.budget)
    if config.sweep.rank not in ("last", "best"):
        raise UserError(f"sweep.rank must be last or best: got {config.sweep.rank}. Try sweep.rank=last.")
    if config.progress not in ("auto", "none"):
        raise UserError(f"progress must be auto or none: got {config.progress}. Try progress=auto.")


def check_registering(config: Config) -> None:
    """Raises UserError for a `register` or `registerAlias` that MLflow would refuse at the end, or nobody act on."""
    name, alias = config.register, config.registerAlias
    if name is None:
        return
    if config.tracking.name != "mlflow":
        raise UserError(f"register={name} needs tracking=mlflow: got tracking={config.tracking.name}.")
    if not config.tracking.get("logModel", True):
        raise UserError(f"register={name} needs tracking.logModel=true: got false.")
    fitting = re.sub(r"[/:\s]+", "-", name).strip("-.") or "sentences"
    if not name.strip() or re.search(r"[/:\x00-\x1f]", name) or name in (".", "..") or len(name) > LONGEST:
        raise UserError(
            f"register must be a name of at most {LONGEST} characters, without slashes and colons: got "
            f"{name[:300]!r}. Try register={fitting[:LONGEST]}."
        )
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", alias) or re.fullmatch(r"(?i)latest|v\d+", alias):
        raise UserError(
            "registerAlias must consist of letters, digits, - and _, and be neither latest nor v1, v2 ... "
            f"(MLflow's own): got {alias[:300]!r}. Try registerAlias={Config.registerAlias}."
        )
