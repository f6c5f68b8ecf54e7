"""What begins warm is what would have begun cold."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes import wait_until
from tests.warm import ON_PATH, warm_processes
from tests.warm.server import LIBRARIES

# In the place of gptlab, where a process is started in its folder.
SAYS = """
import json, os, sys, time
with open("begun", "w") as file:
    file.write(str(os.getpid()))
if sys.argv[1] == "all":
    print(json.dumps({
        "argv": sys.argv[1:], "orig": sys.orig_argv[1:], "name": __name__, "folder": os.getcwd(), "path": sys.path,
        "environment": {key: value for key, value in os.environ.items() if key != "TESTS_WARM"},
        "read": sys.stdin.read(), "umlaut": "\\u00e4", "loaded": "optax" in sys.modules,
        "gptlab": [name for name in sys.modules if "gptlab" in name],
    }))
    print("aside", file=sys.stderr)
    sys.exit(3)
if sys.argv[1] == "wrong":
    raise ValueError("wrong")
time.sleep(60)
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "gptlab").mkdir()
    (tmp_path / "gptlab/__init__.py").touch()
    (tmp_path / "gptlab/__main__.py").write_text(SAYS)
    (tmp_path / "sockets").mkdir()
    with warm_processes(tmp_path / "sockets"):
        yield tmp_path


def start(place: Path, *arguments: str, **changes: str) -> "subprocess.Popen[str]":
    (place / "begun").unlink(missing_ok=True)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    environment = {**os.environ, "PYTHONPATH": ON_PATH, **changes}
    return subprocess.Popen(
        [sys.executable, "-m", "gptlab", *arguments], cwd=place, env=environment, text=True, **pipes
    )


def said(place: Path, **changes: str) -> dict[str, Any]:
    process = start(place, "all", "the cat", "ä=1", **changes)
    out, err = process.communicate("what it reads", timeout=60)
    assert (process.returncode, err) == (3, "aside\n")
    return json.loads(out)


@pytest.mark.slow
def test_it_has_what_a_cold_one_has_and_ends_as_it_is_ended(place: Path) -> None:
    cold = said(place)  # the first; the second starts a server
    assert said(place) == cold and not cold["loaded"]
    wait_until(lambda: len([*place.glob("sockets/command-????????")]) == 1, 120)
    warm = said(place)
    assert warm == {**cold, "loaded": True} and cold["read"] == "what it reads"

    # Another environment needs another server; what is read later does not.
    assert not said(place, JAX_ENABLE_X64="1")["loaded"]
    assert said(place, MLFLOW_TRACKING_URI="sqlite:///other.db", SOME="thing")["loaded"]

    process = start(place, "wrong")
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 1 and err.endswith("ValueError: wrong\n")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        process = start(place, "wait")
        wait_until(lambda: (place / "begun").exists() and (place / "begun").read_text())
        child = int((place / "begun").read_text())
        assert child != process.pid
        process.send_signal(number)
        err = process.communicate(timeout=60)[1]
        assert process.returncode == -number, err
        wait_until(lambda: not Path(f"/proc/{child}").exists())  # noqa: B023 - it is over within this turn


@pytest.mark.slow
def test_a_server_has_loaded_nothing_of_gptlab(tmp_path: Path) -> None:
    code = "import sys, importlib\nfor name in sys.argv[1:]: importlib.import_module(name)\n"
    code += "print([name for name in sys.modules if name.partition('.')[0] in ('gptlab', 'plugins')])"
    for libraries in LIBRARIES.values():
        done = subprocess.run(
            [sys.executable, "-c", code, *libraries], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.stdout == "[]\n", done.stderr
