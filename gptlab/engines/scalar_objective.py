"""What the scalar engine adds up of a document, whatever the objective. Legend: T positions, V vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gptlab.autograd.tensor import Tensor
from gptlab.engines.context import causal_context
from gptlab.engines.draws import Draws
from gptlab.engines.engine import CROSS_ENTROPY, Definition
from gptlab.engines.judged import COUNTED, PENALTY, Judged
from gptlab.engines.marks import told
from gptlab.engines.scalar_arithmetic import ScalarArithmetic, data_of, number_of


@dataclass(frozen=True)
class Document:
    """loss: what is minimized, a Value, penalties included. nats: the true cross-entropies of what counts, summed.

    counted: the sum of the counts. penalties: by name, as they are in the loss.
    """

    loss: Any
    nats: float
    counted: float
    penalties: dict[str, float] = field(default_factory=dict)


def document_of(
    definition: Definition,
    named: dict[str, Tensor],
    arithmetic: ScalarArithmetic,
    true_arithmetic: ScalarArithmetic,
    ids: np.ndarray,
    draws: Draws | None,
) -> Document:
    """Of one document (T+1,). Sums over positions are true arithmetic: what is asked of the model, not part of it."""
    gathered: dict[str, Tensor] = {}
    context = replace(causal_context(len(ids) - 1, draws), penalties=gathered)
    tokens, targets, context = told(definition, ids[:-1], ids[1:], context)
    judged = definition.judged(named, tokens, targets, context)
    counts, loss = weights_of_positions(judged), loss_of(true_arithmetic, judged)
    penalties = {name: mean(true_arithmetic, each.data) for name, each in gathered.items()}
    for each in penalties.values():
        loss = true_arithmetic.apply("add", loss, each)[()]
    counted = float(counts.sum())
    if definition.plain and not penalties and arithmetic.ops.standard(*CROSS_ENTROPY):
        nats = float(number_of(loss)) * counted
    else:
        with np.errstate(all="ignore"):  # a loss that is not finite is the training loop's to report
            nats = weighed_sum(cross_entropies(data_of(judged.logits.data), targets), counts)
    return Document(loss, nats, counted, {name: float(number_of(each)) for name, each in penalties.items()})


def loss_of(arithmetic: ScalarArithmetic, judged: Judged) -> Any:
    """A document's loss, a Value."""
    if judged.counts is None:
        return mean(arithmetic, judged.losses.data)
    return weighed(arithmetic, judged.losses.data, weights_of_positions(judged))


def losses_of(documents: Sequence[Document]) -> np.ndarray:
    """(B,) Values."""
    return np.array([document.loss for document in documents], dtype=object)


def numbers_of(definition: Definition, documents: Sequence[Document]) -> dict[str, float]:
    """Those of a step, as Metrics has them."""
    found = {} if definition.plain else {COUNTED: sum(document.counted for document in documents)}
    for name in dict.fromkeys(name for document in documents for name in document.penalties):
        found[PENALTY + name] = sum(d.penalties.get(name, 0.0) for d in documents) / len(documents)
    return found


def weights_of_positions(judged: Judged) -> np.ndarray:
    if judged.counts is None:
        return np.ones(judged.losses.shape)
    return np.asarray(judged.counts, dtype=float)


def mean(arithmetic: ScalarArithmetic, xs: np.ndarray) -> Any:
    return arithmetic.apply("mul", arithmetic.fold("add", xs, 0), 1.0 / len(xs))[()]


def weighed(arithmetic: ScalarArithmetic, losses: np.ndarray, counts: np.ndarray) -> Any:
    """Σ counts · losses / Σ counts; 0 where nothing counts."""
    used = counts > 0
    if not used.any():
        return 0.0
    shares = counts[used] / counts.sum()
    return arithmetic.fold("add", arithmetic.apply("mul", losses[used], shares), 0)[()]


def weighed_sum(numbers: np.ndarray, counts: np.ndarray) -> float:
    """Σ counts · numbers; what stands where nothing counts need not be a number."""
    used = counts > 0
    return float(counts[used] @ numbers[used])


def cross_entropies(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(T, V) and (T,) to (T,), by true arithmetic."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    found: np.ndarray = np.log(np.exp(shifted).sum(axis=-1)) - shifted[np.arange(len(targets)), targets]
    return found
