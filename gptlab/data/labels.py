"""The labels of examples as classes. Legend: N documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gptlab.engines.labels import Label


def labels_of(given: Sequence[Mapping[str, int | str]]) -> dict[str, Label]:
    """Of each document's labels by name (N of them) the classes: numbers in their order, then names in theirs."""
    names = list(dict.fromkeys(name for labels in given for name in labels))
    found = {}
    for name in names:
        values = {labels[name] for labels in given if name in labels}
        ordered = sorted(values, key=lambda value: (isinstance(value, str), value))
        places = {value: i for i, value in enumerate(ordered)}
        classes = [places[labels[name]] if name in labels else -1 for labels in given]
        found[name] = Label(tuple(map(str, ordered)), np.array(classes, dtype=np.int32))
    return found
