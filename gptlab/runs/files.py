"""What the files of runs and sweeps are called."""

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
