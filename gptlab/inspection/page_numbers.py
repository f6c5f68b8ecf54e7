"""The numbers of an Inspection in the form that its page reads: JSON. Legend: see inspection.py.

Keys are those that static/*.js reads. Numbers that are not finite are null.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gptlab.inspection.inspection import Inspection
from gptlab.inspection.page_arrays import number, packed_shares
from gptlab.inspection.page_weights import weight_entries

CANDIDATES = 10  # shown for each position
LENS_CANDIDATES = 5  # and for each position and depth of the logit lens
LARGEST_VOCABULARY = 5000  # that is on the page as a whole, for the names of the rows of embeddings


def numbers(inspection: Inspection) -> dict[str, Any]:
    """All that the page shows."""
    ids = target_ids(inspection)
    best = likeliest(inspection.probabilities, CANDIDATES)
    lens = [likeliest(depth, LENS_CANDIDATES) for depth in inspection.lens]
    layers = len(inspection.hidden) - 1
    return {
        "text": inspection.text,
        "tokens": inspection.tokens,
        "targets": inspection.targets,
        "vocabulary": words(inspection, [best, *lens], ids),
        "sizes": {
            "layers": layers,
            "embedding": inspection.hidden.shape[-1],
            "vocabulary": len(inspection.vocabulary),
            "parameters": sum(array.size for array in inspection.weights.values()),
        },
        "notes": list(inspection.notes),
        "loss": number(inspection.loss),
        "losses": listed(inspection.losses),
        "candidates": candidates(inspection.probabilities, best),
        "ranks": ranks(inspection.probabilities, ids),
        "attention": packed_shares(inspection.attention),
        "lens": [lens_entry(depth, top, ids) for depth, top in zip(inspection.lens, lens, strict=True)],
        "hiddenNorms": [listed(row) for row in inspection.hiddenNorms],
        "gradientNorms": [listed(row) for row in inspection.gradientNorms],
        "attributions": listed(inspection.attributions),
        "attributionsSum": number(inspection.attributions.sum()),
        "weights": weight_entries(inspection),
    }


def lens_entry(depth: np.ndarray, best: np.ndarray, ids: np.ndarray) -> dict[str, Any]:
    """What the page shows of a hidden state's predictions (T, V); no candidates if there are none."""
    if not np.isfinite(depth).any():
        none: list[None] = [None] * len(ids)
        return {"candidates": [[] for _ in ids], "shares": none, "ranks": none}
    return {
        "candidates": candidates(depth, best),
        "shares": listed(depth[np.arange(len(ids)), ids]),
        "ranks": ranks(depth, ids),
    }


def listed(values: np.ndarray) -> list[float | None]:
    return [number(value) for value in values]


def target_ids(inspection: Inspection) -> np.ndarray:
    """The id of each target (T,). Where tokens share a spelling, the loss tells which one it was."""
    places: dict[str, list[int]] = {}
    for i, word in enumerate(inspection.vocabulary):
        places.setdefault(word, []).append(i)
    found = []
    for t, word in enumerate(inspection.targets):
        same = np.array(places[word])
        distances = np.abs(inspection.probabilities[t, same] - np.exp(-inspection.losses[t]))
        found.append(int(same[np.argmin(distances)]))
    return np.array(found)


def likeliest(probabilities: np.ndarray, count: int) -> np.ndarray:
    """The ids of the `count` largest of each row of (T, V), best first."""
    best: np.ndarray = np.argsort(-probabilities, axis=-1, kind="stable")[:, :count]
    return best


def candidates(probabilities: np.ndarray, best: np.ndarray) -> list[list[list[float | None]]]:
    """For each position its [id, probability]s."""
    shares = np.take_along_axis(probabilities, best, -1)
    return [
        [[int(i), number(p)] for i, p in zip(*row, strict=True)] for row in zip(best, shares, strict=True)
    ]


def ranks(probabilities: np.ndarray, ids: np.ndarray) -> list[int]:
    """The place of each target among all tokens, 1 for the likeliest."""
    own = probabilities[np.arange(len(ids)), ids]
    return [int(rank) for rank in 1 + (probabilities > own[:, None]).sum(-1)]


def words(inspection: Inspection, shown: list[np.ndarray], ids: np.ndarray) -> dict[int, str]:
    """The tokens by id: all, or those that the page speaks of."""
    if len(inspection.vocabulary) <= LARGEST_VOCABULARY:
        return dict(enumerate(inspection.vocabulary))
    used = np.unique(np.concatenate([ids, *(array.ravel() for array in shown)]))
    return {int(i): inspection.vocabulary[i] for i in used}
