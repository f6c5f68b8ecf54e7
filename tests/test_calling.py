"""Commands in messages work as typed where the person stands; a Python that gptlab does not run on is told so."""

import ast
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from gptlab import calling
from gptlab.errors import UserError
from tests.project.reader import create_environment
from tests.repository import ROOT

PLAIN = "/usr/bin:/bin"
SAY = "from gptlab.calling import as_called; print(as_called('type python -m gptlab --version'))"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return create_environment(tmp_path_factory.mktemp("a checkout") / ".venv", ROOT)


def shell(command: str, cwd: Path, path: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", command],
        cwd=cwd,
        env={"PATH": path, "HOME": str(cwd), **more},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def said(command: str, cwd: Path, path: str, **more: str) -> str:
    """The command that a message of this gptlab names, tried in a shell at `cwd`, where only `path` is set."""
    done = shell(command, cwd, path, **more)
    assert done.returncode == 0, done.stderr
    typed = done.stdout.strip().removeprefix("type ")
    tried = shell(typed, cwd, path)
    assert (tried.returncode, tried.stdout[:7]) == (0, "gptlab "), f"{typed}: {tried.stderr}"
    return typed


def test_nothing_is_active(python: Path) -> None:
    typed = said(f"{shlex.quote(str(python))} -c {shlex.quote(SAY)}", python.parents[2], PLAIN)
    assert typed == ".venv/bin/python -m gptlab --version"


def test_from_another_folder_with_a_space_on_the_way(python: Path, tmp_path: Path) -> None:
    typed = said(f"{shlex.quote(str(python))} -c {shlex.quote(SAY)}", tmp_path, PLAIN)
    assert "a checkout" in typed and shlex.split(typed)[1:] == ["-m", "gptlab", "--version"]


def test_the_environment_is_active(python: Path, tmp_path: Path) -> None:
    typed = said(f"python -c {shlex.quote(SAY)}", tmp_path, f"{python.parent}:{PLAIN}")
    assert typed == "python -m gptlab --version"


def test_another_environment_of_the_same_python_is_active(python: Path, tmp_path: Path) -> None:
    """Both are links to one file."""
    other = tmp_path / "other"
    venv.create(other, symlinks=True)
    typed = said(
        f"{shlex.quote(str(python))} -c {shlex.quote(SAY)}", python.parents[2], f"{other / 'bin'}:{PLAIN}"
    )
    assert typed == ".venv/bin/python -m gptlab --version"


def test_only_python3_is_found(python: Path, tmp_path: Path) -> None:
    shutil.copytree(python.parents[1], tmp_path / "env", symlinks=True)
    (tmp_path / "env/bin/python").unlink()
    typed = said(f"python3 -c {shlex.quote(SAY)}", tmp_path, f"{tmp_path / 'env/bin'}:{PLAIN}")
    assert typed == "python3 -m gptlab --version"


def test_the_path_is_that_of_uv_run_alone(python: Path) -> None:
    done = shell(
        f"python -c {shlex.quote(SAY)}",
        python.parents[2],
        f"{python.parent}:{PLAIN}",
        UV_RUN_RECURSION_DEPTH="1",
    )
    assert done.stdout.strip() == "type .venv/bin/python -m gptlab --version"


def test_the_runs_go_to_another_folder_than_the_shell_stands_in(python: Path, tmp_path: Path) -> None:
    """`make tiny FOLDER=...`: the command says cd, and what is set before it stays before it."""
    elsewhere = tmp_path / "runs here"
    elsewhere.mkdir()
    say = f"cd {shlex.quote(str(elsewhere))} && {shlex.quote(str(python))} -c {shlex.quote(SAY)}"
    typed = said(say, tmp_path, PLAIN, **{calling.STOOD: str(tmp_path)})
    assert typed.startswith(f"cd {shlex.quote(str(elsewhere))} && ")
    say = say.replace("type python", "type XDG_CACHE_HOME=/x python")
    done = shell(say, tmp_path, PLAIN, **{calling.STOOD: str(tmp_path)})
    assert "&& XDG_CACHE_HOME=/x " in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("active", [False, True])
def test_the_console_script(python: Path, tmp_path: Path, active: bool) -> None:
    folder = python.parents[2]
    path = f"{python.parent}:{PLAIN}" if active else PLAIN
    done = shell(f"{'gptlab' if active else '.venv/bin/gptlab'} nosuch x", folder, path)
    assert done.returncode == 2
    done = shell(f"{'gptlab' if active else '.venv/bin/gptlab'} plugins x", folder, path)
    typed = done.stderr.partition("Type ")[2].strip().removesuffix(".")
    assert typed == ("gptlab plugins" if active else ".venv/bin/gptlab plugins")
    assert shell(typed, folder, path).returncode == 0


def test_what_was_replaced_once_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "command", lambda: ".venv/bin/python -m gptlab")
    once = calling.as_called("Type python -m gptlab ui, or 'python -m gptlab ui'.")
    assert once == "Type .venv/bin/python -m gptlab ui, or 'python -m gptlab ui'."
    assert calling.as_called(once) == once
    (shown,) = UserError("Type python -m gptlab ui")._render_traceback_()  # as a notebook shows it
    assert shown == "gptlab: Type .venv/bin/python -m gptlab ui"


