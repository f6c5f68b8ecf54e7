"""How much of a validation loss is the choice of what was held out, and how much the seed.

    python -m benchmarks.held_out [--seeds 12] [NAME ...]

Trains each setting with each seed, the baseline and two arms, on the split that is held out by default. The losses
of single documents then tell what it leaves in the loss and in an arm's difference to the baseline, what a smaller one
would have left, and what the data's own probabilities, as a control variate, take away. Prints its tables.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.report import duration, lines_of
from gptlab.command.composing import compose, plugins_here
from gptlab.config.schema import plain
from gptlab.config.typed import Config, typed
from gptlab.data.splitting import among, document_keys, ranked
from gptlab.launch.experiment import Experiment
from gptlab.plugins.registry import build
from gptlab.statistics.sampling import adjusted, sampled
from gptlab.training.held_out import document_nats
from gptlab.training.smoothing import SmoothedLoss

SETTINGS = {
    "tiny": ["+experiment=tiny", "train.numSteps=1000"],
    "names": ["+experiment=names"],
    "book": ["+experiment=book", "train.numSteps=1000"],
}
ARMS = {"squaredrelu": ["model/activation=squaredrelu"], "layernorm": ["model/norm=layernorm"]}
QUIET = ["tracking=none", "progress=none", "samples.n=0", "train.evalEvery=0"]
PARTS = (0.1, 0.5, 1.0)  # of what is held out
HEADER = [
    "setting",
    "what",
    "documents (different)",
    "mean",
    "deviation over seeds",
    "sampling error, one seed",
    "ratio",
]
HEADER += ["sampling error, mean of all seeds", "with the source's probabilities"]


@dataclass(frozen=True)
class HeldOut:
    """What is held out in all runs of a setting: per document its predictions, key, and the source's own nats."""

    tokens: np.ndarray
    keys: np.ndarray
    source: np.ndarray | None
    rate: float

    def part(self, share: float) -> np.ndarray:
        """The documents (as booleans) that a held-out set of this share of the size would have."""
        distinct = np.unique(self.keys)
        first = ranked(np.arange(len(distinct)), distinct, 0)[: round(share * len(distinct))]
        return among(self.keys, np.sort(distinct[first]))


def experiment_of(arguments: Sequence[str]) -> Experiment:
    registry = plugins_here().registry
    return Experiment.of(typed(Config, plain(compose("train", [*arguments, *QUIET]))), registry)


def held_out_of(experiment: Experiment) -> HeldOut:
    some, tokenizer = experiment.data.held_out, experiment.data.tokenizer
    dataset = build(experiment.registry, "dataset", experiment.config.data)
    rows = zip(some.tokens.tolist(), some.lengths.tolist(), strict=True)
    source = [dataset.nats(tokenizer.decode(row[1 : length + 1])) for row, length in rows]
    known = None if None in source else np.array(source)
    return HeldOut(some.lengths, document_keys(some, tokenizer), known, dataset.entropy_per_word() or 0.0)


def trained_nats(experiment: Experiment) -> np.ndarray:
    """(N,) of the trained model, on what is held out."""
    training = experiment.training(experiment.state(None), [], SmoothedLoss())
    state = training.session.for_evaluation(training.run())
    return document_nats(training.session, state, experiment.data.held_out)


def measured(name: str, seeds: int) -> list[list[str]]:
    held: HeldOut | None = None
    nats: dict[str, list[np.ndarray]] = {arm: [] for arm in ("", *ARMS)}
    for seed in range(seeds):
        for arm, found in nats.items():
            made = experiment_of([*SETTINGS[name], *ARMS.get(arm, []), f"seed={seed}"])
            held = held or held_out_of(made)
            found.append(trained_nats(made))
        print(f"{name}, seed {seed}", flush=True)
    assert held is not None
    base = np.array(nats[""])
    what = {"loss": base} | {f"{arm} - baseline": np.array(nats[arm]) - base for arm in ARMS}
    return [[name, *row(told, values, held, share)] for told, values in what.items() for share in PARTS]


def row(what: str, nats: np.ndarray, held: HeldOut, share: float) -> list[str]:
    """nats: (seeds, N)."""
    some = held.part(share)
    nats, tokens, keys = nats[:, some], held.tokens[some], held.keys[some]
    means = nats.sum(axis=1) / tokens.sum()
    one = statistics.mean(sampled(each, tokens, keys).error for each in nats)
    mean, seeds = nats.mean(axis=0), statistics.stdev(means)
    numbers = [means.mean(), seeds, one, one / seeds, sampled(mean, tokens, keys).error]
    if held.source is not None:
        numbers.append(adjusted(mean, tokens, keys, held.source[some], held.rate).error)
    cells = [what, f"{some.sum():,} ({len(np.unique(keys)):,})", *(f"{number:.4f}" for number in numbers)]
    return [*cells, *[""] * (len(HEADER) - 1 - len(cells))]


def costs(name: str) -> list[str]:
    """Seconds of 1,000 steps at one document each, and of an evaluation."""
    made = experiment_of([*SETTINGS[name], "train.numSteps=1000", "train.batchSize=1"])
    made.training(made.state(None), [], SmoothedLoss()).run()  # compiles
    training = made.training(made.state(None), [], SmoothedLoss())
    began = time.perf_counter()
    training.run()
    whole = time.perf_counter() - began
    took = []
    for _ in range(5):
        began = time.perf_counter()
        training.evaluate()
        took.append(time.perf_counter() - began)
    evaluation = statistics.median(took)
    return [name, duration(whole - evaluation), duration(evaluation)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"of {', '.join(SETTINGS)}; by default all")
    parser.add_argument("--seeds", type=int, default=12)
    options = parser.parse_args()
    names = options.names or list(SETTINGS)
    print(f"\n{lines_of(HEADER, [row for name in names for row in measured(name, options.seeds)])}\n")
    header = ["setting", "1,000 steps at batch 1", "an evaluation"]
    print(lines_of(header, [costs(name) for name in names]))


if __name__ == "__main__":
    main()
