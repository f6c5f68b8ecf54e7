"""What the files of runs and sweeps are called."""

import os
import stat
from fnmatch import fnmatch
from pathlib import Path

from gptlab.errors import UserError
from gptlab.runs.checkpoint.folder import CHECKPOINTS

TOKENIZER = "tokenizer.json"
CONFIG = "config.yaml"
RUN = "run.json"  # what the run is, its MLflow id and status; the first file that is written
PLUGINS = "plugins.json"  # which of the config's names came from which plugin
PARAMETERS = "parameters.json"  # the table of weights, in the form of mlflow.log_table
METRICS = "metrics.jsonl"  # a line a logged step
SAMPLES = "samples.txt"
INSPECTIONS, JOB = "inspect", "job.json"
INSPECTION = "inspect.html"  # in a folder a step within INSPECTIONS
LOCK = ".lock"  # held while run.json or sweep.json is changed
WRITING = ".mlflow"  # held by who writes the run to MLflow

# What gptlab writes into a run's folder; a test holds the list to the folders of runs that have everything.
# May be there before a step is taken; an earlier gptlab wrote unsent.jsonl.
START = (RUN, CONFIG, TOKENIZER, PLUGINS, PARAMETERS, LOCK, WRITING, "unsent.jsonl")
RUN_FILES = (*START, METRICS, SAMPLES, CHECKPOINTS, INSPECTIONS, JOB)
# And into a sweep's, Hydra's own file among them.
SWEEP = "sweep.json"
HYDRAS = "multirun.yaml"
SWEEP_PAGE, ABLATION_PAGE = "sweep.html", "report.html"
SWEEP_FILES = (
    *(SWEEP, HYDRAS, "stop", "study.journal", "summary.csv", SWEEP_PAGE, "losses.png"),
    *("trials.csv", "importance.csv", "importance.png"),
    *(
        "ablation.json",
        "gallery.json",
        "gallery.md",
        "gallery.svg",
        ABLATION_PAGE,
        "report.md",
        "arms.csv",
        "runs.csv",
    ),
    *("forest.png", "curves.png", "rates.png", "scaling.png"),
)
PICTURES = "by-*.png"
FOLDERS = (CHECKPOINTS, INSPECTIONS)
FILE, FOLDER = "a file", "a folder"


def check_leads_nowhere(folder: Path) -> None:
    """Raises UserError for a link, a pipe or a device among the files of a run or a sweep, and a folder for a file.

    A folder that somebody else made would have what lies outside of it read, sent and written over.
    """
    for name in (*RUN_FILES, *SWEEP_FILES):
        check_kind(folder / name, FOLDER if name in FOLDERS else FILE)
    if (folder / SWEEP).is_file():
        for path in folder.iterdir():  # the jobs' folders
            check_kind(path)
    for part in FOLDERS:
        for place, folders, files in os.walk(folder / part):
            for name in (*folders, *files):
                check_kind(Path(place, name))


def check_kind(path: Path, wanted: str = "") -> None:
    """Raises UserError for what is there and neither a file nor a folder, or not the one that is wanted."""
    try:
        mode = path.lstat().st_mode
    except OSError:  # it is not there, or was replaced by the run that goes on
        return
    what = FILE if stat.S_ISREG(mode) else FOLDER if stat.S_ISDIR(mode) else "a pipe or a device"
    what = "a link" if stat.S_ISLNK(mode) else what
    if what not in (FILE, FOLDER) or wanted not in ("", what):
        raise UserError(f"a run's own files must be files, in its folder: {path} is {what}. Remove it.")


def is_of_sweep(name: object) -> bool:
    """Whether it is the name of a file that gptlab writes into a sweep's folder, and no way to another."""
    return name in SWEEP_FILES or (isinstance(name, str) and "/" not in name and fnmatch(name, PICTURES))
