"""What fine-tuning on questions teaches a model of sentences, and what it costs: the table of docs/finetuning.md.

    python -m benchmarks.finetuning [--seeds 3]

For each seed one model at the `book` setting, then every way of going on from it. Writes the table into
docs/finetuning.md, between its two markers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
from pathlib import Path

from benchmarks.report import put_into
from gptlab.cli import main as gptlab

PAGE = Path(__file__).parent.parent / "docs" / "finetuning.md"
WAYS = {
    "questions": ["+experiment=questions"],
    "questions train.learningRate=0.0003": ["+experiment=questions", "train.learningRate=0.0003"],
    "questions train.freeze=[tokenEmbedding,layers.0]": [
        "+experiment=questions",
        "train.freeze=[tokenEmbedding,layers.0]",
    ],
    "gentle": ["+experiment=gentle"],
    "lora": ["+experiment=lora"],
    "lora model.adapter.targets=[attention.query,attention.value]": [
        "+experiment=lora",
        "model.adapter.targets=[attention.query,attention.value]",
    ],
    "forgetting": ["+experiment=forgetting"],
}
Row = dict[str, float]


def run(folder: Path, *arguments: str) -> list[Row]:
    """The logged rows of one run."""
    quiet = ["tracking=none", "progress=none", "samples.n=0", "checkpoint.keep=1"]
    status = gptlab([*arguments, *quiet, f"hydra.run.dir={folder}"])
    if status:
        raise SystemExit(f"{' '.join(arguments)} ended with status {status}")
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def trainable(folder: Path) -> int:
    """How many numbers an optimizer has moved: the size of one of its moments."""
    from safetensors.numpy import load_file

    (file,) = folder.glob("checkpoints/step-*/optimizer.safetensors")
    return sum(array.size for name, array in load_file(file).items() if name.startswith("mean/"))


def shown(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"


def table(rows: dict[str, list[Row]], counts: dict[str, int]) -> str:
    lines = ["| way | trained | loss on questions | loss on sentences | forgotten |", "|---|---|---|---|---|"]
    for name, ends in rows.items():
        new, old, forgotten = ([end[key] for end in ends] for key in ("new", "old", "forgotten"))
        lines.append(
            f"| `{name}` | {counts[name]:,} | {shown(new)} | {shown(old)} | {statistics.mean(forgotten):+.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    rows: dict[str, list[Row]] = {"before": [], **{name: [] for name in WAYS}}
    counts = {"before": 0}
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        try:
            for seed in range(seeds):
                source = Path(f"source-{seed}")
                run(source, "+experiment=book", f"seed={seed}")
                for number, (name, arguments) in enumerate(WAYS.items()):
                    folder = Path(f"run-{seed}-{number}")
                    logged = run(folder, *arguments, f"initFrom={source}", f"seed={seed}")
                    first, last = logged[0], logged[-1]
                    for kind, row in (("before", first), (name, last)):
                        if len(rows[kind]) <= seed:
                            forgotten = row["val/originalLoss"] - first["val/originalLoss"]
                            new, old = row["val/loss"], row["val/originalLoss"]
                            rows[kind].append({"new": new, "old": old, "forgotten": forgotten})
                    counts[name] = trainable(folder)
                    print(f"seed {seed}  {name}: {rows[name][-1]}", flush=True)
        finally:
            os.chdir(here)
    measured = (
        f"{seeds} seeds; mean ± standard deviation; Python {platform.python_version()}, {platform.machine()}."
        f"\n\n{table(rows, counts)}\n"
    )
    print(measured)
    put_into(PAGE, measured)


if __name__ == "__main__":
    main()
