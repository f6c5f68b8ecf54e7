"""The MLflow ids of a sweep's runs in its records and tables, which are made before MLflow has all of the runs."""

import csv
import io
from contextlib import suppress
from pathlib import Path
from typing import Any

from gptlab.errors import UserError
from gptlab.files import read_json, read_regular, write_bytes, write_json
from gptlab.runs.files import JOB
from gptlab.runs.folder import RunFolder

ID, FOLDER = "runId", "folder"  # the columns


def name_jobs(sweep: Path) -> None:
    """Write into each job's record that has no id the one that the run's folder tells. Raises OSError."""
    for file in sweep.rglob(JOB):
        if file.is_symlink():
            continue
        with suppress(UserError):  # a damaged one is nobody's
            told = read_json(file)
            if isinstance(told, dict) and told.get(ID) == "" and (run_id := RunFolder(file.parent).id):
                write_json(file, {**told, ID: run_id})


def name_runs(sweep: Path, columns: list[str], rows: list[list[Any]]) -> bool:
    """Write into each row that has no id the one that the run's folder tells; whether there was one to write."""
    if ID not in columns or FOLDER not in columns:
        return False
    at, place, found = columns.index(ID), columns.index(FOLDER), False
    for row in rows:
        if len(row) == len(columns) and not row[at]:
            # What a table names is followed no further than into the sweep's own folder: it may be a stranger's.
            folder = (sweep / str(row[place])).resolve()
            row[at] = RunFolder(folder).id if sweep.resolve() in folder.parents else ""
            found = found or bool(row[at])
    return found


def name_runs_in(file: Path) -> None:
    """The same in a CSV file of the sweep's folder. Raises OSError."""
    first, *rows = csv.reader(io.StringIO(read_regular(file).decode(), newline="")) or [[]]
    if name_runs(file.parent, first, rows):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([first, *rows])
        write_bytes(file, text.getvalue().encode())
