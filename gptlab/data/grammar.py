"""A grammar of patterns: what it says, how likely that is, and how much it says, all of them exact.

A pattern is a row of choices, and a choice is a weighted list of phrases of equally many words. So a
pattern's sentences all have the same length, the choices are independent, and the entropy is a sum.
There is no recursion: no sentence is longer than the longest pattern.
"""

import math
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate


@dataclass(frozen=True, eq=False)
class Choice:
    """Phrases and how likely each is: the one of rank r (from 0) in proportion to 1 / (r + 2).

    That is Zipf's law (1949), flattened at its head so that the last of thirty still comes up
    once in a hundred. Divisions and sums only: they give the same bits on every machine.
    """

    phrases: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.phrases or len(set(self.phrases)) < len(self.phrases):
            raise ValueError(f"a choice needs phrases and none of them twice: got {self.phrases}")
        if len({phrase.count(" ") for phrase in self.phrases}) > 1:
            raise ValueError(f"the phrases of a choice must have equally many words: got {self.phrases}")

    @property
    def length(self) -> int:
        """Words a phrase."""
        return self.phrases[0].count(" ") + 1

    @cached_property
    def probabilities(self) -> dict[str, float]:
        weights = [1 / (rank + 2) for rank in range(len(self.phrases))]
        total = math.fsum(weights)  # sum() rounds otherwise from Python 3.12 on
        return {phrase: weight / total for phrase, weight in zip(self.phrases, weights, strict=True)}

    @cached_property
    def bounds(self) -> list[float]:
        """The upper end of each phrase's share of [0, 1], for `bisect`."""
        return _bounds(self.probabilities.values())

    @cached_property
    def columns(self) -> list[frozenset[str]]:
        """The words that can stand at each place of a phrase."""
        return [frozenset(words) for words in zip(*map(str.split, self.phrases), strict=True)]

    @cached_property
    def entropy(self) -> float:
        return _entropy(self.probabilities.values())


@dataclass(frozen=True, eq=False)
class Pattern:
    """One sentence shape; `template` is its source, with a `%s` for each choice."""

    weight: float
    template: str
    choices: tuple[Choice, ...]

    @cached_property
    def columns(self) -> list[frozenset[str]]:
        """The words that can stand at each place of a sentence."""
        filled = iter(self.choices)
        places: list[frozenset[str]] = []
        for word in self.template.split():
            places += next(filled).columns if word == "%s" else [frozenset([word])]
        return places

    @cached_property
    def length(self) -> int:
        """Words a sentence."""
        return len(self.template.split()) + sum(choice.length - 1 for choice in self.choices)

    def probability(self, words: Sequence[str]) -> float:
        """P(words | this pattern), 0 if it cannot say them; `words` must be `length` many."""
        result, place, filled = 1.0, 0, iter(self.choices)
        for part in self.template.split():
            if part == "%s":
                choice = next(filled)
                phrase = " ".join(words[place : place + choice.length])
                result *= choice.probabilities.get(phrase, 0.0)
                place += choice.length
            else:
                result *= part == words[place]
                place += 1
            if not result:
                break
        return result


class Grammar:
    """Weighted patterns. A sentence is a pattern, drawn by weight, and then a phrase for each choice."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        total = math.fsum(pattern.weight for pattern in patterns)
        self.patterns = [Pattern(p.weight / total, p.template, p.choices) for p in patterns]

    def sentences(self, random: Callable[[], float]) -> Iterator[str]:
        """Sentences without end, independent and alike; `random` draws from [0, 1).

        Nothing else is asked of it: Python promises the same `random.random()` in every version, and
        does not promise the same `random.choices()`.
        """
        rows = [(p.template, [(c.phrases, c.bounds) for c in p.choices]) for p in self.patterns]
        shares = _bounds(pattern.weight for pattern in self.patterns)
        while True:
            template, choices = rows[bisect(shares, random())]
            yield template % tuple([phrases[bisect(bounds, random())] for phrases, bounds in choices])

    def derivations(self, sentence: str) -> list[tuple[Pattern, float]]:
        """Every pattern that says the sentence, each with the probability of saying it that way.

        A pattern says it in one way at most, since its choices have fixed lengths and no phrase twice.
        """
        words = sentence.split()
        candidates = self._by_start.get((len(words), words[0]), []) if words else []
        middle = len(words) // 2
        # Two words more rule out most of them, for less than a probability costs.
        fitting = (p for p in candidates if words[-1] in p.columns[-1] and words[middle] in p.columns[middle])
        found = ((pattern, pattern.weight * pattern.probability(words)) for pattern in fitting)
        return [(pattern, probability) for pattern, probability in found if probability]

    @cached_property
    def _by_start(self) -> dict[tuple[int, str], list[Pattern]]:
        """The patterns by their length and a word that they can begin with: few are left to look at."""
        found: dict[tuple[int, str], list[Pattern]] = {}
        for pattern in self.patterns:
            for word in pattern.columns[0]:
                found.setdefault((pattern.length, word), []).append(pattern)
        return found

    def entropy(self) -> float:
        """H(sentence) in nats, by the chain rule: of the pattern, and of its choices given the pattern.

        Exact only while no sentence has two derivations (tests/test_sentences.py shows it): it would count as two.
        """
        choices = math.fsum(p.weight * choice.entropy for p in self.patterns for choice in p.choices)
        return _entropy(pattern.weight for pattern in self.patterns) + choices

    def expected_length(self) -> float:
        """Words a sentence, on average."""
        return math.fsum(pattern.weight * pattern.length for pattern in self.patterns)


def _bounds(probabilities: Iterable[float]) -> list[float]:
    bounds = list(accumulate(probabilities))
    bounds[-1] = math.inf  # rounding may leave the last bound a little below 1, and a draw above it
    return bounds


def _entropy(probabilities: Iterable[float]) -> float:
    return -math.fsum(p * math.log(p) for p in probabilities)
