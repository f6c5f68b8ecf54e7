"""What checkpoints cost: python -m benchmarks.checkpoints [--seconds 100]

At 63,296 and at 10 million parameters, with Adam, in float32: the time to save one (export, digests, write, fsync,
rename), the time to read one with all digests, its size, and the share of a true run's time that checkpoints by
time, the default, take.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks import machine
from gptlab.command.composing import compose, prepared
from gptlab.config.schema import plain
from gptlab.engines.engine import State
from gptlab.launch import launch as launching
from gptlab.plugins.loading import Plugins
from gptlab.runs.checkpoint.folder import checkpoint_folders, read_checkpoint
from gptlab.runs.saving import Saver
from gptlab.signals import Stopped

SIZES = {
    "63,296 parameters": ["+experiment=book", "train.numSteps=100000000"],
    "10 million parameters": [
        "model.nLayer=3",
        "model.nEmbd=516",
        "train.batchSize=16",
        "train.learningRate=0.0001",
        "train.numSteps=100000000",
    ],
}
COMMON = ["tracking=none", "progress=none", "samples.n=0"]
ROUNDS = 7


class Timed(Saver):
    """Ends the run after some seconds; `times` are those of its checkpoints, `total` is all of the loop's."""

    limit = 0.0
    rounds = 0
    last: Timed

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.times: list[float] = []
        self.began: float | None = None
        self.total = 0.0
        Timed.last = self

    def chunk_ended(self, state: State, val_loss: float | None) -> None:
        if self.began is None:  # what came before is compiling
            self.began = time.perf_counter()
        for _ in range(self.rounds):
            self.losses.clear()
            self.save(state)
        super().chunk_ended(state, val_loss)
        self.total = time.perf_counter() - self.began
        if self.total >= self.limit:
            raise Stopped(signal.SIGINT)

    def save(self, state: State) -> Path | None:
        began = time.perf_counter()
        try:
            return super().save(state)
        finally:
            self.times.append(time.perf_counter() - began)


def run(plugins: Plugins, overrides: list[str], folder: Path, seconds: float, rounds: int = 0) -> Timed:
    Timed.limit, Timed.rounds = seconds, rounds
    settings = plain(compose("train", [*overrides, *COMMON]))
    with suppress(Stopped):
        launching.launch(settings, plugins, folder, "benchmark")
    return Timed.last


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=100.0, help="how long each run is, for the share")
    seconds = parser.parse_args().seconds
    plugins = prepared()
    launching.Saver = Timed  # type: ignore[misc]
    print(machine.sentence(machine.describe()))
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        for number, (what, overrides) in enumerate(SIZES.items()):
            once = run(plugins, overrides, Path(f"once-{number}"), 0.0, ROUNDS)
            (folder,) = checkpoint_folders(Path(f"once-{number}"))
            size = sum(file.stat().st_size for file in folder.iterdir())
            began = time.perf_counter()
            read_checkpoint(folder)
            reading = time.perf_counter() - began
            timed = run(plugins, overrides, Path(f"run-{number}"), seconds)
            timed.times.pop()  # the one at the end, which is no periodic one
            share = sum(timed.times) / timed.total
            count = once.run.parameter_counts()["total"]
            print(
                f"{what} ({count:,}): save {statistics.median(once.times[:ROUNDS]):.3f} s "
                f"(median of {ROUNDS}), read {reading:.3f} s, {size:,} bytes; {len(timed.times)} in "
                f"{timed.total:.0f} s of training by default: {share:.3%} of the time",
                flush=True,
            )


if __name__ == "__main__":
    main()
