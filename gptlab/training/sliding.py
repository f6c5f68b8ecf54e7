"""Samples beyond the model's positions: each token is chosen after a window of the last ones, computed anew.

A window is a document by itself, as nanoGPT has it: positions count from its first token, whatever tells them.

Legend: n samples, T positions of a window, K tokens.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gptlab.data.tokenizers import Tokenizer, ends_of, ends_told
from gptlab.engines.ending import are_ends
from gptlab.engines.engine import Choose, Session, Settings, Slides, State

AT_ONCE = 16  # tokens of each sample that are chosen in one call


def beyond(
    session: Session,
    state: State,
    choose: Choose,
    settings: Settings,
    windows: np.ndarray,
    uniforms: np.ndarray,
    tokenizer: Tokenizer,
) -> Iterator[np.ndarray]:
    """(n, up to AT_ONCE) tokens at a time after windows (n, T): as many as there are uniforms (n, K), or until all have
    an end, after which they mean nothing."""
    ends, told = ends_of(tokenizer), ends_told(tokenizer)
    ended = are_ends(windows, ends).any(axis=1)
    for first in range(0, uniforms.shape[1], AT_ONCE):
        if ended.all():
            return
        here = uniforms[:, first : first + AT_ONCE]
        count = here.shape[1]
        if isinstance(session, Slides):
            whole = np.pad(here, ((0, 0), (0, AT_ONCE - count)))  # one compiled program, whatever is left
            tokens = session.slide(state, choose, windows, whole, settings, **told)[:, :count]
        else:
            tokens = one_by_one(session, state, choose, settings, windows, here, ended, tokenizer)
        windows = np.concatenate([windows, tokens], axis=1)[:, -windows.shape[1] :]
        ended |= are_ends(tokens, ends).any(axis=1)
        yield tokens


def one_by_one(
    session: Session,
    state: State,
    choose: Choose,
    settings: Settings,
    windows: np.ndarray,
    uniforms: np.ndarray,
    ended: np.ndarray,
    tokenizer: Tokenizer,
) -> np.ndarray:
    """The same by `Session.generate`, which any engine has: the window is its prompt."""
    ends, told = ends_of(tokenizer), ends_told(tokenizer)
    tokens = np.full(uniforms.shape, ends[0], dtype=np.int32)
    for row in np.flatnonzero(~ended):
        window = windows[row]
        for k, uniform in enumerate(uniforms[row]):
            numbers = np.full((1, len(window)), uniform)
            tokens[row, k] = session.generate(state, choose, window, numbers, settings, **told)[0, -1]
            if tokens[row, k] in ends:
                break
            window = np.append(window[1:], tokens[row, k])
    return tokens
