"""An inspection as a page: one self-contained HTML file that opens from disk and asks nobody for anything.

Legend: see inspection.py.
"""

from __future__ import annotations

import base64
import html
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gptlab.drawing.report_page import placed, static
from gptlab.inspection.inspection import Inspection

if TYPE_CHECKING:
    from gptlab.inspection.interventions import HeadEffects, Intervention

ROOM = "gptlab.inspection"
# One script: each file defines functions, the last one calls them.
SCRIPTS = (
    "elements.js",
    "numbers.js",
    "pointing.js",
    "plot.js",
    "words.js",
    "interventions.js",
    "attention.js",
    "attention_map.js",
    "lens.js",
    "norms.js",
    "attributions.js",
    "weights.js",
    "start.js",
)

WHOLE = 'drawPage({}, wholePage(JSON.parse(byId("numbers").textContent)));'

CANDIDATES = 10  # shown for each position
LENS_CANDIDATES = 5  # and for each position and depth of the logit lens
LARGEST_VOCABULARY = 5000  # that is on the page as a whole, for the names of the rows of embeddings
LARGEST_MAP = 256  # positions that an attention map shows one by one
NOT_FINITE = -32768
FULL = 32767
DIGITS = 6  # significant ones of a number that is written out
PIXELS = 300_000  # on the whole page: about 0.8 MB of it
FEWEST = 4_096  # that each matrix has in any case
BINS = 41  # of a histogram: odd, so that one is around 0
SATURATED = 0.995  # share of the numbers that lie within the range of the colours


def page(
    inspection: Inspection,
    title: str,
    intervention: Intervention | None = None,
    effects: HeadEffects | None = None,
    way: Way | None = None,
) -> str:
    """The HTML of everything that can be seen in the inspection. title: what the page is called, plain text.

    intervention: the same text without parts of the model. effects: what each part is for. way: to its sweep's page.
    """
    return filled(title, numbers(inspection) | touched(intervention, effects), way)


@dataclass(frozen=True)
class Way:
    """From a page to that of the sweep which its run is a job of. text: what it is called; href: a relative address.

    at: the end of the page's own address, where it leads somewhere; a copy elsewhere has none. command: what makes the
    page of the sweep's runs beside each other.
    """

    text: str
    href: str
    at: str = ""
    command: str = ""

    @property
    def html(self) -> str:
        at = f' data-at="{html.escape(self.at)}"' if self.at else ""
        told = f" Beside its other runs: <code>{html.escape(self.command)}</code>" if self.command else ""
        link = f'<a href="{html.escape(self.href)}">{html.escape(self.text)}</a>'
        return f'<p id="way"{at}>All runs: {link}.{told}</p>'


def filled(
    title: str, shown: dict[str, Any], way: Way | None = None, series: Any = None, scripts: Sequence[str] = ()
) -> str:
    """The page's template. series: what the scripts read that begin a page of several steps, if it is one."""
    element = f'<script type="application/json" id="series">{in_script(series)}</script>'
    parts = {
        "title": html.escape(title),
        "style": static(ROOM, "page.css"),
        "way": "" if way is None else way.html,
        "data": in_script(shown),
        "series": element if scripts else "",
        "script": joined(SCRIPTS),
        "start": joined(scripts) if scripts else WHOLE,
    }
    return placed(static(ROOM, "page.html"), parts)


def joined(scripts: Sequence[str]) -> str:
    return "\n".join(static(ROOM, name) for name in scripts)


