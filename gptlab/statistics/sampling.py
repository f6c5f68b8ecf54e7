"""What the choice of held-out documents leaves in a loss: another choice would have given another one.

Legend: N documents, of which equal ones are one draw: they are held out together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sampled:
    """A loss, or a difference of two, in nats a token. error: its standard error over the choice of documents."""

    mean: float
    error: float


def sampled(nats: np.ndarray, tokens: np.ndarray, keys: np.ndarray) -> Sampled:
    """Of a loss, or of a difference of two on the same documents.

    nats (N,): summed over each document's predictions; of a difference the arm's less the baseline's. tokens (N,):
    predictions in each. keys (N,): equal for equal documents. The mean is a ratio of sums, its error by
    linearization (Cochran 1977, Sampling Techniques, 6.4). Two different documents at least, or ValueError is raised.
    """
    nats, tokens = together(keys, nats, tokens)
    mean = nats.sum() / tokens.sum()
    return Sampled(float(mean), error_of(nats - mean * tokens, tokens, 1))


def adjusted(
    nats: np.ndarray, tokens: np.ndarray, keys: np.ndarray, source: np.ndarray, rate: float
) -> Sampled:
    """The same with what the source of the data itself would pay as a control variate (Glynn and Szechtman 2002).

    source (N,): -log of the probability that the source gives to each document. rate: its entropy in nats a token.
    Where the documents held out are harder than its others, that is subtracted, as far as the losses go along with it.
    """
    nats, tokens, source = together(keys, nats, tokens, source)
    mean, harder = nats.sum() / tokens.sum(), source.sum() / tokens.sum()
    rest, along = nats - mean * tokens, source - harder * tokens
    square = along @ along
    factor = rest @ along / square if square else 0.0
    return Sampled(float(mean - factor * (harder - rate)), error_of(rest - factor * along, tokens, 2))


def together(keys: np.ndarray, *columns: np.ndarray) -> list[np.ndarray]:
    """The columns summed over equal documents."""
    distinct, places = np.unique(keys, return_inverse=True)
    return [np.bincount(places, column, len(distinct)) for column in columns]


def error_of(rest: np.ndarray, tokens: np.ndarray, fitted: int) -> float:
    """fitted: how many numbers were fitted to get this rest."""
    count = len(rest)
    if count <= fitted:
        raise ValueError(f"more than {fitted} different documents are needed: got {count}")
    return math.sqrt(float(rest @ rest) * count / (count - fitted)) / float(tokens.sum())
