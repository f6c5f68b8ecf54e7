"""What every task keeps: problems by random numbers alone, its alphabet, held-out sets, fields that are refused."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from gptlab.data.examples import Example
from gptlab.data.problems import EndlessProblems, Problems
from gptlab.data.tasks.addition import Addition
from gptlab.data.tasks.copying import Copy
from gptlab.data.tasks.dyck import Dyck
from gptlab.data.tasks.markov import Markov
from gptlab.data.tasks.modular import Modular
from gptlab.data.tasks.parity import Parity
from gptlab.data.tasks.recall import Recall
from gptlab.data.tasks.repeat import Repeat
from gptlab.data.tasks.sorting import Sort
from gptlab.data.tokenizers import CharTokenizer, WordTokenizer
from gptlab.errors import UserError
from tests.data.tasks.every_task import ENDLESS, LISTED, named

every_endless = pytest.mark.parametrize("task", ENDLESS, ids=named)


def some(task: EndlessProblems, count: int = 300, seed: int = 1) -> list[Example]:
    random = Random(seed)
    return [task.draw(random) for _ in range(count)]


@every_endless
def test_the_same_numbers_give_the_same_problems_and_others_give_others(task: EndlessProblems) -> None:
    assert some(task, 20) == some(replace(task), 20)
    assert some(task, 20) != some(task, 20, seed=2)


@every_endless
def test_the_alphabet_is_what_is_drawn_no_less_and_no_more(task: EndlessProblems) -> None:
    factory = CharTokenizer() if isinstance(task, Addition) else WordTokenizer()
    tokenizer = factory.build(task.alphabet())
    held_out = [example for examples in task.held_out_sets().values() for example in examples]
    used: set[int] = set()
    for example in [*some(task), *held_out]:
        for part in example.parts:
            used.update(tokenizer.encode(part) if part else [])
    assert used == set(range(tokenizer.vocabSize - 1))


@every_endless
def test_a_problem_has_an_answer_labels_and_its_probability(task: EndlessProblems) -> None:
    for example in some(task):
        assert any(counts for _, counts in example.pieces())
        assert example.labels and example.nats is not None and example.nats >= 0


@every_endless
def test_held_out_sets_are_of_other_problems_than_those_to_train_on(task: EndlessProblems) -> None:
    trained_on = {tuple(example.parts) for example in some(task, 2000)}
    for name, examples in task.held_out_sets().items():
        assert name in ("longer", "harder")
        texts = [tuple(example.parts) for example in examples]
        assert len(set(texts)) == len(texts) == task.numHeldOut
        assert trained_on.isdisjoint(texts)
        assert task.held_out_sets()[name] == examples
        assert replace(task, splitSeed=1).held_out_sets()[name] != examples


@pytest.mark.parametrize(
    ("task", "label", "trained_on", "held_out"),
    [
        (Addition(digits=2, longer=5), "digits", {1, 2}, {3, 4, 5}),
        (Copy(length=5, shortest=2, longer=8), "length", {2, 3, 4, 5}, {6, 7, 8}),
        (Dyck(length=6, shortest=2, longer=12), "length", {2, 4, 6}, {8, 10, 12}),
        (Recall(pairs=4, fewest=2, harder=6), "pairs", {2, 3, 4}, {5, 6}),
        (Recall(pairs=4, harder=5), "pairs", {4}, {5}),
    ],
    ids=lambda value: named(value) if isinstance(value, Problems) else None,
)
def test_every_difficulty_comes_up_on_its_side(
    task: EndlessProblems, label: str, trained_on: set[int], held_out: set[int]
) -> None:
    assert {example.labels[label] for example in some(task)} == trained_on
    (examples,) = task.held_out_sets().values()
    assert {example.labels[label] for example in examples} == held_out


def test_there_is_no_held_out_set_unless_it_is_asked_for() -> None:
    assert Addition().held_out_sets() == Copy().held_out_sets() == Recall().held_out_sets() == {}
    assert Copy(longer=9, numHeldOut=0).held_out_sets() == {}


def test_a_held_out_set_ends_where_there_are_no_more_problems() -> None:
    examples = Parity(length=3, longer=4).held_out_sets()["longer"]
    assert len(examples) == 16  # all numbers of four bits


@pytest.mark.parametrize("task", LISTED, ids=named)
def test_listed_problems_are_the_same_each_time_and_differ(task: Problems) -> None:
    texts = [tuple(example.parts) for example in task.examples()]
    assert len(set(texts)) == len(texts)
    assert task.examples() == replace(task).examples()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Modular(p=1), "data.p must be from 2 to 1000: got 1. Try data.p=97."),
        (
            lambda: Modular(p=91, operation="divide"),
            "data.p must be prime, or not every number can be divided by: got 91. Try data.p=97.",
        ),
        (lambda: Modular(operation="ad"), "no operation is named 'ad'. Did you mean add"),
        (lambda: Addition(digits=0), "data.digits must be at least 1: got 0. Try data.digits=3."),
        (
            lambda: Addition(digits=3, longer=3),
            "data.longer must be above 3: got 3. Try data.longer=5, or null",
        ),
        (lambda: Copy(length=0), "data.length must be at least 1: got 0. Try data.length=7."),
        (
            lambda: Copy(length=4, shortest=5),
            "data.shortest must be from 1 to 4: got 5. Try data.shortest=1, or",
        ),
        (lambda: Copy(length=4, longer=4), "data.longer must be above 4: got 4. Try data.longer=8, or null"),
        (lambda: Copy(symbols=1), "data.symbols must be at least 2: got 1."),
        (lambda: Copy(noise=-1), "data.noise must be at least 0: got -1."),
        (lambda: Sort(symbols=1), "data.symbols must be at least 2: got 1."),
        (
            lambda: Repeat(length=1, shortest=None),
            "data.length must be at least 2: got 1. Try data.length=8.",
        ),
        (
            lambda: Repeat(length=9, symbols=8),
            "data.symbols must be at least 9 (none comes twice): got 8. Try data.symbols=18.",
        ),
        (lambda: Repeat(longer=40), "data.symbols must be at least 40 (none comes twice): got 32."),
        (
            lambda: Recall(pairs=20),
            "data.keys must be at least 20 (each pair has its own): got 16. Try data.keys=80.",
        ),
        (lambda: Recall(harder=17), "data.keys must be at least 17 (each pair has its own): got 16."),
        (lambda: Recall(pairs=1), "data.pairs must be at least 2: got 1."),
        (lambda: Recall(values=1), "data.values must be at least 2: got 1."),
        (lambda: Recall(queries=5), "data.queries must be from 1 to 4: got 5. Try data.queries=1, or null."),
        (lambda: Recall(fewest=2, queries=3), "data.queries must be from 1 to 2: got 3."),
        (lambda: Recall(fewest=5), "data.fewest must be from 2 to 4: got 5."),
        (lambda: Recall(harder=4), "data.harder must be above 4: got 4. Try data.harder=8, or null"),
        (lambda: Markov(states=1), "data.states must be at least 2: got 1."),
        (lambda: Markov(length=4, order=4), "data.order must be at least 1 and below 4: got 4."),
        (lambda: Markov(shortest=2, order=2), "data.order must be at least 1 and below 2: got 2."),
        (lambda: Parity(length=0), "data.length must be at least 1: got 0."),
        (lambda: Dyck(kinds=1), "data.kinds must be at least 2: got 1."),
        (lambda: Dyck(depth=0), "data.depth must be at least 1: got 0."),
        (lambda: Dyck(length=7), "data.length must be a multiple of 2: got 7. Try data.length=8."),
        (lambda: Dyck(longer=19), "data.longer must be a multiple of 2: got 19. Try data.longer=20."),
    ],
)
def test_fields_that_cannot_be_are_refused(make: Callable[[], Problems], says: str) -> None:
    with pytest.raises(UserError) as refused:
        make()
    assert str(refused.value).startswith(says)
