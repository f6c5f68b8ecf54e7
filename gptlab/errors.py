"""The one error that is the user's to mend: shown without a traceback, exit status 2."""

from collections.abc import Iterable
from difflib import get_close_matches

from gptlab.calling import as_called


class UserError(Exception):
    """Says what must hold, what came, and what to type instead.

    Raised for a wrong name, shape, file or value. The command line prints it as
    one message and exits with status 2; as a library it is an ordinary exception, which a notebook
    shows as that message alone.
    """

    def _render_traceback_(self) -> list[str]:  # IPython's protocol
        return [as_called(f"gptlab: {self}")]


class TrainingStopped(Exception):
    """Training cannot go on (the loss is no longer finite). The run is FAILED, with this reason."""

    run_status = "FAILED"  # in MLflow


def nearest(name: str, known: Iterable[str], count: int = 3, cutoff: float = 0.5) -> list[str]:
    """The known names most like `name`, best first; empty if none is alike. Capitals count for nothing."""
    names: dict[str, list[str]] = {}
    for known_name in known:
        names.setdefault(known_name.lower(), []).append(known_name)
    close = get_close_matches(name.lower(), names, n=count, cutoff=cutoff)
    return [spelt for word in close for spelt in names[word]][:count]


def unknown_name(what: str, name: str, known: Iterable[str], hint: str = "") -> UserError:
    """The error for a name that nothing is registered under: the nearest first, then all."""
    names = sorted(known)
    close = nearest(name, names)
    guess = f" Did you mean {' or '.join(close)}?" if close else ""
    listing = f" Known: {', '.join(names)}." if names else " None is known."
    return UserError(f"no {what} is named '{name}'.{guess}{listing}{' ' + hint if hint else ''}")
