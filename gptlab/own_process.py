"""Another Python process of ours, at the other end of a pipe."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

from gptlab import strict_json
from gptlab.signals import SIGNALS


def start(module: str, **options: Any) -> subprocess.Popen[Any]:
    """Start a process that calls `main` of the module; its three streams are pipes. options: of subprocess.Popen."""
    # Modules are found as they are found here, whatever the current folder; -P keeps it out.
    code = "import sys, json; sys.path[:] = json.loads(sys.argv[1])"
    code += f"; import {module} as other; other.main()"
    # What ends a whole job (scancel, systemd, a shutdown) sends its signal to each of its processes. It must reach
    # this one, which then lets the other one end: a child blocks what is blocked as it is made.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", code, strict_json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # as for Ctrl-C, which goes to a terminal's group
            **options,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
