"""gptlab's modules, and what each imports."""

import ast
from functools import cache
from pathlib import Path

import gptlab

PACKAGE = Path(gptlab.__file__).parent
MODULES = {
    ".".join(("gptlab", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Every module that a file imports, at its top or inside a function, but not for type checking only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module or ""
            found |= {f"{module}.{a.name}" for a in node.names} if module == "gptlab" else {module}
    return frozenset(found)
