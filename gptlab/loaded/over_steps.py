"""What a run made of one text at several steps of its training: of its checkpoints, or as its pages keep it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from gptlab.errors import UserError
from gptlab.files import read_regular
from gptlab.inspection.page import numbers, numbers_in
from gptlab.loaded.loaded import Loaded
from gptlab.plugins.registry import Registry
from gptlab.runs.checkpoint.folder import checkpoint_folders, read_checkpoint, step_of
from gptlab.runs.files import INSPECTION, INSPECTIONS, check_leads_nowhere
from gptlab.runs.saved_run import from_checkpoint

Series = list[tuple[int, dict[str, Any]]]  # by step, what `gptlab.inspection.page.numbers` gives
NO_PAGES = 'it has kept no inspections: train with inspect.every=100 and MLflow, or add text="the cat eats"'
NO_CHECKPOINTS = "it has no checkpoints"


def series_of(run: Loaded, registry: Registry, text: str | None) -> Series:
    """By step, from the first to the last. With a text, of the checkpoints; without one, of the pages that were kept.

    Raises UserError for what is no run here, and where there are less than two steps.
    """
    if run.folder is None:
        raise UserError(
            f"steps=true needs a run's folder: {run.name} is not one here. Type run=FOLDER, or leave steps out."
        )
    found = kept_pages(run.folder) if text is None else of_checkpoints(run.folder, registry, text)
    if len(found) < 2:
        instead = (
            'Or look at its checkpoints: add text="the cat eats".'
            if text is None
            else "Type checkpoint.every=100 checkpoint.keep=20 when you train."
        )
        kept = "pages of inspections" if text is None else "checkpoints"
        how = "Train with inspect.every=100 and MLflow. " if text is None else ""
        raise UserError(
            f"steps=true needs {kept} of two steps or more: {run.folder} has {len(found)}. {how}{instead}"
        )
    return found


def series_of_each(
    folders: Sequence[Path], registry: Registry, text: str | None, left_out: Callable[[Path, str], None]
) -> dict[Path, Series]:
    """By folder the same of several runs, of one step or more. left_out(folder, why) hears of those that have none.

    Raises UserError if not one has any.
    """
    found: dict[Path, Series] = {}
    reason = ""
    for folder in folders:
        why = NO_PAGES if text is None else NO_CHECKPOINTS
        series: Series = []
        try:
            check_leads_nowhere(folder)
            series = kept_pages(folder) if text is None else of_checkpoints(folder, registry, text)
        except UserError as error:
            why = str(error)
        if series:
            found[folder] = series
        else:
            left_out(folder, why)
            reason = reason or why
    if not found:
        raise UserError(f"steps=true shows what runs make of a text, and none can be shown: {reason}")
    return found


def of_checkpoints(folder: Path, registry: Registry, text: str) -> Series:
    series = []
    for checkpoint in checkpoint_folders(folder):
        saved = from_checkpoint(read_checkpoint(checkpoint), folder)
        series.append((saved.step or 0, numbers(Loaded(saved, registry).inspect(text))))
    return series


def kept_pages(folder: Path) -> Series:
    """Those that can be read."""
    series = []
    for file in sorted((folder / INSPECTIONS).glob(f"step-*/{INSPECTION}")):
        step = step_of(file.parent)
        with suppress(OSError, ValueError, UserError):
            if step is not None and not file.is_symlink():
                series.append((step, numbers_in(read_regular(file).decode())))
    return sorted(series, key=lambda entry: entry[0])
