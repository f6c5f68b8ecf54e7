"""What is typed on a terminal while something is redrawn there."""

from __future__ import annotations

import os
import termios
from typing import IO

LOCAL_MODES = 3  # where termios keeps them


def set_echo(terminal: IO[str], on: bool) -> bool:
    """Have the terminal show what is typed, or not; whether that has changed anything.

    Only in the foreground: elsewhere the terminal is another's, and who changes it is stopped.
    """
    try:
        descriptor = terminal.fileno()
        modes = termios.tcgetattr(descriptor)
        if os.tcgetpgrp(descriptor) != os.getpgrp() or bool(modes[LOCAL_MODES] & termios.ECHO) == on:
            return False
        modes[LOCAL_MODES] ^= termios.ECHO
        termios.tcsetattr(descriptor, termios.TCSANOW, modes)
    except (OSError, ValueError, termios.error):  # no terminal, or none that is there any more
        return False
    return True
