"""Many short texts of a picture as one shape: matplotlib takes 2 ms to draw each text of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from gptlab.drawing.colors import INK

if TYPE_CHECKING:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path
    from matplotlib.transforms import Transform

POINT = 1 / 72  # inches
SIZE = 7  # points
MIDDLE = 0.3  # of the size: how far the middle of small letters is above the line that they stand on

Place = tuple[float, float, float]


def lettering(texts: Iterable[str], places: Iterable[Place], inches: Transform) -> PathPatch:
    """A text for each place (x, y, degrees): it ends at (x, y), in inches, and is turned around its end.

    inches: what makes pixels of them, a figure's `dpi_scale_trans`. Texts that show nothing are left out.
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
