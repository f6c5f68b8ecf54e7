"""The attention of every layer and head as one picture. matplotlib's objects only: no pyplot, no global state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gptlab.figures import INK
from gptlab.inspection.inspection import Inspection

if TYPE_CHECKING:
    from gptlab.picture import Picture

CELL = 0.16  # inches, of one share where there are few positions
SMALLEST, LARGEST = 1.2, 2.6  # inches, of one head's square
LEGIBLE = 0.42  # inches, of a share with its number in it
MOST_NUMBERS = 16  # positions up to which the shares of a head that is shown alone have their numbers
BETWEEN, TITLE, MARGIN = 0.3, 0.7, 0.2  # inches
LETTER = 0.065  # inches
MOST_LABELS = 32  # positions up to which each is labelled with its token
LABEL = 12  # characters of a token that are shown


def attention_picture(inspection: Inspection, title: str) -> bytes:
    """`attention_figure` of all there is, as a PNG. Empty bytes if there is none to show."""
    attention = inspection.attention
    layers, heads = range(attention.shape[0]), range(attention.shape[1])
    return attention_figure(attention, inspection.tokens, title, layers, heads).png() if heads else b""


def attention_figure(
    attention: np.ndarray, tokens: Sequence[str], title: str, layers: Sequence[int], heads: Sequence[int]
) -> Picture:
    """A row of squares a layer, a column of them a head, for those chosen of attention (L, H, T, T). A square's
    rows are the positions that look, its columns those that are looked at; the darker, the larger the share."""
    from gptlab.picture import Picture

    attention = attention[np.ix_(layers, heads)]
    length = attention.shape[-1]
    with_numbers = len(layers) == len(heads) == 1 and length <= MOST_NUMBERS
    side = LEGIBLE * length if with_numbers else float(np.clip(CELL * length, SMALLEST, LARGEST))
    cell = side / length
    gap = max(1, round(BETWEEN / cell))
    mosaic = mosaic_of(attention, gap)
    names = labels(tokens) if length <= MOST_LABELS else []
    margin = MARGIN + LETTER * max(map(len, names), default=0)
    rows, columns = mosaic.shape
    width, height = max(margin + columns * cell + MARGIN, 4.0), margin + rows * cell + TITLE
    # One pair of axes for all squares: each costs as much as all the rest.
    figure = Picture(width, height, dpi=130)
    axes = figure.add_axes(
        (margin / width, margin / height, columns * cell / width, rows * cell / height), frameon=False
    )
    axes.imshow(mosaic, cmap="Blues", vmin=0.0, vmax=1.0, interpolation="nearest", aspect="auto")
    starts = [[i * (length + gap) for i in range(count)] for count in (len(layers), len(heads))]
    for i, top in enumerate(starts[0]):
        for j, left in enumerate(starts[1]):
            name = f"layer {layers[i]}, head {heads[j]}"
            axes.text(left - 0.5, top - 0.5 - 0.04 / cell, name, fontsize=7, color=INK)
    if with_numbers:
        for (t, s), share in np.ndenumerate(mosaic):
            if s <= t:
                color = "white" if share > 0.5 else INK
                axes.text(s, t, f"{share:.2f}", fontsize=7, color=color, ha="center", va="center")
    axes.tick_params(length=0, colors=INK, labelsize=7, pad=2)
    axes.set_yticks(*ticks(starts[0], names))
    axes.set_xticks(*ticks(starts[1], names), rotation=90)
    # A text may hold a dollar sign, which matplotlib takes for the beginning of a formula.
    shown = title.replace("$", r"\$")
    figure.text(MARGIN / width, 1 - 0.3 / height, shown, color=INK, fontsize=9, fontweight="bold")
    return figure


def mosaic_of(attention: np.ndarray, gap: int) -> np.ndarray:
    """(L, H, T, T) as one array, with `gap` entries between the squares that are no numbers."""
    layers, heads, length, _ = attention.shape
    span = length + gap
    mosaic = np.full((layers, span, heads, span), np.nan)
    mosaic[:, :length, :, :length] = attention.transpose(0, 2, 1, 3)
    return mosaic.reshape(layers * span, heads * span)[:-gap, :-gap]


def ticks(starts: list[int], tokens: list[str]) -> tuple[list[int], list[str]]:
    return [start + t for start in starts for t in range(len(tokens))], tokens * len(starts)


def labels(tokens: Sequence[str]) -> list[str]:
    names = [token if len(token) <= LABEL else f"{token[: LABEL - 1]}…" for token in tokens]
    return [name.replace("$", r"\$") for name in names]
