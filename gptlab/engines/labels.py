"""Slices of a metric by what the data says of its documents. Legend: N documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gptlab.engines.measured import Measures, Sliced


@dataclass(frozen=True, eq=False)
class Label:
    """A Slicing. names: of the classes. classes (N,): which one each document is in, -1 for none."""

    names: Sequence[str]
    classes: np.ndarray

    @property
    def of_documents(self) -> bool:
        return True

    def __call__(self, tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        return self.classes[:, None]

    def of(self, rows: slice | np.ndarray) -> Label:
        """Those of some of the documents."""
        return Label(self.names, self.classes[rows])


@dataclass(frozen=True)
class ByLabel:
    """In place of a Label until the documents are known; of those that have none of this name there are no slices."""

    name: str

    names: Sequence[str] = ()

    @property
    def of_documents(self) -> bool:
        return True

    def __call__(self, tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        return np.full((len(lengths), 1), -1)


def bound(metrics: Measures, labels: Mapping[str, Label]) -> Measures:
    """The metrics, which are to be sliced by the labels of these documents."""
    return tuple((name, with_labels(metric, labels)) for name, metric in metrics)


def with_labels(metric: object, labels: Mapping[str, Label]) -> object:
    if not isinstance(metric, Sliced):
        return metric
    by = tuple((begin, labels.get(s.name, s) if isinstance(s, ByLabel) else s) for begin, s in metric.by)
    return replace(metric, by=by)
