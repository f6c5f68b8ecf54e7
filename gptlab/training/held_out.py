"""What each held-out document gives by itself, where the mean loss is not enough."""

from __future__ import annotations

import numpy as np

from gptlab.data.documents import Documents
from gptlab.engines.engine import EvaluatesEach, MeasuresEach, Session, State
from gptlab.engines.labels import bound
from gptlab.engines.measured import Measured, Measures
from gptlab.errors import UserError


def measured(session: Session, state: State, documents: Documents, metrics: Measures = ()) -> Measured:
    """Raises UserError for an engine that does not measure."""
    if not isinstance(session, MeasuresEach):
        raise UserError(
            "metrics, and an objective that counts some tokens, need an engine that measures: "
            f"{type(session).__name__} does not. Try engine=xla."
        )
    return session.measure(state, documents.told, documents.lengths, bound(metrics, documents.labels))


def document_nats(session: Session, state: State, documents: Documents) -> np.ndarray:
    """(N,) the cross-entropy of each document, summed over its predictions, as `session.evaluate` sums them all."""
    tokens, lengths = documents.tokens, documents.lengths
    if isinstance(session, EvaluatesEach):
        return np.asarray(session.document_nats(state, tokens, lengths), dtype=np.float64)
    found = np.empty(len(lengths))
    for at, (row, length) in enumerate(zip(tokens, lengths.tolist(), strict=True)):
        # All of one length: a model that is compiled is so once. What stands behind a document is not seen by it.
        logits = session.logits(state, row[:-1])[:length].astype(np.float64)
        shifted = logits - logits.max(axis=-1, keepdims=True)
        chosen = shifted[np.arange(length), row[1 : length + 1]]
        found[at] = (np.log(np.exp(shifted).sum(axis=-1)) - chosen).sum()
    return found
