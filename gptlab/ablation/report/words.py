"""What is said of an arm: its verdict in words and in a sentence, and numbers as a person reads them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from gptlab.ablation.result import Ablation, ArmResult, Comparison, Noise, SeedRun, Setting, Speedup
from gptlab.statistics.power import MOST
from gptlab.streams import visible
from gptlab.sweeps.style import LABEL, cut
from gptlab.training.metric_rows import loss_text

FEWEST = 6  # seeds whose sign-flip p can be below 0.05
NONE = "-"
TINY = 1e-4  # a p below which only that is said
EDGE = {"better": -1.0, "worse": 1.0}  # the sign of a difference that is told as how much


def one_line(text: str, length: int = LABEL) -> str:
    """A text of a stranger's as it can stand in a line: nothing in it moves a cursor, and it is no longer than that."""
    return cut(visible(" ".join(text.split())), length)


def digits_of(ablation: Ablation) -> int:
    """Behind the point: three, or as many as the narrowest interval needs, five at most."""
    found = [arm.comparison for arm in ablation.arms]
    widths = [c.high - c.low for c in found if c.low is not None and c.high is not None]
    widths = [width for width in widths if 0 < width < math.inf]
    return min(5, max(3, math.ceil(-math.log10(min(widths))))) if widths else 3


def number_text(value: float | None, digits: int = 3) -> str:
    """`-0.021`, and no `-0.000`."""
    if value is None:
        return NONE
    text = loss_text(value, digits)
    return text.lstrip("-") if not text.strip("-0.") else text


def signed(value: float | None, digits: int = 3) -> str:
    text = number_text(value, digits)
    return f"+{text}" if value is not None and value > 0 and text.strip("0.") else text


def interval_text(low: float | None, high: float | None, digits: int = 3) -> str:
    return (
        NONE if low is None or high is None else f"{number_text(low, digits)} to {number_text(high, digits)}"
    )


def p_text(p: float | None) -> str:
    """`0.0005`, `0.3`, `<0.0001`."""
    return NONE if p is None else f"<{TINY:.4f}" if p < TINY else f"{p:.2g}"


def times(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}×"


def counted(count: int, what: str, some: str = "") -> str:
    return f"{count:,} {some}{what}{'' if count == 1 else 's'}"


def epsilon_text(epsilon: float) -> str:
    return f"{epsilon:g}"


def verdict_words(comparison: Comparison, epsilon: float) -> str:
    """*better*, *worse*, *equivalent within ε*, *undecided: about n more seeds* or *failed*."""
    if comparison.verdict == "equivalent":
        return f"equivalent within {epsilon_text(epsilon)}"
    if comparison.verdict == "undecided" and comparison.needs is not None:
        return f"undecided: about {counted(comparison.needs, 'seed', 'more ')}"
    return comparison.verdict


def sentence(ablation: Ablation, arm: ArmResult, quote: Callable[[str], str] = str) -> str:
    """The verdict on an arm, at its own best and at the baseline's setting where the ablation tuned.

    quote: how a stranger's text stands in it.
    """
    digits, called = digits_of(ablation), quote(one_line(arm.name))
    claimed = claim(arm.comparison, ablation.epsilon, digits, arm.setting.runs, quote)
    if arm.untuned is None:
        return f"{called} {claimed}"
    at_baseline = claim(arm.untuned, ablation.epsilon, digits)
    return f"Each at its own best, {called} {claimed} At the baseline's setting it {at_baseline}"


