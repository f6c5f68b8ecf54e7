"""Small programs run on a device of one thread, all others on jax's default: with the same results."""

import os
import subprocess
import sys
import threading

import jax
import numpy as np
import pytest

import gptlab
from gptlab.autograd.ops import OpTable
from gptlab.engines import xla_devices, xla_session
from gptlab.engines.engine import State
from gptlab.engines.lanes import enter_lane
from gptlab.engines.xla import XlaEngine
from gptlab.optim.optimizers import Adam
from gptlab.training.choosing import choose_from_all
from tests.models import NAMES, assert_same_run, make_gpt, random_batches, trained


@gptlab.op(samples=[(0.5, -1.5), (2.0, 3.0)])
def halfmul(xp, a, b):
    """a * b / 2."""
    return 0.5 * a * b, (0.5 * b, 0.5 * a)


optimized = pytest.mark.usefixtures("optimized")  # which threads sum what shows in the last bits
alone = pytest.mark.skipif(xla_devices.cores() == 1, reason="on one core there is one device")


def session_and_state(ops: OpTable | None = None) -> tuple[xla_session.XlaSession, State]:
    gpt, optimizer = make_gpt(NAMES), Adam()
    session = XlaEngine().session(gpt, optimizer, ops or OpTable())
    weights = gpt.initial_weights(0)
    return session, session.init(weights, optimizer.init(weights))


def after_training(rows: int, ops: OpTable | None = None) -> State:
    session, state = session_and_state(ops)
    batches = random_batches(session.definition, 1, rows)
    return session.train(state, batches, np.full(1, 0.01))[0]


@pytest.mark.slow
@alone
def test_a_small_model_trains_on_one_thread_and_a_large_batch_does_not():
    assert xla_devices.device_of(after_training(16).weights) is xla_devices.one_thread()
    assert xla_devices.device_of(after_training(2000).weights) is jax.devices()[0]
    swapped = OpTable({"mul": halfmul})
    assert xla_devices.device_of(after_training(2, swapped).weights) is xla_devices.one_thread()
    assert xla_devices.device_of(after_training(16, swapped).weights) is jax.devices()[0]


@pytest.mark.slow
@alone
@optimized
def test_a_state_goes_where_the_next_call_runs_best_and_its_numbers_with_it():
    session, state = session_and_state()
    few, many = (random_batches(session.definition, 1, rows) for rows in (2, 2000))
    rate = np.full(1, 0.01)
    for batches, device in ((few, xla_devices.one_thread()), (many, jax.devices()[0]), (few, None)):
        before = session.export(state)
        again = session.init(before.weights, before.optimizer, before.step)
        state, metrics = session.train(state, batches, rate)
        other, same = session.train(again, batches, rate)
        assert device is None or xla_devices.device_of(state.weights) is device
        np.testing.assert_array_equal(metrics.loss, same.loss)
        for name, array in session.export(other).weights.items():
            np.testing.assert_array_equal(array, np.asarray(state.weights[name]), err_msg=name)


@pytest.mark.slow
@alone
@optimized
def test_threads_side_by_side_have_a_device_each_and_the_same_results():
    found = {}

    def train(number):
        enter_lane(number)
        state = after_training(16)
        found[number] = xla_devices.device_of(state.weights), state.weights["output"]

    for number in (1, 2):
        thread = threading.Thread(target=train, args=[number])
        thread.start()
        thread.join()
    found[0] = xla_devices.one_thread(), after_training(16).weights["output"]
    assert len({device.client for device, _ in found.values()}) == 3
    assert all(xla_devices.has_one_thread(device) for device, _ in found.values())
    for _, weights in found.values():
        np.testing.assert_array_equal(np.asarray(weights), np.asarray(found[0][1]))


