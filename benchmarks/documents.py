"""What a run costs as its data grows: python -m benchmarks.documents [--largest 7] [--no-gigabyte]

For 10^3 ... 10^7 documents (lines of 40 letters on average) and for files of 1 GB: the time from the start of
the process to the end of its first step, with an empty cache (cold) and a filled one (warm); the time of a
step, the batches' making included; and the peak memory of the process. All files lie in a temporary folder.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine, report
from gptlab import strict_json

SIZES = ["model.nEmbd=16", "model.nLayer=1", "model.blockSize=16", "train.batchSize=16", "samples.n=0"]
STEPS, ROUNDS = 512, 5
GIGABYTE = 10**9


def letters(count: int) -> Iterator[bytes]:
    """`count` lines of 20 to 60 lower-case letters, some more frequent than others."""
    generator = np.random.default_rng(0)
    for start in range(0, count, 100_000):
        lengths = generator.integers(20, 61, min(100_000, count - start))
        text = (97 + 25 * generator.random(int((lengths + 1).sum()), dtype=np.float32) ** 2).astype(np.uint8)
        text[np.cumsum(lengths + 1) - 1] = 10
        yield text.tobytes()


def words(size: int) -> Iterator[bytes]:
    """Lines of 8 words, of 5,000 there are, until there are `size` bytes; 40 blocks of them in random order."""
    generator = np.random.default_rng(0)
    known = ["".join(map(chr, generator.integers(97, 123, n))) for n in generator.integers(2, 10, 5000)]
    blocks = []
    for _ in range(40):
        rows = (5000 * generator.random((10_000, 8)) ** 3).astype(int).tolist()
        blocks.append("".join(" ".join([known[i] for i in row]) + "\n" for row in rows).encode())
    written = 0
    while written < size:
        block = blocks[generator.integers(len(blocks))]
        written += len(block)
        yield block


def child(overrides: list[str]) -> None:
    """One process of its own: prints seconds and bytes as JSON."""
    began = float(os.environ["BEGAN"])
    from gptlab.command.composing import compose, prepared
    from gptlab.config.schema import plain
    from gptlab.config.typed import Config, typed
    from gptlab.launch.experiment import Experiment

    experiment = Experiment.of(typed(Config, plain(compose("train", overrides))), prepared().registry)
    start = time.time()
    data = experiment.data
    reading = time.time() - start
    session, epochs, state = experiment.session, experiment.epochs, experiment.state(None)
    state, _ = session.train(state, epochs.chunk(0, 1), np.full(1, 0.01))
    first = time.time() - began
    times = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        state, _ = session.train(state, epochs.chunk(state.step, STEPS), np.full(STEPS, 0.001))
        times.append((time.perf_counter() - start) / STEPS)
    print(strict_json.dumps([first, reading, float(np.median(times[1:])), peak(), len(data.train)]))


def peak() -> int:
    """The most memory that this process has had, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss begins with that of the process that started this one
        return 1024 * next(int(row.split()[1]) for row in status.open() if row.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measured(path: Path, cache: Path, *overrides: str) -> Any:
    command = [sys.executable, "-m", "benchmarks.documents", "--child", "data=text", f"data.path={path}"]
    command += ["tracking=none", "progress=none", *SIZES, *overrides]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "BEGAN": str(time.time())}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return strict_json.loads(done.stdout.splitlines()[-1])


HEADER = [
    "data",
    "MB",
    "documents to train on",
    "first step cold (s)",
    "warm (s)",
    "reading cold (s)",
    "warm (s)",
]
HEADER += ["cold MB/s", "step (µs)", "peak cold (MB)", "warm (MB)"]


def row(name: str, path: Path, cache: Path, *overrides: str) -> list[str]:
    """As HEADER has them; cold: tokenized anew, warm: with the tokens that the first start kept."""
    cold, warm = (measured(path, cache, *overrides) for _ in range(2))
    size = path.stat().st_size / 1e6
    figures = [
        f"{size:,.1f}",
        f"{cold[4]:,}",
        f"{cold[0]:.1f}",
        f"{warm[0]:.1f}",
        f"{cold[1]:.2f}",
        f"{warm[1]:.2f}",
    ]
    figures += [
        f"{size / cold[1]:.0f}",
        f"{warm[2] * 1e6:.0f}",
        f"{cold[3] / 1e6:.0f}",
        f"{warm[3] / 1e6:.0f}",
    ]
    return [name, *figures]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.documents", description=__doc__)
    parser.add_argument("--child", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.add_argument("--largest", type=int, default=7, help="the largest power of ten (7)")
    parser.add_argument("--no-gigabyte", action="store_true", help="leave out the files of 1 GB")
    arguments = parser.parse_args()
    if arguments.child is not None:
        child(arguments.child)
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path, cache = Path(folder) / "data.txt", Path(folder) / "cache"
        cases: list[tuple[str, Iterator[bytes], list[str]]] = [
            (f"10^{power} lines, characters", letters(10**power), ["tokenizer=char"])
            for power in range(3, arguments.largest + 1)
        ]
        if not arguments.no_gigabyte:
            cases += [
                ("1 GB of lines, words", words(GIGABYTE), ["tokenizer=word"]),
                ("1 GB of lines, characters", words(GIGABYTE), ["tokenizer=char"]),
                ("1 GB running text, characters", words(GIGABYTE), ["tokenizer=char", "data.unit=window"]),
                ("1 GB running text, words", words(GIGABYTE), ["tokenizer=word", "data.unit=window"]),
            ]
        measured(write(path, letters(1000)), cache, "tokenizer=char")  # compiles, so that no row has to
        for name, blocks, overrides in cases:
            rows.append(row(name, write(path, blocks), cache, *overrides))
            print("  ".join(rows[-1]), flush=True)
    print("\n" + report.lines_of(HEADER, rows))
    if arguments.largest == 7 and not arguments.no_gigabyte:
        result = {"machine": machine.describe(), "header": HEADER, "rows": rows}
        report.write_json(report.RESULTS / "documents.json", result)
        report.write_page()


def write(path: Path, blocks: Iterator[bytes]) -> Path:
    with path.open("wb") as file:
        file.writelines(blocks)
    old = time.time() - 60  # a file that has just been changed would be read again to be sure
    os.utime(path, (old, old))
    return path


if __name__ == "__main__":
    main()
