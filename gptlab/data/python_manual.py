"""A text that every machine has: what Python says of itself."""

from __future__ import annotations

import ast
import platform
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gptlab.data.datasets import Dataset
from gptlab.errors import UserError

UNITS = ("line", "window")


@dataclass(frozen=True)
class PythonManual(Dataset):
    """What Python says of itself, 1.3 MB of English with some code: the language reference, and docstrings.

    The texts of `help("topics")` and the docstrings of the public modules of the standard library: nothing is
    downloaded, and the same Python has the same text. unit: `window`, running text; `line`, a document a line.
    """

    unit: str = "window"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.unit not in UNITS:
            raise UserError(f"data.unit must be line or window: got {self.unit}. Try data.unit=window.")

    @property
    def source(self) -> str:
        return f"the documentation in Python {platform.python_version()}"

    @property
    def window(self) -> bool:
        return self.unit == "window"

    def documents(self) -> list[str]:
        """Raises UserError for a Python without its library's source."""
        if self.window:
            return list(manual())
        return [line for text in manual() for line in text.split("\n") if line.strip()]


@cache
def manual() -> tuple[str, ...]:
    """The language reference, a topic after another, and then a text for each module."""
    from pydoc_data.topics import topics

    reference = "\n\n".join(topics[name].strip() for name in sorted(topics))
    folder = Path(sysconfig.get_path("stdlib"))
    modules = sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))
    texts = [text for module in modules if (text := "\n\n".join(docstrings_of(module)))]
    if not texts:
        raise UserError(
            f"data=python needs the source of Python's library: there is none in {folder}. Use a text of your own: "
            "data=text data.path=corpus.txt"
        )
    return (reference, *texts)


def docstrings_of(module: Path) -> Iterator[str]:
    """Those of a module, its classes and functions, in the order of the file; of none that is inside a statement."""
    tree = ast.parse(module.read_bytes())
    left: list[ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef] = [tree]
    while left:
        node = left.pop()
        if text := ast.get_docstring(node):
            yield text
        inner = [
            part
            for part in node.body
            if isinstance(part, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        ]
        left += reversed(inner)
