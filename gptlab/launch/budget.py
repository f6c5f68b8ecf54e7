"""`train.budget`: a run ends well once it has trained for so long."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gptlab.config.duration import seconds_in
from gptlab.runs.run import Run


@dataclass
class Budget:
    """The time of one run, from where its training begins; what it took before it was resumed counts.

    text: as typed; None for as long as it takes. before: seconds that the run had taken at its checkpoint.
    """

    run: Run
    text: str | None
    before: float = 0.0
    clock: Callable[[], float] = time.monotonic
    _began: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._limit = None if self.text is None else seconds_in("train.budget", self.text)

    def begin(self) -> None:
        self._began = self.clock()

    @property
    def seconds(self) -> float:
        """That the run has taken so far."""
        return self.before + (0.0 if self._began is None else self.clock() - self._began)

    def stops(self) -> bool:
        """Whether the run is to stop: this asks for it once the time is over, others may have before."""
        if self._limit is not None and self.seconds >= self._limit:
            self.run.stop(f"train.budget={self.text} is spent")
        return bool(self.run.stopped)
