"""The matrix products of a training step and nothing else, by numpy: what the machine's arithmetic would allow.

Each matrix (M, K) is multiplied three times in a step of P positions: x W' forwards, and backwards the gradient with W
and with x. Attention's products are left out: they are small, and of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from benchmarks.task import Task


def matrices_of(task: Task) -> list[tuple[int, int]]:
    """The shapes of what is multiplied with at every position, query, key and value of a layer as one."""
    E = task.nEmbd
    return [(3 * E, E), (E, E), (4 * E, E), (E, 4 * E)] * task.nLayer + [(task.vocabSize, E)]


def operations(task: Task) -> int:
    """Floating-point operations of a step, attention's whole square and the backward pass included."""
    positions = task.batchSize * task.blockSize
    square = 12 * task.blockSize * positions * task.nEmbd * task.nLayer
    return product_operations(task) + square


def product_operations(task: Task) -> int:
    return sum(6 * M * K * task.batchSize * task.blockSize for M, K in matrices_of(task))


def all_products(positions: int, shapes: Iterable[tuple[int, int]]) -> Callable[[], None]:
    """A call that does them, each into arrays of its own that are kept."""
    random = np.random.default_rng(0)

    def numbers(*shape: int) -> np.ndarray:
        return random.standard_normal(shape, dtype=np.float32)

    each = []
    for M, K in shapes:
        x, w, gradient = numbers(positions, K), numbers(M, K), numbers(positions, M)
        each += [(x, w.T, numbers(positions, M)), (gradient, w, numbers(positions, K))]
        each += [(gradient.T, x, numbers(M, K))]

    def run() -> None:
        for left, right, out in each:
            np.matmul(left, right, out=out)

    return run
