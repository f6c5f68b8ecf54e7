"""The training loop in C, tuned by hand (simd_c.c), compiled for this machine and for the task's sizes."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.task import Task

SOURCE = Path(__file__).with_suffix(".c")
FAST = ("-O3", "-march=native", "-ffast-math", "-fPIC")


def compiler() -> str:
    """Raises ImportError where there is none."""
    name = os.environ.get("CC", "cc")
    found = shutil.which(name)
    if found is None:
        raise ImportError(f"there is no C compiler ({name})")
    return found


def compiled(task: Task) -> Any:
    """`train` of simd_c.c at the task's sizes."""
    if task.nEmbd % 4:
        raise ValueError(f"nEmbd must be a multiple of 4, the smallest vector: got {task.nEmbd}")
    sizes = {"nLayer": task.nLayer, "E": task.nEmbd, "H": task.nHead, "V": task.vocabSize}
    sizes |= {"T": task.blockSize, "B": task.batchSize}
    with tempfile.TemporaryDirectory() as folder:
        made, library = Path(folder) / "simd_c.o", Path(folder) / "simd_c.so"
        defined = [f"-D{name}={size}" for name, size in sizes.items()]
        # Linked without -ffast-math, which would have the whole process take its smallest numbers for 0 from then on.
        for command in (
            [*FAST, *defined, "-c", str(SOURCE), "-o", str(made)],
            ["-shared", str(made), "-o", str(library), "-lm"],
        ):
            subprocess.run([compiler(), *command], check=True, capture_output=True, text=True)
        return ctypes.CDLL(str(library)).train


def trainer(task: Task) -> Callable[[int], np.ndarray]:
    train = compiled(task)
    w = np.concatenate([array.ravel() for array in task.weights.values()]).astype(np.float32)
    m, v = np.zeros_like(w), np.zeros_like(w)
    tokens, lengths = (np.ascontiguousarray(array, np.int32) for array in (task.tokens, task.lengths))
    done = [0]

    def run(steps: int) -> np.ndarray:
        losses = np.empty(steps, np.float32)
        kept = (w, m, v, tokens, lengths)
        counts = (len(tokens), done[0], steps, task.numSteps)
        settings = (task.learningRate, task.beta1, task.beta2, task.epsAdam)
        train(
            *(ctypes.c_void_p(array.ctypes.data) for array in kept),
            *map(ctypes.c_int64, counts),
            *map(ctypes.c_double, settings),
            ctypes.c_void_p(losses.ctypes.data),
        )
        done[0] += steps
        return losses

    return run
