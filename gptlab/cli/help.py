"""The words of --help: what each verb does, with an example."""

from textwrap import wrap

WIDTH = 100

TRAIN = """\
gptlab: take a GPT apart, change any piece, see what that does to learning.

  python -m gptlab +experiment=tiny                       train; seconds
  python -m gptlab +experiment=tiny model.nEmbd=32        change a number
  python -m gptlab +experiment=tiny model/norm=layernorm  change a component
  python -m gptlab +experiment=tiny ops.mul=maximum       change what "multiply" means
  python -m gptlab -m +experiment=tiny model.nEmbd=16,32  a sweep, a run for each value
  python -m gptlab resume=latest                          go on with a run that was stopped, or killed
  python -m gptlab +experiment=questions initFrom=latest  begin another from the newest run's weights
  python -m gptlab generate prompt="the cat"              sample from the newest run
  python -m gptlab compare RUN RUN                        what sets runs apart, side by side
  python -m gptlab summary +experiment=tiny               its parts, shapes and costs, without training
  python -m gptlab inspect text="the cat eats" to=html    what the newest run makes of a text, as a page
  python -m gptlab graph expr="relu(a*b)" a=2 b=3         draw the graph of Values of an expression
  python -m gptlab export latest --format=json            its weights to a file for other programs
  python -m gptlab ui                                     browse the runs in MLflow

Verbs: train (may be left out), generate, compare, inspect, summary, graph, export, import, ui, which take Hydra
overrides; sync, plugins, check. Each has --help.

--cfg job        print the whole config and train nothing (--info defaults: what it is made of)
-m               a sweep over values given as 1,2,3; sweep.resume=latest goes on with one that was stopped
train.logEvery   steps between two that are logged; left out, so many that a run has at most 1,000 rows
checkpoint.every steps between checkpoints, by time if left out; checkpoint.keep of them stay, and the best
register=NAME    the finished model into MLflow's model registry: generate run=models:/NAME@newest
tracking=none    without MLflow
progress=none    print nothing
--hydra-help     Hydra's own flags
Tab completion for the command `gptlab`, in bash: eval "$(gptlab -sc install=bash)"\
"""

GENERATE = """\
Sample from a finished run.

  python -m gptlab generate run=latest n=20 temperature=0.8 topK=0 topP=1.0 seed=0 prompt="the cat"

run          latest (the newest below ./runs), the folder of a run or of one of its checkpoints, an MLflow
             run id, runs:/ID, models:/NAME@ALIAS, or a file: FILE.json, FILE.safetensors
n            how many samples, one a line
temperature  what logits are divided by; 0 takes the likeliest token each time
topK         keep the k likeliest tokens; 0 keeps all
topP         of those, the smallest set whose probabilities reach p
prompt       what each sample begins with, in tokens of the run's vocabulary; \\n stands for a line end
seed         the same seed draws the same samples
engine       engine=scalar or engine=xla; the run's own if left out

A file made by another program carries no vocabulary; it is built from the text that the model was trained on:

  python -m gptlab generate run=weights.json tokenizer.path=corpus.txt     (tokenizer=char for characters)\
"""

EXPORT = """\
Write the weights of a run to one file, and print its path.

  python -m gptlab export latest --format=json output=weights.json

The first word is whatever names weights, as in generate (latest if left out).
--format     json: {"config": {nLayer, nEmbd, blockSize, nHead, headDim, vocabSize}, "weights": [every number]},
             for the standard model; each number with all its digits, matrix by matrix, row by row
             safetensors: any model, with its config and its vocabulary
output       the file to write; weights.json or weights.safetensors if left out
overwrite    overwrite=true replaces a file that is there already
tokenizer    tokenizer.path=corpus.txt gives a file of weights that has no vocabulary one\
"""

IMPORT = """\
Make a run below ./runs of a file of weights, so that generate, initFrom and export know it; print its folder.

  python -m gptlab import weights.json tokenizer.path=corpus.txt

The first word is a file as export writes it, by gptlab or by another program.
tokenizer    tokenizer.path: the text that the model was trained on, of which the vocabulary is built; only for
             a file that carries none. tokenizer=word (the default) or tokenizer=char\
"""

COMPARE = """\
Set runs side by side: the config keys that differ, the final numbers, and one picture of the curves.

  python -m gptlab compare latest runs/2026-11-22/19-55-47-000000
  python -m gptlab compare runs/2026-11-22/20-15-01-123456-sweep output=sweep.png

Each word is a run: its folder, its MLflow id, latest (the newest below ./runs), models:/NAME@ALIAS. The folder
of a sweep, or the MLflow id of its parent run, means all its runs, best first.
output        the picture; compare.png if left out, which is replaced
tracking.uri  another store to look up ids in, e.g. tracking.uri=sqlite:////path/mlflow.db\
"""

INSPECT = """\
What a model makes of a text: at each position the likeliest tokens, and the loss of the one that really came.

  python -m gptlab inspect run=latest text="the cat eats"
  python -m gptlab inspect text="the cat eats" to=html

run           whatever names weights, as in generate (latest if left out)
text          in tokens of the run's vocabulary, at most blockSize of them
to=html       one page that opens from disk: tokens, attention of each layer and head, what each layer would
              predict, norms of hidden states and gradients, every weight matrix, where the loss comes from
output        the page; inspect.html if left out, which is replaced
candidates    how many tokens are shown at each position; 5 if left out
tokenizer     tokenizer.path=corpus.txt for a file of weights that carries no vocabulary

A training run logs such a page to MLflow at its end: inspect.atEnd=false for none, inspect.every=100 for one
every 100 steps as well, inspect.text="the cat eats" for another text than a document that is held out.\
"""

