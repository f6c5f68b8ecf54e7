"""The answers are right: read back from the text and worked out another way."""

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from itertools import groupby, pairwise, product
from random import Random

import pytest

from gptlab.data.examples import Example
from gptlab.data.problems import EndlessProblems
from gptlab.data.tasks.addition import Addition, longest_carry
from gptlab.data.tasks.copying import Copy
from gptlab.data.tasks.dyck import Dyck
from gptlab.data.tasks.modular import Modular
from gptlab.data.tasks.parity import Parity
from gptlab.data.tasks.recall import Recall
from gptlab.data.tasks.repeat import Repeat
from gptlab.data.tasks.sorting import Sort
from tests.data.tasks.every_task import ENDLESS, LISTED, named


def right(task: object, example: Example) -> bool:
    """Whether the answers are right, by the text and the task's fields alone."""
    text = "".join(example.parts) if isinstance(task, Addition) else " ".join(filter(None, example.parts))
    match task:
        case Modular(p=p, operation=operation):
            x, sign, y, equals, z = text.split()
            a, b, c = int(x), int(y), int(z)
            signs = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}
            gap = {"+": a + b - c, "-": a - b - c, "*": a * b - c, "/": c * b - a}[sign] % p
            return gap == 0 and 0 <= c < p and equals == "=" and sign == signs[operation]
        case Addition():
            left, answer = text.split("=")
            one, other = left.split("+")
            if task.aligned:
                widths = len(one), len(other), len(answer) - 1
                if len(set(widths)) != 1 or widths[0] not in (task.digits, task.longer):
                    return False
            elif str(int(one)) != one or str(int(other)) != other:
                return False
            value = answer[::-1] if task.reversed else answer
            return int(one) + int(other) == int(value) and example.ends != task.aligned
        case Repeat():
            words = text.split()
            half = len(words) // 2
            counted = example.parts[1].split()
            return (
                words[:half] == words[half:]
                and len(set(words)) == half == example.labels["length"]
                and counted == words[half + 1 :]
            )
        case Recall():
            words = text.split()
            pairs = int(example.labels["pairs"])
            shown = dict(zip(words[: 2 * pairs : 2], words[1 : 2 * pairs : 2], strict=True))
            asked = list(zip(words[2 * pairs :: 2], words[2 * pairs + 1 :: 2], strict=True))
            return (
                len(shown) == pairs
                and len(dict(asked)) == len(asked) == (task.queries or pairs)
                and all(shown[key] == value for key, value in asked)
                and [value for _, value in asked] == list(example.parts[1::2])
            )
        case Copy():
            shown, answer = text.split(" > ")
            kept = [word for word in shown.split() if word != "."]
            return kept == answer.split() and shown.count(".") == task.noise
        case Sort():
            shown, answer = text.split(" > ")
            numbers = list(map(int, answer.split()))
            ascending = all(a <= b for a, b in pairwise(numbers))
            return ascending and Counter(shown.split()) == Counter(answer.split())
        case Parity(running=True):
            bits, answers = text.split()[::2], list(example.parts[1::2])
            return answers == [str(bits[: i + 1].count("1") % 2) for i in range(len(bits))]
        case Parity():
            shown, answer = text.split(" = ")
            return answer == str(shown.count("1") % 2)
        case Dyck():
            before = None
            stripped = text.replace(" ", "")
            kinds = "()", "[]", "{}", "<>", "(5)5", "(6)6"
            if (
                any(part.split()[0][0] in "([{<" for part in example.parts[1::2])
                or max(depths(text)) > task.depth
            ):
                return False
            while before != stripped:
                before = stripped
                for kind in kinds:
                    stripped = stripped.replace(kind, "")
            return not stripped and example.labels["depth"] == max(depths(text))
    raise TypeError(task)


def depths(text: str) -> list[int]:
    """How many brackets are open after each."""
    found = [0]
    for word in text.split():
        found.append(found[-1] + (1 if word[0] in "([{<" else -1))
    return found


def wrong(example: Example) -> Example:
    """The same with another answer: its last word or character stands twice."""
    *parts, last = example.parts
    return replace(example, parts=[*parts, last + (last[-1] if last.isdigit() else f" {last.split()[-1]}")])


ANSWERED = [task for task in ENDLESS if type(task).__name__ != "Markov"]  # whose symbols are as they come


@pytest.mark.parametrize("task", ANSWERED, ids=named)
def test_the_answer_is_right(task: EndlessProblems) -> None:
    random = Random(3)
    held_out = [example for examples in task.held_out_sets().values() for example in examples]
    for example in [*(task.draw(random) for _ in range(300)), *held_out]:
        assert right(task, example), example


@pytest.mark.parametrize("task", ANSWERED, ids=named)
def test_a_wrong_answer_would_be_seen(task: EndlessProblems) -> None:
    example = wrong(task.draw(Random(3)))
    with suppress(ValueError):  # it cannot even be read
        assert not right(task, example)


@pytest.mark.parametrize("task", LISTED, ids=named)
def test_all_problems_modulo_p_are_listed_and_right(task: Modular) -> None:
    examples = task.examples()
    assert len(examples) == task.p * (task.p - (task.operation == "divide"))
    assert all(right(task, example) for example in examples)
    assert not right(task, replace(examples[0], parts=(examples[0].parts[0], "5")))


@pytest.mark.parametrize(
    ("x", "y", "longest"),
    [(12, 34, 0), (999, 1, 3), (909, 101, 1), (5, 5, 1), (1909, 191, 3), (90909, 90909, 1), (0, 0, 0)],
)
def test_the_longest_carry_of_known_sums(x: int, y: int, longest: int) -> None:
    assert longest_carry(x, y) == longest


def test_the_longest_carry_is_that_of_the_columns() -> None:
    for x, y in product(range(0, 1000, 7), repeat=2):
        carries = [x % 10**i + y % 10**i >= 10**i for i in range(1, 5)]
        runs = [len(list(run)) for carry, run in groupby(carries) if carry]
        assert longest_carry(x, y) == max(runs, default=0)


def test_a_digit_of_an_aligned_sum_stands_where_it_is_worth_the_same() -> None:
    assert Addition(aligned=True).problem(7, 95, 3).parts == ("007+095=", "0102")
    assert Addition(aligned=True, reversed=True).problem(7, 95, 3).parts == ("007+095=", "2010")
    assert Addition(reversed=True).problem(7, 95, 3).parts == ("7+95=", "201")
