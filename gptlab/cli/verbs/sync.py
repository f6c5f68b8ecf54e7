"""The verb `sync`: to MLflow, what it has not of a run's folder."""

import os
from pathlib import Path

from gptlab.command.as_typed import unquoted
from gptlab.command.verbs import VERBS
from gptlab.config.addresses import KEY
from gptlab.errors import UserError
from gptlab.streams import show

HELP = """\
Send to MLflow what a run could not, because its server was away or the disk was full.

  python -m gptlab sync runs/2026-11-22/19-55-47-000000-tiny

If you need it, the run's last line says so. It goes to the store that the run was logged to, and writes nothing
twice.
tracking.uri  that store, if it has moved, or if you have not named it before\
"""


def run(arguments: list[str]) -> int:
    """Send to MLflow what it has not of a run's folder.

    A run that was killed after its last step is ended, as by `resume`, which writes all that is missing.
    """
    from gptlab.calling import quoted
    from gptlab.runs.files import check_leads_nowhere
    from gptlab.runs.resuming import lacks_its_end
    from gptlab.tracking.catch_up import sync_folder
    from gptlab.tracking.named_stores import name_store

    given = [word for word in arguments if word.startswith(f"{KEY}=")]
    words = [word for word in arguments if word not in given]
    if len(words) != 1 or len(given) > 1 or words[0].startswith("-"):
        raise UserError(
            f"sync takes one run's folder: got '{' '.join(arguments)}'. Type python -m gptlab sync runs/..."
        )
    folder = Path(os.path.expanduser(words[0]))
    check_leads_nowhere(folder)
    if lacks_its_end(folder):
        return VERBS["train"].run([quoted("resume", str(folder)), *given])
    uri = unquoted(given[0].partition("=")[2]) if given else ""
    if uri:
        name_store(uri)
    show(sync_folder(folder, uri))
    return 0
