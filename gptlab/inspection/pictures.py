"""The attention of every layer and head as one picture. matplotlib's objects only: no pyplot, no global state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from gptlab.drawing.colors import INK
from gptlab.inspection.inspection import Inspection

if TYPE_CHECKING:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path
    from matplotlib.transforms import Transform

    from gptlab.drawing.picture import Picture

POINT = 1 / 72  # inches
SIZE = 7  # points
MIDDLE = 0.3  # of the size: how far the middle of small letters is above the line that they stand on
CELL = 0.16  # inches, of one share where there are few positions
SMALLEST, LARGEST = 1.2, 2.6  # inches, of one head's square
LEGIBLE = 0.42  # inches, of a share with its number in it
MOST_NUMBERS = 16  # positions up to which the shares of a head that is shown alone have their numbers
BETWEEN, TITLE, MARGIN = 0.3, 0.7, 0.2  # inches
LETTER = 0.065  # inches
PAD = 2 * POINT  # inches, between a square and its labels
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
    from gptlab.drawing.picture import Picture

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
    axes.set(xticks=[], yticks=[])
    axes.imshow(mosaic, cmap="Blues", vmin=0.0, vmax=1.0, interpolation="nearest", aspect="auto")
    starts = [[i * (length + gap) for i in range(count)] for count in (len(layers), len(heads))]
    for i, top in enumerate(starts[0]):
        for j, left in enumerate(starts[1]):
            name = f"layer {layers[i]}, head {heads[j]}"
            axes.text(left - 0.5, top - 0.5 - 0.04 / cell, name, fontsize=SIZE, color=INK)
    if with_numbers:
        for (t, s), share in np.ndenumerate(mosaic):
            if s <= t:
                color = "white" if share > 0.5 else INK
                axes.text(s, t, f"{share:.2f}", fontsize=SIZE, color=color, ha="center", va="center")
    if names:
        middles = [start + t + 0.5 for start in starts[0] for t in range(length)]
        beside = [(margin - PAD, margin + (rows - middle) * cell, 0.0) for middle in middles]
        middles = [start + t + 0.5 for start in starts[1] for t in range(length)]
        below = [(margin + middle * cell, margin - PAD, 90.0) for middle in middles]
        figure.add_artist(lettering(cycle(names), [*beside, *below], figure.dpi_scale_trans))
    # A text may hold a dollar sign, which would be taken for the beginning of a formula.
    heading = figure.text(MARGIN / width, 1 - 0.3 / height, title, color=INK, fontsize=9, fontweight="bold")
    heading.set_parse_math(False)
    return figure


def mosaic_of(attention: np.ndarray, gap: int) -> np.ndarray:
    """(L, H, T, T) as one array, with `gap` entries between the squares that are no numbers."""
    layers, heads, length, _ = attention.shape
    span = length + gap
    mosaic = np.full((layers, span, heads, span), np.nan)
    mosaic[:, :length, :, :length] = attention.transpose(0, 2, 1, 3)
    return mosaic.reshape(layers * span, heads * span)[:-gap, :-gap]


def labels(tokens: Sequence[str]) -> list[str]:
    names = ["".join(c if c.isprintable() else "·" for c in token) for token in tokens]
    return [name if len(name) <= LABEL else f"{name[: LABEL - 1]}…" for name in names]


def lettering(
    texts: Iterable[str], places: Iterable[tuple[float, float, float]], inches: Transform
) -> PathPatch:
    """A text for each place (x, y, degrees): it ends at (x, y), in inches, and is turned around its end.

    As one shape: matplotlib takes 2 ms to draw each text of its own. inches: what makes pixels of them, a figure's
    `dpi_scale_trans`. Texts that show nothing are left out.
    """
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path
    from matplotlib.transforms import Affine2D

    shapes: dict[str, Path] = {}
    placed = []
    for text, (x, y, degrees) in zip(texts, places, strict=False):
        if text not in shapes:
            shapes[text] = ending_at_zero(text)
        if np.size(shapes[text].vertices):
            turned = Affine2D().scale(POINT).rotate_deg(degrees).translate(x, y)
            placed.append(turned.transform_path(shapes[text]))
    path = Path.make_compound_path(*placed)
    return PathPatch(path, transform=inches, facecolor=INK, linewidth=0)


def ending_at_zero(text: str) -> Path:
    """The outlines of a text, in points: its right end at 0, and 0 at half the height of small letters."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path
    from matplotlib.textpath import text_to_path

    vertices, codes = text_to_path.get_text_path(FontProperties(), text)
    vertices = np.reshape(vertices, (-1, 2)) * (SIZE / text_to_path.FONT_SCALE)
    right = vertices[:, 0].max(initial=0.0)
    return Path(vertices - (right, MIDDLE * SIZE), np.array(codes, Path.code_type))
