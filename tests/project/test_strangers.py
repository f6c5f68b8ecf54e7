"""A file in the current folder that is called like a module which gptlab imports is neither imported nor run."""

import subprocess
import sys
from pathlib import Path

import pytest

# Not types, re and enum: Python itself imports them from the folder before it begins with `python -m gptlab`.
NAMES = "names token random queue logging json yaml numpy hydra jax mlflow statistics rich select signal difflib shlex"


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [["--help"], ["--cfg", "job", "+experiment=names"]], ids=["help", "config"]
)
def test_it_is_left_alone(tmp_path: Path, arguments: list[str]) -> None:
    for name in NAMES.split():
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('a stranger was run: {name}')\n")
    command = [sys.executable, "-m", "gptlab", *arguments]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")
    assert not (tmp_path / "__pycache__").exists()


@pytest.mark.slow
def test_processes_that_are_begun_leave_it_out_too(tmp_path: Path) -> None:
    (tmp_path / "names.py").write_text("raise SystemExit('a stranger was run')\n")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/asks.py").write_text(
        "import subprocess, sys\n"
        "command = [sys.executable, '-c', 'import names; print(names.__file__)']\n"
        "print(subprocess.run(command, capture_output=True, text=True).stdout)\n"
    )
    command = [sys.executable, "-m", "gptlab", "plugins"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.returncode == 0 and "site-packages" in said.stdout