def in_script(shown: Any) -> str:
    """As JSON: "<" would be read as markup even in a script, and a NaN is no JSON: `numbers` has none."""
    return json.dumps(shown, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


NUMBERS = re.compile(r'<script type="application/json" id="numbers">(.*?)</script>', re.DOTALL)


def numbers_in(page: str) -> dict[str, Any]:
    """What `numbers` gave for a page that was written. Raises ValueError for what is no such page."""
    found = NUMBERS.search(page)
    shown = json.loads(found[1]) if found else None
    if not isinstance(shown, dict) or not {"tokens", "losses", "attention"} <= shown.keys():
        raise ValueError("no page of an inspection")
    return shown


def numbers(inspection: Inspection) -> dict[str, Any]:
    """All that the page shows, under the keys that static/*.js reads; what is not finite is None."""
    ids = target_ids(inspection)
    best = likeliest(inspection.probabilities, CANDIDATES)
    lens = [likeliest(depth, LENS_CANDIDATES) for depth in inspection.lens]
    layers = len(inspection.hidden) - 1
    return {
        "text": inspection.text,
        "tokens": inspection.tokens,
        "targets": inspection.targets,
        "vocabulary": words(inspection, [best, *lens], ids),
        "sizes": {
            "layers": layers,
            "embedding": inspection.hidden.shape[-1],
            "vocabulary": len(inspection.vocabulary),
            "parameters": sum(array.size for array in inspection.weights.values()),
        },
        "notes": list(inspection.notes),
        "loss": number(inspection.loss),
        "losses": listed(inspection.losses),
        "candidates": candidates(inspection.probabilities, best),
        "ranks": ranks(inspection.probabilities, ids),
        "attention": packed_shares(inspection.attention),
        "lens": [lens_entry(depth, top, ids) for depth, top in zip(inspection.lens, lens, strict=True)],
        "hiddenNorms": [listed(row) for row in inspection.hiddenNorms],
        "gradientNorms": [listed(row) for row in inspection.gradientNorms],
        "attributions": listed(inspection.attributions),
        "attributionsSum": number(inspection.attributions.sum()),
        "weights": weight_entries(inspection),
    }


def touched(intervention: Intervention | None, effects: HeadEffects | None) -> dict[str, Any]:
    """What the page shows of interventions; nothing where there are none."""
    shown: dict[str, Any] = {}
    if intervention is not None:
        shown["intervention"] = {
            "parts": intervention.parts,
            "filled": intervention.filled,
            "loss": number(intervention.lossesWithout.mean()),
            "losses": listed(intervention.lossesWithout),
            "effects": listed(intervention.effects),
        }
    if effects is not None:
        both = ((effects.text, effects.loss, effects.onText), ("", effects.heldOutLoss, effects.onHeldOut))
        shown["heads"] = {
            "parts": effects.parts,
            "filled": effects.filled,
            "note": effects.note,
            "sides": [
                {
                    "title": f'"{text}"' if text else f"{effects.documents} held-out documents",
                    "loss": number(loss),
                    "effects": listed(gained),
                }
                for text, loss, gained in both
                if loss is not None and gained is not None
            ],
        }
    return shown


def lens_entry(depth: np.ndarray, best: np.ndarray, ids: np.ndarray) -> dict[str, Any]:
    """What the page shows of a hidden state's predictions (T, V); no candidates if there are none."""
    if not np.isfinite(depth).any():
        none: list[None] = [None] * len(ids)
        return {"candidates": [[] for _ in ids], "shares": none, "ranks": none}
    return {
        "candidates": candidates(depth, best),
        "shares": listed(depth[np.arange(len(ids)), ids]),
        "ranks": ranks(depth, ids),
    }


def listed(values: np.ndarray) -> list[float | None]:
    return [number(value) for value in values]


def target_ids(inspection: Inspection) -> np.ndarray:
    """The id of each target (T,). Where tokens share a spelling, the loss tells which one it was."""
    places: dict[str, list[int]] = {}
    for i, word in enumerate(inspection.vocabulary):
        places.setdefault(word, []).append(i)
    found = []
    for t, word in enumerate(inspection.targets):
        same = np.array(places[word])
        distances = np.abs(inspection.probabilities[t, same] - np.exp(-inspection.losses[t]))
        found.append(int(same[np.argmin(distances)]))
    return np.array(found)


def likeliest(probabilities: np.ndarray, count: int) -> np.ndarray:
    """The ids of the `count` largest of each row of (T, V), best first."""
    best: np.ndarray = np.argsort(-probabilities, axis=-1, kind="stable")[:, :count]
    return best


def candidates(probabilities: np.ndarray, best: np.ndarray) -> list[list[list[float | None]]]:
    """For each position its [id, probability]s."""
    shares = np.take_along_axis(probabilities, best, -1)
    return [
        [[int(i), number(p)] for i, p in zip(*row, strict=True)] for row in zip(best, shares, strict=True)
    ]


def ranks(probabilities: np.ndarray, ids: np.ndarray) -> list[int]:
    """The place of each target among all tokens, 1 for the likeliest."""
    own = probabilities[np.arange(len(ids)), ids]
    return [int(rank) for rank in 1 + (probabilities > own[:, None]).sum(-1)]


def words(inspection: Inspection, shown: list[np.ndarray], ids: np.ndarray) -> dict[int, str]:
    """The tokens by id: all, or those that the page speaks of."""
    if len(inspection.vocabulary) <= LARGEST_VOCABULARY:
        return dict(enumerate(inspection.vocabulary))
    used = np.unique(np.concatenate([ids, *(array.ravel() for array in shown)]))
    return {int(i): inspection.vocabulary[i] for i in used}


def number(value: Any) -> float | None:
    """With DIGITS significant digits; None for what is not finite."""
    value = float(value)
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def packed(array: np.ndarray) -> dict[str, Any]:
    """Signed 16-bit steps of `scale`, little-endian: an error of at most 1/65534 of the largest magnitude.

    The lowest step stands for what is not finite.
    """
    finite = np.isfinite(array)
    largest = float(np.abs(array[finite], dtype=np.float64).max(initial=0.0))
    scale = largest / FULL or 1.0
    steps = np.rint(np.where(finite, array, 0).astype(np.float64) / scale)
    steps = np.where(finite, steps, NOT_FINITE).astype("<i2")
    return {"scale": scale, "data": base64.b64encode(steps.tobytes()).decode("ascii")}


def packed_shares(attention: np.ndarray) -> dict[str, Any]:
    """Attention (L, H, T, T): of each map the triangle that is not 0 by causality, row by row.

    A map of more than LARGEST_MAP positions shows the largest share of each `step` by `step` of them.
    """
    layers, heads, positions, _ = attention.shape
    step = math.ceil(positions / LARGEST_MAP)
    maps = pooled(attention, step, step)
    size = maps.shape[-1]
    rows, columns = np.tril_indices(size)
    return {
        "layers": layers,
        "heads": heads,
        "positions": positions,
        "step": step,
        "size": size,
        **packed(maps[:, :, rows, columns]),
    }


def pooled(array: np.ndarray, row_step: int, column_step: int) -> np.ndarray:
    """Of each block in the last two axes the number with the largest magnitude, sign kept."""
    if row_step == column_step == 1:
        return array
    rows, columns = (math.ceil(n / s) for n, s in zip(array.shape[-2:], (row_step, column_step), strict=True))
    outer = array.shape[:-2]
    wide = np.zeros((*outer, rows * row_step, columns * column_step), array.dtype)
    wide[..., : array.shape[-2], : array.shape[-1]] = array
    blocks = wide.reshape(*outer, rows, row_step, columns, column_step)
    blocks = np.moveaxis(blocks, -3, -2).reshape(*outer, rows, columns, row_step * column_step)
    largest = np.argmax(np.abs(blocks), axis=-1)[..., None]
    found: np.ndarray = np.take_along_axis(blocks, largest, -1)[..., 0]
    return found


def weight_entries(inspection: Inspection) -> list[dict[str, Any]]:
    # What small matrices leave is for the large ones.
    sizes = sorted(array.size for array in inspection.weights.values())
    left = PIXELS
    for i, size in enumerate(sizes):
        limit = max(FEWEST, left // (len(sizes) - i))
        if size > limit:
            break
        left -= size
    else:
        limit = max(sizes, default=FEWEST)
    return [
        weight_entry(name, array, inspection.weightGradientNorms.get(name, math.nan), limit)
        for name, array in inspection.weights.items()
    ]


def weight_entry(name: str, array: np.ndarray, gradient_norm: float, limit: int) -> dict[str, Any]:
    """One weight as a matrix: a vector is one row, further axes in front are joined to the rows."""
    matrix = array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)
    row_step, column_step = steps(*matrix.shape, limit)
    shown = pooled(matrix, row_step, column_step)
    finite = array[np.isfinite(array)].astype(np.float64)
    if not finite.size:
        finite = np.zeros(1)
    magnitudes = np.abs(finite)
    # 0 in the middle of the middle bin.
    reach = float(magnitudes.max()) or 1.0
    counts, _ = np.histogram(finite, bins=BINS, range=(-reach, reach))
    return {
        "name": name,
        "shape": list(array.shape),
        "rows": shown.shape[0],
        "columns": shown.shape[1],
        "rowStep": row_step,
        "columnStep": column_step,
        **packed(shown),
        "saturated": number(np.quantile(magnitudes, SATURATED)) or number(reach),
        "reach": number(reach),
        "counts": [int(count) for count in counts],
        "notFinite": int(array.size - np.isfinite(array).sum()),
        "mean": number(finite.mean()),
        "deviation": number(finite.std()),
        "low": number(finite.min()),
        "high": number(finite.max()),
        "norm": number(np.linalg.norm(finite)),
        "gradientNorm": number(gradient_norm),
    }


def steps(rows: int, columns: int, limit: int) -> tuple[int, int]:
    """How many rows and columns make one pixel, so that there are at most `limit`; the longer side gives first."""
    row_step = column_step = 1
    while math.ceil(rows / row_step) * math.ceil(columns / column_step) > limit:
        if rows / row_step >= columns / column_step:
            row_step += 1
        else:
            column_step += 1
    return row_step, column_step
