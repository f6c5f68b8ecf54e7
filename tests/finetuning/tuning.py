"""Runs that start from others' weights: their settings, and what they leave."""

import json
from pathlib import Path

import yaml

FEW = ["tracking=none", "progress=none", "samples.n=0"]
SMALL = ["model.nEmbd=8", "model.nHead=2", "model.blockSize=8", "model/norm=layernorm"]


def rows_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def config_of(folder: Path):
    return yaml.safe_load((folder / "config.yaml").read_text())