def claim(
    comparison: Comparison,
    epsilon: float,
    digits: int = 3,
    runs: Sequence[SeedRun] = (),
    quote: Callable[[str], str] = str,
) -> str:
    """The sentence without its subject, with its full stop. runs: of the arm, for why it failed."""
    verdict = comparison.verdict
    if verdict == "failed":
        return f"failed{why_failed(comparison, runs, quote)}."
    size = None if comparison.difference is None else number_text(abs(comparison.difference), digits)
    what = {
        "better": f"is better than the baseline by {size} nats",
        "worse": f"is worse than the baseline by {size} nats",
        "equivalent": f"is equivalent to the baseline within {epsilon_text(epsilon)} nats",
        "undecided": "cannot be told from the baseline yet",
    }[verdict]
    rest = []
    if verdict == "undecided" and comparison.p is None and comparison.seeds < FEWEST:
        rest.append(f"{counted(comparison.seeds, 'seed')} cannot give a p below 0.05; {FEWEST} can.")
    if verdict == "undecided" and comparison.needs is not None:
        rest.append(f"About {counted(comparison.needs, 'seed', 'more ')} would decide.")
    if comparison.lost:
        rest.append(f"{counted(comparison.lost, 'run')} of it broke down.")
    return " ".join([f"{what} ({evidence(comparison, digits)}).", *rest])


def why_failed(comparison: Comparison, runs: Sequence[SeedRun], quote: Callable[[str], str]) -> str:
    """`: 2 of its 6 runs broke down (the loss is no longer finite)`."""
    lost = comparison.lost
    if not lost:
        return ""
    reason = next((run.reason for run in runs if run.loss is None and run.reason), "")
    how_many = counted(lost, "run")
    if lost < len(runs):
        how_many = f"{lost:,} of its {len(runs):,} runs"
    elif runs and lost > 1:
        how_many = f"all its {lost:,} runs"
    return f": {how_many} broke down" + (f" ({quote(one_line(reason, 90))})" if reason else "")


def evidence(comparison: Comparison, digits: int = 3) -> str:
    """`95% interval 0.012 to 0.030, p = 0.0005, 12 seeds`."""
    low, high = comparison.low, comparison.high
    if comparison.verdict == "better" and low is not None and high is not None:
        low, high = -high, -low  # as the gain is told
    found = [] if comparison.verdict in EDGE else [f"difference {signed(comparison.difference, digits)}"]
    if low is not None:
        found.append(f"95% interval {interval_text(low, high, digits)}")
    if comparison.p is not None:
        found.append(f"p {'' if comparison.p < TINY else '= '}{p_text(comparison.p).replace('<', '< ')}")
    return ", ".join([*found, counted(comparison.seeds, "seed")])


def speedup_sentence(speedup: Speedup, verdict: str) -> str:
    """Empty where the arm never reaches the baseline's final loss."""
    parts = {"steps": speedup.steps, "FLOPs": speedup.flops, "seconds": speedup.seconds}
    said = [f"{times(value)} in {what}" for what, value in parts.items() if value is not None]
    luck = ", which may be chance, as the difference may" if verdict == "undecided" else ""
    return f"Effective speedup to the baseline's final loss: {', '.join(said)}{luck}." if said else ""


def noise_line(noise: Noise | None) -> str:
    """Empty where the noise is not known."""
    if noise is None:
        return ""
    varies = "differences of paired runs vary" if noise.paired else "the baseline's loss varies"
    needed = f"more than {MOST:,} seeds" if noise.needed >= MOST else counted(noise.needed, "seed")
    text = (
        f"noise: {varies} by {number_text(noise.deviation, 4)} nats over seeds (standard deviation); "
        f"{counted(noise.seeds, 'seed')} can detect a difference of "
        f"{number_text(noise.detectable, 4)} with 80% power; 0.01 nats would need {needed}"
    )
    if not noise.paired:
        text += ", if pairing gained nothing, which it mostly does"
    if noise.sampling is not None:
        text += (
            f"; the choice of held-out documents leaves a standard error of {number_text(noise.sampling, 4)}"
        )
        if noise.adjusted is not None:
            text += (
                f", {number_text(noise.adjusted, 4)} with the data's own probabilities as a control variate"
            )
    return text + "."


def values_text(values: Mapping[str, str]) -> str:
    """`train.learningRate=0.01`."""
    return " ".join(f"{one_line(key)}={one_line(value)}" for key, value in values.items()) or NONE


def mean_loss(setting: Setting) -> float | None:
    """Over the runs that did not break down."""
    losses = setting.losses.values()
    return sum(losses) / len(losses) if losses else None