def test_pip_is_that_of_this_python(python: Path) -> None:
    say = SAY.replace("python -m gptlab --version", 'pip install "gptlab[optuna]"')
    done = shell(f"{shlex.quote(str(python))} -c {shlex.quote(say)}", python.parents[2], PLAIN)
    assert done.stdout.strip() == 'type .venv/bin/python -m pip install "gptlab[optuna]"'


# Functions whose text somebody else prints by as_called: what is raised, or told to who asked.
HANDED_ON = {
    "command_to_go_on",
    "_rest",
    "next_steps",
    "opened",
    "of_another_verb",
    "command",
    "help_of_brought",
    "failures",
    "way_to_sweep",  # for a page, which others read elsewhere
}


def functions_that_name_a_command() -> list[tuple[Path, str, str]]:
    found = []
    for path in sorted((ROOT / "gptlab").rglob("*.py")):
        if path.name in ("help.py", "calling.py"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            body = function.body[1:] if ast.get_docstring(function) else function.body
            texts = [node for part in body for node in ast.walk(part) if isinstance(node, ast.Constant)]
            if any(isinstance(node.value, str) and calling.WRITTEN in node.value for node in texts):
                found.append((path, function.name, ast.unparse(function)))
    return found


@pytest.mark.slow
def test_whatever_names_a_command_is_raised_or_goes_through_as_called() -> None:
    found = functions_that_name_a_command()
    assert len(found) > 5
    stray = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, name, source in found
        # What MLflow, and a page of the gallery, keep as it is typed anywhere.
        if name not in HANDED_ON | {"command_typed", "heading"}
        and not any(
            word in source for word in ("UserError(", "unknown_name(", "TrainingStopped(", "as_called(")
        )
    ]
    assert stray == []


# --- a Python that gptlab does not run on -----------------------------------------------------------------


def test_the_packages_looked_for_are_those_of_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {Requirement(text).name for text in project["dependencies"]}
    assert set(calling.PACKAGES.values()) == needed
    assert project["requires-python"] == f">={'.'.join(map(str, calling.OLDEST))}"


@pytest.mark.parametrize("name", ["__init__", "__main__", "calling"])
def test_old_pythons_can_read_what_tells_them(name: str) -> None:
    source = (ROOT / f"gptlab/{name}.py").read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 6))
    assert "import annotations" not in source  # 3.7


def test_an_old_python_is_told_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3.9")
    told = calling.wrong_python()
    assert "3.11 or newer is needed" in told and "is 3.9.18. Type " in told


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with gptlab's files, and without an environment."""
    shutil.copytree(ROOT / "gptlab", tmp_path / "gptlab", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_a_python_without_the_packages_says_how_to_set_up(checkout: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", symlinks=True)
    typed = "bare/bin/python -m gptlab +experiment=tiny 'description=a b'"
    done = shell(typed, checkout, PLAIN)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("gptlab: packages are needed") and "hydra-core, jax," in line
    again = ".venv/bin/python -m gptlab +experiment=tiny 'description=a b'"
    assert line.endswith(f"Type make setup, then {again}")

    create_environment(checkout / ".venv", checkout)
    (checkout / ".venv/.ready").touch()
    done = shell(typed, checkout, PLAIN)
    assert done.returncode == 2 and done.stderr.endswith(f"Type {again}\n")
    os.mkdir(checkout / "below")
    done = shell("PYTHONPATH=.. ../bare/bin/python -m gptlab ui", checkout / "below", PLAIN)
    assert done.stderr.endswith("Type ../.venv/bin/python -m gptlab ui\n")


def test_an_environment_that_lacks_one_package_says_which(checkout: Path) -> None:
    python = create_environment(checkout / ".venv", checkout)
    (checkout / ".venv/.ready").touch()
    code = "import sys; sys.modules['pluggy'] = None; from gptlab.__main__ import main; main()"
    done = shell(f"{shlex.quote(str(python))} -c {shlex.quote(code)}", checkout, PLAIN)
    assert done.returncode == 2, done.stderr
    assert "does not have: pluggy. Type .venv/bin/python -m pip install -r ./requirements.txt" in done.stderr


@pytest.mark.parametrize("ready", [True, False])
def test_an_environment_whose_set_up_has_not_ended_says_so(checkout: Path, ready: bool) -> None:
    """All packages are there, and gptlab, which comes last, is not."""
    python = create_environment(checkout / ".venv", checkout)
    if ready:
        (checkout / ".venv/.ready").touch()
    code = "from importlib.metadata import PackageNotFoundError; import importlib.metadata as m\n"
    code += "def none(name): raise PackageNotFoundError(name)\n"
    code += "m.distribution = none; from gptlab.__main__ import main; main()"
    done = shell(f"{shlex.quote(str(python))} -c {shlex.quote(code)}", checkout, PLAIN)
    assert done.returncode == 2 and "gptlab must be installed" in done.stderr and "\n" not in done.stderr[:-1]
    what = "Type .venv/bin/python -m pip install --editable ." if ready else "Type make setup, then "
    assert what in done.stderr
