"""Checks of what is no part of the model: optimizers, schedules, tokenizers, datasets, tracking, engines."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.checks.answers import check_problems
from gptlab.checks.check import Findings, difference
from gptlab.checks.models import small_model
from gptlab.data.problems import Problems
from gptlab.engines.engine import Batches, engines_of
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.updating import updated
from gptlab.engines.xla_settings import jax_precision
from gptlab.optim.optimizers import SGD
from gptlab.optim.plateau import LookingBack
from gptlab.plugins.registry import Registry

RATES = (1.0, 0.3, 0.1, 0.03, 0.01)
STEPS = 300
TEXTS = ["the cat runs", "a dog sleeps", "the dog runs to the cat"]


def quadratic() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Where to start, and where the minimum is: a matrix and a vector."""
    generator = np.random.default_rng(0)
    shapes = {"matrix": (6, 4), "vector": (5,)}
    return tuple({n: generator.normal(size=s) for n, s in shapes.items()} for _ in range(2))  # type: ignore[return-value]


def descend(optimizer: Any, xp: Any, rate: float, steps: int) -> tuple[dict[str, Any], float]:
    """The params after minimizing half the squared distance, and the share of it that is left."""
    start, target = quadratic()
    params: dict[str, Any] = {name: xp.asarray(array) for name, array in start.items()}
    state = {k: {n: xp.asarray(a) for n, a in named.items()} for k, named in optimizer.init(start).items()}

    def at(params: Any) -> Any:
        grads = {name: params[name] - target[name] for name in params}
        return sum(xp.sum(g * g) for g in grads.values()) / 2, grads

    def update(params: Any, state: Any, step: Any, learning_rate: Any) -> Any:
        loss, grads = at(params)
        return updated(optimizer, xp, params, grads, state, step, learning_rate, again=at, loss=loss)

    update = jax.jit(update) if xp is jnp else update
    for step in range(steps):
        params, state = update(params, state, step + 1.0, rate * (1 - step / steps))
    left = sum(float(((np.asarray(params[n]) - target[n]) ** 2).sum()) for n in target)
    return params, left / sum(float(((start[n] - target[n]) ** 2).sum()) for n in target)


def check_an_optimizer(optimizer: Any, findings: Findings) -> None:
    wanted = engines_of(optimizer)
    on_numpy = wanted is None or "scalar" in wanted
    with findings.trying("pure") as fails:
        start, target = quadratic()
        grads = {name: start[name] - target[name] for name in start}
        state = optimizer.init(start)
        given = [start, grads, *state.values()]
        before = [{name: np.array(array) for name, array in named.items()} for named in given]
        with jax_precision("float64"):
            xp = np if on_numpy else jnp
            updated(optimizer, xp, start, grads, state, 1.0, 0.1, again=lambda _: (1.0, grads), loss=1.0)
        if any(
            (named[name] != array).any()
            for named, kept in zip(given, before, strict=True)
            for name, array in kept.items()
        ):
            fails("update changes its inputs in place")
    with jax_precision("float64"):
        with findings.trying("repeatable") as fails:
            one, other = (descend(optimizer, jnp, 0.1, 5)[0] for _ in range(2))
            if any(np.asarray(one[n]).tobytes() != np.asarray(other[n]).tobytes() for n in one):
                fails("two runs from the same start end in different bits")
        with findings.trying("converges on a quadratic") as fails:
            left = min((descend(optimizer, jnp, rate, STEPS)[1], rate) for rate in RATES)
            if not left[0] < 0.01:
                fails(
                    f"{left[0]:.1%} of the initial loss is left after {STEPS} steps, at the best rate {left[1]}"
                )
        if on_numpy:
            with findings.trying("engines agree") as fails:
                one, other = (descend(optimizer, xp, 0.1, 10)[0] for xp in (np, jnp))
                for name in one:
                    if problem := difference(one[name], other[name], 1e-8):
                        fails(f"numpy and jax differ in {name} {problem}")


def check_a_schedule(schedule: Any, findings: Findings) -> None:
    with findings.trying("finite and not negative") as fails:
        for count in (1, 10, 1000):
            factors = [schedule(step, count) for step in range(count)]
            if not all(math.isfinite(f) and f >= 0 for f in factors):
                fails(f"over {count} steps the factors reach {min(factors)} and {max(factors)}")
    if isinstance(schedule, LookingBack):
        check_looking_back(schedule, findings)


class Logged(dict[str, float]):
    """A row that has each number there is."""

    def __init__(self, value: float):
        super().__init__({"val/loss": value, "train/smoothedLoss": value})

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> float:
        return self["val/loss"]


