"""engine.together: what jobs learn in one compiled call is what each learns by itself."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gptlab.autograd.ops import BUILTIN_OPS, OpTable
from gptlab.engines.engine import Batches, Metrics, State
from gptlab.engines.meeting import Meeting, enter
from gptlab.engines.xla import XlaEngine
from gptlab.model.gpt import GPT
from gptlab.optim.optimizers import Adam
from tests.models import assert_same_run, make_gpt, random_batches

STEPS = 24
Run = tuple[State, Metrics]


def trained(
    gpt: GPT,
    job: int,
    engine: XlaEngine,
    ops: OpTable | None = None,
    chunks: tuple[int, ...] = (STEPS,),
    packed: bool = False,
    **session: Any,
) -> Run:
    """What the job-th of several runs learns: its own weights, batches, rates and beta1."""
    optimizer = Adam(beta1=0.8 + 0.02 * job)
    lab = engine.session(gpt, optimizer, ops or OpTable(), **session)
    weights = gpt.initial_weights(job)
    frozen = session.get("frozen", ())
    state = lab.init(weights, optimizer.init({n: a for n, a in weights.items() if n not in frozen}))
    whole = random_batches(gpt, STEPS, batch=4, seed=job)
    population = np.random.default_rng(0).integers(1, 7, 500) if packed else None
    found = []
    for start, stop in zip(np.cumsum((0, *chunks[:-1])), np.cumsum(chunks), strict=True):
        here = slice(start, stop)
        batches = Batches(whole.tokens[here], whole.lengths[here], population, seed=job)
        state, metrics = lab.train(state, batches, np.full(stop - start, 0.003 * (job + 1)))
        lab.evaluate(state, whole.tokens[0], whole.lengths[0])
        found.append(metrics)
    numbers = {name: np.concatenate([m.numbers[name] for m in found]) for name in found[0].numbers}
    loss, norm, minimized = (
        np.concatenate([getattr(m, name) for m in found]) for name in ("loss", "gradNorm", "minimized")
    )
    return lab.export(state), Metrics(loss, norm, minimized, numbers)


def side_by_side(runs: list[Callable[[], Run]], places: int) -> list[Run]:
    """What each gives in a thread of its own, in which it meets the others."""
    meeting, found = Meeting(places), dict[int, Run]()
    meeting.fill(False)

    def one(i: int) -> None:
        enter(meeting)
        try:
            found[i] = runs[i]()
        finally:
            meeting.end(asks=True)

    for _ in runs:
        meeting.begin(asks=True)
    threads = [threading.Thread(target=one, args=(i,), daemon=True) for i in range(len(runs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(found) == len(runs), "all of them came to their end"
    return [found[i] for i in range(len(runs))]


SETTINGS: dict[str, dict[str, Any]] = {
    "packed, dropout": {"packed": True, "dropout": 0.2},
    "rows of their own": {},
    "swapped mul": {"ops": OpTable({"mul": BUILTIN_OPS["maximum"]}), "packed": True},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_in_one_call_each_learns_what_it_learns_alone(settings: dict[str, Any]) -> None:
    settings = dict(settings)
    how = {name: settings.pop(name) for name in ("ops", "packed") if name in settings}
    gpt, engine = make_gpt(**settings), XlaEngine("float64", together=3)

    def run(job: int) -> Run:
        return trained(gpt, job, engine, **how)

    found = side_by_side([lambda job=job: run(job) for job in range(3)], 3)
    for job in range(3):
        assert_same_run(found[job], run(job), rtol=1e-10)
