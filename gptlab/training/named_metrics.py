"""Which of a row's numbers are metrics, and of which documents: `val/accuracy`, `train/accuracy`, `longer/accuracy`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

from gptlab.training.metric_rows import loss_text

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


def further_sets(names: Iterable[str], listeners: Collection[str] = ()) -> list[str]:
    """The sets of held-out documents besides `val`, of which there is a loss. listeners: whose numbers are none."""
    split = [name.split("/") for name in names]
    found = dict.fromkeys(s[0] for s in split if len(s) == 2 and s[1] == "loss")
    return [name for name in found if name not in (VAL, TRAIN, *listeners)]


def word_for(documents: str) -> str:
    return WORDS.get(documents, documents)


def told(row: Mapping[str, T], metric: str, further: Iterable[str] = ()) -> dict[str, T]:
    """`{"val": 0.98, "longer": 0.41, "train": 1.0}`: what the row has of the metric, by set of documents."""
    return {name: row[f"{name}/{metric}"] for name in (VAL, *further, TRAIN) if f"{name}/{metric}" in row}


def in_words(row: Mapping[str, float], listeners: Collection[str] = ()) -> list[str]:
    """`accuracy 0.983 (longer 0.412, training 1.000)`, a text a metric, in the order in which they were asked for."""
    further, texts = further_sets(row, listeners), []
    for metric in metrics_in(row):
        values = {name: loss_text(value) for name, value in told(row, metric, further).items()}
        others = ", ".join(f"{word_for(name)} {text}" for name, text in values.items() if name != VAL)
        texts.append(f"{metric} {values[VAL]}" + (f" ({others})" if others else ""))
    return texts
