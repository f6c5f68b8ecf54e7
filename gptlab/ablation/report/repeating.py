"""What exactly was run, so that a stranger can repeat it, and how its numbers were made."""

from __future__ import annotations

import shlex

from gptlab.ablation.report.tables import seeds_named
from gptlab.ablation.report.words import epsilon_text, one_line, values_text
from gptlab.ablation.result import Ablation
from gptlab.streams import visible

VERB = "ablate"
LONGEST = 2000  # characters of a fact


def command(ablation: Ablation) -> str:
    """The command line, for a shell, as it works wherever gptlab is installed."""
    typed = ablation.command
    if VERB in typed[:2]:  # with the program's own name, which is that of this machine
        typed = typed[typed.index(VERB) + 1 :]
    return visible(shlex.join(["python", "-m", "gptlab", VERB, *typed]))


def facts(ablation: Ablation) -> list[tuple[str, str]]:
    """What it is called, and what it was."""
    runs = [run for _, setting in ablation.settings for run in setting.runs]
    reused = sum(run.reused for run in runs)
    found = [
        ("date", ablation.date),
        ("status", ablation.status.lower()),
        ("baseline", " ".join(ablation.baselineOverrides)),
        ("baseline's tuned values", values_text(ablation.baseline.tuned) if ablation.baseline.tuned else ""),
        ("seeds of the baseline", listed_seeds([run.seed for run in ablation.baseline.runs])),
        ("seeds at most", f"{ablation.seeds:,}"),
        ("looks", f"after {', '.join(map(str, ablation.looks))} seeds" if ablation.looks else ""),
        ("epsilon", f"{epsilon_text(ablation.epsilon)} nats"),
        ("matched in", ablation.match),
        ("runs", f"{len(runs):,}" + (f", {reused:,} of them there before" if reused else "")),
        *((name.removeprefix("version."), version) for name, version in ablation.versions.items()),
        *((f"digest of the {name}", digest) for name, digest in ablation.digests.items()),
        ("folder", ablation.folder),
        ("MLflow run", ablation.runId),
    ]
    return [(one_line(name), one_line(text, LONGEST)) for name, text in found if text]


def listed_seeds(seeds: list[int]) -> str:
    """`0 to 11`, or all of them."""
    if len(seeds) > 2 and sorted(seeds) == list(range(min(seeds), max(seeds) + 1)):
        return f"{min(seeds)} to {max(seeds)}"
    return seeds_named(seeds).partition(" ")[2] if seeds else ""


def method(ablation: Ablation) -> str:
    """A paragraph for a paper."""
    looks = ", ".join(map(str, ablation.looks)) or str(ablation.seeds)
    said = [
        "Each arm is compared with the baseline seed by seed: both sides of a pair share initial weights, the order of "
        "the data and the held-out set, and a difference is the arm's last validation loss less the baseline's, in "
        "nats a token."
    ]
    if any(arm.tuning is not None for arm in ablation.arms):
        said.append(
            "Each arm, the baseline included, chose its values of the tuned keys from the same grid, on seeds of their "
            "own, and was judged on fresh ones."
        )
    said += [
        f"Seeds were added up to {ablation.seeds}, with looks after {looks}; the test is a group-sequential sign-flip "
        "permutation test (Fisher 1935; Mathieu et al. 2023, arXiv 2306.10882) whose error is spent with the cube of "
        "the share of seeds (alpha spending, Lan and DeMets 1983), its p values corrected for the number of arms (Holm "
        "1979). Intervals are 95% by Student's t; BCa bootstrap intervals (Efron 1987) are beside them in the JSON and "
        f"the CSV. Equivalence within {epsilon_text(ablation.epsilon)} nats is by two one-sided tests (Schuirmann "
        "1987) of the same kind. Runs that broke down count against their arm."
    ]
    return " ".join(said)
