"""python -m gptlab, and the console script `gptlab`."""

import gc
import os
import sys


def leave_out_this_folder() -> None:
    """Have no module of the current folder imported: a names.py or token.py there is no part of gptlab.

    `python -m` puts the folder in front of all others; the console script does not. Processes that are begun
    from here on leave it out, too, unless gptlab itself is only to be found there.
    """
    if sys.flags.safe_path or not sys.path or sys.path[0] != os.getcwd():
        return
    here = sys.path.pop(0)
    from importlib.machinery import PathFinder

    if PathFinder.find_spec("gptlab") is not None:
        os.environ["PYTHONSAFEPATH"] = "1"
    else:
        sys.path.append(here)


def main() -> None:
    from gptlab.calling import wrong_python

    mistake = wrong_python()
    if mistake:
        print(f"gptlab: {mistake}", file=sys.stderr)
        sys.exit(2)
    # What is imported and composed at the start is all kept: looking through it again and again for what could
    # be thrown away takes a twentieth of the time until a command begins.
    gc.set_threshold(50_000, *gc.get_threshold()[1:])
    from gptlab.cli import main as run

    status = run()
    from gptlab.signals import end_now, must_end_now

    if must_end_now(status):
        end_now(status)
    gc.freeze()  # Python's last collection walks all that was imported: half a second with jax
    sys.exit(status)


if __name__ == "__main__":
    leave_out_this_folder()
    main()
