"""Records of jobs that were never run, for what is made of them."""

import math
import random
from dataclasses import replace

from gptlab.sweeps.record import FAILED, FINISHED, JobRecord
from gptlab.sweeps.values import short


def record(
    number: int,
    overrides: dict[str, str],
    loss: float | None,
    parameters: int = 4192,
    status: str = FINISHED,
    reason: str = "",
) -> JobRecord:
    """A job whose last and best validation loss is `loss`; with None it has no losses at all."""
    noise = random.Random(number)
    steps = range(50, 1001, 50)
    train = [(s, loss + math.exp(-s / 200) + noise.gauss(0, 0.05)) for s in steps] if loss is not None else []
    validation = (
        [(s, loss + math.exp(-s / 200) - math.exp(-5)) for s in steps[4::5]] if loss is not None else []
    )
    return JobRecord(
        number=number,
        name=" ".join(f"{short(key)}={value}" for key, value in overrides.items()),
        overrides=overrides,
        folder=str(number),
        status=status,
        reason=reason,
        runId=f"{number:032x}",
        parameters=parameters,
        steps=1000 if train else 0,
        smoothedTrainLoss=loss,
        valLoss=loss,
        bestValLoss=loss,
        bestStep=None if loss is None else 1000,
        seconds=1.5,
        curves={"train/smoothedLoss": train, "val/loss": validation} if train else {},
    )


def with_metrics(job: JobRecord, **values: float) -> JobRecord:
    """The job with last values of these: `val__accuracy=0.5`; the first one has a curve as well."""
    metrics = {name.replace("__", "/"): value for name, value in values.items()}
    first, last = next(iter(metrics.items()))
    points = [(step, last * step / 1000) for step in range(250, 1001, 250)]
    return replace(job, metrics=metrics, curves={**job.curves, first: points})


def failed(number: int, overrides: dict[str, str], reason: str) -> JobRecord:
    return record(number, overrides, None, status=FAILED, reason=reason)


def rates_and_seeds() -> list[JobRecord]:
    """Three learning rates over decades, five seeds each; 0.01 is the best by far, at 0.1 two fail."""
    found = []
    for rate, loss in (("0.001", 2.4), ("0.01", 2.2), ("0.1", 2.6)):
        for seed in range(5):
            overrides = {"train.learningRate": rate, "seed": str(seed)}
            if rate == "0.1" and seed < 2:
                found.append(failed(len(found), overrides, "the loss is no longer finite\nat step 200"))
            else:
                found.append(record(len(found), overrides, loss + 0.01 * (seed - 2)))
    return found


def thousand() -> list[JobRecord]:
    """Ten learning rates, ten betas, ten seeds; a few fail."""
    found = []
    for i in range(1000):
        rate, beta, seed = i // 100, i // 10 % 10, i % 10
        overrides = {
            "train.learningRate": f"{10 ** (-4 + rate / 3):.2g}",
            "optimizer.beta1": f"{0.8 + 0.019 * beta:.3f}",
            "seed": str(seed),
        }
        if rate == 9 and seed < 3:
            found.append(failed(i, overrides, "the loss is no longer finite"))
        else:
            found.append(record(i, overrides, 2.2 + 0.02 * (rate - 5) ** 2 + 0.001 * beta + 0.002 * seed))
    return found
