"""The lines that a run prints: what it is, how far it has come, what it leaves."""

from __future__ import annotations

from collections.abc import Sequence

from gptlab.calling import shown
from gptlab.runs.run import Run
from gptlab.training.metric_rows import loss_text
from gptlab.training.named_metrics import further_sets, in_words
from gptlab.training.references import baselines
from gptlab.training.smoothing import SMOOTHED

MEMORY = "memory/peak"  # MiB, of what needs much: the most that the process has had


def opening(run: Run, vocabSize: int) -> str:
    """What is trained, on what."""
    counts = run.parameter_counts()
    total, trained = counts.pop("total"), counts.pop("trainable")
    parts = ", ".join(f"{part} {count:,}" for part, count in counts.items())
    of_them = "" if trained == total else f", {trained:,} of them trained"
    facts = run.dataset
    held_out = f", {facts.validation:,} held out" if facts.validation else ""
    documents = f"{facts.train:,} document{'' if facts.train == 1 else 's'} to train on"
    if not facts.train:
        documents = "new problems at each step"
    return (
        f"{run.name}: {total:,} parameters ({parts}){of_them}\n"
        f"data: {facts.name}, {documents}{held_out}, vocabulary {vocabSize:,}"
    )


def resumed(step: int, numSteps: int) -> str:
    """Where a run goes on."""
    if step >= numSteps:
        return f"its {numSteps:,} steps are done: finishing what comes after them"
    return f"resumed at step {step:,}"


def milestone(run: Run, numSteps: int) -> str:
    """One line for the step that was logged last: the losses, the metrics, and the first sample.

    A step's own loss is that of a document or two; the smoothed one says more.
    """
    step, metrics = run.metrics[-1]
    line = f"step {step:>{len(str(numSteps))}}: smoothed loss {loss_text(metrics[SMOOTHED])}"
    if "val/loss" in metrics:
        perplexity = loss_text(metrics["val/perplexity"], 1)
        line += f", validation {loss_text(metrics['val/loss'])} (perplexity {perplexity})"
    if "val/originalLoss" in metrics:
        line += f", on the original data {loss_text(metrics['val/originalLoss'])}"
    if MEMORY in metrics:
        line += f", at most {metrics[MEMORY] / 1024:.1f} GiB of memory"
    listeners = run.config.get("listeners", ())
    losses = [f"{name} {loss_text(metrics[f'{name}/loss'])}" for name in further_sets(metrics, listeners)]
    line += "".join(f", {number}" for number in [*losses, *in_words(metrics, listeners)])
    if run.samples and run.samples[-1][0] == step:
        text = next((text for text in run.samples[-1][1] if text), "")
        line += f'   "{in_one_line(text)}"' if text else ""
    return line


def in_one_line(text: str) -> str:
    r"""A sample of running text has lines: `\n` stands for their ends."""
    return text.replace("\n", r"\n")


def told_apart(texts: Sequence[str]) -> list[str]:
    """The lines of samples: one each; of texts that have lines themselves, those after one that says which it is."""
    if not any("\n" in text for text in texts):
        return list(texts)
    lines = []
    for number, text in enumerate(texts, 1):
        lines += [f"--- {number} of {len(texts)} ---"] if len(texts) > 1 else []
        lines += text.removesuffix("\n").split("\n")
    return lines


def before(metrics: dict[str, float]) -> str:
    """One line for what the weights that a run starts from are worth."""
    known = {"val/loss": "validation", "val/originalLoss": "on the original data"}
    losses = [f"{known[n]} {loss_text(v)}" for n, v in metrics.items() if n in known]
    return "before step 1: " + ", ".join([*losses, *in_words(metrics)])


def closing(run: Run, in_sweep: bool) -> str:
    """What the run leaves."""
    lines = [f"The run has {run.diverged}"] if run.diverged else []
    if run.stopped and run.metrics:
        lines.append(f"stopped after step {run.metrics[-1][0]:,}: {run.stopped}")
    if run.samples and not in_sweep:
        lines += ["samples:", *(f"  {line}" for line in told_apart(run.samples[-1][1]))]
    if not in_sweep:
        lines += results(run)
    lines.append(f"run folder: {shown(run.folder)}")
    # Of a sweep's short jobs MLflow knows only later: `compare` tells the ids of all.
    if run.sent_later and not in_sweep:
        lines.append("MLflow run: still being sent")
    elif run.id and not in_sweep:
        lines.append(f"MLflow run: {run.id}")
    return "\n".join(lines)


def results(run: Run) -> list[str]:
    """The last validation loss beside what bounds it, as far as the data knows that, and the metrics."""
    evaluated = [metrics for _, metrics in run.metrics if "val/loss" in metrics]
    if not evaluated:
        return []
    facts = run.dataset.facts
    loss = f"validation loss {loss_text(evaluated[-1]['val/loss'])} nats a"
    lines = []
    if known := baselines(facts):
        beside = ", ".join(f"{one.name} {loss_text(one.loss)}" for one in known)
        lines.append(f"{loss} token; for comparison: {beside}")
    elif "heldOutEntropy" in facts:
        lines.append(
            f"{loss} word: on the same documents word frequencies alone give "
            f"{facts['heldOutUnigram']:.3f}, and the grammar that made them {facts['heldOutEntropy']:.3f}"
        )
    return lines + [f"validation {text}" for text in in_words(evaluated[-1], run.config.get("listeners", ()))]
