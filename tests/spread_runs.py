"""A program: training on eight virtual devices beside the same on one of them. It says in JSON how far apart they are.

A process of its own, since how many devices there are is settled when jax begins.
"""

import json
from typing import Any

import numpy as np

import gptlab
from gptlab.autograd.ops import OpTable
from gptlab.engines import xla_compiled
from gptlab.engines.engine import Batches, State, trained
from gptlab.engines.xla import XlaEngine
from gptlab.model.adapted import Adapted, frozen_names
from gptlab.model.adapter import LoRA
from gptlab.model.metric import Accuracy
from gptlab.optim.optimizers import Adam
from tests.models import make_gpt, random_batches

STEPS, BATCH = 20, 16
SIZES = {"nLayer": 2, "nEmbd": 8, "nHead": 2, "headDim": None, "blockSize": 8, "vocabSize": 12}
ENGINES = {
    "one": XlaEngine("float64"),
    "eight": XlaEngine("float64", devices="all"),
    "mesh": XlaEngine("float64", mesh={"data": 2, "model": 2}),
}
SHORT = np.random.default_rng(0).integers(1, 9, 500)  # lengths for which documents share rows


@gptlab.op(samples=[(0.5, -1.5), (2.0, 3.0)])
def halfmul(xp: Any, a: Any, b: Any) -> Any:
    """a * b / 2."""
    return 0.5 * a * b, (0.5 * b, 0.5 * a)


SWAPPED = OpTable({"mul": halfmul})


class Side:
    """One model on one engine, and what it has come to."""

    def __init__(self, engine: str, definition: Any, ops: OpTable = OpTable(), accumulate: int = 1):  # noqa: B008
        self.optimizer, self.definition = Adam(), definition
        self.frozen = frozen_names(["positionEmbedding"], definition)
        self.session = ENGINES[engine].session(
            definition, self.optimizer, ops, self.frozen, accumulate=accumulate
        )
        weights = definition.initial_weights(0)
        self.state = self.session.init(weights, self.optimizer.init(trained(weights, self.frozen)))
        self.losses: list[float] = []

    def train(self, population: np.ndarray | None, steps: slice = slice(STEPS)) -> "Side":
        whole = random_batches(self.definition, STEPS, BATCH)
        batches = Batches(whole.tokens[steps], whole.lengths[steps], population)
        rates = np.full(len(batches.tokens), 0.01)
        self.state, metrics = self.session.train(self.state, batches, rates)
        self.losses += metrics.loss.tolist() + metrics.gradNorm.tolist()
        return self

    def exported(self) -> State:
        return self.session.export(self.state)

    def go_on_from(self, other: "Side") -> "Side":
        """As from a checkpoint: numpy arrays, from whatever wrote them."""
        self.state = self.session.init(*vars(other.exported()).values())
        self.losses = list(other.losses)
        return self

    def numbers(self) -> np.ndarray:
        """Losses, norms, weights and the optimizer's numbers."""
        state = self.exported()
        arrays = [*state.weights.values(), *(a for named in state.optimizer.values() for a in named.values())]
        return np.concatenate([np.array(self.losses), *(a.ravel() for a in arrays)])

    def evaluated(self) -> np.ndarray:
        """What is asked of a model between its steps."""
        batches, used = (
            random_batches(self.definition, 1, 37, seed=1),
            self.session.for_evaluation(self.state),
        )
        held_out = batches.tokens[0], batches.lengths[0]
        found = self.session.measure(used, *held_out, (("accuracy", Accuracy()),))
        uniforms = np.random.default_rng(2).random((3, 7))
        tokens = self.session.generate(used, greedy, np.array([11]), uniforms, {})
        return np.concatenate(
            [
                self.session.document_nats(used, *held_out),
                found.nats,
                found.metrics["accuracy"][0],
                self.session.logits(used, batches.tokens[0, 0, :5]).ravel(),
                tokens.ravel(),
            ]
        )


def greedy(xp: Any, logits: Any, uniform: Any) -> Any:
    return xp.argmax(logits)


def apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.max(np.abs(one - other) / np.maximum(np.abs(one), 1e-3)))


def main() -> None:
    flops: list[float] = []

    class Counting(xla_compiled.CompiledOnce):
        """What each device is given to do, of the programs that train."""

        def __call__(self, *arguments: Any) -> Any:
            if len(arguments) > 8 and counting:
                flops.append(self.lower(*arguments).compile().cost_analysis()["flops"])
            return super().__call__(*arguments)

    xla_compiled.CompiledOnce = Counting  # type: ignore[misc]
    counting = True
    gpt = make_gpt(SIZES)
    said: dict[str, Any] = {"apart": {}}
    sides = {name: Side(name, gpt).train(None) for name in ENGINES}
    counting = False
    said["flops"] = dict(zip(ENGINES, flops, strict=True))
    said["parts"] = {
        name: {w: list(a.addressable_shards[0].data.shape) for w, a in side.state.weights.items()}
        for name, side in sides.items()
    }
    one = sides["one"].numbers()
    said["apart"] |= {f"{name}, a row each": apart(one, sides[name].numbers()) for name in ("eight", "mesh")}
    for name in ("eight", "mesh"):
        said["apart"][f"{name}, evaluated"] = apart(sides["one"].evaluated(), sides[name].evaluated())

    packed = Side("one", gpt).train(SHORT)
    said["apart"]["mesh, packed"] = apart(packed.numbers(), Side("mesh", gpt).train(SHORT).numbers())
    first, second = slice(8), slice(8, STEPS)
    for before, after in (("mesh", "one"), ("one", "mesh")):
        begun = Side(before, gpt).train(SHORT, first)
        gone_on = Side(after, gpt).go_on_from(begun).train(SHORT, second)
        said["apart"][f"{before}, then {after}"] = apart(weights_of(packed), weights_of(gone_on))
    begun = Side("mesh", gpt).train(SHORT, first)
    said["same bits"] = bool(
        (
            weights_of(Side("mesh", gpt).go_on_from(begun).train(SHORT, second))
            == weights_of(Side("mesh", gpt).train(SHORT))
        ).all()
    )
    adapted = Adapted(
        make_gpt(SIZES, dropout=0.2), LoRA(rank=2, alpha=3.0, targets=("attention.query", "mlp"))
    )
    for name, *model in (("swapped", gpt, SWAPPED), ("adapter in parts", adapted, OpTable(), 2)):
        both = [Side(engine, *model).train(SHORT).numbers() for engine in ("one", "mesh")]
        said["apart"][f"mesh, {name}"] = apart(*both)
    said["apart"]["another rate"] = apart(
        one, Side("one", make_gpt(SIZES, initStd=0.081)).train(None).numbers()
    )
    print(json.dumps(said))


def weights_of(side: Side) -> np.ndarray:
    return np.concatenate([array.ravel() for array in side.exported().weights.values()])


if __name__ == "__main__":
    main()
