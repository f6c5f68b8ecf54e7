"""What one accelerator does, in under four minutes: python -m benchmarks gpu

Step times of names and book from batch 1 to 4,096; a sweep whose jobs train in one call (engine.together) beside one
job; baby GPT and GPT-2 small in bfloat16 as a share of what the chip's own product of large matrices reaches, beside
torch where it is installed. Each part has a share of the time, compiling included: what it has no time for is told.
Where there is no accelerator, or with --small, the sizes are small, and the figures say only that it runs.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import machine, report

TIMED = 0.3  # seconds that the steps which are timed take, about
MOST_STEPS = 2048  # of one timing
Run = Callable[[int], Any]
Row = list[str]


@dataclass(frozen=True)
class Sizes:
    """batches: of names and book. product: the side of the matrices. jobs, steps: of the sweep. large: by title, the
    arguments of gpt2_task. seconds: of the parts, in their order."""

    batches: tuple[int, ...]
    product: int
    jobs: int
    steps: int
    large: dict[str, dict[str, int]]
    seconds: tuple[float, ...] = (10, 65, 70, 80)


LARGE = Sizes(
    batches=(1, 16, 256, 4096),
    product=8192,
    jobs=256,
    steps=1000,
    large={
        "baby GPT": {"nLayer": 6, "nEmbd": 384, "nHead": 6, "blockSize": 256, "batchSize": 64},
        "GPT-2 small": {
            **{"nLayer": 12, "nEmbd": 768, "nHead": 12, "blockSize": 1024, "batchSize": 8},
            **{"vocabSize": 50257, "documents": 64},
        },
    },
)
SMALL = Sizes(
    batches=(1, 16),
    product=256,
    jobs=4,
    steps=40,
    large={"a tiny GPT-2": {"nLayer": 1, "nEmbd": 32, "nHead": 2, "blockSize": 16, "batchSize": 4}},
)


@dataclass
class Part:
    """One table, and the time that it has, besides what the parts before it have left of theirs.

    left: what it had no time for; notes: what could not be.
    """

    title: str
    header: Row
    seconds: float
    clock: Callable[[], float] = time.monotonic
    rows: list[Row] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def measure(self, items: Iterator[tuple[str, Callable[[], Row]]], end: float) -> None:
        """Each in turn, until one that takes as long as they did on average would end after `end`, by the clock."""
        start, done = self.clock(), 0
        for name, measured in items:
            began = self.clock()
            if self.left or began + (began - start) / max(1, done) > end:
                self.left.append(name)
                continue
            try:
                self.rows.append(measured())
            except (
                Exception
            ) as error:  # no memory, or what is not installed: the others are measured all the same
                self.notes.append(
                    f"{name} left out: {type(error).__name__}: {str(error).splitlines()[0][:200]}"
                )
            gc.collect()  # of what it held on the device
            done += 1

    def text(self) -> str:
        told = [f"### {self.title}", report.lines_of(self.header, self.rows)]
        if self.left:
            told.append(f"Not reached in its time: {'; '.join(self.left)}.")
        return "\n\n".join([*told, *self.notes])


def step_seconds(run: Run, clock: Callable[[], float] = time.perf_counter) -> float:
    """Of a step, by the first call that takes long enough; what is compiled is not in it."""
    run(1)
    steps = 1
    while True:
        run(steps)  # a call of so many steps may be another program, and what it takes is made ahead
        began = clock()
        run(steps)
        seconds = clock() - began
        if seconds >= TIMED or steps >= MOST_STEPS:
            return seconds / steps
        steps *= 4


def peak_flops(side: int) -> float:
    """Operations a second of a product of bfloat16 matrices (side, side), of a chain of them in one call."""
    import jax
    import jax.numpy as jnp

    chain = 8

    @jax.jit
    def products(x: Any, w: Any) -> Any:
        for _ in range(chain):
            x = x @ w
        return x

    keys = jax.random.split(jax.random.key(0))
    x, w = (jax.random.normal(key, (side, side), jnp.bfloat16) / side**0.5 for key in keys)
    best = float("inf")
    products(x, w).block_until_ready()
    for _ in range(3):
        began = time.perf_counter()
        products(x, w).block_until_ready()
        best = min(best, time.perf_counter() - began)
    return chain * 2 * side**3 / best


def small_models(sizes: Sizes) -> Iterator[tuple[str, Callable[[], Row]]]:
    from benchmarks.gptlab_engine import trainer
    from benchmarks.task import make_task
    from gptlab.engines.xla import XlaEngine

    for title, arguments in (("names", ("names", 1, 16)), ("book", ("sentences", 2, 32))):
        for batch in sizes.batches:

            def row(title: str = title, arguments: Any = arguments, batch: int = batch) -> Row:
                task, definition = make_task(*arguments, batchSize=batch)
                seconds = step_seconds(trainer(task, definition, XlaEngine()))
                tokens = batch * float(task.lengths.mean()) / seconds
                return [title, f"{batch:,}", report.duration(seconds), f"{tokens:,.0f}"]

            yield f"{title}, batch {batch:,}", row


def sweep(jobs: int, steps: int) -> float:
    """Seconds of a sweep of `names` with so many jobs in one call, over rates and seeds. Raises RuntimeError."""
    from gptlab.cli import main

    rates = min(jobs, 16)
    words = ["-m", "+experiment=names", "tracking=none", "progress=none", "samples.n=0"]
    words += [f"train.numSteps={steps}", f"train.evalEvery={steps}", f"engine.together={jobs}"]
    words += ["train.learningRate=" + ",".join(f"{0.001 * (i + 1):g}" for i in range(rates))]
    words += [f"seed=range(0,{max(1, jobs // rates)})"]
    here = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="gptlab-gpu-") as folder:
        os.chdir(folder)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                began = time.perf_counter()
                status = main(words)
                seconds = time.perf_counter() - began
        finally:
            os.chdir(here)
    if status:
        raise RuntimeError(f"the sweep ended with status {status}")
    return seconds


def sweeps(sizes: Sizes) -> Iterator[tuple[str, Callable[[], Row]]]:
    for jobs in (1, sizes.jobs):
        for compiled in ("and compiling", ""):
            what = f"{jobs} job{'s' * (jobs > 1)} {compiled}".strip()

            def row(jobs: int = jobs, compiled: str = compiled) -> Row:
                seconds = sweep(jobs, sizes.steps)
                return [
                    f"{jobs:,}",
                    compiled or "compiled before",
                    f"{seconds:.3g} s",
                    report.duration(seconds / jobs),
                ]

            yield what, row


def large_models(sizes: Sizes, peak: float) -> Iterator[tuple[str, Callable[[], Row]]]:
    from benchmarks.gpt2_task import gpt2_task
    from benchmarks.products import operations

    def by_gptlab(task: Any, definition: Any) -> Run:
        from benchmarks.gptlab_engine import trainer
        from gptlab.engines.xla import XlaEngine

        return trainer(task, definition, XlaEngine("bfloat16"))

    def by_torch(task: Any, definition: Any) -> Run:
        from benchmarks.baselines.torch_nanogpt import trainer

        return trainer(task, compiled=True, half=True)

    for title, arguments in sizes.large.items():
        for name, make in (("gptlab", by_gptlab), ("torch, compile", by_torch)):

            def row(
                title: str = title, name: str = name, make: Any = make, arguments: Any = arguments
            ) -> Row:
                task, definition = gpt2_task(**arguments)
                seconds = step_seconds(make(task, definition))
                tokens, rate = task.batchSize * task.blockSize / seconds, operations(task) / seconds
                shown = [
                    report.duration(seconds),
                    f"{tokens:,.0f}",
                    f"{rate / 1e12:.3g}",
                    f"{rate / peak:.0%}",
                ]
                return [title, f"{task.batchSize} x {task.blockSize}", name, *shown]

            yield f"{title} by {name}", row


def measure(sizes: Sizes, tell: Callable[[str], None]) -> list[Part]:
    """All parts, each told once it is over."""
    found: list[float] = []

    def product() -> Row:
        found.append(peak_flops(sizes.product))
        return [f"{sizes.product:,} x {sizes.product:,}, bfloat16", f"{found[0] / 1e12:.3g}"]

    titles = (
        ("The chip's own product of matrices", ["matrices", "TFLOP/s"]),
        ("Small models", ["model", "batch", "step", "tokens/s"]),
        ("Jobs in one call", ["jobs", "", "the whole sweep", "a job"]),
        ("GPT-2s in bfloat16", ["model", "batch", "by", "step", "tokens/s", "TFLOP/s", "of the product's"]),
    )
    parts = [Part(*each, seconds) for each, seconds in zip(titles, sizes.seconds, strict=True)]
    items: list[Callable[[], Iterator[tuple[str, Callable[[], Row]]]]] = [
        lambda: iter([("the product", product)]),
        lambda: small_models(sizes),
        lambda: sweeps(sizes),
        lambda: large_models(sizes, found[0] if found else float("nan")),
    ]
    end = time.monotonic()
    for part, make in zip(parts, items, strict=True):
        end += part.seconds
        part.measure(make(), end)
        tell(part.text())
    return parts


def device_name() -> str:
    """Of jax's default device."""
    import jax

    return f"{jax.devices()[0].device_kind} ({jax.default_backend()})"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--small", action="store_true", help="small sizes, as where there is no accelerator")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="where the tables go, too")
    options = parser.parse_args(arguments)
    # Else jax takes three quarters of the device's memory for itself, and torch finds none.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax

    none = jax.default_backend() == "cpu"
    small = options.small or none
    texts = [f"{machine.sentence(machine.describe())} On {device_name()}."]
    if none and not options.small:
        texts.append("No accelerator is here: small sizes, on the processor.")
    print("\n\n".join(texts), flush=True)

    def tell(text: str) -> None:
        texts.append(text)
        print(f"\n{text}", flush=True)

    parts = measure(SMALL if small else LARGE, tell)
    if options.out is not None:
        options.out.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    return 0 if all(part.rows for part in parts) else 1
