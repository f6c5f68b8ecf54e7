"""Five things that are known come out of whole ablations as they are: what helps, what hurts, and what does neither.

Each in the smallest setting that shows it with a margin: a seed's luck and another version of jax must not decide it.
"""

from pathlib import Path

import pytest

import gptlab
from gptlab.ablation.result import Ablation
from tests.resuming import TINY, write_corpus

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("place")]

# Two streams are two draws of the same distribution, of every seed: baseline and arm could change places, and nothing
# but the draws would differ. A fixed change without a reason, such as another order of the data for all seeds, would
# be no fair null: it may be a little better, and then that is true of it. Nor would one of no effect at all, which
# has no luck to be fooled by.
REDRAWN = """
from dataclasses import dataclass

import gptlab


@dataclass(frozen=True)
class Redrawn:
    stream: int = 0

    def weights(self, config):
        width = 4 * config.nEmbd
        return {f"hidden{self.stream}": (width, config.nEmbd), f"output{self.stream}": (config.nEmbd, width)}

    def __call__(self, weights, x, activation):
        return activation(x @ weights[f"hidden{self.stream}"].T) @ weights[f"output{self.stream}"].T


@gptlab.hookimpl
def gptlab_register_components(register):
    register("mlp", "redrawn", Redrawn)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def asked(experiment: str, steps: int, *words: str) -> Ablation:
    """Evaluated once: what is judged is the last loss, and evaluations take longer than the steps."""
    every = [f"train.numSteps={steps}", f"train.evalEvery={steps}"]
    return gptlab.ablate(f"+experiment={experiment}", *every, "samples.n=0", "tracking=none", *words)


def test_of_twenty_arms_that_equal_the_baseline_none_is_better(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/redrawn.py").write_text(REDRAWN)
    write_corpus(tmp_path)
    # In pure Python, since each stream would be a program to compile.
    small = [*TINY, "engine=scalar", "samples.n=0", "train.numSteps=10", "train.evalEvery=10"]
    base = ["model/mlp=redrawn", "train.learningRate=0.003"]
    streams = [f"model.mlp.stream={stream}" for stream in range(1, 21)]
    # Of one table: that any of the twenty seems better has a chance of at most 2.5%, not each by itself.
    arms = f"arms=[{', '.join(streams)}, train.learningRate=0.01]"
    found = gptlab.ablate(*small, *base, "seeds=10", arms)
    *same, other = [arm.comparison for arm in found.arms]
    assert len(same) == 20 and {one.verdict for one in same} <= {"equivalent", "undecided"}
    assert len({one.difference for one in same}) == 20 and all(one.difference for one in same)
    assert other.verdict == "better"  # so few seeds do find what there is


def test_a_longer_memory_with_its_own_rate_is_better_than_that_of_book() -> None:
    found = asked("book", 1000, "arms=[[optimizer.beta2=0.999, train.learningRate=0.005]]", "seeds=6")
    (arm,) = found.arms
    assert arm.comparison.verdict == "better"
    assert arm.comparison.high is not None and arm.comparison.high < -0.03


def test_squared_relu_is_found_with_twelve_seeds() -> None:
    found = asked("tiny", 1000, "arms=[model/activation=squaredrelu]", "seeds=12")
    (arm,) = found.arms
    assert arm.comparison.verdict == "better" and arm.comparison.seeds <= 12


def test_no_norm_is_worse_or_fails_at_the_rate_of_the_baseline() -> None:
    found = asked("tiny", 300, "minus=[norm]", "seeds=6")
    (arm,) = found.arms
    assert arm.comparison.verdict in ("worse", "failed")
    assert arm.comparison.verdict == "failed" or (arm.comparison.low or 0) > 0.2


def test_products_by_logarithms_are_equivalent_to_true_ones() -> None:
    found = asked("names", 500, "arms=[ops.mul=logmulst]", "epsilon=0.02", "seeds=6")
    (arm,) = found.arms
    assert arm.comparison.verdict == "equivalent"
    assert arm.setting.losses != found.baseline.losses  # and it is what the arm multiplied by
