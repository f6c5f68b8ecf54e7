"""engine.together: what jobs learn in one compiled call is what each learns by itself."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gptlab.autograd.ops import BUILTIN_OPS, OpTable
from gptlab.engines.engine import Batches, Metrics, State
from gptlab.engines.meeting import Meeting, enter
from gptlab.engines.xla import XlaEngine
from gptlab.model.gpt import GPT
from gptlab.optim.optimizers import Adam
from gptlab.training.step_norms import norms_by_layer
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_in_float32_no_bit_depends_on_who_else_is_there() -> None:
    gpt, engine = make_gpt(), XlaEngine("float32", together=3)
    several = {"frozen": frozenset({"output"}), "step_metrics": norms_by_layer}

    def run(job: int, *chunks: int) -> Run:
        return trained(gpt, job, engine, chunks=chunks or (STEPS,), packed=True, **several)

    all_three = side_by_side([lambda job=job: run(job) for job in range(3)], 3)
    in_other_places = side_by_side([lambda: run(2, 5, 19), lambda: run(0, 1, 2, 21), lambda: run(1)], 3)
    for found, expected in zip(in_other_places, (all_three[2], *all_three[:2]), strict=True):
        assert_equal(found, expected)
    (by_itself,) = side_by_side([lambda: run(1)], 3)
    assert_equal(by_itself, all_three[1])
    assert_same_run(by_itself, run(1), rtol=1e-4)
    frozen = gpt.initial_weights(1)["output"].astype(np.float32)
    np.testing.assert_array_equal(by_itself[0].weights["output"], frozen)


def assert_equal(one: Run, other: Run) -> None:
    """To the bit."""
    for arrays, others in ((one[0].weights, other[0].weights), (one[1].numbers, other[1].numbers)):
        assert list(arrays) == list(others)
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, others[name], err_msg=name)
    for key, moments in one[0].optimizer.items():
        for name, array in moments.items():
            np.testing.assert_array_equal(array, other[0].optimizer[key][name], err_msg=name)
    np.testing.assert_array_equal(one[1].loss, other[1].loss)
    np.testing.assert_array_equal(one[1].gradNorm, other[1].gradNorm)


@pytest.mark.slow
def test_what_one_has_trained_from_is_used_up_and_what_another_holds_is_not() -> None:
    """A call that does not take all of a stack leaves the others' states whole."""
    gpt, engine, optimizer = make_gpt(), XlaEngine("float64", together=2), Adam()
    meeting = Meeting(2)
    enter(meeting)
    try:
        sessions = [engine.session(gpt, optimizer, OpTable()) for _ in range(2)]
    finally:
        enter(None)
    weights = gpt.initial_weights(0)
    batches, rates = random_batches(gpt, 3), np.full(3, 0.01)
    wanted = [
        lab.wanted(lab.init(weights, optimizer.init(weights)), batches, rates, slice(0, 3), None)
        for lab in sessions
    ]
    first, second = (taken.state for taken in sessions[0].train_all(wanted))
    again = replace(wanted[0], state=first)
    after = sessions[0].train_all([again])[0].state
    with pytest.raises(RuntimeError, match="used up"):
        sessions[0].export(first)
    kept, moved = sessions[1].export(second), sessions[0].export(after)
    assert kept.step == 3 and moved.step == 6
    assert all(np.isfinite(array).all() for array in kept.weights.values())
    assert not np.array_equal(kept.weights["output"], moved.weights["output"])