def check_looking_back(schedule: LookingBack, findings: Findings) -> None:
    """What it makes of losses that fall, rise, and stay: whether it has seen others meanwhile or not."""
    histories = {
        "fall": [Logged(5 / (1 + i)) for i in range(40)],
        "rise": [Logged(1 + i / 10) for i in range(40)],
        "stay": [Logged(2.0) for i in range(40)],
    }
    with findings.trying("looks back at losses alone") as fails:
        seen: dict[tuple[str, int], float] = {}
        for _ in range(2):
            for what, rows in histories.items():
                for count in (0, 1, 2, 39, 40):
                    factor = schedule.look([(10 * (i + 1), row) for i, row in enumerate(rows[:count])])
                    if not (math.isfinite(factor) and factor >= 0):
                        fails(f"after {count} evaluations that {what} the factor is {factor}")
                    if seen.setdefault((what, count), factor) != factor:
                        fails(
                            f"after {count} evaluations that {what} the factor is {seen[what, count]}, then "
                            f"{factor}: a resumed run would not go on as before"
                        )


def check_a_tokenizer(factory: Any, findings: Findings) -> None:
    with findings.trying("reads back what it writes") as fails:
        tokenizer = factory.build(TEXTS)
        restored = factory.restore(tokenizer.state())
        for text in TEXTS:
            ids = tokenizer.encode(text)
            if tokenizer.decode(ids) != text:
                fails(f"'{text}' comes back as '{tokenizer.decode(ids)}'")
            if restored.encode(text) != ids or restored.vocabSize != tokenizer.vocabSize:
                fails(f"'{text}' is encoded differently after state() and restore()")
            if not all(0 <= i < tokenizer.vocabSize and i != tokenizer.bos for i in ids):
                fails(f"'{text}' has ids outside 0..{tokenizer.vocabSize - 1}, or BOS: {ids}")
        if not 0 <= tokenizer.bos < tokenizer.vocabSize:
            fails(f"BOS must be one of the ids 0..{tokenizer.vocabSize - 1}, got {tokenizer.bos}")


def check_a_dataset(dataset: Any, findings: Findings) -> None:
    if isinstance(dataset, Problems):
        check_problems(dataset, findings)
        return
    with findings.trying("the same documents every time") as fails:
        one, other = list(dataset.documents()), list(dataset.documents())
        if not one or not all(isinstance(text, str) and text for text in one):
            fails("documents() must be a list of non-empty texts")
        if one != other:
            fails("documents() differs from call to call")


def check_a_tracking(tracking: Any, findings: Findings) -> None:
    """Nothing is begun, which may reach a server."""
    with findings.trying("can be started") as fails:
        if not callable(getattr(tracking, "start", None)):
            fails(
                "it must have start(), which returns an object with prepare(), wait_until_reachable() and hooks"
            )


def check_a_listener(settings: Any, findings: Findings) -> None:
    """Nothing is begun, which may write files or send mails."""
    with findings.trying("has begin(run)") as fails:
        if not callable(getattr(settings, "begin", None)):
            fails("it must have begin(run), which returns an object with hooks for that run")


def check_a_verb(verb: Any, findings: Findings) -> None:
    """Nothing is done, which may be anything."""
    with findings.trying("can be called") as fails:
        if not callable(verb):
            fails(
                "it must have __call__(self), which does what the verb does, and returns an exit status or None"
            )


def check_an_engine(registry: Registry, engine: Any, findings: Findings) -> None:
    with findings.trying("agrees with the scalar engine") as fails:
        tolerance = 1e-9 if engine.dtype == "float64" else 1e-4
        definition = small_model(registry)
        generator = np.random.default_rng(0)
        batches = Batches(
            generator.integers(0, 11, (3, 2, 7)).astype(np.int32), np.full((3, 2), 5, dtype=np.int32)
        )
        ends = []
        for candidate in (engine, ScalarEngine()):
            session = candidate.session(definition, SGD(), OpTable())
            weights = definition.initial_weights(0)
            state, metrics = session.train(
                session.init(weights, SGD().init(weights)), batches, np.full(3, 0.1)
            )
            ends.append((metrics, session.export(state).weights))
        (one, weights), (other, expected) = ends
        if problem := difference(one.loss, other.loss, tolerance):
            fails(f"losses differ {problem}")
        if problem := difference(one.minimized, other.minimized, tolerance):
            fails(f"objectives differ {problem}")
        for name, array in weights.items():
            if problem := difference(array, expected[name], tolerance):
                fails(f"{name} differs after 3 steps {problem}")
