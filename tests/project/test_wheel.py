"""The ordinary way: build the wheel, install it in a fresh environment, train from another folder."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.repository import ROOT

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command; a failure shows what it printed."""
    outside = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "MLFLOW_", "VIRTUAL_ENV", "XLA_FLAGS"))
    }
    done = subprocess.run(
        command,
        cwd=cwd,
        env=outside | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the sdist, so that what either of the two forgets is missed here."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts folder of a new environment that holds the wheel and nothing else of gptlab."""
    folder = tmp_path_factory.mktemp("fresh") / "environment"
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    run(
        *(
            sys.executable,
            "-m",
            "pip",
            "--python",
            python,
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ),
        *("--no-index", "--no-deps", wheel),
        cwd=folder,
    )
    # The dependencies are over a gigabyte: they are read from the environment of this test.
    # A path in a .pth file goes behind the environment's own, and .pth files found *there* are
    # not followed, so the editable install of the checkout does not come along with them.
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python.parent


def test_the_wheel_carries_configs_and_experiments_and_nothing_else_of_the_checkout(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
    for folder in ("conf", "experiments"):
        files = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
        expected = {f"gptlab/{path.relative_to(ROOT).as_posix()}" for path in files}
        assert expected, f"{folder}/ is empty"
        assert expected == {name for name in names if name.startswith(f"gptlab/{folder}/")}
    assert "gptlab/experiments/tiny.yaml" in names
    static = (ROOT / "gptlab/inspection/static").iterdir()
    assert names >= {f"gptlab/inspection/static/{path.name}" for path in static} != set()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"gptlab"}


def test_tiny_trains_from_any_folder(fresh: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "another folder"
    elsewhere.mkdir()
    home = tmp_path / "home"
    home.mkdir()
    store = ROOT / "mlflow.db"
    before = store.stat().st_mtime_ns if store.exists() else None

    imported = run(fresh / "python", "-c", "import gptlab; print(gptlab.__file__)", cwd=elsewhere)
    assert Path(imported.stdout.strip()).is_relative_to(fresh.parent)
    run(
        *(fresh / "python", "-m", "gptlab", "+experiment=tiny", "train.numSteps=20"),
        cwd=elsewhere,
        HOME=str(home),
    )

    assert list(tmp_path.rglob("mlflow.db")) == [elsewhere / "mlflow.db"]
    assert (store.stat().st_mtime_ns if store.exists() else None) == before


def test_the_console_script_shows_its_help(fresh: Path, tmp_path: Path) -> None:
    assert "+experiment=tiny" in run(fresh / "gptlab", "--help", cwd=tmp_path).stdout
    assert list(tmp_path.iterdir()) == []
