"""Threefry-2x32 as XLA compiles it: jax's own, which numpy's (draws.py) equals to the bit."""

from __future__ import annotations

import numpy as np
from jax.extend.random import threefry2x32_p

from gptlab.engines.draws import Words


def mix(key: Words, counter: Words) -> Words:
    """Elementwise, of words that broadcast."""
    words = (*key, *counter)
    # Zeros of all that the words depend on: under vmap the primitive takes only words that are batched alike.
    alike = (words[0] ^ words[1] ^ words[2] ^ words[3]) & np.uint32(0)
    x, y = threefry2x32_p.bind(*(word | alike for word in words))
    return x, y
