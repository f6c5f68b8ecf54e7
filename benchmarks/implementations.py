"""Every implementation of the training loop by name, and what it computes in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.task import Task
from gptlab.model.gpt import GPT

Run = Callable[[int], np.ndarray]

# float32, unless a float64 one is asked for; the others know one precision.
EITHER = ("xla", "jax_plain")
DOUBLE = ("scalar", "value_loop", "numpy_manual")
# torch_nanogpt is of another model: gpt2_task makes its tasks.
SINGLE = ("torch_eager", "simd_c")
NAMES = (*EITHER, *DOUBLE, *SINGLE)
# Millions of objects a step: without this it would be the collector that is measured.
WITHOUT_COLLECTOR = ("value_loop",)


def precision(name: str, dtype: str = "float32") -> str:
    return dtype if name in EITHER else "float64" if name in DOUBLE else "float32"


def make_trainer(name: str, task: Task, definition: GPT, dtype: str = "float32") -> Run:
    """`run(steps)` of the implementation. Raises ImportError where what it needs is not installed."""
    # Imported one by one, so that a process holds only what its own implementation needs.
    if name == "xla":
        from benchmarks import gptlab_engine
        from gptlab.engines.xla import XlaEngine

        return gptlab_engine.trainer(task, definition, XlaEngine(dtype))
    if name == "scalar":
        from benchmarks import gptlab_engine
        from gptlab.engines.scalar import ScalarEngine

        return gptlab_engine.trainer(task, definition, ScalarEngine())
    if name == "jax_plain":
        from benchmarks.baselines import jax_plain

        return jax_plain.trainer(task, dtype)
    if name == "numpy_manual":
        from benchmarks.baselines import numpy_manual

        return numpy_manual.trainer(task)
    if name == "simd_c":
        from benchmarks.baselines import simd_c

        return simd_c.trainer(task)
    if name == "torch_eager":
        from benchmarks.baselines import torch_eager

        return torch_eager.trainer(task)
    if name in ("torch_nanogpt", "torch_nanogpt_compiled"):
        from benchmarks.baselines import torch_nanogpt

        return torch_nanogpt.trainer(task, compiled=name.endswith("_compiled"))
    if name == "value_loop":
        from benchmarks.baselines import value_loop

        return value_loop.trainer(task)
    raise ValueError(f"no implementation {name}: there are {', '.join(NAMES)}")


def tolerance(one: str, other: str, dtype: str = "float32") -> float:
    """How far the first losses of two implementations may differ, relatively."""
    both = {precision(one, dtype), precision(other, dtype)}
    return 1e-9 if both == {"float64"} else 1e-4
