"""The next chunk of steps, made ready in a thread while the engine computes the present one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from gptlab.engines.engine import Batches


class Ahead:
    """`take` gives what `make(start, steps)` makes; what has been `begun` before is ready by then, or soon.

    To be used in a `with`, or closed. `make` is never called by two threads at once.
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

    def close(self) -> None:
        """Wait for what is being made, which nobody needs any more."""
        self._thread.shutdown(cancel_futures=True)

    def __enter__(self) -> Ahead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
