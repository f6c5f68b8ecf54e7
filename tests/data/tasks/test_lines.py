"""Floors and the other lines, against brute force: all documents, all orders, integrals over all matrices."""

import math
from collections import Counter
from itertools import pairwise, permutations, product
from random import Random

import numpy as np
import pytest

from gptlab.data.examples import Example
from gptlab.data.problems import EndlessProblems
from gptlab.data.tasks.addition import Addition
from gptlab.data.tasks.copying import Copy
from gptlab.data.tasks.dyck import Dyck, chances_to_open
from gptlab.data.tasks.markov import Markov, in_context, told
from gptlab.data.tasks.modular import Modular
from gptlab.data.tasks.parity import Parity
from gptlab.data.tasks.recall import Recall, guesses
from gptlab.data.tasks.repeat import Repeat
from gptlab.data.tasks.sorting import Sort, orders
from tests.data.tasks.every_task import ENDLESS, named

# Gauss and Legendre's points in (0, 1): exact for polynomials up to degree 399.
POINTS, WEIGHTS = (array / 2 for array in np.polynomial.legendre.leggauss(200))
POINTS = POINTS + 0.5


def answers(task: EndlessProblems, count: int = 4000) -> list[Example]:
    random = Random(5)
    return [task.draw(random) for _ in range(count)]


# --- Markov chains of two states: a row is one number, uniform in (0, 1), so all that is claimed is an integral


