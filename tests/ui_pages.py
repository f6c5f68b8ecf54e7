"""`gptlab ui` on a store, in a fresh headless browser."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from tests.browser import Browser, running_browser

GPTLAB = [sys.executable, "-m", "gptlab"]


def outside() -> dict[str, str]:
    """The environment as a user starts gptlab: without the settings of the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PYTHON"))}


@contextmanager
def pages_of(folder: Path, scratch: Path) -> Iterator[tuple[Browser, str]]:
    """A browser, and the address that `gptlab ui` printed for the store of `folder`; it must end well."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    pages = subprocess.Popen(
        [*GPTLAB, "ui", f"port={port}"],
        cwd=folder,
        env=outside(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert pages.stdout is not None
        said = [pages.stdout.readline() for _ in range(3)]
        assert said[2].strip().startswith(f"http://127.0.0.1:{port}/"), said
        with running_browser(scratch) as browser:
            yield browser, said[2].strip()
    finally:
        pages.send_signal(signal.SIGINT)
        try:
            pages.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            pages.kill()  # What it has started is not ours to find; the assertion below tells.
            pages.communicate()
    assert pages.returncode == 0


def chart_sections(text: str) -> list[str]:
    """The headings of a page's charts, from above: what stands before a count in parentheses."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return [name for name, count in pairwise(lines) if re.fullmatch(r"\(\d+\)", count)]
