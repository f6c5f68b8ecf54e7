"""The verb `sync`: to MLflow, what it has not of a run's folder."""

import os
from pathlib import Path

from gptlab.command.verbs import VERBS
from gptlab.errors import UserError
from gptlab.streams import show

HELP = """\
Write to MLflow what a run could not: its server was away, or the disk was full.

  python -m gptlab sync runs/2026-11-22/19-55-47-000000-tiny

The run's last line says so where it is needed. It goes to the store that the run was logged to; what is there
already is not written twice.\
"""


def run(arguments: list[str]) -> int:
    """Send to MLflow what it has not of a run's folder.

    A run that was killed after its last step is ended, as by `resume`, which writes all that is missing.
    """
    from gptlab.calling import quoted
    from gptlab.runs.resuming import lacks_its_end
    from gptlab.tracking.catch_up import sync_folder

    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise UserError(
            f"sync takes one run's folder: got '{' '.join(arguments)}'. Type python -m gptlab sync runs/..."
        )
    folder = Path(os.path.expanduser(arguments[0]))
    if lacks_its_end(folder):
        return VERBS["train"].run([quoted("resume", str(folder))])
    show(sync_folder(folder))
    return 0
