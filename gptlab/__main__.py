"""python -m gptlab, and the console script `gptlab`."""

import gc
import sys


def main() -> None:
    from gptlab.cli import main as run

    status = run()
    gc.freeze()  # Python's last collection walks all that was imported: half a second with jax
    sys.exit(status)


if __name__ == "__main__":
    main()
