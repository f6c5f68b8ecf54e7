"""STAND-IN until the statistics land."""

from dataclasses import dataclass

from gptlab.ablation.result import Comparison
from gptlab.statistics.paired import paired


@dataclass(frozen=True)
class Judged:
    comparison: Comparison
    decided: bool


def judge(baseline, arms, looks, epsilon):
    found = []
    for arm in arms:
        common = [s for s in arm if arm[s] is not None and baseline.get(s) is not None]
        lost = sum(v is None for v in arm.values())
        if len(common) < 2:
            found.append(
                Judged(
                    Comparison(
                        len(common),
                        None,
                        None,
                        None,
                        None,
                        None,
                        "failed" if lost else "undecided",
                        None,
                        lost,
                    ),
                    bool(lost),
                )
            )
            continue
        p = paired([arm[s] - baseline[s] for s in common])
        v = "undecided"
        if p.p is not None and p.p < 0.05 / len(arms):
            v = "better" if p.mean < 0 else "worse"
        found.append(
            Judged(
                Comparison(len(common), p.mean, p.interval.low, p.interval.high, None, p.p, v, None, lost),
                v != "undecided",
            )
        )
    return found
