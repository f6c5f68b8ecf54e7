"""Inspections with numbers of any size for tests of pages, made without a model."""

from typing import Any

import numpy as np

from gptlab.inspection.inspection import BOS, Inspection, softmax

WORDS = ["the", "cat", "eats", "a", "</script><b>{{title}}", " ", "naïve 🐈", "dog", "runs", "house", BOS]


def made_inspection(
    layers: int = 2, heads: int = 2, positions: int = 6, vocabulary: list[str] = WORDS, **changes: Any
) -> Inspection:
    """Random numbers that keep what Inspection promises; `changes` replaces fields."""
    rng = np.random.default_rng(7)
    sizes = (layers + 1, positions, 8)
    ids = np.append(rng.integers(0, len(vocabulary) - 1, positions - 1), len(vocabulary) - 1)
    logits = rng.normal(size=(layers + 1, positions, len(vocabulary))) * 2
    lens = softmax(logits)
    seen = np.where(
        np.tri(positions, dtype=bool), rng.normal(size=(layers, heads, positions, positions)), -np.inf
    )
    weights = {
        "tokenEmbedding": rng.normal(size=(len(vocabulary), 8)),
        **{f"layers.{i}.attention.query": rng.normal(size=(8, 8)) for i in range(layers)},
        **{f"layers.{i}.mlp.hidden": rng.normal(size=(32, 8)) for i in range(layers)},
        "finalNorm.scale": rng.normal(size=8),
        "experts": rng.normal(size=(3, 4, 8)),
    }
    names = [vocabulary[i] for i in ids]
    fields: dict[str, Any] = {
        "text": " ".join(names[:-1]),
        "tokens": [BOS, *names[:-1]],
        "targets": names,
        "vocabulary": vocabulary,
        "losses": -np.log(lens[-1, np.arange(positions), ids]),
        "logits": logits[-1],
        "probabilities": lens[-1],
        "attention": softmax(seen),
        "lens": lens,
        "hidden": rng.normal(size=sizes),
        "hiddenNorms": np.linalg.norm(rng.normal(size=sizes), axis=-1),
        "gradientNorms": np.linalg.norm(rng.normal(size=sizes) * 1e-4, axis=-1),
        "attributions": rng.normal(size=positions),
        "weights": weights,
        "weightGradientNorms": {name: float(np.linalg.norm(array) / 9) for name, array in weights.items()},
    }
    return Inspection(**{**fields, **changes})