GRAPH = """\
The graph of Values: of an expression as a picture, of one training step as numbers.

  python -m gptlab graph expr="relu(a*b + c)" a=2 b=-3 c=10
  python -m gptlab graph expr="d = a*b; tanh(d)*d + 1" a=0.5 b=-3 output=shared.svg
  python -m gptlab graph +experiment=book
  python -m gptlab graph +experiment=book param=layers.0.attention.query[3,5]

expr          + - * / **, ops by their names, plugins' too (python -m gptlab plugins lists them), and names: each
              gets its number behind the expression, or a part of it before, up to a semicolon. The picture has
              data and grad of each Value and the local gradient on each edge; ops.mul=halfmul swaps as in training
output        the picture, an SVG; graph.svg if left out, which is replaced

Without expr it is the first step of the training run that the other arguments describe: how many nodes of each
op in each part, how deep, how large, fused and with a node for each addition and product.
param         one number of a weight, counted from 0: where it goes, its gradient, and that by a difference
text          a document to take instead of the run's first ones: text="the cat eats"
initFrom      a run whose weights to take: initFrom=latest\
"""

SYNC = """\
Write to MLflow what a run could not: its server was away, or the disk was full.

  python -m gptlab sync runs/2026-11-22/19-55-47-000000-tiny

The run's last line says so where it is needed. It goes to the store that the run was logged to; what is there
already is not written twice.\
"""

SUMMARY = """\
Describe the model of a config without training it: each matrix, what each part costs, what training takes.

  python -m gptlab summary +experiment=book
  python -m gptlab summary +experiment=book versus='model.nEmbd=64 model.nLayer=4'
  python -m gptlab summary +experiment=book versus='+experiment=tiny model.nEmbd=64'

It takes what training takes, and reads the data for the vocabulary alone.
versus       what changes in a second model: overrides in quotes, behind the first's; with an experiment among
             them they are a config of their own

parameters   how many numbers, and their share of all
forward      floating-point operations a token, at blockSize positions, as engine=xla computes them; a sum, a
training     product or another function of a number is one, a multiply-add two. Training: with loss and gradient
kept         bytes of activations that the backward pass needs, for batchSize documents of blockSize positions\
"""

UI = """\
Browse the runs of this folder in MLflow's pages, until Ctrl-C.

  python -m gptlab ui port=5000

host, port    where to listen; 127.0.0.1 and 5000
tracking.uri  another store, e.g. tracking.uri=sqlite:////path/mlflow.db\
"""

PLUGINS = """\
List the plugins that were found: where, their versions, the names that each registers, and why one was left out.

  python -m gptlab plugins

They are looked for in plugins/ of gptlab's checkout, ./plugins, the folders in GPTLAB_PLUGINS (separated
by :), and installed packages with an entry point in the group gptlab. docs/plugins.md says how to write one.\
"""

CHECK = """\
Try what is registered: gradients against central differences on both engines, that the engines agree, that
optimizers are pure, repeatable and converge, that names and fields are described. Exit status 1 on a failure.

  python -m gptlab check                 everything
  python -m gptlab check halfmul muon    these ops, components or plugins\
"""

HELP = {
    "train": TRAIN,
    "generate": GENERATE,
    "export": EXPORT,
    "import": IMPORT,
    "compare": COMPARE,
    "inspect": INSPECT,
    "summary": SUMMARY,
    "graph": GRAPH,
    "sync": SYNC,
    "ui": UI,
    "plugins": PLUGINS,
    "check": CHECK,
}
VERBS = tuple(HELP)


def help_of(verb: str) -> str:
    """The text for a verb; that of training lists the experiments and every name that can be selected."""
    if verb != "train":
        return HELP[verb]
    return "\n\n".join([TRAIN, experiments(), names()])


def overview() -> str:
    """What there is, for who types nothing more than the command."""
    return "\n\n".join([TRAIN.partition("\n\n--cfg")[0], experiments(), "More: python -m gptlab --help"])


def experiments() -> str:
    from gptlab.config.experiments import descriptions

    rows = descriptions()
    whose = "gptlab's own and those of this folder, which come first"
    return f"Experiments (files in experiments/, {whose}):\n" + table(rows)


def names() -> str:
    from gptlab.plugins.groups import GROUPS
    from gptlab.plugins.loading import load_plugins

    registry = load_plugins().registry
    rows = {f"{group}=": "  ".join(registry.names(kind)) for kind, group in GROUPS.items()}
    rows["ops.NAME="] = "  ".join(registry.names("op"))
    return "Components (their fields are keys, e.g. optimizer.beta1=0.9):\n" + table(rows)


def table(rows: dict[str, str]) -> str:
    """Two columns, the second one wrapped."""
    width = max((len(name) for name in rows), default=0) + 4
    lines = []
    for name, text in rows.items():
        wrapped = wrap(text, WIDTH - width, break_long_words=False) or [""]
        lines += [f"  {name:<{width - 2}}{wrapped[0]}", *(" " * width + line for line in wrapped[1:])]
    return "\n".join(line.rstrip() for line in lines)
