"""What is asked of a data set of examples: wrong ones are found, and what is wrong is said."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random

import pytest

from gptlab import EndlessProblems, Example, Problems
from gptlab.checks import check_names
from gptlab.plugins.loading import load_plugins

COUNTER = count()


@dataclass(frozen=True)
class Last(EndlessProblems):
    """The last of three letters: right."""

    def alphabet(self) -> Iterable[str]:
        return ["a b c", "="]

    def letters(self, random: Random) -> list[str]:
        return random.choices("abc", k=3)

    def draw(self, random: Random) -> Example:
        letters = self.letters(random)
        return Example((f"{' '.join(letters)} =", letters[-1]), {"first": letters[0]}, nats=0.0)


@dataclass(frozen=True)
class Remembering(Last):
    """Draws by what was drawn before."""

    def letters(self, random: Random) -> list[str]:
        return ["abc"[next(COUNTER) % 3], "a", random.choice("abc")]


@dataclass(frozen=True)
class Constant(Last):
    """Draws one problem."""

    def letters(self, random: Random) -> list[str]:
        return ["a", "b", "c"]


@dataclass(frozen=True)
class Uncovered(Last):
    """Has a letter that the alphabet lacks."""

    def letters(self, random: Random) -> list[str]:
        return random.choices("abcd", k=3)


@dataclass(frozen=True)
class Unspaced(Last):
    """Is written in characters, and does not say so."""

    def draw(self, random: Random) -> Example:
        example = super().draw(random)
        return Example([part.replace(" ", "") for part in example.parts], example.labels, nats=0.0)


@dataclass(frozen=True)
class Characters(Unspaced):
    """The same, and says so: right."""

    characters = True

    def alphabet(self) -> Iterable[str]:
        return ["abc="]


@dataclass(frozen=True)
class Doubtful(Last):
    """Any of the letters is the answer, and yet each is said to be certain."""

    def draw(self, random: Random) -> Example:
        example = super().draw(random)
        return Example((example.parts[0], random.choice("abc")), example.labels, nats=0.0)


@dataclass(frozen=True)
class Open(Doubtful):
    """The same, said as it is: right."""

    def draw(self, random: Random) -> Example:
        example = super().draw(random)
        return Example(example.parts, example.labels, nats=1.0986)


@dataclass(frozen=True)
class Unanswered(Last):
    """Has no answer now and then."""

    def draw(self, random: Random) -> Example:
        example = super().draw(random)
        return Example(example.parts[:1]) if random.random() < 0.1 else example


@dataclass(frozen=True)
class Bare(Last):
    """Gives a text."""

    def draw(self, random: Random) -> Example:
        return "a b = b"  # type: ignore[return-value]


@dataclass(frozen=True)
class OneText(Last):
    """Gives a text where parts are asked for."""

    def draw(self, random: Random) -> Example:
        return Example(" ".join(self.letters(random)))


@dataclass(frozen=True)
class Measured(Last):
    """A label that is neither a whole number nor a name."""

    def draw(self, random: Random) -> Example:
        return Example(super().draw(random).parts, {"weight": random.random()})  # type: ignore[dict-item]


@dataclass(frozen=True)
class Labelled(Last):
    """Labels that some examples lack."""

    def draw(self, random: Random) -> Example:
        example = super().draw(random)
        return Example(example.parts, example.labels if random.random() < 0.5 else {})


@dataclass(frozen=True)
class Negative(Last):
    """A probability above 1, and a loss that is none."""

    def draw(self, random: Random) -> Example:
        example = super().draw(random)
        return Example(example.parts, example.labels, nats=-0.1)


@dataclass(frozen=True)
class Baseless(Last):
    """A line that is no number."""

    def baselines(self, examples: Sequence[Example]) -> dict[str, float]:
        return {"chance": float("inf")}


@dataclass(frozen=True)
class Restless(Last):
    """A held-out set that is another one each time."""

    def held_out_sets(self) -> Mapping[str, Sequence[Example]]:
        return {
            "longer": [Example((f"{' '.join('abc' * (1 + next(COUNTER)))} =", "c"), {"first": "a"}, nats=0.0)]
        }


@dataclass(frozen=True)
class Listed(Problems):
    """Three letters and the next ones: right."""

    def examples(self) -> Sequence[Example]:
        return [Example((one, other), nats=0.0) for one, other in ("ab", "bc", "ca")]


@dataclass(frozen=True)
class Shuffled(Listed):
    """In another order each time."""

    def examples(self) -> Sequence[Example]:
        return [*super().examples()[(shift := next(COUNTER) % 3) :], *super().examples()[:shift]]


@dataclass(frozen=True)
class Empty(Listed):
    """None at all."""

    def examples(self) -> Sequence[Example]:
        return []


def problems(dataset: type[Problems]) -> dict[str, str]:
    plugins = load_plugins(discover=False)
    plugins.registry.register("dataset", "mine", dataset, "me")
    return {check.what: check.problem for check in check_names(plugins, ["mine"]) if not check.passed}


@pytest.mark.parametrize("dataset", [Last, Open, Listed, Characters])
def test_what_is_right_passes(dataset: type[Problems]) -> None:
    assert problems(dataset) == {}


@pytest.mark.parametrize(
    ("dataset", "what", "says"),
    [
        (Remembering, "draws by its random numbers alone", "give different problems the second time"),
        (Constant, "draws by its random numbers alone", "500 draws give one problem: 'a b c = | c'"),
        (Bare, "draws by its random numbers alone", "draw(random) must give an Example, got str"),
        (OneText, "answers that count", "parts must be texts, prompt and answer in turn"),
        (Uncovered, "the alphabet covers", "the word 'd' is not in the vocabulary of 4 words, in '"),
        (
            Unspaced,
            "the alphabet covers",
            "or `characters` must be True for a data set that is written in them: ",
        ),
        (Doubtful, "certain where nats=0", "nats=0 says that an answer is certain: got 'a"),
        (Unanswered, "answers that count", "it has no answer, so nothing counts"),
        (Measured, "answers that count", "labels must be whole numbers or names, got {'weight': 0."),
        (Labelled, "answers that count", "the same labels: got () and ('first',)"),
        (Negative, "answers that count", "nats must be a finite number, 0 or more, or None: got -0.1"),
        (
            Baseless,
            "baselines are losses",
            "chance must be a finite number of nats a token, 0 or more: got inf",
        ),
        (Restless, "the same held-out sets every time", "held_out_sets() differs from call to call"),
        (Shuffled, "the same examples every time", "examples() differs from call to call"),
        (Empty, "the same examples every time", "examples() must be a list of two Examples or more"),
    ],
)
def test_what_is_wrong_is_found(dataset: type[Problems], what: str, says: str) -> None:
    found = problems(dataset)
    assert list(found) == [what]
    assert says in found[what]
