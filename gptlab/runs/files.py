"""What the files of runs and sweeps are called."""

import os
import stat
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
LOCK = ".lock"  # held while run.json or sweep.json is changed
WRITING = ".mlflow"  # held by who writes the run to MLflow

# What gptlab writes into a run's folder; a test holds the list to the folders of runs that have everything.
# May be there before a step is taken; an earlier gptlab wrote unsent.jsonl.
START = (RUN, CONFIG, TOKENIZER, PLUGINS, PARAMETERS, LOCK, WRITING, "unsent.jsonl")
RUN_FILES = (*START, METRICS, SAMPLES, CHECKPOINTS, INSPECTIONS, JOB)
# And into a sweep's, Hydra's own file among them.
SWEEP = "sweep.json"
HYDRAS = "multirun.yaml"
SWEEP_FILES = (
    *(SWEEP, HYDRAS, "stop", "study.journal", "summary.csv", "losses.png"),
    *("trials.csv", "importance.csv", "importance.png"),
)
PICTURES = "by-*.png"


def check_leads_nowhere(folder: Path) -> None:
    """Raises UserError for a link, a pipe or a device among the files of a run or a sweep.

    A folder that somebody else made would have what lies outside of it read, sent and written over.
    """
    ours = [folder / name for name in (*RUN_FILES, *SWEEP_FILES)]
    if (folder / SWEEP).is_file():
        ours += folder.iterdir()  # the jobs' folders
    for part in (CHECKPOINTS, INSPECTIONS):
        walk = os.walk(folder / part)
        ours += [Path(place, name) for place, folders, files in walk for name in (*folders, *files)]
    for path in ours:
        try:
            mode = path.lstat().st_mode
        except OSError:  # it is not there, or was replaced by the run that goes on
            continue
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            what = "a link" if stat.S_ISLNK(mode) else "a pipe or a device"
            raise UserError(f"a run's own files must be files, in its folder: {path} is {what}. Remove it.")