def likelihoods(chain: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Of the chain after its first symbol, by the probabilities to leave 0 and to leave 1: the two factors (200,)."""
    counts = Counter(pairwise(chain))
    leave, stay = POINTS, 1 - POINTS
    return (
        leave ** counts[0, 1] * stay ** counts[0, 0],
        leave ** counts[1, 0] * stay ** counts[1, 1],
    )


def probability(chain: tuple[int, ...]) -> float:
    one, other = likelihoods(chain)
    return float(one @ WEIGHTS) * float(other @ WEIGHTS)


def test_the_floor_is_the_probability_over_all_matrices() -> None:
    task = Markov(states=2, length=6)
    for example in answers(task, 200):
        chain = tuple(map(int, " ".join(example.parts).split()))
        assert example.nats == pytest.approx(-math.log(probability(chain)), rel=1e-12)


@pytest.mark.parametrize("order", [1, 2])
def test_documents_come_up_as_often_as_their_probability_says(order: int) -> None:
    task = Markov(states=2, length=5, order=order)
    drawn = answers(task, 20_000)
    probabilities = {tuple(each.parts): math.exp(-(each.nats or 0)) / 2**order for each in drawn}
    assert len(probabilities) == 32
    assert math.fsum(probabilities.values()) == pytest.approx(1)
    counts = Counter(tuple(each.parts) for each in drawn)
    expected = {parts: probability * len(drawn) for parts, probability in probabilities.items()}
    chi_squared = sum((counts[parts] - n) ** 2 / n for parts, n in expected.items())
    assert chi_squared < 61  # one in a thousand, with 31 degrees of freedom


def test_a_bigram_is_the_best_for_order_one_and_not_for_two() -> None:
    for order in (1, 2):
        task = Markov(length=64, order=order)
        examples = answers(task, 200)
        lines = task.baselines(examples)
        floor = sum(each.nats or 0 for each in examples) / (len(examples) * (64 - order))
        if order == 1:
            assert lines["bigram"] == pytest.approx(floor, rel=1e-12)
        else:
            assert lines["bigram"] > floor + 0.05
        assert lines["matrix"] < floor < lines["unigram"] and lines["chance"] == math.log(3)


def test_a_unigram_counts_what_came_so_far() -> None:
    # After 0 0 1: (1 + 1) / (3 + 1), (1 + 0) / (3 + 2), (1 + 2) / (3 + 3).
    assert in_context([0, 0, 1, 0], 1, 3, memory=0) == pytest.approx(-math.log(2 / 4 * 1 / 5 * 3 / 6))
    assert in_context([0, 0, 1, 0], 2, 3, memory=0) == pytest.approx(-math.log(1 / 5 * 3 / 6))


def test_who_is_told_the_matrix_loses_the_mean_over_all_matrices() -> None:
    for chain in product((0, 1), repeat=6):
        one, other = (factor * WEIGHTS / (factor @ WEIGHTS) for factor in likelihoods(chain))
        counts = Counter(pairwise(chain))
        leave, stay = -np.log(POINTS), -np.log(1 - POINTS)
        lost = (counts[0, 1] * leave + counts[0, 0] * stay) @ one
        lost += (counts[1, 0] * leave + counts[1, 1] * stay) @ other
        assert told(chain, 1, 2) == pytest.approx(float(lost), abs=1e-3)


# --- brackets


def paths(length: int, depth: int) -> list[tuple[int, ...]]:
    """All ways to open (1) and close (-1)."""
    sums = [(path, np.cumsum(path)) for path in product((1, -1), repeat=length)]
    return [path for path, at in sums if at.min() >= 0 and at.max() <= depth and at[-1] == 0]


@pytest.mark.parametrize(("length", "depth"), [(2, 1), (6, 2), (8, 3), (8, 4), (10, 9)])
def test_all_ways_to_open_and_close_are_as_likely(length: int, depth: int) -> None:
    opens = chances_to_open(length, depth)
    every = paths(length, depth)
    for path in every:
        probability, at = 1.0, 0
        for left, step in zip(range(length, 0, -1), path, strict=True):
            probability *= opens[left][at] if step == 1 else 1 - opens[left][at]
            at += step
        assert probability == pytest.approx(1 / len(every))


def test_what_is_drawn_is_of_all_these_ways() -> None:
    drawn = answers(Dyck(length=8, depth=3, kinds=2))
    found = Counter(
        tuple(1 if word in "([" else -1 for word in " ".join(filter(None, each.parts)).split())
        for each in drawn
    )
    assert set(found) == set(paths(8, 3))
    assert max(found.values()) < 1.4 * min(found.values())


# --- guesses


def test_a_guess_among_what_is_left_to_sort() -> None:
    for numbers in ([1, 1, 2], [3, 3, 3, 3], [1, 2, 3, 4], [1, 2, 2, 3, 3]):
        words = list(map(str, numbers))
        assert orders(words) == pytest.approx(math.log(len(set(permutations(words)))))
    examples = [Example(("2 1 1 >", "1 1 2"), ends=True), Example(("3 >", "3"), ends=True)]
    assert Sort(shortest=1).baselines(examples)["unordered"] == pytest.approx(math.log(3) / 6)


def test_a_guess_among_the_pairs_that_were_seen() -> None:
    example = Example(["k1 v5 k2 v5 k3 v6 k3", "v6", "k2", "v5"])
    assert guesses(example) == pytest.approx([math.log(3), math.log(3 / 2)])
    lines = Recall(values=8).baselines([example])
    assert lines == {"chance": math.log(8), "seen": pytest.approx((math.log(3) + math.log(3 / 2)) / 2)}


@pytest.mark.parametrize(
    ("task", "pieces"),
    [
        (Addition(aligned=True), set("0123456789")),
        (Addition(), {*"0123456789", "end"}),
        (Copy(symbols=4), set("0123")),
        (Copy(symbols=4, shortest=2), {*"0123", "end"}),
        (Sort(symbols=4), set("0123")),
        (Sort(symbols=4, shortest=2), {*"0123", "end"}),
        (Repeat(), set(map(str, range(32)))),
        (Recall(), {f"v{value}" for value in range(16)}),
        (Markov(), set("012")),
        (Parity(), set("01")),
        (Dyck(kinds=3), set(")]}")),
    ],
    ids=lambda value: named(value) if isinstance(value, EndlessProblems) else None,
)
def test_chance_is_a_guess_among_what_answers_are_made_of(task: EndlessProblems, pieces: set[str]) -> None:
    found: set[str] = set()
    examples = answers(task, 500)
    for example in examples:
        for answer in example.parts[1::2]:
            found.update(answer if isinstance(task, Addition) else answer.split())
        found |= {"end"} if example.ends else set()
    assert found == pieces
    assert task.baselines(examples)["chance"] == pytest.approx(math.log(len(pieces)))


def test_each_answer_modulo_a_prime_is_as_likely() -> None:
    for operation in ("add", "subtract", "divide"):
        task = Modular(p=11, operation=operation)
        counts = Counter(example.parts[1] for example in task.examples())
        assert len(counts) == 11 and len(set(counts.values())) == 1
        assert task.baselines(task.examples()) == {"chance": pytest.approx(math.log(11))}


@pytest.mark.parametrize("task", ENDLESS, ids=named)
def test_no_examples_are_no_error(task: EndlessProblems) -> None:
    assert set(task.baselines([])) <= set(task.baselines(answers(task, 5)))


@pytest.mark.parametrize("task", [task for task in ENDLESS if not isinstance(task, Markov)], ids=named)
def test_what_comes_before_an_answer_determines_it(task: EndlessProblems) -> None:
    """The floor is 0: no two examples go on otherwise after the same beginning, as far as what counts goes."""
    answer_after: dict[tuple[str, ...], tuple[str, bool]] = {}
    for example in answers(task, 2000):
        assert example.nats == 0
        for i in range(1, len(example.parts), 2):
            words = list(example.parts[i]) if isinstance(task, Addition) else example.parts[i].split()
            for j, word in enumerate(words):
                before = (*example.parts[:i], *words[:j])
                assert answer_after.setdefault(before, word) == word
