"""Which of a row's numbers are metrics, and of which documents: `val/accuracy`, `train/accuracy`, `longer/accuracy`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")

VAL, TRAIN = "val", "train"
WORDS = {VAL: "validation", TRAIN: "training"}  # another set of documents is called by its own name
# What is told of held-out documents and no metric; the last one is the store's.
NO_METRICS = ("loss", "perplexity", "originalLoss", "best")


def metrics_in(names: Iterable[str]) -> list[str]:
    """`accuracy` of `val/accuracy`: those that have a number for the whole, in the order of the names."""
    split = [name.split("/") for name in names]
    return [
        last for begin, last in (s for s in split if len(s) == 2) if begin == VAL and last not in NO_METRICS
    ]


def slices_in(names: Iterable[str]) -> dict[str, list[str]]:
    """Names of slices by what they are slices of: `{"accuracy/length": ["val/accuracy/length/1-4", ...]}`."""
    found: dict[str, list[str]] = {}
    for name in names:
        begin, _, rest = name.partition("/")
        of = rest.rpartition("/")[0]
        if begin == VAL and of:
            found.setdefault(of, []).append(name)
    return found


def sets_in(names: Collection[str], listeners: Collection[str] = ()) -> list[str]:
    """The sets of held-out documents, of which there is a loss; `val` first. listeners: whose numbers are none."""
    others = [name.removesuffix("/loss") for name in names if name.endswith("/loss") and name.count("/") == 1]
    apart = [name for name in dict.fromkeys(others) if name not in (VAL, TRAIN, *listeners)]
    return [*([VAL] if f"{VAL}/loss" in names else []), *apart]


def word_for(documents: str) -> str:
    return WORDS.get(documents, documents)


def told(row: Mapping[str, T], metric: str, sets: Iterable[str]) -> dict[str, T]:
    """`{"val": 0.98, "longer": 0.41, "train": 1.0}`: what the row has of the metric, set by set, training last."""
    return {name: row[f"{name}/{metric}"] for name in (*sets, TRAIN) if f"{name}/{metric}" in row}
