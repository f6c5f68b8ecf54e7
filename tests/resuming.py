"""Runs that end early and go on, for tests: what is left of a killed run, and what two runs are compared by."""

import json
import shutil
from pathlib import Path

from gptlab.runs.checkpoint.folder import checkpoint_folders

CORPUS = [f"the {a} {b} the {c}" for a in ("cat", "dog") for b in ("sees", "hears") for c in ("bird", "fish")]
TINY = [
    "data=text",
    "data.path=corpus.txt",
    "data.valFraction=0.25",
    "model.nEmbd=4",
    "model.nHead=2",
    "model.blockSize=6",
    "samples.n=2",
    "tracking=none",
    "progress=none",
]


def write_corpus(folder: Path) -> None:
    """24 documents, most of them short."""
    lines = [line for text in CORPUS for line in (text, text[:7], " ".join(text.split()[3:]))]
    (folder / "corpus.txt").write_text("\n".join(lines) + "\n")


def as_killed(run: Path, copy: Path, step: int, torn: bytes = b'{"step": 10, "tra') -> Path:
    """What SIGKILL would have left of a run after its checkpoint of `step`: the later lines, the last one torn."""
    shutil.copytree(run, copy)
    for folder in checkpoint_folders(copy):
        if int(folder.name.removeprefix("step-")) > step:
            shutil.rmtree(folder)
    with (copy / "metrics.jsonl").open("ab") as file:
        file.write(torn)
    (copy / "checkpoints/.step-000099.part").mkdir()
    return copy


def result(run: Path) -> dict[str, bytes]:
    """The last checkpoint to the bit, weights and optimizer."""
    last = checkpoint_folders(run)[-1]
    return {
        "step": last.name.encode(),
        **{p.name: p.read_bytes() for p in sorted(last.glob("*.safetensors"))},
    }


def logged(run: Path) -> list[dict[str, float]]:
    """metrics.jsonl, less what the clock says."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "train/tokensPerSecond"} for row in rows]


def assert_same_end(one: Path, other: Path) -> None:
    """Two runs that nothing distinguishes but the time they took."""
    assert result(one) == result(other)
    assert logged(one) == logged(other)
    assert texts(one) == texts(other)


def texts(run: Path) -> bytes:
    """samples.txt; nothing if there are none."""
    return (run / "samples.txt").read_bytes() if (run / "samples.txt").exists() else b""
