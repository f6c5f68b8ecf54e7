"""Going on with a run: its newest whole checkpoint, held against what is there now."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gptlab import strict_json
from gptlab.calling import command_with, warn
from gptlab.engines.engine import NamedArrays, OptState
from gptlab.errors import UserError
from gptlab.files import read_regular
from gptlab.runs.checkpoint.arrays import check_shapes, flattened
from gptlab.runs.checkpoint.digests import SUMS
from gptlab.runs.checkpoint.folder import (
    CHECKPOINTS,
    OPTIMIZER,
    TRAINING,
    WEIGHTS,
    Checkpoint,
    checkpoint_folders,
    read_checkpoint,
    step_of,
)
from gptlab.runs.checkpoint.newest import newest_whole, put_back
from gptlab.runs.claiming import status_in
from gptlab.runs.files import METRICS, SAMPLES, check_leads_nowhere
from gptlab.runs.finding import LATEST, RUNS, did_you_mean, named_here, newest_with, path_of
from gptlab.runs.folder import RunFolder, SweepFolder
from gptlab.runs.run import FINISHED, Run
from gptlab.runs.saved_run import IMPORTED
from gptlab.training.smoothing import SmoothedLoss

if TYPE_CHECKING:
    from gptlab.assembly.run_data import Data


def checkpoint_to_resume(folder: Path, reference: str) -> Checkpoint:
    """The newest whole checkpoint of the run in `folder`, which `reference` named.

    Warns of newer ones that are damaged. Raises UserError if there is none, an older one was named, or the folder leads
    elsewhere.
    """
    checkpoint = newest_of(folder)
    path = path_of(reference).absolute()
    step = step_of(path) if os.path.isdir(path) else None
    if step is not None and step < checkpoint.step:
        raise UserError(
            f"resume goes on from a run's newest whole checkpoint, and {os.path.relpath(checkpoint.folder)} is "
            f"newer than {path}: the steps between would only be repeated. Type "
            f"{command_with(resume=checkpoint.run_folder)}"
        )
    return checkpoint


def folder_to_resume(reference: str) -> Path:
    """The folder of the run that `latest`, a folder, an MLflow run id or a name names.

    Raises UserError if there is none.
    """
    if reference == LATEST:
        return newest_with(
            SUMS,
            UserError(
                f"resume=latest needs a run below {Path(RUNS).absolute()} that has a checkpoint: there is none. "
                "Leave resume out to train from the start."
            ),
        )
    found = named_here(reference, having=SUMS)
    if isinstance(found, SweepFolder):
        raise UserError(
            f"resume goes on with one run, and {os.path.relpath(found.path)} is a sweep. Type the command that began "
            f"it, with sweep.resume={os.path.relpath(found.path)}"
        )
    if found is not None:
        return found.path if step_of(found.path.absolute()) is None else found.path.absolute().parent.parent
    raise UserError(
        "resume must be latest, a run's folder, its name (the newest of that name) or the id of a run in it: there is "
        f"no '{reference}' below {Path(RUNS).absolute()}. {did_you_mean(reference) or 'Try resume=latest.'}"
    )


def newest_of(folder: Path) -> Checkpoint:
    """The newest whole checkpoint of a run whose folder this process holds, and what to say of newer ones."""
    check_leads_nowhere(folder)
    put_back(folder)
    checkpoint = newest_whole(folder)
    for damaged in checkpoint.damaged:
        warn(f"{damaged.reason} Going on from the newest whole one, {checkpoint.folder}.")
    return checkpoint


def check_not_over(checkpoint: Checkpoint, numSteps: int) -> None:
    """Raises UserError for a run that has no step left and was closed after its last one."""
    folder = os.path.relpath(checkpoint.run_folder)
    if IMPORTED in checkpoint.state:
        raise UserError(
            f"resume needs a run that was trained here: {folder} was imported from a file of weights. "
            f"To train on from them, in a run of its own: initFrom={folder}"
        )
    if checkpoint.step >= numSteps and status_in(checkpoint.run_folder) == FINISHED:
        raise UserError(
            f"resume needs a run that has steps left: {folder} has finished its {numSteps}. "
            f"To train on from its weights, in a run of its own: initFrom={folder}"
        )


def lacks_its_end(folder: Path) -> bool:
    """Whether the run there has taken all its steps, and was killed before it was closed."""
    if status_in(folder) in (None, "", FINISHED):  # an older one does not say
        return False
    try:
        checkpoint = newest_whole(folder)
    except UserError:
        return False
    return (
        IMPORTED not in checkpoint.state
        and checkpoint.step >= checkpoint.state["config"]["train"]["numSteps"]
    )


def check_same_data(checkpoint: Checkpoint, data: Data) -> None:
    """Raises UserError unless the data is what it was, to the byte, and its vocabulary too."""
    begin = f"initFrom={os.path.relpath(checkpoint.run_folder)}"
    said = checkpoint.state.get("dataset", {})
    if said.get("digest") != data.facts.digest or said.get("documents") != data.facts.documents:
        raise UserError(
            f"resume needs the data that the run began with: {data.facts.source} has changed since "
            f"({said.get('documents')} documents with digest {said.get('digest')}; now "
            f"{data.facts.documents} with {data.facts.digest}). Put the old data back, or begin another run from "
            f"its weights: {begin}"
        )
    if said.get("split") not in (None, data.split):
        run = (checkpoint.state["config"].get("original") or {}).get("run")
        reason = (
            f"they depend on the data of {run}, which must be as it was. Put it back" if run else "Restore it"
        )
        raise UserError(
            f"resume needs the held-out documents that the run began with, and they have changed: {reason}, or "
            f"begin another run from the weights: {begin}"
        )
    state = {key: value for key, value in checkpoint.state["tokenizer"].items() if key != "name"}
    if state != strict_json.loads(strict_json.dumps(data.tokenizer.state())):
        raise UserError(
            f"resume needs the vocabulary that the run began with: {checkpoint.folder} has a different one from "
            "what tokenizer and data give now. Put the old corpus back."
        )


def continued(
    checkpoint: Checkpoint, weights: NamedArrays, optimizer: Mapping[str, NamedArrays]
) -> tuple[NamedArrays, OptState]:
    """The checkpoint's weights and optimizer state in the order of a fresh start's.

    Raises UserError, with both shapes, matrix by matrix, if they are not of that model or that optimizer.
    """
    folder = checkpoint.folder
    file = folder / (TRAINING if (folder / TRAINING).exists() else WEIGHTS)
    check_shapes(checkpoint.training, shapes_of(weights), file)
    saved = checkpoint.optimizer
    check_shapes(flattened(saved), shapes_of(flattened(optimizer)), folder / OPTIMIZER, "optimizer")
    return (
        {name: checkpoint.training[name] for name in weights},
        {key: {name: saved[key][name] for name in named} for key, named in optimizer.items()},
    )


def shapes_of(arrays: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: np.shape(array) for name, array in arrays.items()}


def losses_of(checkpoint: Checkpoint) -> dict[int, float | None]:
    """The whole checkpoints of a run, with their validation losses."""
    damaged = {damaged.folder for damaged in checkpoint.damaged}
    losses: dict[int, float | None] = {checkpoint.step: checkpoint.state["valLoss"]}
    for folder in checkpoint_folders(checkpoint.run_folder):
        if folder in damaged or folder == checkpoint.folder:
            continue
        try:
            older = read_checkpoint(folder)
            losses[older.step] = older.state["valLoss"]
        except UserError:
            continue  # of no use, and left for the person to see
    return losses


def smoothed_of(checkpoint: Checkpoint | None) -> SmoothedLoss:
    """The smoothed training loss as it was; of a checkpoint that does not say, as of no steps."""
    saved = {} if checkpoint is None else checkpoint.state.get("smoothedLoss", {})
    return SmoothedLoss(*(float(saved[key]) for key in ("nats", "tokens") if saved))


def seconds_of(checkpoint: Checkpoint) -> float:
    """That the run had taken by then; 0 for one that does not say."""
    seconds = checkpoint.state.get("seconds")
    return float(seconds) if isinstance(seconds, (int, float)) and 0 <= seconds < math.inf else 0.0


def cut_back(checkpoint: Checkpoint, run: Run) -> None:
    """metrics.jsonl and samples.txt as they were at the checkpoint; the run gets what they hold.

    Warns of what is lost of them, since they were damaged.
    """
    folder = RunFolder(run.folder)
    for name in (METRICS, SAMPLES):
        path, wanted = run.folder / name, checkpoint.state["files"].get(name, 0)
        try:
            content = read_regular(path)[:wanted] if path.exists() else b""
            whole = content[: content.rfind(b"\n") + 1]  # what is written next begins a line of its own
            if path.exists() and path.stat().st_size != len(whole):
                os.truncate(path, len(whole))
        except OSError as error:
            raise UserError(
                f"the run's files must be writable to go on with it: {path}: {error.strerror}."
            ) from None
        if len(whole) < wanted or (name == METRICS and whole.count(b"\n") > len(folder.rows())):
            warn(
                f"{os.path.relpath(path)} is damaged: its record of the first {checkpoint.step} steps is incomplete"
            )
    run.metrics += folder.rows()
    run.samples += folder.samples()


def check_writable(folder: Path) -> None:
    for place in (folder, folder / CHECKPOINTS):
        if place.exists() and not os.access(place, os.W_OK):
            raise UserError(f"the run's folder must be writable to go on with it: {place} is not.")
