"""What a listener gets to see of a run: its name, its folder, its numbers so far."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gptlab.data.facts import DatasetFacts
from gptlab.model.matrix import Matrix

# What run.json says of a run; of one that ends before its first step nothing is left to say it of.
INTERRUPTED = "interrupted"  # the reason of a run that was stopped
STARTING, RUNNING, FINISHED, FAILED, KILLED = "STARTING", "RUNNING", "FINISHED", "FAILED", "KILLED"


def end_of(error: BaseException | None) -> tuple[str, str]:
    """The status of a run that this error ended, or none, and the reason for a person to read."""
    if error is None:
        return FINISHED, ""
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return KILLED, INTERRUPTED
    return str(getattr(error, "run_status", FAILED)), str(error) or type(error).__name__


@dataclass
class Run:
    """A training run as listeners see it.

    `metrics` grows while the run goes on, a row a logged step: `(step, {name: value})`;
    `samples` likewise: `(step, [text, ...])`. `weights` is set once the final weights are on disk.
    `diverged` says so once the run has reached its last step and has. `stopped` is why it was asked to stop, by `stop`.
    A run that is resumed begins with the metrics and samples, and the `id`, that it had at `resumed_from`.
    """

    name: str
    description: str
    folder: Path
    config: dict[str, Any]
    matrices: list[Matrix]
    dataset: DatasetFacts
    tags: dict[str, str]
    metrics: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    samples: list[tuple[int, list[str]]] = field(default_factory=list)
    weights: Path | None = None
    diverged: str = ""
    stopped: str = ""
    id: str = ""  # the MLflow run id, once there is one
    sent_later: bool = False  # whether MLflow's process still sends the rest of it once the command is over
    resumed_from: int | None = None  # the step of the checkpoint that a resumed run goes on from

    def stop(self, reason: str) -> None:
        """End the run soon, and well: FINISHED, with an evaluation, samples and its weights.

        It ends with the evaluation in whose hooks this is called, or else with the step after the chunk that goes on.
        reason: for a person; the first one counts.
        """
        self.stopped = self.stopped or " ".join(str(reason).split()) or "a listener asked for it"

    def parameter_counts(self) -> dict[str, int]:
        """`{"total": n, "trainable": n, part: n, ...}`; parts in the order in which they first appear."""
        counts = {
            "total": sum(matrix.count for matrix in self.matrices),
            "trainable": sum(matrix.count for matrix in self.matrices if matrix.trainable),
        }
        for matrix in self.matrices:
            counts[matrix.part] = counts.get(matrix.part, 0) + matrix.count
        return counts
