"""A graph as an SVG: records with rows of text, an op before each that was made, numbers on the edges.

Everything is in the one file: no program draws it, no font, script or sheet is fetched. It is light or dark
as the reader's screen is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from gptlab.drawing.layered import Edge, Layout, lay_out

FONT = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace'
ADVANCE = 0.625  # of the size: the widest of these fonts has 0.602
TEXT, SMALL = 13.0, 12.0
ROW = 17.0
PADDING = 9.0
OP_HEIGHT, STEM, ARROW = 24.0, 11.0, 7.0

STYLE = f"""
.gptlab-graph {{ font-family: {FONT}; }}
.gptlab-graph .page {{ fill: #ffffff; }}
.gptlab-graph .box {{ fill: #f6f8fa; stroke: #8c959f; stroke-width: 1.2; }}
.gptlab-graph .named {{ fill: #ddf4ff; stroke: #218bff; }}
.gptlab-graph .constant {{ stroke-dasharray: 4 3; }}
.gptlab-graph .result {{ fill: #dafbe1; stroke: #2da44e; stroke-width: 1.8; }}
.gptlab-graph .op {{ fill: #fff8c5; stroke: #bf8700; stroke-width: 1.2; }}
.gptlab-graph .line {{ fill: none; stroke: #8c959f; stroke-width: 1.3; }}
.gptlab-graph .arrow {{ fill: #6e7781; }}
.gptlab-graph text {{ font-size: {TEXT:g}px; fill: #1f2328; dominant-baseline: central; white-space: pre; }}
.gptlab-graph .name {{ font-weight: 700; }}
.gptlab-graph .label, .gptlab-graph .op-name {{ font-size: {SMALL:g}px; text-anchor: middle; }}
.gptlab-graph .label {{ fill: #953800; }}
.gptlab-graph .note {{ font-size: {SMALL:g}px; fill: #59636e; }}
@media (prefers-color-scheme: dark) {{
.gptlab-graph .page {{ fill: #0d1117; }}
.gptlab-graph .box {{ fill: #1c2128; stroke: #768390; }}
.gptlab-graph .named {{ fill: #10263f; stroke: #4493f8; }}
.gptlab-graph .result {{ fill: #12301c; stroke: #3fb950; }}
.gptlab-graph .op {{ fill: #3a2f0b; stroke: #d29922; }}
.gptlab-graph .line {{ stroke: #768390; }}
.gptlab-graph .arrow {{ fill: #9198a1; }}
.gptlab-graph text {{ fill: #f0f6fc; }}
.gptlab-graph .label {{ fill: #ffb77c; }}
.gptlab-graph .note {{ fill: #9198a1; }}
}}"""


@dataclass(frozen=True)
class Node:
    """rows: the lines of its record; the first one is its name if `titled`. op: what made it, if anything.

    kinds: classes of its look, among `named`, `constant`, `result`. hint: what hovering over it says.
    """

    rows: tuple[str, ...]
    op: str = ""
    titled: bool = False
    kinds: tuple[str, ...] = ()
    hint: str = ""

    @property
    def op_width(self) -> float:
        return max(text_width(self.op, SMALL) + 2 * PADDING, OP_HEIGHT) if self.op else 0.0

    @property
    def stem(self) -> float:
        """From its left side to its record."""
        return self.op_width + STEM if self.op else 0.0

    @property
    def width(self) -> float:
        return self.stem + max(text_width(row, TEXT) for row in self.rows) + 2 * PADDING

    @property
    def height(self) -> float:
        return ROW * len(self.rows) + PADDING


@dataclass(frozen=True)
class Link:
    """From a node to one that was made of it, both by their place in the list of nodes."""

    source: int
    target: int
    label: str
    hint: str = ""


def draw(nodes: Sequence[Node], links: Sequence[Link], title: str, notes: Sequence[str] = ()) -> str:
    """The SVG of the nodes, each after all that it was made of; below it a line for each of the notes."""
    edges = [Edge(link.source, link.target, text_width(link.label, SMALL) + 8.0) for link in links]
    layout = lay_out([(node.width, node.height) for node in nodes], edges)
    width = max([layout.width, *(text_width(note, SMALL) + 32.0 for note in notes)])
    height = layout.height + (ROW * len(notes) + 4.0 if notes else 0.0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="gptlab-graph" role="img" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}\n</style>",
        f'<rect class="page" width="{width:.0f}" height="{height:.0f}"/>',
        lines_of(layout),
        *(drawn_label(link, x, y) for link, (x, y) in zip(links, layout.labels, strict=True)),
        *arrows_of(links, layout),
        *(drawn_node(node, x, y) for node, (x, y) in zip(nodes, layout.boxes, strict=True)),
        *(
            f'<text class="note" x="16" y="{layout.height + ROW * i:.1f}">{escape(note)}</text>'
            for i, note in enumerate(notes)
        ),
        "</svg>",
    ]
    return "\n".join(part for part in parts if part)


def drawn_node(node: Node, x: float, y: float) -> str:
    left, top = x + node.stem, y - node.height / 2
    parts = [f"<g>{f'<title>{escape(node.hint)}</title>' if node.hint else ''}"]
    if node.op:
        right = x + node.op_width
        parts += [
            f'<path class="line" d="M{right:.1f} {y:.1f}H{left:.1f}"/>',
            f'<rect class="op" x="{x:.1f}" y="{y - OP_HEIGHT / 2:.1f}" width="{node.op_width:.1f}" '
            f'height="{OP_HEIGHT:g}" rx="{OP_HEIGHT / 2:g}"/>',
            f'<text class="op-name" x="{(x + right) / 2:.1f}" y="{y:.1f}">{escape(node.op)}</text>',
        ]
    parts.append(
        f'<rect class="{" ".join(("box", *node.kinds))}" x="{left:.1f}" y="{top:.1f}" '
        f'width="{node.width - node.stem:.1f}" height="{node.height:.1f}" rx="4"/>'
    )
    for i, row in enumerate(node.rows):
        name = ' class="name"' if node.titled and i == 0 else ""
        middle = top + PADDING / 2 + ROW * (i + 0.5)
        parts.append(f'<text{name} x="{left + PADDING:.1f}" y="{middle:.1f}">{escape(row)}</text>')
    return "".join([*parts, "</g>"])


def drawn_label(link: Link, x: float, y: float) -> str:
    hint = f"<title>{escape(link.hint)}</title>" if link.hint else ""
    return f'<text class="label" x="{x:.1f}" y="{y:.1f}">{hint}{escape(link.label)}</text>'


def lines_of(layout: Layout) -> str:
    if not layout.lines:
        return ""
    paths = []
    for line in layout.lines:
        half = (line.to_bend - line.bend) / 2
        curve = (
            f"C{line.bend + half:.1f} {line.y:.1f} {line.to_bend - half:.1f} {line.to_y:.1f} "
            f"{line.to_bend:.1f} {line.to_y:.1f}"
        )
        paths.append(f"M{line.x:.1f} {line.y:.1f}H{line.bend:.1f}{curve if half > 0 else ''}H{line.to_x:.1f}")
    return f'<path class="line" d="{"".join(paths)}"/>'


def arrows_of(links: Sequence[Link], layout: Layout) -> list[str]:
    """One at the op of each node that was made; a marker would need an id, which a page may have twice."""
    ends = sorted({link.target for link in links})
    return [
        f'<path class="arrow" d="M{x:.1f} {y:.1f}l{-ARROW:g} {-ARROW / 2:g}v{ARROW:g}z"/>'
        for x, y in (layout.boxes[i] for i in ends)
    ]


def text_width(text: str, size: float) -> float:
    """At most so wide; letters of East Asian scripts and signs beyond take two places."""
    return sum(1 if ord(letter) < 0x1100 else 2 for letter in text) * size * ADVANCE
