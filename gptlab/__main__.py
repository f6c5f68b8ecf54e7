"""python -m gptlab, and the console script `gptlab`."""

import sys


def main() -> None:
    from gptlab.cli import main as run

    sys.exit(run())


if __name__ == "__main__":
    main()
