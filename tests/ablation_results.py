"""Ablations that were never run, for what is made of them."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gptlab.ablation.result import (
    Ablation,
    ArmResult,
    AtSize,
    Comparison,
    Costs,
    Noise,
    SeedRun,
    Setting,
    Speedup,
    Tuning,
    Verdict,
)

BASELINE = 2.1
HALF = chr(0xD800)  # of a letter: no bytes stand for it
HOSTILE = f"</td><script>alert('{{{{style}}}}')</script>|`$x$ \x1b[31m\u202e{HALF} [a](javascript:alert(1)) @all\nnext"
LONG = "experiment=" + "averyveryverylongnameofanarm" * 6


@dataclass(frozen=True)
class Line:
    """A law by which every size has one loss."""

    loss: float

    @property
    def formula(self) -> str:
        return f"L = {self.loss}"

    def __call__(self, parameters: np.ndarray) -> np.ndarray:
        return np.full_like(parameters, self.loss)


@dataclass(frozen=True)
class Fitted:
    baseline: Line | None = None
    arm: Line | None = None
    refusal: str = ""


def seed_runs(name: str, loss: float, seeds: int, lost: int = 0, reason: str = "") -> list[SeedRun]:
    """Runs whose last losses scatter around `loss`; the last `lost` of them broke down at half of the way."""
    noise = random.Random(name.encode("utf-8", "replace"))
    found = []
    for seed in range(seeds):
        shared = random.Random(seed).gauss(0, 0.02)  # what pairing takes away
        last = loss + shared + noise.gauss(0, 0.006)
        steps = range(100, 1001, 100)
        curve = [(s, last + math.exp(-s / 200) - math.exp(-5)) for s in steps]
        broke = seed >= seeds - lost
        found.append(
            SeedRun(
                seed=seed,
                status="FAILED" if broke else "FINISHED",
                loss=None if broke else last,
                folder=f"multirun/ablate/{name}/{seed}",
                runId=f"{abs(hash((len(name), seed))) % 16**8:032x}",
                reason=(reason or "the loss is no longer finite\nat step 400") if broke else "",
                reused=name == "baseline" and seed < 2,
                curve=curve[:5] if broke else curve,
            )
        )
    return found


def costs(parameters: int = 4192, seconds: float = 1.5) -> Costs:
    return Costs(parameters, 1000, 6.0 * parameters * 1000 * 16, seconds)


def compared(
    difference: float | None,
    half: float = 0.009,
    p: float | None = 0.0005,
    verdict: Verdict = "better",
    seeds: int = 12,
    **more: object,
) -> Comparison:
    if difference is None:
        return replace(Comparison(seeds, None, None, None, None, None, verdict), **more)
    low, high = difference - half, difference + half
    found = Comparison(seeds, difference, low, high, (low + 0.001, high - 0.001), p, verdict)
    return replace(found, **more)


def arm(name: str, comparison: Comparison, overrides: Sequence[str] = (), **more: object) -> ArmResult:
    # Above the others by far, and no number at all, are what an arm without a comparison has.
    loss = BASELINE + (0.4 if comparison.difference is None else comparison.difference)
    runs = seed_runs(name, loss, comparison.seeds, comparison.lost)
    sooner = None if comparison.difference is None or comparison.difference > 0 else 1.43
    speedup = Speedup(sooner, sooner and sooner * 0.98, sooner and 1.21)
    found = ArmResult(
        name, list(overrides or [name]), comparison, Setting({}, runs, costs(4480, 1.75)), speedup
    )
    return replace(found, **more)


def ablation(arms: Sequence[ArmResult], **more: object) -> Ablation:
    found = Ablation(
        question="tiny: model/norm=layernorm, model/activation=gelu or squaredrelu?",
        command=["+experiment=tiny", "arms=[model/norm=layernorm, model/activation=squaredrelu]", "seeds=12"],
        date="2026-11-29T08:30:00+00:00",
        folder="multirun/ablate",
        baseline=Setting({}, seed_runs("baseline", BASELINE, 12), costs()),
        noise=Noise(
            deviation=0.025, seeds=12, detectable=0.0302, needed=87, sampling=0.0041, adjusted=0.0023
        ),
        arms=list(arms),
        seeds=12,
        looks=[6, 9, 12],
        epsilon=0.01,
        match="steps",
        baselineOverrides=["+experiment=tiny"],
        versions={"gptlab": "0.1.0", "version.jax": "0.10.2", "python": "3.12.4"},
        digests={"data": "9f" * 32, "code": "e4" * 32},
        runId="ab" * 16,
    )
    return replace(found, **more)


def plain() -> Ablation:
    """Every verdict but failed; not in the order of the differences."""
    return ablation(
        [
            arm("norm=layernorm", compared(0.003, 0.006, 0.4, "equivalent"), ["model/norm=layernorm"]),
            arm(
                "activation=gelu",
                compared(-0.011, 0.016, 0.162, "undecided", 12, needs=14),
                ["model/activation=gelu"],
            ),
            arm("norm=none", compared(0.061, 0.02, 0.0004, "worse"), ["model/norm=none"]),
            arm("activation=squaredrelu", compared(-0.021), ["model/activation=squaredrelu"]),
        ]
    )


def with_failures() -> Ablation:
    """One arm of which all runs broke down, one that lost two, one far away from all others."""
    return ablation(
        [
            arm("norm=none", compared(None, seeds=6, verdict="failed", lost=6)),
            arm("activation=gelu", compared(-0.052, 0.03, None, "failed", 6, lost=2)),
            arm("position=none", compared(1.7, 0.2, 0.0005, "worse")),
            arm("activation=squaredrelu", compared(-0.021)),
            arm("mlp=swiglu", compared(-0.004, 0.012, 0.6, "undecided", needs=40)),
            arm("norm=layernorm", compared(0.006, 0.012, 0.3, "undecided", needs=30)),
        ]
    )


def one_arm() -> Ablation:
    return ablation([arm("activation=squaredrelu", compared(-0.021))], noise=None)


def undecided() -> Ablation:
    """Too few seeds for any p."""
    few = {"verdict": "undecided", "seeds": 3, "p": None}
    arms = [
        arm("activation=gelu", compared(-0.002, 0.03, needs=20, **few)),
        arm("mlp=swiglu", compared(0.01, 0.03, **few)),
    ]
    return ablation(arms, seeds=3, looks=[3])


def nine() -> Ablation:
    found = []
    for i in range(9):
        difference = 0.01 * (i - 4)
        verdict: Verdict = "better" if i < 3 else "worse" if i > 5 else "undecided"
        found.append(
            arm(f"part{i}=other", compared(difference, 0.004 + 0.003 * (i % 4), 0.05 / (i + 1), verdict))
        )
    return ablation(found[::2] + found[1::2])


def tuned() -> Ablation:
    """Over five rates; adam's best one is at the edge."""
    rates = ["0.001", "0.0024", "0.0055", "0.013", "0.03"]

    def tuning(best: int, loss: float, edge: str = "", fails: int = 9) -> Tuning:
        points = [
            ({"train.learningRate": rate}, None if i >= fails else loss + 0.03 * (i - best) ** 2)
            for i, rate in enumerate(rates)
        ]
        return Tuning(points, {"train.learningRate": rates[best]}, edge, 0.0312)

    wider = "tune='train.learningRate=log(0.0002,0.03,7)'"
    arms = [
        arm(
            "optimizer=adam",
            compared(0.008, 0.012, 0.31, "undecided", needs=22),
            ["optimizer=adam"],
            untuned=compared(0.034, 0.01, 0.001, "worse"),
            tuning=tuning(0, BASELINE + 0.01, wider),
        ),
        arm(
            "+experiment=muon",
            compared(-0.043),
            ["+experiment=muon"],
            untuned=compared(None, verdict="failed", lost=12),
            tuning=tuning(3, BASELINE - 0.04, fails=4),
        ),
    ]
    found = ablation(
        arms,
        baselineTuning=tuning(2, BASELINE),
        notes=[f"optimizer=adam: the best value is at the edge. Try {wider}"],
    )
    best = replace(found.baseline, tuned={"train.learningRate": "0.0055"})
    return replace(
        found,
        baseline=best,
        command=["+experiment=book", "plus=[+experiment=muon]", "tune=train.learningRate=log(0.001,0.03,5)"],
    )


