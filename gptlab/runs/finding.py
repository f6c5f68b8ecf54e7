"""Runs and sweeps below ./runs, found again by what names them: a folder, an MLflow id, a name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gptlab.errors import UserError, nearest
from gptlab.runs.checkpoint.folder import CHECKPOINTS, WEIGHTS
from gptlab.runs.files import CONFIG, RUN, SWEEP
from gptlab.runs.folder import RunFolder, SweepFolder

RUNS = "runs"
LATEST = "latest"  # the newest run, whatever another may be called
BEST = "best"  # in sweep.json: the folder of its best run, from the sweep's own
ID = re.compile(r"[0-9A-Za-z_-]+")


def path_of(reference: str) -> Path:
    # Not pathlib's own questions: they raise for a name that is too long, or a user who is not there.
    return Path(os.path.expanduser(reference))


def folder_of(run_id: str) -> Path | None:
    """The folder below ./runs of the run with this MLflow id, be it written as runs:/ID or not."""
    wanted = run_id.removeprefix("runs:/").strip("/")
    if not wanted:
        return None
    folders = (file.parent for file in Path(RUNS).rglob(RUN))
    return next((folder for folder in folders if RunFolder(folder).id == wanted), None)


def run_of(checkpoint: Path) -> Path | None:
    """The run's folder that a checkpoint's folder lies in; None if it was put elsewhere."""
    run = checkpoint.absolute().parent.parent
    return run if (run / CONFIG).is_file() else None


def named_here(reference: str, having: str = WEIGHTS) -> RunFolder | SweepFolder | None:
    """The run or the sweep that a folder, an MLflow id or a name names; None if it is not here.

    This is the one place that says what a name means: a folder wins, then an id, then the newest run of that name or
    of that experiment whose checkpoints have the file `having`, then the newest sweep of that name.
    """
    path = path_of(reference)
    if os.path.isdir(path):
        return SweepFolder(path) if os.path.isfile(path / SWEEP) else RunFolder(path)
    if (run := folder_of(reference)) is not None:
        return RunFolder(run)
    if (sweep := sweep_with_id(reference)) is not None:
        return SweepFolder(sweep)
    called = (RunFolder(folder) for folder in newest_first(having))
    if (newest_run := next((run for run in called if reference in names_of(run)), None)) is not None:
        return newest_run
    sweeps = [sweep for sweep in map(SweepFolder, sweep_folders()) if easy(reference) == easy(name_of(sweep))]
    return max(sweeps, key=lambda sweep: (sweep.path / SWEEP).stat().st_mtime_ns, default=None)


def may_change(reference: str) -> bool:
    """Whether it may name another run tomorrow: latest, a name, or the best of a sweep."""
    if reference == LATEST:
        return True
    found = named_here(reference)
    if isinstance(found, RunFolder):
        return not os.path.isdir(path_of(reference)) and found.id != reference.removeprefix("runs:/").strip(
            "/"
        )
    return found is not None


def names_of(run: RunFolder) -> set[str]:
    """What a run is called: `tiny nEmbd=32`, and the experiment `tiny` that it is of."""
    name = name_of(run)
    first = name.partition(" ")[0]
    return {name} | (set() if "=" in first else {first})


def name_of(folder: RunFolder | SweepFolder) -> str:
    name = folder.identity().get("name", "")
    return name if isinstance(name, str) else ""


def easy(name: str) -> str:
    """`nEmbd x nLayer of tiny` for `nEmbd × nLayer of tiny`: the sign is on no keyboard."""
    return name.replace("×", "x")


def did_you_mean(reference: str) -> str:
    """The names of runs and sweeps here that are most like it, as a sentence; empty if none is."""
    runs = [RunFolder(folder) for folder in newest_first(WEIGHTS)]
    known = {name for run in runs for name in names_of(run)} | {
        easy(name_of(SweepFolder(folder))) for folder in sweep_folders()
    }
    close = nearest(reference, sorted(known - {""}), cutoff=0.6)
    return f"Did you mean {' or '.join(close)}?" if close else ""


def best_run_of(sweep: SweepFolder) -> Path:
    """The folder of its best run, as the sweep itself had it when it was closed. Raises UserError if it has none."""
    best = sweep.identity().get(BEST)
    shown = os.path.relpath(sweep.path)
    if not isinstance(best, str) or not best:
        raise UserError(
            f"a sweep's best run is known once the sweep has ended and a run of it has finished: {shown} names "
            f"none. See what it has: python -m gptlab compare {shown}"
        )
    folder = Path(os.path.normpath(sweep.path / best))
    if (
        Path(os.path.normpath(sweep.path)) not in folder.parents
    ):  # of an ablation, a run from before; or a trap
        raise UserError(
            f"the best run of {shown} is not in its folder. Name it yourself: run={os.path.relpath(folder)}"
        )
    return folder


def sweep_with_id(run_id: str) -> Path | None:
    """The folder below ./runs of the sweep whose parent run has this MLflow id, be it written as runs:/ID or not."""
    wanted = run_id.removeprefix("runs:/").strip("/")
    return next((folder for folder in sweep_folders() if wanted and SweepFolder(folder).id == wanted), None)


def sweep_folders() -> list[Path]:
    return [file.parent for file in Path(RUNS).rglob(SWEEP)]


def latest() -> Path:
    """The folder below ./runs whose weights are the newest."""
    return newest_with(
        WEIGHTS,
        UserError(
            f"run=latest needs a finished run below {Path(RUNS).absolute()}: there is none. "
            "Train one first: python -m gptlab +experiment=tiny"
        ),
    )


def newest_with(name: str, refusal: UserError) -> Path:
    """The folder below ./runs in whose checkpoints the file of this name is the newest.

    Raises `refusal` if there is none.
    """
    newest = next(newest_first(name), None)
    if newest is None:
        raise refusal
    return newest


def newest_first(name: str) -> Iterator[Path]:
    """The folders below ./runs whose checkpoints have a file of this name, that with the newest one first."""
    found: dict[Path, int] = {}
    for file in Path(RUNS).rglob(f"{CHECKPOINTS}/step-*/{name}"):
        with suppress(FileNotFoundError):  # a run that goes on has just deleted it
            folder = file.parent.parent.parent
            found[folder] = max(found.get(folder, 0), file.stat().st_mtime_ns)
    yield from sorted(found, key=lambda folder: (found[folder], folder), reverse=True)
