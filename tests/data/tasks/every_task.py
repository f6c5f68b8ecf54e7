"""Each task in the ways in which its fields change what it gives."""

from gptlab.data.problems import EndlessProblems, Problems
from gptlab.data.tasks.addition import Addition
from gptlab.data.tasks.copying import Copy
from gptlab.data.tasks.dyck import Dyck
from gptlab.data.tasks.markov import Markov
from gptlab.data.tasks.modular import Modular
from gptlab.data.tasks.parity import Parity
from gptlab.data.tasks.recall import Recall
from gptlab.data.tasks.repeat import Repeat
from gptlab.data.tasks.sorting import Sort

ENDLESS: tuple[EndlessProblems, ...] = (
    Addition(),
    Addition(digits=2, reversed=True, longer=5),
    Addition(digits=2, aligned=True, longer=3),
    Addition(digits=4, reversed=True, aligned=True),
    Copy(),
    Copy(length=5, shortest=2, longer=9),
    Copy(length=4, symbols=3, noise=5, longer=6),
    Dyck(),
    Dyck(length=6, shortest=2, kinds=2, depth=2, longer=12),
    Dyck(length=8, kinds=6, depth=9),
    Markov(),
    Markov(states=2, order=2, length=10, shortest=3, longer=20),
    Parity(),
    Parity(length=6, running=True, longer=12),
    Parity(length=9, shortest=1, longer=12),
    Recall(),
    Recall(pairs=5, fewest=2, queries=2, harder=9),
    Repeat(),
    Repeat(length=5, shortest=None, symbols=9, longer=9),
    Sort(),
    Sort(length=5, shortest=1, symbols=4, longer=8),
)
LISTED: tuple[Problems, ...] = tuple(
    Modular(p=7, operation=operation) for operation in ("add", "subtract", "multiply", "divide")
)


def named(task: Problems) -> str:
    """For a test's name: the task, and its fields that are not the usual ones."""
    usual = type(task)()
    fields = [f"{key}={value}" for key, value in vars(task).items() if value != getattr(usual, key)]
    return " ".join([type(task).__name__, *fields])
