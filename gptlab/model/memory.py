"""What a model takes at the least, worked out from its sizes: what no memory holds is refused before it is made."""

from __future__ import annotations

import math
import os
from dataclasses import replace

from gptlab.errors import UserError
from gptlab.model.component import Sizes
from gptlab.model.gpt import GPT

DRAWN = 8  # bytes of a number, as it is drawn
NAMED = 1024  # bytes, about, of a weight's name and records
COMPUTED = 4  # bytes of a number in a step, at the least


def check_weights_fit(definition: GPT) -> None:
    """Raises UserError for a model whose weights are more than this machine's memory."""
    layers = definition.sizes.nLayer
    count, names = weighed(definition, 0)
    period = len(definition.layers) or 1
    for first in range(min(period, layers)):  # layers that are a period apart are alike
        one = replace(definition.in_layer(first), layers=())
        try:
            more, matrices = (b - a for a, b in zip(weighed(one, 1), weighed(one, 2), strict=True))
        except UserError as error:
            raise UserError(f"in layer {first}: {error}" if definition.layers else str(error)) from None
        times = -((first - layers) // period)
        count, names = count + times * more, names + times * matrices
    bytes_needed = count * DRAWN + names * NAMED
    if bytes_needed > memory():
        raise UserError(
            f"a model must fit into memory: one of {short(count)} parameters in {short(layers)} layers takes "
            f"{gigabytes(bytes_needed)}, and this machine has {gigabytes(memory())}. Try a smaller model.nEmbd, "
            "model.nLayer or model.blockSize."
        )


def weighed(definition: GPT, nLayer: int) -> tuple[int, int]:
    """Numbers and matrices of the model with so many layers."""
    shapes = replace(definition, sizes=replace(definition.sizes, nLayer=nLayer)).shapes
    return sum(math.prod(map(int, shape)) for shape in shapes.values()), len(shapes)


def check_batch_fits(sizes: Sizes, batchSize: int, positions: int) -> None:
    """Raises UserError for steps of which the logits and the hidden states alone are more than this machine's memory.

    positions: of the longest document.
    """
    numbers = batchSize * min(positions, sizes.blockSize) * (sizes.vocabSize + sizes.nLayer * sizes.nEmbd)
    if numbers * COMPUTED > memory():
        raise UserError(
            f"a step must fit into memory: train.batchSize={batchSize} takes {gigabytes(numbers * COMPUTED)} at the "
            f"least, and this machine has {gigabytes(memory())}. Try train.batchSize=16."
        )


def memory() -> int:
    """Bytes that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def gigabytes(count: int) -> str:
    return f"{short(-(-count // 10**9))} GB"


def short(count: int) -> str:
    return f"{count:,}" if count < 10**15 else f"10^{math.floor(math.log10(count))}"
