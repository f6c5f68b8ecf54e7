"""The words of --help: what each verb does, with an example."""

TRAIN = """\
gptlab: take a GPT apart, change any piece, see what that does to learning.

  python -m gptlab +experiment=tiny                       train; seconds
  python -m gptlab +experiment=tiny model.nEmbd=32        change a number
  python -m gptlab +experiment=tiny model/norm=layernorm  change a component
  python -m gptlab -m +experiment=tiny model.nEmbd=16,32  a sweep, a run for each value
  python -m gptlab generate prompt="the cat"              sample from the newest run
  python -m gptlab ui                                     browse the runs in MLflow

Verbs: train (the default), generate, ui; each takes Hydra overrides, and --help.

Experiments are files in experiments/, gptlab's own and those in ./experiments.
Of training: --cfg job prints the whole config, --info defaults what it is made of,
-m sweeps, --hydra-help Hydra's own flags; tab completion for the command `gptlab`:
  eval "$(gptlab -sc install=bash)"\
"""

GENERATE = """\
Sample from a finished run.

  python -m gptlab generate run=latest n=20 temperature=0.8 topK=0 topP=1.0 seed=0 prompt="the cat"

run          latest (the newest below ./runs), an MLflow run id, or a run's folder
temperature  what logits are divided by; 0 takes the likeliest token each time
topK         keep the k likeliest tokens; 0 keeps all
topP         of those, the smallest set whose probabilities reach p
engine       engine=scalar or engine=xla; the run's own if left out\
"""

UI = """\
Browse the runs of this folder in MLflow's pages, until Ctrl-C.

  python -m gptlab ui port=5000

host, port    where to listen; 127.0.0.1 and 5000
tracking.uri  another store, e.g. tracking.uri=http://server:5000 or sqlite:////path/mlflow.db\
"""

HELP = {"train": TRAIN, "generate": GENERATE, "ui": UI}
VERBS = tuple(HELP)
