"""Who may import whom, and what is not loaded until it is needed."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import gptlab
from gptlab.command.verbs import ROOTS, VERBS
from gptlab.config.experiments import folder_of
from tests.project.imports import MODULES, imports_of

# The command line's own layer, which knows Hydra.
COMMAND_LINE = {"__main__", "cli", "command"}
# MLflow's process, and what only that one loads.
MLFLOW = {"tracking"}
HEAVY = ("jax", "mlflow", "hydra")


def modules_loaded_by(code: str, tmp_path: Path) -> set[str]:
    """What is in sys.modules once `code` has run in a process of its own."""
    report = (
        "import sys, json, atexit\natexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=open("
    )
    report += f"{str(tmp_path / 'modules.json')!r}, 'w')))\n"
    command = [sys.executable, "-c", report + code]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=60)
    return set(json.loads((tmp_path / "modules.json").read_text()))


def loaded_by(code: str, tmp_path: Path) -> set[str]:
    """The top-level packages that it loads."""
    return {name.partition(".")[0] for name in modules_loaded_by(code, tmp_path)}


def test_import_gptlab_loads_nothing_heavy(tmp_path: Path) -> None:
    loaded = loaded_by("import gptlab", tmp_path)
    assert loaded.isdisjoint((*HEAVY, "numpy", "omegaconf")), "the names are loaded at first use"


@pytest.mark.slow
def test_the_public_names_load_nothing_heavy(tmp_path: Path) -> None:
    assert loaded_by("from gptlab import *", tmp_path).isdisjoint(HEAVY)


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("arguments", "verbs"), [(["--version"], set()), (["ui", "--help"], {"ui"}), (["plugins"], {"plugins"})]
)
def test_the_file_of_a_verb_is_loaded_when_it_is_typed(
    tmp_path: Path, arguments: list[str], verbs: set[str]
) -> None:
    loaded = modules_loaded_by(f"from gptlab.cli import main; main({arguments!r})", tmp_path)
    assert {name.rpartition(".")[2] for name in loaded if name.startswith("gptlab.cli.verbs.")} == verbs


def test_every_verb_has_its_file_and_each_root_its_config() -> None:
    files = {import_module(verb.file or f"gptlab.cli.verbs.{name}").__name__ for name, verb in VERBS.items()}
    assert files == {name for name in MODULES if name.startswith("gptlab.cli.verbs.")}
    assert all(verb.help.strip() for verb in VERBS.values())
    assert {path.stem for path in folder_of("conf").glob("*.yaml")} == set(ROOTS)


# Each room and each file beside the rooms, with the rooms that it imports. Those that are `FREE` every room may.
FREE = {"calling", "errors", "files", "signals", "streams", "strict_json"}
ROOMS = {
    "__main__": {"cli"},
    "ablation": {
        "command",
        "config",
        "drawing",
        "launch",
        "plugins",
        "runs",
        "statistics",
        "sweeps",
        "training",
    },
    "assembly": {"autograd", "config", "data", "engines", "model", "optim", "plugins"},
    "autograd": {"drawing"},
    "calling": {"streams"},
    "checks": {"autograd", "command", "data", "engines", "launch", "model", "optim", "plugins", "training"},
    "cli": {
        "ablation",
        "autograd",
        "checks",
        "command",
        "config",
        "data",
        "drawing",
        "exchange",
        "gallery",
        "graph",
        "inspection",
        "launch",
        "loaded",
        "model",
        "play",
        "plugins",
        "runs",
        "sweeps",
        "tracking",
        "training",
    },
    "command": {"config", "plugins"},
    "config": {"autograd", "plugins"},
    "data": {"engines", "own_process"},
    "drawing": set(),
    "engines": {"autograd"},
    "errors": {"calling"},
    "exchange": {"assembly", "autograd", "config", "data", "engines", "model", "plugins", "runs", "tracking"},
    "files": {"errors", "strict_json"},
    "finetuning": {"assembly", "config", "data", "exchange", "model", "plugins", "runs"},
    "found": {"plugins"},
    "gallery": {
        "ablation",
        "command",
        "config",
        "drawing",
        "plugins",
        "runs",
        "statistics",
        "sweeps",
        "training",
    },
    "graph": {
        "autograd",
        "config",
        "data",
        "drawing",
        "engines",
        "inspection",
        "launch",
        "model",
        "optim",
        "plugins",
    },
    "inspection": {"autograd", "data", "drawing", "engines", "model", "training"},
    "launch": {
        "assembly",
        "autograd",
        "command",
        "config",
        "data",
        "engines",
        "exchange",
        "finetuning",
        "inspection",
        "model",
        "optim",
        "plugins",
        "runs",
        "statistics",
        "training",
    },
    "loaded": {
        "assembly",
        "config",
        "data",
        "drawing",
        "exchange",
        "inspection",
        "model",
        "plugins",
        "runs",
        "tracking",
        "training",
    },
    "model": {"autograd", "drawing", "engines"},
    "own_process": set(),
    "optim": {"engines"},
    "play": {"loaded", "runs"},
    "plugins": {"autograd", "data", "engines", "model", "optim"},
    "runs": {"data", "engines", "model", "plugins", "training"},
    "signals": {"calling"},
    "statistics": set(),
    "streams": set(),
    "strict_json": set(),
    "sweeps": {
        "command",
        "config",
        "drawing",
        "engines",
        "launch",
        "plugins",
        "runs",
        "statistics",
        "tracking",
        "training",
    },
    "tracking": {"config", "inspection", "own_process", "plugins", "runs", "training"},
    "training": {"data", "drawing", "engines", "optim", "plugins"},
}
# Who takes what a notebook takes, `from gptlab import load`: that arrow is nobody's.
PUBLIC = {"gptlab.tracking.sampler"}


def room_of(module: str) -> str:
    return module.removeprefix("gptlab.").partition(".")[0]


def arrows() -> dict[str, set[str]]:
    """Each room and each file beside the rooms, with those that it imports."""
    found: dict[str, set[str]] = {}
    for name, path in MODULES.items():
        if name == "gptlab":
            continue
        own = {module for module in imports_of(path) if module.startswith("gptlab.")}
        if name in PUBLIC:
            own -= {f"gptlab.{public}" for public in gptlab.__all__}
        room = room_of(name)
        found.setdefault(room, set()).update({room_of(module) for module in own} - {room})
    return found


@pytest.mark.slow
def test_the_table_has_every_room() -> None:
    assert arrows().keys() == ROOMS.keys()


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_the_rooms_of_the_table(room: str) -> None:
    assert arrows()[room] - (FREE if room not in FREE else set()) == ROOMS[room]


def test_no_circle_but_those_that_are_known() -> None:
    left = arrows()
    while ends := [room for room, to in left.items() if not to & left.keys()]:
        for room in ends:
            del left[room]
    assert not left, f"a circle of rooms is among these: {left}"


@pytest.mark.parametrize("name", MODULES)
def test_who_knows_hydra_mlflow_and_pluggy(name: str) -> None:
    inside = {".".join(name.split(".")[1:end]) for end in (2, 3)}  # `config`, and `config.keys`
    imported = {module.partition(".")[0] for module in imports_of(MODULES[name])}
    sweeps = {f"sweeps.{file}" for file in ("folders", "job", "plan", "side_by_side")}
    knows = {
        # `config.keys` has Hydra's own keys, too, once one of them is asked for
        "hydra": COMMAND_LINE | sweeps | {"config.keys"},
        "omegaconf": COMMAND_LINE | sweeps | {"config.schema", "launch.resuming"},
        "mlflow": MLFLOW,
        "pluggy": {"plugins"},
        "jax": {"engines", "launch.provenance", "checks", "inspection"},
    }
    for package, places in knows.items():
        assert package not in imported or inside & places, f"{name} imports {package}"
