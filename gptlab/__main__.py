"""python -m gptlab, and the console script `gptlab`."""

import gc
import sys


def main() -> None:
    # What is imported and composed at the start is all kept: looking through it again and again for what could
    # be thrown away takes a twentieth of the time until a command begins.
    gc.set_threshold(50_000, *gc.get_threshold()[1:])
    from gptlab.cli import main as run

    status = run()
    gc.freeze()  # Python's last collection walks all that was imported: half a second with jax
    sys.exit(status)


if __name__ == "__main__":
    main()
