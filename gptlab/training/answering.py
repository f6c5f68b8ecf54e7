"""Samples of data with right answers: problems that were held out, and what the model makes of them."""

from __future__ import annotations

import numpy as np

from gptlab.data.documents import Documents
from gptlab.data.tokenizers import Tokenizer, ends_of, ends_told
from gptlab.engines.engine import Session, State
from gptlab.training.generation import Sampling, until


def has_prompts(documents: Documents) -> bool:
    """Whether something is given before what counts."""
    return documents.counted is not None and len(documents) > 0 and bool(prompt_lengths(documents[:1])[0] > 1)


def prompt_lengths(documents: Documents) -> np.ndarray:
    """(N,) the tokens before each one's last answer, BOS included."""
    assert documents.counted is not None
    width = documents.counted.shape[1]
    last = width - np.argmax(documents.counted[:, ::-1], axis=1)  # after it
    given = ~documents.counted & (np.arange(width) < last[:, None])
    found: np.ndarray = np.where(given, np.arange(1, width + 1), 0).max(axis=1) + 1
    return found


def answers(
    session: Session,
    state: State,
    tokenizer: Tokenizer,
    blockSize: int,
    how: Sampling,
    documents: Documents,
) -> list[str]:
    """`how.n` of the documents, evenly spread over them, up to their last answer, and then the model's own.

    The right one stands in brackets beside a wrong one.
    """
    chooser, settings = how.choice()
    ends, told = ends_of(tokenizer), ends_told(tokenizer)
    rows = np.linspace(0, len(documents) - 1, min(how.n, len(documents)))
    some = documents[rows.astype(int)]
    uniforms = np.random.default_rng([how.seed, 3]).random((len(some), blockSize))
    lines = []
    for i, known in enumerate(prompt_lengths(some).tolist()):
        row = some.tokens[i]
        true = row[known : int(some.lengths[i]) + 1].tolist()
        # As many tokens as are asked for: where its end does not count, a model has not learnt to end.
        drawn = session.generate(state, chooser, row[:known], uniforms[i : i + 1], settings, **told)[0]
        said = drawn[known - 1 : known - 1 + len(true)].tolist()
        text = tokenizer.decode([*row[1:known].tolist(), *until(said, ends)])
        right = until(true, ends)
        lines.append(text if until(said, ends) == right else f"{text} (not {tokenizer.decode(right)})")
    return lines
