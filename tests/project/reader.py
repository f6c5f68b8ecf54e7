"""Somebody who follows a page: one folder, one shell and one Python, from its top to its bottom."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from gptlab.tracking.left import JOBS
from tests.repository import ROOT, repository_files

SET_UP = ("PYTHON", "MLFLOW_", "VIRTUAL_ENV", "GPTLAB_", "HYDRA_", "XLA_FLAGS", "MAKE", "MFLAGS", *JOBS)

# Reads blocks from the line, and answers with what they printed.
INTERPRETER = r"""
import contextlib, doctest, io, json, os, sys, traceback
answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
state = {"__name__": "__main__"}

def session(text):
    came = []
    for part in doctest.DocTestParser().parse(text):
        if isinstance(part, str):
            came.append(part)
            continue
        first, *rest = part.source.splitlines()
        came += [f">>> {first}\n", *(f"... {line}\n" for line in rest)]
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(part.source, "<page>", "single"), state)
        came.append(printed.getvalue())
    return "".join(came)

for line in sys.stdin:
    kind, text = json.loads(line)
    try:
        came = session(text) if kind == "session" else exec(compile(text, "<page>", "exec"), state)
        reply = [True, came]
    except BaseException:
        reply = [False, traceback.format_exc()]
    print(json.dumps(reply), file=answer, flush=True)
"""

# Runs its arguments, and ends them as soon as a step is logged.
STOP = """\
{command} & pid=$!
for i in $(seq 1200); do
    cat runs/*/*/metrics.jsonl 2>/dev/null | grep -q train/loss && break
    kill -0 $pid 2>/dev/null || break
    sleep 0.1
done
kill -TERM $pid; wait $pid"""


class Reader:
    """Has bash with gptlab's environment active, in an empty folder; or not active, in a copy of the checkout."""

    def __init__(self, folder: Path, in_checkout: bool):
        self.folder = folder / "gptlab" if in_checkout else folder
        path = os.defpath
        if in_checkout:
            copy_checkout(self.folder)
            tools = [os.path.dirname(found) for name in ("make", "git") if (found := shutil.which(name))]
            path = os.pathsep.join([*dict.fromkeys(tools), path])
        else:
            path = os.pathsep.join([os.path.dirname(sys.executable), path])
        kept = {name: value for name, value in os.environ.items() if not name.startswith(SET_UP)}
        self.environment = {
            **kept,
            "PATH": path,
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "130",
            "PYTHONWARNINGS": "ignore",
        }
        if not in_checkout:
            self.environment["PYTHONPATH"] = str(ROOT)
        self.bash = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        self.interpreter: subprocess.Popen[str] | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self.bash, self.interpreter):
            if process is not None:
                try:
                    process.communicate(timeout=10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()

    def shell(self, command: str, stops: bool = False) -> tuple[int, str]:
        """The exit status of a command in this shell, and what it printed."""
        if stops:
            command = STOP.format(command=command)
        end = "--- the end of it: "
        assert self.bash.stdin is not None and self.bash.stdout is not None
        self.bash.stdin.write(f"{{ {command}\n}} </dev/null; printf '%s%d\\n' {shlex.quote(end)} $?\n")
        self.bash.stdin.flush()
        lines: list[str] = []
        for line in self.bash.stdout:
            if end in line:
                rest, _, status = line.rpartition(end)
                return int(status), "".join(lines) + rest
            lines.append(line)
        raise AssertionError(f"the shell ended with: {command}\n{''.join(lines)}")

    def save(self, name: str, text: str) -> None:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def python(self, text: str) -> None:
        self._ask("exec", text)

    def session(self, text: str) -> str:
        """The session as it goes now, with its prompts."""
        return str(self._ask("session", text))

    def _ask(self, kind: str, text: str) -> object:
        if self.interpreter is None:
            status, said = self.shell("command -v python; env -0 | base64 -w 0")
            assert status == 0, said
            python, _, encoded = said.partition("\n")
            self.interpreter = subprocess.Popen(
                [python, "-c", INTERPRETER],
                cwd=self.folder,
                env=decoded(encoded),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self.interpreter.stdin is not None and self.interpreter.stdout is not None
        self.interpreter.stdin.write(json.dumps([kind, text]) + "\n")
        self.interpreter.stdin.flush()
        well, came = json.loads(self.interpreter.stdout.readline() or '[false, "Python ended"]')
        assert well, f"{text}\n{came}"
        return came


def decoded(encoded: str) -> dict[str, str]:
    import base64

    pairs = base64.b64decode(encoded).decode().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def copy_checkout(folder: Path) -> None:
    """What a clone has, with an environment as `make setup` leaves it: its packages are those of this Python."""
    for file in repository_files():
        copy = folder / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    create_environment(folder / ".venv", folder)
    for stamp in (".locked", ".ready"):
        (folder / ".venv" / stamp).write_text(f"{folder.resolve()}\n", encoding="utf-8")


def create_environment(folder: Path, checkout: Path) -> Path:
    """An environment with the gptlab of a checkout and the packages of this Python; its python."""
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    # A path in a .pth file comes behind the environment's own, and .pth files that lie there are not read.
    (site / "own.pth").write_text(f"{checkout}\n{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    script = folder / "bin/gptlab"
    main = "import sys\nfrom gptlab.__main__ import main\nsys.exit(main())\n"
    # A shebang takes no path with a space: the shell reads the second line, Python takes it for a text.
    script.write_text(f'#!/bin/sh\n"exec" "{folder}/bin/python" "$0" "$@"\n{main}', encoding="utf-8")
    script.chmod(0o755)
    return folder / "bin/python"
