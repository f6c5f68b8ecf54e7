"""A run's checkpoints as it goes on: when one is due, what is in it, which stay, and what if the disk is full."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gptlab.calling import shown, warn
from gptlab.engines.engine import Session, State
from gptlab.engines.hosts import first_of
from gptlab.files import sync
from gptlab.runs.checkpoint.folder import WEIGHTS, step_folder, write_checkpoint
from gptlab.runs.checkpoint.newest import remove_checkpoint, to_remove
from gptlab.runs.files import METRICS, SAMPLES
from gptlab.runs.run import Run
from gptlab.training.loop import Chunk, Observer
from gptlab.training.smoothing import SmoothedLoss

# By time, where checkpoint.every is null: at an evaluation, which says how good the checkpoint is, or else
# a little later at whatever step it is then.
AT_EVALUATION = 30.0
ANYWHERE = 60.0
COST = 0.01  # the share of the time that checkpoints by time may take
WRITING = 100e6  # bytes a second, until the first checkpoint has shown how many they are


@dataclass
class Saver(Observer):
    """Saves the checkpoints of one run.

    facts: what state.json says that is the same for all of them: seed, config, tokenizer, plugins, dataset.
    losses: the whole checkpoints that are there, with their validation losses. on_saved(folder, step,
    removed) is called once a checkpoint is in place. has_folder: whether the run still has its own. smoothed: the
    training loss up to the state that is saved. seconds: that the run has taken so far.
    """

    run: Run
    session: Session
    facts: dict[str, Any]
    batchSize: int
    every: int | None
    keep: int
    on_saved: Callable[[Path, int, list[Path]], None]
    losses: dict[int, float | None]
    clock: Callable[[], float] = time.monotonic
    has_folder: Callable[[], bool] = lambda: True
    smoothed: SmoothedLoss = field(default_factory=SmoothedLoss)
    seconds: Callable[[], float] = lambda: 0.0

    def __post_init__(self) -> None:
        self._ended = self.clock()
        self._seconds: float | None = None  # that the last one took
        self._evaluated: tuple[int, float | None] = (0, None)
        self._failing = False

    def chunk_ended(self, state: State, chunk: Chunk) -> None:
        """Save a checkpoint if one is due. One that cannot be written is said in a line: training goes on."""
        self._evaluated = (state.step, chunk.val_loss)
        if self._seconds is None:
            self._seconds = bytes_of(state) / WRITING
        if not self.is_due(state.step, chunk.val_loss is not None) or not self.has_folder():
            return  # without it the run is about to end
        try:
            self.save(state)
            self._failing = False
        except OSError as error:
            if not self._failing:
                warn(f"{self.failure(state.step, error)} Training goes on.")
            self._failing = True

    def is_due(self, step: int, evaluated: bool) -> bool:
        if self.every is not None:
            return step % self.every == 0
        interval = max(AT_EVALUATION if evaluated else ANYWHERE, (self._seconds or 0.0) / COST)
        return bool(first_of(self.clock() - self._ended >= interval))

    def save(self, state: State) -> Path | None:
        """Save the state unless it is saved already; None for weights that are not finite, or before step 1.

        Raises OSError if it cannot be written: the checkpoints that there are stay as they are.
        """
        step = state.step
        folder = step_folder(self.run.folder, step)
        self._forget_removed()
        if not step or step in self.losses:
            return folder if step else None
        began = self.clock()
        try:
            folder = self._write(state)
        except FloatingPointError:
            return None
        finally:
            self._ended = self.clock()
            self._seconds = self._ended - began
        self.losses[step] = self._evaluated[1] if self._evaluated[0] == step else None
        self.on_saved(folder, step, self._removed())
        return folder

    def tell(self, step: int) -> None:
        """Tell of a checkpoint that is there: whoever wrote it was killed before it could, or before others went."""
        self.on_saved(step_folder(self.run.folder, step), step, self._removed())

    def _forget_removed(self) -> None:
        """Somebody may have made room meanwhile: what is not there is no checkpoint to name, or to go on from."""
        for step in [step for step in self.losses if not step_folder(self.run.folder, step).exists()]:
            del self.losses[step]

    def _removed(self) -> list[Path]:
        """Delete what need not stay; what cannot be deleted is tried again the next time."""
        removed = []
        for step in to_remove(self.losses, self.keep):
            folder = step_folder(self.run.folder, step)
            with suppress(OSError):
                remove_checkpoint(folder)
                removed.append(folder)
                del self.losses[step]
        return removed

    def _write(self, state: State) -> Path:
        used = self.session.for_evaluation(state)
        whole = self.session.export(state)
        weights = whole.weights if used is state else self.session.export(used).weights
        if not all(np.isfinite(a).all() for a in (*weights.values(), *whole.weights.values())):
            raise FloatingPointError
        sizes = {}
        for file in (self.run.folder / METRICS, self.run.folder / SAMPLES):
            if file.exists():
                sync(file)
                sizes[file.name] = file.stat().st_size
        content = {
            "step": state.step,
            "position": state.step * self.batchSize,
            "valLoss": self._evaluated[1] if self._evaluated[0] == state.step else None,
            "smoothedLoss": {"nats": self.smoothed.nats, "tokens": self.smoothed.tokens},
            "seconds": self.seconds(),
            "run": {"id": self.run.id, "name": self.run.name},
            "files": sizes,
            **self.facts,
        }
        training = None if used is state else whole.weights
        return write_checkpoint(self.run.folder, content, weights, whole.optimizer, training)

    @property
    def newest(self) -> Path | None:
        """The newest checkpoint that is whole."""
        return step_folder(self.run.folder, max(self.losses)) if self.losses else None

    @property
    def newest_weights(self) -> Path | None:
        return None if self.newest is None else self.newest / WEIGHTS

    def failure(self, step: int, error: Exception) -> str:
        """What happened, and what there is."""
        reason = getattr(error, "strerror", None) or error
        whole = (
            f"The newest whole one is {shown(self.newest)}." if self.newest else "There is no earlier one."
        )
        return f"the checkpoint at step {step} could not be written ({reason}). {whole}"


def bytes_of(state: State) -> int:
    arrays = [*state.weights.values(), *(a for named in state.optimizer.values() for a in named.values())]
    return sum(int(array.nbytes) for array in arrays)
