"""A program that two threads ask for at once is traced by one of them."""

import threading
import time

import jax
import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.engines.lanes import enter_lane
from gptlab.engines.xla_arithmetic import XlaArithmetic
from gptlab.engines.xla_compiled import Target, compiled


def test_it_is_traced_once_for_each_shape() -> None:
    traced = []

    def run(x: jax.Array) -> jax.Array:
        traced.append(x.shape)
        time.sleep(0.05)
        return x + 1

    program = compiled(run, XlaArithmetic(OpTable(), "float32"), Target())

    def call(lane: int) -> None:
        enter_lane(lane)
        for size in (2, 3):
            np.testing.assert_array_equal(program(np.zeros(size, np.float32)), np.ones(size))

    threads = [threading.Thread(target=call, args=[lane]) for lane in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert traced == [(2,), (3,)]
