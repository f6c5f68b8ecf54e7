"""What is said where losses are set side by side that may be of other things."""

from __future__ import annotations

from collections.abc import Iterable

# Losses are in nats a token: of other tokens, or of other texts, they are other quantities.
DATA = ("data", "tokenizer")
OBJECTIVE = ("objective",)
# Of an objective, what is in no loss that is reported: see gptlab/model/objective.py.
IN_NO_LOSS = ("zLoss", "labelSmoothing")


def other_data(swept: Iterable[str]) -> str:
    """A line; empty where none of the keys is of the data or its tokens."""
    found = [key for key in swept if group_of(key) in DATA]
    if not found:
        return ""
    return f"Swept: {', '.join(found)}. Losses in nats a token can be compared only for the same data and tokens."


def other_counts(differing: Iterable[str]) -> str:
    """A line; empty where none of the keys can change which tokens an objective counts."""
    found = [
        key for key in differing if group_of(key) in OBJECTIVE and key.rpartition(".")[2] not in IN_NO_LOSS
    ]
    if not found:
        return ""
    return (
        f"The objectives differ: {', '.join(found)}. Losses can be compared only where the same tokens count."
    )


def group_of(key: str) -> str:
    return key.lstrip("+").partition(".")[0]
