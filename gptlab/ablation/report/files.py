"""The files of an ablation's report, by their names in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gptlab.ablation.report.as_csv import arms_csv, runs_csv
from gptlab.ablation.report.as_json import JSON, json_text
from gptlab.ablation.report.laws import Laws
from gptlab.ablation.report.markdown import markdown
from gptlab.ablation.report.page import page
from gptlab.ablation.report.pictures import PICTURES, pictures, png
from gptlab.ablation.result import Ablation
from gptlab.files import write_bytes
from gptlab.runs.files import ABLATION_PAGE

REPORT, ARMS, RUNS = "report.md", "arms.csv", "runs.csv"
FILES = (JSON, ABLATION_PAGE, REPORT, ARMS, RUNS, *PICTURES)


def report_files(ablation: Ablation, laws: Mapping[str, Laws] | None = None) -> dict[str, bytes]:
    """Each with its whole content; of the pictures those that there is something to show in."""
    texts = {
        JSON: json_text(ablation) + "\n",
        ABLATION_PAGE: page(ablation, laws),
        REPORT: markdown(ablation, laws),
    }
    found = {name: text.encode("utf-8") for name, text in texts.items()}
    found |= {ARMS: arms_csv(ablation), RUNS: runs_csv(ablation)}
    return found | {name: png(picture) for name, picture in pictures(ablation, laws).items()}


def write_report(ablation: Ablation, folder: Path, laws: Mapping[str, Laws] | None = None) -> list[str]:
    """Into the ablation's folder, which is made if it is not there; the files' names. Raises OSError."""
    found = report_files(ablation, laws)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in found.items():
        write_bytes(folder / name, content)
    return list(found)
