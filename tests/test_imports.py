"""Who may import whom, and what is not loaded until it is needed."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import gptlab

PACKAGE = Path(gptlab.__file__).parent
MODULES = {
    ".".join(("gptlab", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
# The command line's own layer, which knows Hydra. `config`, the schema, is in it by rights, and still loads none.
COMMAND_LINE = {"__main__", "cli"}
# MLflow's process, and what only that one loads.
MLFLOW = {"tracking", "figures"}
HEAVY = ("jax", "mlflow", "hydra")


def loaded_by(code: str, tmp_path: Path) -> set[str]:
    """The top-level packages in sys.modules once `code` has run in a process of its own."""
    report = (
        "import sys, json, atexit\natexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=open("
    )
    report += f"{str(tmp_path / 'modules.json')!r}, 'w')))\n"
    command = [sys.executable, "-c", report + code]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=60)
    return {name.partition(".")[0] for name in json.loads((tmp_path / "modules.json").read_text())}


def test_import_gptlab_loads_nothing_heavy(tmp_path: Path) -> None:
    loaded = loaded_by("import gptlab", tmp_path)
    assert loaded.isdisjoint((*HEAVY, "numpy", "omegaconf")), "the names are loaded at first use"


def test_the_public_names_load_nothing_heavy(tmp_path: Path) -> None:
    assert loaded_by("from gptlab import *", tmp_path).isdisjoint(HEAVY)


def test_no_room_below_the_command_line_loads_hydra_or_mlflow(tmp_path: Path) -> None:
    rooms = [
        name
        for name in MODULES
        if name.removeprefix("gptlab.").partition(".")[0] not in COMMAND_LINE | MLFLOW
    ]
    rooms = [name for name in rooms if not name.endswith("__main__")]
    loaded = loaded_by("\n".join(f"import {name}" for name in rooms), tmp_path)
    assert "gptlab" in loaded
    assert loaded.isdisjoint(("hydra", "mlflow"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["generate", "--help"],
        ["--version"],
        ["train.numStep=3"],
        ["optimizer=nosuch"],
        ["generate"],
        ["graph", "expr=a*b", "a=2", "b=3"],
        ["graph", "+experiment=names", "text=ada"],
    ],
    ids=" ".join,
)
def test_what_a_command_does_not_need_is_not_loaded(tmp_path: Path, arguments: list[str]) -> None:
    loaded = loaded_by(f"from gptlab.cli import main; main({arguments!r})", tmp_path)
    assert "gptlab" in loaded
    assert loaded.isdisjoint(("jax", "mlflow", "matplotlib"))
    if "--help" in arguments or "--version" in arguments:
        assert "hydra" not in loaded


# DESIGN §3: each room and the rooms of gptlab that it may import, itself aside. Free for all: `errors`, `calling`.
ARROWS = {
    "calling": set(),
    "environment": set(),
    "errors": set(),
    "strict_json": set(),
    "loss_text": set(),
    "metric_rows": {"strict_json"},
    "smoothing": {"metric_rows"},
    "registry": set(),
    "hookspecs": set(),
    "run": set(),
    "groups": {"registry"},
    "autograd": {"drawing"},  # a Value draws itself
    "drawing": set(),
    "engines": {"autograd"},
    "model": {"autograd", "engines", "run"},
    "optim": set(),
    "data": {"engines", "strict_json"},
    "generation": {"data", "engines"},
    "training": {"data", "engines", "smoothing"},
    "checkpoint": {"strict_json"},
    "source": {"checkpoint"},
    "exchange": {"assembly", "autograd", "checkpoint", "create", "registry", "run", "source", "strict_json"},
    "signals": set(),
    "streams": set(),
    "progress": {"loss_text", "smoothing"},
    "provenance": set(),
}


def imports_of(path: Path) -> set[str]:
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
    return found


@pytest.mark.parametrize("room", ARROWS)
def test_imports_point_one_way(room: str) -> None:
    files = [
        p for name, p in MODULES.items() if name == f"gptlab.{room}" or name.startswith(f"gptlab.{room}.")
    ]
    assert files, f"there is no room {room}"
    for path in files:
        own = {name.split(".")[1] for name in imports_of(path) if name.startswith("gptlab.")}
        assert own - {room, "errors", "calling"} <= ARROWS[room], path


@pytest.mark.parametrize("name", MODULES)
def test_who_knows_hydra_mlflow_and_pluggy(name: str) -> None:
    room = name.removeprefix("gptlab.").partition(".")[0]
    imported = {module.partition(".")[0] for module in imports_of(MODULES[name])}
    knows = {
        # the schema has Hydra's own keys, too, once one of them is asked for
        "hydra": COMMAND_LINE | {"schema"},
        "omegaconf": COMMAND_LINE | {"config"},
        "mlflow": MLFLOW,
        "pluggy": {"hookspecs", "plugins", "listeners"},
        "jax": {"engines", "provenance", "checks", "inspection"},
    }
    for package, rooms in knows.items():
        assert package not in imported or room in rooms, f"{name} imports {package}"
