"""A text that every machine has and nobody downloads: what Python says of itself."""

from __future__ import annotations

import ast
import platform
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from gptlab.errors import UserError

MANUAL = "python:"  # in place of a file's path


def source() -> str:
    return f"the documentation in Python {platform.python_version()}"


@cache
def manual() -> tuple[str, ...]:
    """The topics of `help()`, which are the language's reference, and for each public module a text of its docstrings.

    1.3 MB of English with some code; the same for the same Python. Raises UserError for a Python without the
    source of its library.
    """
    from pydoc_data.topics import topics

    reference = "\n\n".join(topics[name].strip() for name in sorted(topics))
    folder = Path(sysconfig.get_path("stdlib"))
    modules = sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))
    texts = [text for module in modules if (text := "\n\n".join(docstrings_of(module)))]
    if not texts:
        raise UserError(
            f"the text {MANUAL} is in the source of Python's library, and {folder} has none of it. Use a text of "
            "your own: data=text data.path=corpus.txt"
        )
    return (reference, *texts)


def docstrings_of(module: Path) -> Iterator[str]:
    """Those of a module, its classes and functions, in the order of the file; of none that is inside a statement."""
    left: list[ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef] = [
        ast.parse(module.read_bytes())
    ]
    while left:
        node = left.pop()
        if text := ast.get_docstring(node):
            yield text
        named = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        left += reversed([part for part in node.body if isinstance(part, named)])
