"""Weights, found again by what names them: the newest run, a folder, an id, a name, a file, an address in MLflow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from gptlab.data.tokenizers import WordTokenizer
from gptlab.errors import UserError
from gptlab.exchange import FILES, read_file
from gptlab.exchange.huggingface import ADDRESS
from gptlab.exchange.huggingface.reading import read_folder
from gptlab.runs.checkpoint.digests import SUMS
from gptlab.runs.checkpoint.folder import CHECKPOINTS, STATE, read_checkpoint
from gptlab.runs.checkpoint.newest import newest_or_refuse
from gptlab.runs.files import CONFIG, check_leads_nowhere
from gptlab.runs.finding import (
    ID,
    LATEST,
    RUNS,
    best_run_of,
    did_you_mean,
    latest,
    named_here,
    path_of,
    run_of,
)
from gptlab.runs.folder import SweepFolder
from gptlab.runs.saved_run import SavedRun, Settings, from_checkpoint, with_vocabulary

ADDRESSES = ("runs:/", "models:/")
REFERENCES = (
    "latest, the folder of a run or of a checkpoint, an MLflow run id, the name of a run or an experiment (the newest "
    "of that name), a sweep (its best run), runs:/ID, models:/NAME@ALIAS, "
    f"a file that ends in {' or '.join(FILES)}, or {ADDRESS}FOLDER of transformers"
)


@contextmanager
def find_run(reference: str, tracking: Settings, tokenizer_path: str | None = None) -> Iterator[SavedRun]:
    """The weights that `reference` names: latest, a run's folder, a checkpoint's folder, an MLflow run id,
    the name of a run or an experiment (the newest of that name), a sweep (its best run), runs:/ID, models:/NAME@ALIAS,
    FILE.json, FILE.safetensors, hf:FOLDER.

    What is in ./runs is looked at first; an id that is not there is fetched from the store that `tracking`
    names, into a folder that is gone afterwards. tokenizer_path: the corpus whose words are the
    vocabulary of a file that carries none; what carries one keeps it.

    Raises UserError if there is no such thing, it is damaged, or the vocabulary has another size.
    """
    path = path_of(reference)
    if reference.startswith(ADDRESS):
        yield read_folder(reference, path_of(reference.removeprefix(ADDRESS)))
    elif names_file(reference, path):
        saved = read_file(path)
        if saved.tokenizer is None and tokenizer_path is not None:
            saved = with_vocabulary(saved, "word", WordTokenizer(tokenizer_path).build([]))
        yield saved
    elif any(os.path.isfile(path / name) for name in (STATE, SUMS)):
        run = run_of(path)
        if run is not None:
            check_leads_nowhere(run)
        yield from_checkpoint(read_checkpoint(path), run)
    else:
        with find_folder(reference, tracking) as folder:
            yield from_checkpoint(newest_or_refuse(folder), folder)


@contextmanager
def find_folder(run: str, tracking: Settings) -> Iterator[Path]:
    """The folder of `latest`, of an MLflow run id, of a name, of an address in MLflow, or the folder itself.

    Of a sweep it is that of its best run. What is in ./runs is looked at first; what is not there is fetched from the
    store that `tracking` names, into a folder that is gone afterwards. Raises UserError if there is no such run.
    """
    folder = folder_here(run)
    if folder is not None:
        if not os.path.isfile(folder / CONFIG) and not os.path.isdir(folder / CHECKPOINTS):
            raise UserError(f"run must be the folder of a run: {folder} has no {CONFIG}. Try run=latest.")
        check_leads_nowhere(folder)
        yield folder
        return
    check_is_elsewhere(run, tracking)
    from gptlab.tracking.download import download_reference

    with TemporaryDirectory(prefix="gptlab-run-") as fetched:
        yield download_reference(run, tracking["uri"], Path(fetched))


def folder_here(run: str) -> Path | None:
    """The folder of what is here of a run; None for what is not. Raises UserError for a sweep without a best run."""
    if run == LATEST:
        return latest()
    found = named_here(run)
    if isinstance(found, SweepFolder):
        check_leads_nowhere(found.path)
        return best_run_of(found)
    return None if found is None else found.path


def check_is_elsewhere(run: str, tracking: Settings) -> None:
    """Raises UserError for what is not here, unless the store of `tracking` may have it: it could be an id.

    What is nearly a name of something here is that name mistyped, and not worth opening a store.
    """
    if close := did_you_mean(run):
        raise UserError(f"run must name a run: there is no '{run}' below {Path(RUNS).absolute()}. {close}")
    if not ID.fullmatch(run.removeprefix("runs:/").strip("/")) and not run.startswith(ADDRESSES):
        raise no_run(run)
    if tracking["name"] != "mlflow":
        raise no_run(run, " (MLflow is not searched, with tracking=none)")


def names_file(reference: str, path: Path) -> bool:
    """Whether it is a file of weights that is meant, be it there or not."""
    if reference.startswith(ADDRESSES) or os.path.isdir(path):
        return False
    return path.suffix.lower() in FILES or os.path.exists(path)


def no_run(run: str, elsewhere: str = "") -> UserError:
    return UserError(
        f"run must be {REFERENCES}: there is no '{run}' below {Path(RUNS).absolute()}{elsewhere}. Try run=latest."
    )
