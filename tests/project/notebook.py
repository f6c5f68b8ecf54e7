"""docs/notebook.ipynb run from its first cell to its last.

`python -m tests.project.notebook` keeps what it then shows.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from tests.repository import ROOT

NOTEBOOK = ROOT / "docs/notebook.ipynb"
SECONDS = 240  # for one cell
PLACES = ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")


def executed(folder: Path) -> Any:
    """The notebook as it is after a run in the folder, which keeps all that it writes.

    Raises nbclient's CellExecutionError for a cell that fails and is not tagged raises-exception.
    """
    import nbformat
    from nbclient import NotebookClient

    # Neither the settings of whoever runs it nor what was left in the home folder.
    own = {name: folder / ".jupyter" / name for name in PLACES}
    for place in own.values():
        place.mkdir(parents=True)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", record_timing=False)
    # And not as tests compile (tests/compiling.py).
    with patch.dict(os.environ, {"XLA_FLAGS": "", **{name: str(place) for name, place in own.items()}}):
        client.execute(cwd=str(folder))
    return notebook


def renew() -> None:
    """Write the notebook with the outputs that it has now, and nothing of the machine that it ran on."""
    import nbformat

    with TemporaryDirectory() as folder:
        notebook = executed(Path(folder))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
    nbformat.write(notebook, NOTEBOOK)


def joined(outputs: list[Any]) -> list[Any]:
    """What a cell printed as one text, however many messages it came in."""
    kept: list[Any] = []
    for output in outputs:
        same = (
            kept and output.output_type == "stream" == kept[-1].output_type and output.name == kept[-1].name
        )
        if same:
            kept[-1].text += output.text
        else:
            kept.append(output)
    return kept


if __name__ == "__main__":
    renew()
