"""Several processes, signals, and memory, with long data."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.data.long.setting import each_unit, entries, leftovers

COMMAND = """
import sys
from gptlab.data import reading
reading.IN_MEMORY = 1000
reading.BLOCK = 1 << 16
from gptlab.cli import main
sys.exit(main(sys.argv[1:]))
"""


def command(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            COMMAND,
            "data=text",
            "tracking=none",
            "train.numSteps=2",
            "samples.n=0",
            *arguments,
        ],
        cwd=folder,
        env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_two_processes_at_once_do_each_other_no_harm(tmp_path):
    (tmp_path / "data.txt").write_text("the cat runs home\n" * 200_000)
    processes = [command(tmp_path, "data.path=data.txt", "model.nEmbd=8", "model.nHead=2") for _ in range(2)]
    ends = [(process.communicate(timeout=120), process.returncode) for process in processes]
    assert [code for _, code in ends] == [0, 0], ends
    folder = tmp_path / "cache/gptlab/tokens"
    assert len(entries(folder)) == 1 and leftovers(folder) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name
)
def test_tokenizing_that_is_stopped_leaves_nothing_that_is_taken_for_whole(tmp_path, number):
    (tmp_path / "data.txt").write_text("".join(f"the cat {i} runs\n" for i in range(1_500_000)))
    process = command(tmp_path, "data.path=data.txt")
    folder = tmp_path / "cache/gptlab/tokens"
    deadline = time.monotonic() + 60
    while not list(folder.glob(".*.part/tokens.bin")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.01)
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert entries(folder) == []
    if number == signal.SIGKILL:
        assert leftovers(folder)
    else:
        assert process.returncode == 128 + number and leftovers(folder) == []
        assert error.splitlines()[-1].startswith("gptlab: stopped by ") and "Traceback" not in error
    (tmp_path / "data.txt").write_text("the cat runs\n" * 1000)
    again = command(tmp_path, "data.path=data.txt")
    assert (again.communicate(timeout=60)[1], again.returncode) == ("", 0)
    assert len(entries(folder)) == 1 and leftovers(folder) == []


MEASURE = """
import sys
from pathlib import Path
from gptlab.data import arrays, reading, tokenized
from gptlab.data.batches import Epochs
from gptlab.data.datasets import Text
from gptlab.data.documents import Cuts
from gptlab.data.splitting import split
from gptlab.data.tokenizers import CharTokenizer
from gptlab.data.watching import Watch
reading.IN_MEMORY, arrays.MAPPED = 1 << 20, 1 << 20
unit, *names = sys.argv[1:]
for name in names:
    found = tokenized.tokenize(Text(path=name, unit=unit).documents(), CharTokenizer(), {}, Watch())
    assert found.entry is not None
    how = dict(shuffle=True, valFraction=0.02, splitSeed=0, seed=0)
    parts = split(Cuts(found.stream, 64, unit == "window"), found.keys(64, unit == "window"), **how)
    train, held = parts.train, parts.held_out
    found.unigram_entropy(64, unit == "window")
    epochs = Epochs(train, 16, 0)
    for start in range(0, 4000, 500):
        epochs.chunk(start, 500)
    held.tokens, held.lengths
    # Not ru_maxrss, which begins with that of the process that started this one.
    print(next(line.split()[1] for line in Path("/proc/self/status").open() if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to see the peak")
@each_unit
def test_memory_does_not_grow_with_the_text(tmp_path, unit):
    lines = [f"{i % 9999:04} " + "abcdefghijklmnopqrstuvwxyz " * 4 + "\n" for i in range(10_000)]
    (tmp_path / "small.txt").write_text("".join(lines) * 4)
    (tmp_path / "large.txt").write_text("".join(lines) * 110)
    growth = subprocess.run(
        [sys.executable, "-c", MEASURE, unit, str(tmp_path / "small.txt"), str(tmp_path / "large.txt")],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
        check=True,
        capture_output=True,
        text=True,
    )
    small, large = (int(line) / 1024 for line in growth.stdout.split())
    # 115 MB more of text, and as many of tokens. A document has a key and a place in the order, 8 bytes each, and
    # while they are ranked some more; of windows of 64 signs there are 1.8 million.
    assert large - small < 80, f"{small:.0f} MB for 4 MB of text, {large:.0f} MB for 120 MB"
