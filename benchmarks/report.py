"""Tables of what was measured: for the terminal and for docs/performance.md."""

from __future__ import annotations

import re
import statistics
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.task import ROOT
from gptlab import strict_json

PAGE = ROOT / "docs" / "performance.md"
RESULTS = Path(__file__).parent / "results"
KINDS = ("speed", "start", "scale", "growth", "documents", "causes")

Row = dict[str, Any]


def duration(seconds: float) -> str:
    """Three digits, in the unit that fits."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def mebibytes(size: float) -> str:
    return f"{size / 2**20:,.{1 if size < 10 * 2**20 else 0}f} MiB"


def times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}x" if ratio >= 0.1 else f"{ratio:.3f}x"


def yes_no(met: bool | None) -> str:
    return {True: "yes", False: "**no**", None: ""}[met]


def lines_of(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join(
        [
            "| " + " | ".join(header) + " |",
            "|" + "---|" * len(header),
            *("| " + " | ".join(row) + " |" for row in rows),
        ]
    )


def side(row: Row, name: str) -> str:
    seconds = row["times"].get(name)
    if not seconds:
        return name
    memory = f", {mebibytes(row['peak'][name])}" if name in row["peak"] else ""
    return f"{name} {duration(statistics.median(seconds))}{memory}"


def speed_cells(row: Row) -> list[str]:
    """As SPEED_HEADER has them."""
    subject, against = side(row, row["subject"]), side(row, row["against"])
    ratio, most = row["ratio"], row["atMost"]
    if row["note"]:
        shown = row["note"]
    elif row["quantity"] == "seconds above":
        against += f" + training {duration(statistics.median(row['times']['training']))}"
        shown = f"{ratio:.2f} s above"
    elif row["quantity"] == "seconds":
        shown = f"{ratio:.2f} s"
    else:
        shown = times(ratio) + (" memory" if row["quantity"] == "memory" else "")
    target = "" if most is None else f"≤ {most:g} s" if "seconds" in row["quantity"] else f"≤ {most:.3g}x"
    return [row["title"], row["threads"], subject, against, shown, target, yes_no(row["met"])]


SPEED_HEADER = ["setting", "cores", "gptlab", "against", "ratio", "target", "met"]


def speed_table(rows: list[Row]) -> str:
    return lines_of(SPEED_HEADER, [speed_cells(row) for row in rows])


def growth_table(cells: list[Row]) -> str:
    header = [
        "axis",
        "nEmbd",
        "nLayer",
        "blockSize",
        "batch",
        "step",
        "GFLOP",
        "GFLOP/s",
        "time by arithmetic",
    ]
    header += ["peak memory", "weights, moments, gradients"]
    shown = []
    for cell in cells:
        sizes = [str(cell[name]) for name in ("nEmbd", "nLayer", "blockSize", "batchSize")]
        if cell.get("note"):
            shown.append([cell["axis"], *sizes, cell["note"], *[""] * 5])
            continue
        rate = cell["flops"] / cell["seconds"]
        took = [duration(cell["seconds"]), f"{cell['flops'] / 1e9:.3g}", f"{rate / 1e9:.3g}"]
        held = [mebibytes(cell["peak"]), mebibytes(cell["kept"])]
        shown.append([cell["axis"], *sizes, *took, times(cell["relative"]), *held])
    return lines_of(header, shown)


def causes_table(settings: list[Row]) -> str:
    names = list(settings[0]["shares"])
    header = ["setting", "steps", "wall time a step", *names]
    return lines_of(
        header,
        [
            [s["title"], f"{s['steps']:,}", duration(s["step"]), *(f"{s['shares'][n]:.1%}" for n in names)]
            for s in settings
        ],
    )


def section(kind: str, result: dict[str, Any]) -> str:
    command = "python -m benchmarks" + {"speed": "", "documents": ".documents"}.get(kind, f" {kind}")
    made = f"Made by `{command}`: {machine.sentence(result['machine'])}"
    if kind == "speed":
        return f"### Against the baselines\n\n{made} {result['rounds']} rounds.\n\n{speed_table(result['rows'])}\n"
    if kind == "scale":
        from benchmarks import scale

        return (
            f"### At nanoGPT's sizes\n\n{made} {result['rounds']} rounds.\n\n{scale.table(result['cells'])}\n"
        )
    if kind == "start":
        from benchmarks import start

        return f"### From the key press to the prompt\n\n{made} {result['rounds']} rounds.\n\n{start.table(result)}\n"
    if kind == "growth":
        return f"### As work grows\n\n{made}\n\n{growth_table(result['cells'])}\n"
    if kind == "documents":
        table = lines_of(result["header"], result["rows"])
        return f"### As documents grow\n\n{made}\n\n{table}\n"
    return f"### Where the time goes\n\n{made}\n\n{causes_table(result['settings'])}\n"


def write_json(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(strict_json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_page() -> None:
    """Put all results that there are between the page's two markers."""
    files = [(kind, RESULTS / f"{kind}.json") for kind in KINDS]
    parts = [
        section(kind, strict_json.loads(file.read_text("utf-8"))) for kind, file in files if file.is_file()
    ]
    put_into(PAGE, "\n".join(parts))


def put_into(page: Path, measured: str) -> None:
    """Replace what stands between the two markers of a page of docs/."""
    text = page.read_text(encoding="utf-8")
    marked = re.sub(
        r"(?s)(<!-- measured -->\n).*(<!-- end -->)", lambda found: found[1] + measured + found[2], text
    )
    page.write_text(marked, encoding="utf-8")
