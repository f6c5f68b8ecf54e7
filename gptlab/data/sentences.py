"""The built-in corpus: sentences a first grader could write, and questions for a model to go on from.

It is made, not stored, and the same every time. Since the grammar is known, so is the loss that the
best possible model could reach: `entropy_per_word()`.
"""

import math
import random
import re
from collections.abc import Iterable
from functools import cache, lru_cache
from itertools import islice
from typing import Literal, NamedTuple, cast

from gptlab.data.first_grade import FAMILIES, QUESTIONS, SENTENCES, SUBJECTS, WORDS
from gptlab.data.grammar import Choice, Grammar, Pattern

_SEED = 1
_SLOT = re.compile(r"\{([^}]*)\}")

Person = Literal["i", "they", "he"]

_IRREGULAR = {
    "child": "children",
    "deer": "deer",
    "fish": "fish",
    "foot": "feet",
    "goose": "geese",
    "hippo": "hippos",
    "leaf": "leaves",
    "have": "has",
    "mouse": "mice",
    "sheep": "sheep",
    "tooth": "teeth",
    "wolf": "wolves",
}


def generate_sentences(count: int = 30_000) -> list[str]:
    """The first `count` sentences of one endless stream: a shorter corpus is the start of a longer one."""
    return list(_sentences(count))


@lru_cache(maxsize=1)  # the runs of a sweep share it
def _sentences(count: int) -> tuple[str, ...]:
    return tuple(islice(sentence_grammar().sentences(random.Random(_SEED).random), count))


def generate_questions() -> list[str]:
    """150 different questions in words of the corpus; none of them is a sentence of the corpus."""
    drawn = _grammar(QUESTIONS).sentences(random.Random(_SEED).random)
    distinct: dict[str, None] = {}
    while len(distinct) < 150:
        distinct[next(drawn)] = None
    return list(distinct)


def entropy_per_word() -> float:
    """Nats per predicted token below which no model's expected loss can fall, from the grammar, exactly.

    H(sentence) / E[words + 1]: the end of a sentence is predicted too. It is the floor of the loss
    *per token*; a mean over documents of each document's mean weighs short sentences more, and since these
    are the less predictable ones, its floor lies higher.
    """
    grammar = sentence_grammar()
    return grammar.entropy() / (grammar.expected_length() + 1)


@cache
def nats(sentence: str) -> float:
    """-log of the probability that the grammar gives to a sentence; infinity for what it cannot say."""
    probability = math.fsum(p for _, p in sentence_grammar().derivations(sentence))
    return -math.log(probability) if probability else math.inf


@cache
def sentence_grammar() -> Grammar:
    """The grammar of the corpus, with every subject and every family of animals written out."""
    return _grammar(SENTENCES)


class _Subject(NamedTuple):
    weight: int
    person: Person
    own: str
    fits: tuple[str, ...]
    text: str


def _subject(row: str) -> _Subject:
    weight, person, own, age, text = row.split(maxsplit=4)
    fits = ["who", *(["one"] if person != "they" else []), *(["child"] if age == "child" else [])]
    return _Subject(int(weight), cast(Person, person), own, tuple(fits), text)


def _grammar(lines: str) -> Grammar:
    return Grammar([pattern for line in lines.split("\n") if line for pattern in _patterns(line)])


def _patterns(line: str) -> Iterable[Pattern]:
    """The patterns that a line stands for; its weight is each family's, and is shared among the subjects."""
    weight, text = line.split(maxsplit=1)
    if "*" in text:
        for family in FAMILIES.split():
            yield _pattern(float(weight), text.replace("*", family), "they")
    elif subject_slot := re.search(r"\[(who|one|child)\]", text):
        subjects = [_subject(row) for row in SUBJECTS.strip().split("\n")]
        subjects = [subject for subject in subjects if subject_slot[1] in subject.fits]
        total = sum(subject.weight for subject in subjects)
        for subject in subjects:
            filled = text.replace(subject_slot[0], subject.text).replace("OWN", subject.own)
            yield _pattern(float(weight) * subject.weight / total, filled, subject.person)
    else:
        yield _pattern(float(weight), text, "they")


def _pattern(weight: float, text: str, person: Person) -> Pattern:
    template = _SLOT.sub("%s", text)
    template = re.sub(r"(\w+)~", lambda verb: agree(verb[1], person), template)
    return Pattern(weight, template, tuple(_choice(slot, person) for slot in _SLOT.findall(text)))


@cache
def _choice(slot: str, person: Person) -> Choice:
    """The choice that a slot's text stands for, such as `a+pet|farm`, `pet+s|bird` or `act~`."""
    article, slot = slot.startswith("a+"), slot.removeprefix("a+")
    phrases = [phrase for name in slot.split("|") for phrase in _class(name, person)]
    return Choice(tuple(with_article(phrase) if article else phrase for phrase in phrases))


def _class(name: str, person: Person) -> list[str]:
    text = WORDS[name.removesuffix("+s").removesuffix("~")]
    phrases = text.split(",") if "," in text else text.split()
    if name.endswith("+s"):
        return [add_s(word) for word in phrases]
    if name.endswith("~"):  # the verb is the first word of its phrase
        return [" ".join([agree(verb, person), *rest]) for verb, *rest in map(str.split, phrases)]
    return phrases


def add_s(word: str) -> str:
    """The plural of a noun, or the form of a verb that follows he, she or it.

    English spells both by one rule: `puppy, puppies` as `carry, carries`, `box, boxes` as `fix, fixes`.
    """
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    after_consonant = len(word) > 1 and word[-2] not in "aeiou"
    if word.endswith("y") and after_consonant:
        return word[:-1] + "ies"
    if word.endswith(("s", "sh", "ch", "x", "z")) or (word.endswith("o") and after_consonant):
        return word + "es"
    return word + "s"


def agree(verb: str, person: Person) -> str:
    """The present tense: `he` stands for every singular subject but `i`, `they` for every other one."""
    if verb == "be":
        return {"i": "am", "they": "are", "he": "is"}[person]
    return add_s(verb) if person == "he" else verb


def with_article(phrase: str) -> str:
    """`a cat`, `an old cat`: by the first letter, so no class may hold a word such as `hour` or `uniform`."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"
