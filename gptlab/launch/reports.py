"""The lines that a run prints: what it is, how far it has come, what it leaves."""

from __future__ import annotations

from gptlab.calling import shown
from gptlab.runs.run import Run
from gptlab.training.metric_rows import loss_text
from gptlab.training.smoothing import SMOOTHED


def opening(run: Run, vocabSize: int) -> str:
    """What is trained, on what."""
    counts = run.parameter_counts()
    total, trained = counts.pop("total"), counts.pop("trainable")
    parts = ", ".join(f"{part} {count:,}" for part, count in counts.items())
    of_them = "" if trained == total else f", {trained:,} of them trained"
    facts = run.dataset
    held_out = f", {facts.validation:,} held out" if facts.validation else ""
    documents = f"{facts.train:,} document{'' if facts.train == 1 else 's'}"
    if not facts.train:
        documents = "new problems at each step"
    return (
        f"{run.name}: {total:,} parameters ({parts}){of_them}\n"
        f"data: {facts.name}, {documents} to train on{held_out}, vocabulary {vocabSize:,}"
    )


def resumed(step: int, numSteps: int) -> str:
    """Where a run goes on."""
    if step >= numSteps:
        return f"its {numSteps:,} steps are done: what is missing after them is done now"
    return f"resumed at step {step:,}"


def milestone(run: Run, numSteps: int) -> str:
    """One line for the step that was logged last: the losses, and the first sample.

    A step's own loss is that of a document or two; the smoothed one says more.
    """
    step, metrics = run.metrics[-1]
    line = f"step {step:>{len(str(numSteps))}}: smoothed loss {loss_text(metrics[SMOOTHED])}"
    if "val/loss" in metrics:
        perplexity = loss_text(metrics["val/perplexity"], 1)
        line += f", validation {loss_text(metrics['val/loss'])} (perplexity {perplexity})"
    if "val/originalLoss" in metrics:
        line += f", on the original data {loss_text(metrics['val/originalLoss'])}"
    if run.samples and run.samples[-1][0] == step:
        text = next((text for text in run.samples[-1][1] if text), "")
        line += f'   "{in_one_line(text)}"' if text else ""
    return line


def in_one_line(text: str) -> str:
    r"""A sample of running text has lines: `\n` stands for their ends."""
    return text.replace("\n", r"\n")


def before(metrics: dict[str, float]) -> str:
    """One line for what the weights that a run starts from are worth."""
    known = {"val/loss": "validation", "val/originalLoss": "on the original data"}
    return "before step 1: " + ", ".join(
        f"{known[n]} {loss_text(v)}" for n, v in metrics.items() if n in known
    )


def closing(run: Run, in_sweep: bool) -> str:
    """What the run leaves."""
    lines = [f"The run has {run.diverged}"] if run.diverged else []
    if run.stopped and run.metrics:
        lines.append(f"stopped after step {run.metrics[-1][0]:,}: {run.stopped}")
    if run.samples and not in_sweep:
        lines += ["samples:", *(f"  {in_one_line(text)}" for text in run.samples[-1][1])]
    if (bounds := between(run)) and not in_sweep:
        lines.append(bounds)
    lines.append(f"run folder: {shown(run.folder)}")
    if run.id:
        lines.append(f"MLflow run: {run.id}")
    return "\n".join(lines)


def between(run: Run) -> str:
    """The last validation loss beside what bounds it, where the data knows that of what is held out."""
    evaluated = [metrics["val/loss"] for _, metrics in run.metrics if "val/loss" in metrics]
    facts = run.dataset.facts
    if not evaluated or "heldOutEntropy" not in facts:
        return ""
    return (
        f"validation loss {loss_text(evaluated[-1])} nats a word: on the same documents word frequencies alone give "
        f"{facts['heldOutUnigram']:.3f}, and the grammar that made them {facts['heldOutEntropy']:.3f}"
    )
