"""The notebooks of docs/, each run from its first cell to its last.

`python -m tests.project.notebook` keeps what they then show; with names of files, what those show.
"""

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from tests.repository import ROOT

# Not what an editor keeps of a notebook that is open.
NOTEBOOKS = sorted(
    path for path in (ROOT / "docs").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts
)
SECONDS = 240  # for one cell
# What a run tells of its pace, only where it takes long.
PACE = re.compile(r"^step \d+/\d+ .* tokens/s.*\n", re.MULTILINE)
PLACES = ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")


def executed(path: Path, folder: Path) -> Any:
    """The notebook as it is after a run in the folder, which keeps all that it writes.

    Raises nbclient's CellExecutionError for a cell that fails and is not tagged raises-exception.
    """
    import nbformat
    from nbclient import NotebookClient

    # Neither the settings of whoever runs it nor what was left in the home folder.
    own = {name: folder / ".jupyter" / name for name in PLACES}
    for place in own.values():
        place.mkdir(parents=True)
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", record_timing=False)
    # As in an environment that is active, by whose path a run ends in `python -m gptlab generate`; and not as
    # tests compile (tests/compiling.py).
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    changed = {"XLA_FLAGS": "", "PATH": search, **{name: str(place) for name, place in own.items()}}
    with patch.dict(os.environ, changed):
        client.execute(cwd=str(folder))
    return notebook


def renew(path: Path) -> None:
    """Write the notebook with the outputs that it has now, and nothing of the machine that it ran on."""
    import nbformat

    with TemporaryDirectory() as folder:
        notebook = executed(path, Path(folder))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02}"  # an editor draws them at random
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
    nbformat.write(notebook, path)


def joined(outputs: list[Any]) -> list[Any]:
    """What a cell printed as one text, however many messages it came in, and however slow the machine was."""
    kept: list[Any] = []
    for output in outputs:
        same = (
            kept and output.output_type == "stream" == kept[-1].output_type and output.name == kept[-1].name
        )
        if same:
            kept[-1].text += output.text
        else:
            kept.append(output)
    for output in kept:
        if output.output_type == "stream":
            output.text = PACE.sub("", output.text)
    return kept


def main(names: Iterable[str]) -> None:
    for path in [Path(name).resolve() for name in names] or NOTEBOOKS:
        print(path.relative_to(ROOT), flush=True)
        renew(path)


if __name__ == "__main__":
    main(sys.argv[1:])
