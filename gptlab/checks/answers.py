"""Checks of data sets that give examples: draws, alphabet, answers, and what they say of themselves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from random import Random

from gptlab.checks.check import Findings
from gptlab.data.examples import Example
from gptlab.data.problems import EndlessProblems, Problems
from gptlab.data.tokenizers import CharTokenizer, WordTokenizer
from gptlab.errors import UserError

DRAWS = 500


def check_problems(dataset: Problems, findings: Findings) -> None:
    """All that is asked of a data set of examples."""
    tried = findings.checks
    if isinstance(dataset, EndlessProblems):
        some = check_draws(dataset, findings)
    else:
        some = check_list(dataset, findings)
    if not tried[-1].passed:
        return  # the rest would say the same in other words
    sets: dict[str, list[Example]] = {}
    with findings.trying("the same held-out sets every time") as fails:
        sets.update({name: list(examples) for name, examples in dataset.held_out_sets().items()})
        if sets != {name: list(examples) for name, examples in dataset.held_out_sets().items()}:
            fails("held_out_sets() differs from call to call")
    every = [*some, *(example for examples in sets.values() for example in examples)]
    with findings.trying("answers that count") as fails:
        for example in every:
            if problem := unfit(example):
                fails(f"{shown(example)}: {problem}")
        if len(keys := {tuple(sorted(example.labels)) for example in every}) > 1:
            fails(f"all examples must have the same labels: got {' and '.join(map(str, sorted(keys)[:2]))}")
    if not tried[-1].passed:
        return
    with findings.trying("certain where nats=0") as fails:
        for problem in islice(contradictions(every), 4):
            fails(problem)
    if isinstance(dataset, EndlessProblems):
        with findings.trying("the alphabet covers") as fails:
            if missing := uncovered(dataset, every):
                fails(missing)
    with findings.trying("baselines are losses") as fails:
        for name, loss in dataset.baselines(some).items():
            if not (math.isfinite(loss) and loss >= 0):
                fails(f"{name} must be a finite number of nats a token, 0 or more: got {loss}")


def check_draws(dataset: EndlessProblems, findings: Findings) -> list[Example]:
    with findings.trying("draws by its random numbers alone") as fails:
        some = drawn(dataset, 1)
        if not all(isinstance(example, Example) for example in some):
            fails(f"draw(random) must give an Example, got {type(some[0]).__name__}")
        elif drawn(dataset, 1) != some:
            fails("the same random numbers give different problems the second time")
        elif len({tuple(example.parts) for example in some}) == 1:
            fails(f"{DRAWS} draws give one problem: {shown(some[0])}")
    return some if findings.checks[-1].passed else []


def check_list(dataset: Problems, findings: Findings) -> list[Example]:
    with findings.trying("the same examples every time") as fails:
        some = list(dataset.examples())
        if len(some) < 2 or not all(isinstance(example, Example) for example in some):
            fails("examples() must be a list of two Examples or more")
        elif list(dataset.examples()) != some:
            fails("examples() differs from call to call")
    return some if findings.checks[-1].passed else []


def drawn(dataset: EndlessProblems, seed: int) -> list[Example]:
    random = Random(seed)
    return [dataset.draw(random) for _ in range(DRAWS)]


def unfit(example: Example) -> str:
    """What is wrong with an example by itself; empty for nothing."""
    if isinstance(example.parts, str) or not all(isinstance(part, str) for part in example.parts):
        return 'parts must be texts, prompt and answer in turn: ("1 + 2 =", "3")'
    if not any(counts and part.strip() for part, counts in example.pieces()):
        return "it has no answer, so nothing counts"
    if not all(isinstance(value, int | str) for value in example.labels.values()):
        return f"labels must be whole numbers or names, got {dict(example.labels)}"
    if example.nats is not None and not (math.isfinite(example.nats) and example.nats >= 0):
        return f"nats must be a finite number, 0 or more, or None: got {example.nats}"
    return ""


def contradictions(examples: Iterable[Example]) -> Iterator[str]:
    """Answers that go on otherwise after the same beginning, though each says that it is certain.

    Where one begins as the other does and its end does not count, nothing that counts is another.
    """
    firsts: dict[tuple[str, ...], tuple[str, Example]] = {}
    for example in examples:
        for i in range(1, len(example.parts), 2) if example.nats == 0 else ():
            answer = example.parts[i]
            other, first = firsts.setdefault(tuple(example.parts[:i]), (answer, example))
            short, long = sorted((answer, other), key=len)
            begins = long.startswith(short) and not (example.ends or first.ends)
            if answer != other and not begins:
                yield f"nats=0 says that an answer is certain: got {shown(first)} and {shown(example)}"


def uncovered(dataset: EndlessProblems, examples: Iterable[Example]) -> str:
    """What a vocabulary of the alphabet lacks."""
    factory = CharTokenizer() if dataset.characters else WordTokenizer()
    tokenizer = factory.build(list(dataset.alphabet()))
    for text in dict.fromkeys(part for example in examples for part, _ in example.pieces()):
        try:
            tokenizer.encode(text)
        except UserError as error:
            said = str(error).partition(".")[0]
            hint = (
                ""
                if dataset.characters
                else ", or `characters` must be True for a data set that is written in them"
            )
            return f"alphabet() must hold every piece that is drawn{hint}: {said}, in '{text}'"
    return ""


def shown(example: Example) -> str:
    return f"'{' | '.join(map(str, example.parts))}'"