def with_sizes() -> Ablation:
    """Two arms at four sizes; one changes its sign."""

    def at(size: int, difference: float, verdict: Verdict) -> AtSize:
        parameters = 12 * size**2
        baseline = 1.8 + 6 * parameters**-0.35
        return AtSize(
            [f"model.nEmbd={size}"],
            parameters,
            baseline,
            baseline + difference,
            compared(difference, verdict=verdict),
        )

    sizes = (16, 32, 64, 128)
    better = [at(size, -0.02 - 0.01 * i, "better") for i, size in enumerate(sizes)]
    turning = [at(size, 0.03 - 0.02 * i, "worse" if i < 2 else "better") for i, size in enumerate(sizes)]
    return ablation(
        [
            arm("position=rope", compared(-0.021), sizes=better),
            arm("norm=layernorm", compared(0.02, 0.01, 0.002, "worse"), sizes=turning),
        ]
    )


def hostile() -> Ablation:
    runs = seed_runs("baseline", BASELINE, 12)
    runs[0] = replace(runs[0], folder='javascript:alert(1)//"><b>', runId='"><img src=x onerror=alert(1)>')
    arms = [
        arm(HOSTILE, compared(-0.021), [HOSTILE]),
        arm(LONG, compared(0.003, 0.006, 0.4, "equivalent"), [LONG]),
        replace(
            arm("x", compared(None, verdict="failed", lost=12)),
            name=HOSTILE + "2",
            setting=Setting({}, seed_runs("x", 1.0, 12, 12, HOSTILE), costs()),
        ),
    ]
    return ablation(
        arms,
        question=HOSTILE,
        notes=[HOSTILE],
        command=[HOSTILE, "```"],
        versions={HOSTILE: HOSTILE},
        digests={HOSTILE: HOSTILE},
        runId=HOSTILE,
        baseline=Setting({HOSTILE: HOSTILE}, runs, costs()),
        baselineOverrides=[HOSTILE],
        status=HOSTILE,
        date=HOSTILE,
        match=HOSTILE,
    )


def extreme() -> Ablation:
    """Numbers at the edge of what a float holds, and none at all."""
    found = ablation([arm("huge", compared(5e307, 1e308, 1.0, "worse")), arm("zero", compared(0.0, 0.0))])
    runs = [replace(run, loss=1e308, curve=[(1, 1e308)]) for run in found.arms[0].setting.runs]
    huge = replace(found.arms[0], setting=Setting({}, runs, Costs(2**62, 0, 1e300, 0.0)))
    return replace(found, arms=[huge, found.arms[1]], baseline=Setting({}, [], costs()), seeds=0, looks=[])


EXAMPLES = {
    made.__name__: made
    for made in (plain, with_failures, one_arm, undecided, nine, tuned, with_sizes, hostile, extreme)
}
