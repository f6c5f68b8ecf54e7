"""The ends of runs: waited for, or, in a sweep that trains one run after another, written while the next one trains."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

AT_ONCE = 1  # ends that are being written beside the run that trains: a process of MLflow's each

_going: list[Thread] | None = None  # None: ends are waited for


def end(finish: Callable[[], None]) -> None:
    """Do `finish`: at once, or within `in_background` in a thread, which waits its turn."""
    if _going is None:
        finish()
        return
    while len(_going) >= AT_ONCE:
        _going.pop(0).join()
    thread = Thread(target=finish, name="mlflow-end", daemon=True)
    _going.append(thread)
    thread.start()


@contextmanager
def in_background() -> Iterator[None]:
    """Ends within it are written beside what follows them, and all of them are when it is over."""
    global _going
    outer, _going = _going, []
    try:
        yield
    finally:
        threads, _going = _going, outer
        for thread in threads:
            thread.join()
