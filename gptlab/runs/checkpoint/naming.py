"""The MLflow id in a checkpoint that was saved before MLflow had given the run one."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from gptlab.files import sync
from gptlab.runs.checkpoint.digests import SUMS
from gptlab.runs.checkpoint.folder import CHECKPOINTS, STATE, write_synced
from gptlab.runs.checkpoint.state import state_as_bytes

UNNAMED = ".unnamed.part"  # what a checkpoint without its id is called for a moment


def name_run(folder: Path, run_id: str) -> None:
    """Have the state.json of a checkpoint say which MLflow run it is of, unless it does.

    A copy that shares all other files takes its place, so that what has its name is whole at all times. A checkpoint
    that is damaged stays as it is. Raises OSError if it cannot be written, or is gone.
    """
    old, sums = (folder / STATE).read_bytes(), (folder / SUMS).read_bytes()
    digest = hashlib.sha256(old).hexdigest().encode()
    try:
        state = json.loads(old)
        named = state["run"]["id"] != ""
    except (ValueError, LookupError, TypeError):
        return
    if named or digest not in sums:
        return
    state["run"]["id"] = run_id
    content = state_as_bytes(state)
    beside = folder.with_name(f".{folder.name}.named.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir()
        for file in folder.iterdir():
            if file.name not in (STATE, SUMS):
                share(file, beside / file.name)
        write_synced(beside / STATE, content)
        write_synced(beside / SUMS, sums.replace(digest, hashlib.sha256(content).hexdigest().encode()))
        sync(beside)
        unnamed = folder.with_name(f".{folder.name}{UNNAMED}")
        shutil.rmtree(unnamed, ignore_errors=True)
        os.rename(folder, unnamed)
        os.rename(beside, folder)
        sync(folder.parent)
        shutil.rmtree(unnamed, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def share(file: Path, copy: Path) -> None:
    try:
        os.link(file, copy)
    except OSError:  # a disk without links
        shutil.copy2(file, copy)


def put_back(run_folder: Path) -> None:
    """A checkpoint that was being given its id when the process was killed has its name again."""
    for unnamed in (run_folder / CHECKPOINTS).glob(f".step-*{UNNAMED}"):
        folder = unnamed.with_name(unnamed.name.removeprefix(".").removesuffix(UNNAMED))
        if not folder.exists():
            with suppress(OSError):
                os.rename(unnamed, folder)
