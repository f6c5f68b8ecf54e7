"""Runs that are killed with SIGKILL at random moments and resumed until they end. A program of its own:

python -m tests.runs.killing FOLDER KILLS

It forks a child for each try, so that nothing is imported anew: no jax, no threads. Prints what it saw as JSON.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from gptlab.cli import main
from gptlab.runs.checkpoint.folder import checkpoint_folders, read_checkpoint
from tests.resuming import TINY, write_corpus

SIZES = ["engine=scalar", "train.batchSize=2", "train.numSteps=150", "train.logEvery=1", "train.evalEvery=5"]
DEADLINE = 60.0  # seconds that a child may take until it gets anywhere


def in_child(arguments: list[str]) -> int:
    """The process id of a child that runs gptlab's command."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        status = main(arguments)
    finally:
        os._exit(status)


def newest(run: Path) -> int:
    """The step of a run's newest checkpoint; 0 if there is none."""
    folders = checkpoint_folders(run)
    return int(folders[-1].name.removeprefix("step-")) if folders else 0


def unfinished(run: Path) -> int:
    """How many folders there are of what was being written or removed."""
    return sum(name.startswith(".") for name in os.listdir(run / "checkpoints"))


def kill_somewhere(child: int, run: Path, chance: random.Random) -> bool:
    """Kill the child after a few checkpoints and a moment more; False if it had ended before, with status 0."""
    start = newest(run)
    # Of four one in its first steps or before them: while it reads, cuts back and sets out.
    wanted = start + (0 if start and chance.random() < 0.25 else chance.choice([1, 2, 4, 7]))
    end = time.monotonic() + DEADLINE
    while newest(run) < wanted:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert status == 0, f"the child ended with {status}"
            return False
        assert time.monotonic() < end, "no checkpoint comes"
        time.sleep(0.001)
    time.sleep(chance.uniform(0.0, 0.3 if wanted == start else 0.03))
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or status == 0, f"the child ended with {status}"
    return os.WIFSIGNALED(status)


def main_of_killing(folder: Path, kills: int) -> None:
    os.chdir(folder)
    write_corpus(folder)
    chance = random.Random()
    seen: dict[str, list[int]] = {"kills": [], "leftovers": [], "finished": []}
    number = 0
    while len(seen["kills"]) < kills:
        run = Path(f"run-{number}")
        command = [*TINY, *SIZES, "checkpoint.every=1", f"hydra.run.dir={run}"]
        while kill_somewhere(in_child(command), run, chance):
            seen["kills"].append(newest(run))
            seen["leftovers"].append(unfinished(run))
            for whole in checkpoint_folders(run):
                read_checkpoint(whole)  # what has its name is whole, whenever the kill came
            command = [f"resume={run}"]
            if len(seen["kills"]) >= kills:
                assert os.waitpid(in_child(command), 0)[1] == 0
                break
        seen["finished"].append(newest(run))
        number += 1
    assert main([*TINY, *SIZES, "hydra.run.dir=whole"]) == 0
    print(json.dumps(seen))


if __name__ == "__main__":
    main_of_killing(Path(sys.argv[1]), int(sys.argv[2]))
