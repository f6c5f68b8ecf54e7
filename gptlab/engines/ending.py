"""Which tokens end a sample: BOS, the last id of a vocabulary, unless another one says otherwise."""

from __future__ import annotations

from functools import reduce
from operator import and_, or_
from typing import Any

Ends = tuple[int, ...]


def ends_in(vocabulary: int, ends: Ends | None) -> Ends:
    """The tokens that end a sample; None for the last id alone."""
    return (vocabulary - 1,) if ends is None else ends


def are_ends(tokens: Any, ends: Ends) -> Any:
    """Whether each token is one of them; `tokens` is a number or an array of numpy or jax."""
    return reduce(or_, [tokens == end for end in ends])


def are_no_ends(tokens: Any, ends: Ends) -> Any:
    return reduce(and_, [tokens != end for end in ends])
