"""An objective put into a model, tried before anything is trained; and which tokens it counts."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.engines.context import causal_context
from gptlab.engines.marks import told
from gptlab.errors import UserError
from gptlab.model.component import Part
from gptlab.model.gpt import GPT
from gptlab.model.objective import OBJECTIVE, judged_by
from gptlab.model.trains_others import TrainsOthers
from gptlab.model.trial import ShapeArithmetic, positions_of, zeros


def with_objective(
    definition: GPT | TrainsOthers, objective: Any, ops: OpTable, marked: bool = False
) -> GPT | TrainsOthers:
    """The model with the objective. marked: for data that says which tokens count.

    Raises UserError, which names the objective, for one that does not work on shapes.
    """
    if isinstance(definition, TrainsOthers):
        base = with_objective(definition.base, objective, ops, marked)
        return replace(definition, base=base)  # type: ignore[arg-type]
    definition = replace(definition, objective=objective, marked=marked)
    try:
        counts_of_tokens(definition, ops, np.zeros(positions_of(definition) + 1, dtype=np.int32))
    except (ValueError, TypeError, IndexError) as error:
        name = type(objective).__name__
        raise UserError(
            f"the objective {name} does not work: {type(error).__name__}: {error}. Try python -m gptlab check."
        ) from error
    return definition


def counts_of_tokens(definition: GPT, ops: OpTable, ids: np.ndarray) -> np.ndarray | None:
    """How much each prediction of a document (T+1,) counts, (T,), or None where each counts 1.

    It is asked on shapes alone: counts are made of tokens, targets and the context.
    """
    arithmetic, sizes, length = ShapeArithmetic(ops), definition.sizes, len(ids) - 1
    weights = {n: Tensor(zeros(s), arithmetic) for n, s in definition.shapes.items()}
    hidden, logits = (Tensor(zeros((length, width)), arithmetic) for width in (sizes.nEmbd, sizes.vocabSize))
    tokens, targets, context = told(definition, ids[:-1], ids[1:], causal_context(length))
    context = replace(context, tokens=tokens)
    own = Part(weights, OBJECTIVE)
    counts = judged_by(definition.objective, own, hidden, logits, tokens, targets, context).counts
    return None if counts is None else np.asarray(counts, dtype=float)


def counts_something(
    definition: GPT | TrainsOthers, ops: OpTable, tokens: np.ndarray, lengths: np.ndarray
) -> bool:
    """Whether the objective counts any prediction of the documents (N, T+1), or there are none."""
    if definition.plain or not len(lengths):
        return True
    base = definition.base if isinstance(definition, TrainsOthers) else definition
    found = (
        counts_of_tokens(base, ops, row[: length + 1])
        for row, length in zip(tokens, lengths.tolist(), strict=True)
    )
    return any(counts is None or counts.any() for counts in found)


def digest_of_counts(
    definition: GPT | TrainsOthers, ops: OpTable, tokens: np.ndarray, lengths: np.ndarray
) -> str:
    """Of the documents (N, T+1); "" where each prediction counts 1."""
    base = definition.base if isinstance(definition, TrainsOthers) else definition
    if base.plain:
        return ""
    digest, all_count = hashlib.sha256(), True
    for row, length in zip(tokens, lengths.tolist(), strict=True):
        counts = counts_of_tokens(base, ops, row[: length + 1])
        if counts is None:
            counts = np.ones(length)
        all_count = all_count and bool((counts == 1).all())
        digest.update(counts.tobytes())
    return "" if all_count else digest.hexdigest()
