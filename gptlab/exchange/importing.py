"""A file of weights made into a run's folder, which generate, initFrom and export then find."""

from __future__ import annotations

import shutil
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from gptlab.errors import UserError
from gptlab.files import write_json, write_text
from gptlab.runs.checkpoint import write_checkpoint
from gptlab.runs.files import CONFIG, PLUGINS, RUN, TOKENIZER
from gptlab.runs.run import FINISHED
from gptlab.runs.source import IMPORTED, Source


def import_weights(source: Source, config: dict[str, Any], runs: Path) -> Path:
    """A run's folder below `runs` with one checkpoint; config: resolved, the one of a run of such a model.

    Raises UserError if it cannot be written: nothing is left of it then.
    """
    folder = runs / datetime.now().strftime("%Y-%m-%d/%H-%M-%S-%f")
    name = f"imported {Path(source.name).name}"
    state = {
        "step": source.step or 0,
        "position": 0,
        "random": {"seed": config["seed"]},
        "valLoss": None,
        "run": {"id": "", "name": name},
        "config": config,
        "tokenizer": source.tokenizer,
        "plugins": source.plugins,
        "files": {},
        "dataset": source.dataset,
        "start": source.start,
        IMPORTED: Path(source.name).name,
    }
    try:
        folder.mkdir(parents=True)
        write_text(folder / CONFIG, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
        write_json(folder / TOKENIZER, source.tokenizer)
        write_json(folder / RUN, {"id": "", "name": name, "status": FINISHED})
        if source.plugins:
            write_json(folder / PLUGINS, source.plugins)
        write_checkpoint(folder, state, source.weights, {})
    except BaseException as error:
        remove(folder)
        if isinstance(error, OSError):
            raise UserError(
                f"the run's folder must be writable: {folder}: {error.strerror or error}."
            ) from None
        raise
    return folder


def remove(folder: Path) -> None:
    """A folder that was made a moment ago, and those that it alone was in."""
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # not empty
        folder.parent.rmdir()
        folder.parent.parent.rmdir()
