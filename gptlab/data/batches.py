"""From documents to steps: batches of them, made ahead.

Legend: N documents, T positions, C steps of a chunk, B documents of a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from gptlab.data.documents import Documents
from gptlab.data.orders import InOrder, Order, shuffled
from gptlab.engines.engine import Batches
from gptlab.engines.packing import quantiles

POPULATION = 1 << 16  # documents that are looked at for lengths that stand for those of all


class Course(Protocol):
    """The batches of a run, of which any step can be had without the steps before."""

    @property
    def documents(self) -> Documents:
        """Some of those that are trained on, or all."""
        ...

    def chunk(self, start: int, steps: int) -> Batches:
        """The batches of steps start+1 ... start+steps."""
        ...


@dataclass
class Epochs:
    """An endless course through the documents; any step of it can be had without the steps before.

    The first epoch takes the documents as they are, each later one in a seeded order of its own
    (with `shuffle`), so that a document comes once an epoch.
    """

    documents: Documents
    batchSize: int
    seed: int
    shuffle: bool = True
    _orders: dict[int, Order] = field(default_factory=dict)

    def chunk(self, start: int, steps: int) -> Batches:
        """The batches of steps start+1 ... start+steps."""
        first = start * self.batchSize
        positions = np.arange(first, first + steps * self.batchSize)
        epochs = positions // len(self.documents)
        rows = np.empty_like(positions)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            rows[here] = self._order(int(epoch))[positions[here] % len(self.documents)]
        picked = self.documents[rows]
        return Batches(
            picked.told.reshape(steps, self.batchSize, -1),
            picked.lengths.reshape(steps, self.batchSize),
            self._population,
            seed=self.seed,
        )

    @cached_property
    def _population(self) -> np.ndarray:
        """Lengths that stand for those of all: the same ones in whichever order the documents come."""
        stride = max(1, -(-len(self.documents) // POPULATION))
        lengths = self.documents.lengths if stride == 1 else self.documents[::stride].lengths
        return quantiles(lengths)

    def _order(self, epoch: int) -> Order:
        if epoch not in self._orders:
            count = len(self.documents)
            # Only neighbouring epochs meet in a chunk; older orders can be made again.
            self._orders = {e: o for e, o in self._orders.items() if e == epoch - 1}
            reshuffled = self.shuffle and epoch > 0
            self._orders[epoch] = shuffled(count, [self.seed, 2, epoch]) if reshuffled else InOrder(count)
        return self._orders[epoch]


class Ahead(AbstractContextManager["Ahead"]):
    """`take` gives what `make(start, steps)` makes; what has been `begun` before is ready by then, or soon.

    To be used in a `with`. `make` is never called by two threads at once.
    """

    def __init__(self, make: Callable[[int, int], Batches]):
        self._make = make
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._begun: tuple[int, int] | None = None
        self._future: Future[Batches] | None = None

    def take(self, start: int, steps: int) -> Batches:
        """The batches of steps start+1 ... start+steps. Raises what `make` raises."""
        if self._begun != (start, steps):
            self.begin(start, steps)
        assert self._future is not None
        return self._future.result()

    def begin(self, start: int, steps: int) -> None:
        """Begin to make these; no steps are nothing to make."""
        if self._future is not None:
            self._future.cancel()
        self._begun = (start, steps)
        self._future = self._thread.submit(self._make, start, steps) if steps else None

    def __exit__(self, *error: object) -> None:
        """Wait for what is being made, which nobody needs any more."""
        self._thread.shutdown(cancel_futures=True)
