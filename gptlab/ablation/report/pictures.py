"""The pictures of an ablation: as PNG files, and as SVG that takes the colours of the page it stands in."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gptlab.ablation.report.bands import curves
from gptlab.ablation.report.forest import forest
from gptlab.ablation.report.laws import Laws
from gptlab.ablation.report.rates import rates
from gptlab.ablation.report.scaling import scaling
from gptlab.ablation.result import Ablation
from gptlab.drawing.colors import FAINT, INK
from gptlab.sweeps.style import drawing

if TYPE_CHECKING:
    from gptlab.drawing.picture import Picture

FOREST, CURVES, RATES, SCALING = "forest.png", "curves.png", "rates.png", "scaling.png"
PICTURES = (FOREST, CURVES, RATES, SCALING)


def pictures(ablation: Ablation, laws: Mapping[str, Laws] | None = None) -> dict[str, Picture]:
    """By file name; those that there is nothing to show in are left out."""
    with drawing():
        made = {
            FOREST: forest(ablation) if ablation.arms else None,
            CURVES: curves(ablation),
            RATES: rates(ablation),
            SCALING: scaling(ablation, laws),
        }
    return {name: picture for name, picture in made.items() if picture is not None}


def png(picture: Picture) -> bytes:
    with drawing():
        return picture.png()


def inline_svg(picture: Picture, prefix: str, alt: str) -> str:
    """The picture as an element of a page: all text is drawn as outlines, ink and grey are the page's.

    prefix: of the ids within it, which must be its own. alt: what it shows, escaped.
    """
    file = io.StringIO()
    with drawing():
        picture.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{prefix}-", text)
    text = text.replace(INK, "var(--ink)").replace(FAINT, "var(--faint)")
    _, _, inner = text.partition(">")
    width, height = (72 * inches for inches in picture.get_size_inches())
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{alt}" xmlns:xlink="http://www.w3.org/1999/xlink">{inner}'