def test_what_shares_all_threads_waits_for_its_turn_and_what_has_one_does_not():
    device, waiting = jax.devices()[0], threading.Event()

    def wait():
        with xla_devices.turn(device):
            waiting.set()

    with xla_devices.turn(device):
        threading.Thread(target=wait, daemon=True).start()
        with xla_devices.turn(xla_devices.one_thread() or device):
            pass
        assert waiting.wait(0.1) == xla_devices.has_one_thread(device)
    assert waiting.wait(10)


@pytest.mark.slow
@optimized
def test_where_a_program_runs_changes_no_result(monkeypatch):
    results = []
    for small in (0, 1 << 60):
        monkeypatch.setattr(xla_session, "SMALL", small)
        gpt = make_gpt(NAMES)
        run = trained(XlaEngine("float64"), gpt, 20, batch=16)
        session = XlaEngine("float64").session(gpt, Adam(), OpTable())
        state = session.init(run[0].weights, run[0].optimizer)
        documents = random_batches(gpt, 1, 100)
        tokens, lengths = documents.tokens[0], documents.lengths[0]
        uniforms = np.random.default_rng(0).random((40, 16))
        drawn = session.generate(state, choose_from_all, np.array([26]), uniforms, {"temperature": 0.8})
        results.append(
            (run, session.evaluate(state, tokens, lengths), session.logits(state, tokens[0]), drawn)
        )
    (run, (loss, count), logits, drawn), (run2, (loss2, count2), logits2, drawn2) = results
    assert_same_run(run, run2)
    assert count == count2
    assert loss == pytest.approx(loss2, rel=1e-12)
    np.testing.assert_allclose(logits, logits2, rtol=1e-9)
    np.testing.assert_array_equal(drawn, drawn2)


@pytest.mark.slow
@optimized
def test_many_samples_are_those_of_fewer_drawn_alone():
    """Many are drawn in groups that cores share, few on the device of one thread."""
    session, state = session_and_state()
    uniforms = np.random.default_rng(0).random((xla_session.TOGETHER + 5, 16))
    settings = {"temperature": 0.8}
    many = session.generate(state, choose_from_all, np.array([26]), uniforms, settings)
    some = session.generate(
        state, choose_from_all, np.array([26]), uniforms[: xla_session.TOGETHER], settings
    )
    for i, (one, other) in enumerate(zip(many, some, strict=False)):
        end = next((t + 1 for t, token in enumerate(one) if token == 26), len(one))
        np.testing.assert_array_equal(one[:end], other[:end], err_msg=str(i))


IN_A_PROCESS = """
import os, sys, tempfile
import jax, numpy as np
from gptlab.engines import xla_devices
from gptlab.engines.xla_compiled import Target, compiled
from gptlab.engines.xla_arithmetic import XlaArithmetic
from gptlab.autograd.ops import OpTable
folder = tempfile.mkdtemp()
jax.config.update("jax_compilation_cache_dir", folder)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
def run(x):
    return x @ x + 1
for one_thread, device in ((False, None), (True, xla_devices.one_thread())):
    with jax.default_device(device):
        compiled(run, XlaArithmetic(OpTable(), "float32"), Target(one_thread))(np.ones((64, 64), np.float32))
print(sum(name.startswith("jit_run") and name.endswith("-cache") for name in os.listdir(folder)), end=" ")
print(os.environ.get("NPROC"), end=" ")
print(xla_devices.has_one_thread(jax.devices()[0]), xla_devices.has_one_thread(xla_devices.one_thread()), end=" ")
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
xla_devices.has_pool.cache_clear()
print(xla_devices.one_thread(), xla_devices.has_one_thread(jax.devices()[0]))
"""


@pytest.mark.slow
@alone
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs sched_setaffinity")
@pytest.mark.parametrize("given", [None, "2"])
def test_each_device_has_programs_of_its_own_on_disk_and_the_environment_stays_as_it_was(given):
    environment = {name: value for name, value in os.environ.items() if name != "NPROC"}
    environment |= {} if given is None else {"NPROC": given}
    said = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["2", str(given), "False", "True", "None", "True"]
