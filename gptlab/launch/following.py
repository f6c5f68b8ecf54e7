"""What a process of engine.hosts does that is not the first: it computes along, and keeps and says nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from gptlab.config.typed import Chosen, Config
from gptlab.engines.hosts import first_of, joined
from gptlab.engines.hosts import join as join
from gptlab.engines.hosts import lost as lost
from gptlab.engines.hosts import quiet as quiet
from gptlab.errors import UserError
from gptlab.runs.checkpoint.folder import Checkpoint
from gptlab.runs.files import METRICS, SAMPLES
from gptlab.signals import before_end


def is_first() -> bool:
    """Whether this process keeps the run: the only one, or the first of several."""
    return joined().index == 0


def as_follower(config: Config) -> Config:
    """The config of the same steps, of which nobody hears."""
    return replace(
        config, tracking=Chosen(name="none"), progress="none", listeners=[], listener={}, register=None
    )


@contextmanager
def follower_folder(shared: Path | None = None) -> Iterator[Path]:
    """A folder for the time being. shared: that of the run that is gone on with, whose rows are needed."""
    with TemporaryDirectory(prefix="gptlab-") as place:
        before_end(partial(shutil.rmtree, place, ignore_errors=True))
        folder = Path(place) / "run"
        folder.mkdir()
        for name in (METRICS, SAMPLES) if shared is not None else ():
            if shared is not None and (shared / name).exists():
                shutil.copyfile(shared / name, folder / name)
        yield folder


def wait_for_first() -> None:
    """Until process 0 has come here, too."""
    first_of(0.0)


def check_same_step(checkpoint: Checkpoint) -> None:
    """Raises UserError where this process sees another checkpoint than process 0 does."""
    step = int(first_of(checkpoint.step))
    if checkpoint.step != step:
        raise UserError(
            f"the processes of a run must see the same folders: process 0 goes on from step {step}, and process "
            f"{joined().index} finds step {checkpoint.step} in {checkpoint.run_folder}."
        )
