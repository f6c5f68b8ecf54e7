"""The built-in corpus: what is promised of it, the English in it, and that its entropy is exact."""

import ast
import hashlib
import itertools
import math
import random
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from gptlab.data import sentences as module
from gptlab.data.first_grade import SENTENCES, SUBJECTS, WORDS
from gptlab.data.grammar import Choice, Grammar, Pattern
from gptlab.data.sentences import (
    add_s,
    agree,
    entropy_per_word,
    generate_questions,
    generate_sentences,
    sentence_grammar,
    with_article,
)

NUMBERS = set(WORDS["number"].split())
PLURALS = {
    add_s(word)
    for name in ("pet", "farm", "pond", "sea", "bird", "zoo", "wood", "crawler", "flier", "toy", "shoe")
    for word in WORDS[name].split()
} | {add_s(word) for name in ("fruit", "snack") for word in WORDS[name].split()}


def vocabulary() -> list[str]:
    columns = [column for pattern in sentence_grammar().patterns for column in pattern.columns]
    return sorted({word for column in columns for word in column})


@pytest.fixture(scope="module")
def corpus() -> list[str]:
    return generate_sentences()


@pytest.fixture(scope="module")
def sample() -> list[str]:
    """Other sentences than the corpus holds, as likely as they are."""
    return list(itertools.islice(sentence_grammar().sentences(random.Random(7).random), 3_000))


def grammar_of(*patterns: tuple[float, str, tuple[Choice, ...]]) -> Grammar:
    return Grammar([Pattern(*pattern) for pattern in patterns])


def sha256(texts: list[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def test_there_are_30000_sentences_of_one_to_nine_words_from_a_to_z(corpus):
    assert len(corpus) == 30_000
    assert {len(sentence.split(" ")) for sentence in corpus} == set(range(1, 10))
    assert set("".join(corpus)) == set("abcdefghijklmnopqrstuvwxyz ")
    assert all(sentence == " ".join(sentence.split()) for sentence in corpus)


def test_there_are_596_words_and_the_corpus_holds_them_all(corpus):
    assert len(vocabulary()) == 596
    assert vocabulary() == sorted({word for sentence in corpus for word in sentence.split(" ")})


def test_every_word_is_expected_often_enough_to_be_seen_without_forcing_it():
    expected: Counter[str] = Counter()
    for pattern in sentence_grammar().patterns:
        filled = iter(pattern.choices)
        for part in pattern.template.split():
            phrases = next(filled).probabilities if part == "%s" else {part: 1.0}
            for phrase, probability in phrases.items():
                for word in phrase.split():
                    expected[word] += 30_000 * pattern.weight * probability
    assert set(expected) == set(vocabulary())
    assert min(expected.values()) > 18


def test_the_corpus_is_the_same_every_time(corpus):
    assert generate_sentences() == corpus
    assert generate_sentences(100) == corpus[:100]
    assert sha256(corpus) == "221a93a6eaebf4d6d3a989dee66fc2bfd81334e83591afca9de10f257baba036"
    assert sha256(generate_questions()) == "36a505d082995455f6e2082e1fceda6e8070eeeee3215d3b45628b0b395e3d26"


def test_a_caller_may_change_the_list_it_got():
    generate_sentences(10).clear()
    generate_questions().clear()
    assert len(generate_sentences(10)) == 10
    assert len(generate_questions()) == 150


def test_the_questions_are_new_to_a_model_of_the_sentences_but_their_words_are_not():
    questions = generate_questions()
    assert len(questions) == len(set(questions)) == 150
    assert {word for question in questions for word in question.split(" ")} <= set(vocabulary())
    assert {len(question.split(" ")) for question in questions} <= set(range(1, 10))
    assert not [question for question in questions if sentence_grammar().derivations(question)]
    asks = {"can", "do", "does", "is", "are", "will", "who", "what", "where", "when", "why", "how"}
    assert {question.split(" ")[0] for question in questions} == asks


# English


def test_after_a_number_comes_a_plural(corpus):
    looks = set(WORDS["look"].split())
    seen = 0
    for words in map(str.split, corpus):
        for number, *following in itertools.zip_longest(words, words[1:], words[2:]):
            if number in NUMBERS and following[0] is not None:
                noun = following[1] if following[0] in looks else following[0]
                assert noun in PLURALS | {"wings", "legs", "feet", "wheels"}, words
                seen += 1
    assert seen > 1_000


def test_a_and_an_go_by_the_next_letter(corpus):
    following = Counter(
        (article, noun[0] in "aeiou")
        for words in map(str.split, corpus)
        for article, noun in itertools.pairwise(words)
        if article in ("a", "an")
    )
    assert set(following) == {("a", False), ("an", True)}


def test_the_verb_agrees_with_a_pronoun(corpus):
    """Each pronoun takes the same verbs, and each in its own form: he eats, they eat, i am."""
    same_for_all = {"can", "will"}
    verbs = {"he": set(), "she": set(), "i": set(), "we": set(), "they": set()}
    for words in map(str.split, corpus):
        if words[0] in verbs:
            verbs[words[0]].add(words[1])
    plain = verbs["we"] - same_for_all
    assert plain == verbs["they"] - same_for_all == verbs["i"] - same_for_all - {"am"} | {"are"}
    assert len(plain) > 40
    # Together: one of them alone may never have drawn the rarest verb.
    singular = (verbs["he"] | verbs["she"]) - same_for_all
    assert singular == {"is" if verb == "are" else add_s(verb) for verb in plain}
    assert not singular & plain


def test_own_goes_with_its_subject(corpus):
    own = {"he": "his", "she": "her", "i": "my", "we": "our", "they": "their"}
    possessives = set(own.values())
    found = [(words[0], p) for words in map(str.split, corpus) for p in possessives & set(words[1:])]
    assert {(subject, p) for subject, p in found if subject in own} == set(own.items())


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("cat", "cats"),
        ("puppy", "puppies"),
        ("monkey", "monkeys"),
        ("fox", "foxes"),
        ("watch", "watches"),
        ("go", "goes"),
        ("mouse", "mice"),
        ("have", "has"),
    ],
)
def test_add_s(word, expected):
    assert add_s(word) == expected


def test_agreement_and_articles():
    assert [agree("be", person) for person in ("i", "they", "he")] == ["am", "are", "is"]
    assert [agree("eat", person) for person in ("i", "they", "he")] == ["eat", "eat", "eats"]
    words = ["apple", "egg", "igloo", "old cat", "umbrella", "cat"]
    assert [with_article(word).split()[0] for word in words] == ["an"] * 5 + ["a"]


def test_every_word_class_is_used():
    used = SENTENCES + SUBJECTS + module.QUESTIONS
    families = {f"{name}{end}" for name in module.FAMILIES.split() for end in ("", "_act", "_home")}
    unused = {name for name in WORDS if not any(f"{mark}{name}" in used for mark in "{|+")}
    assert not unused - families


# Entropy


def overlaps(grammar: Grammar) -> list[tuple[Pattern, Pattern]]:
    """Pairs of patterns that might say the same sentence: equally long, a word in common at each place.

    Without any, no sentence has two derivations. That is a proof and no sample: two patterns that
    say the same sentence share its words, place by place.
    """
    return [
        (one, other)
        for one, other in itertools.combinations(grammar.patterns, 2)
        if one.length == other.length
        and not any(a.isdisjoint(b) for a, b in zip(one.columns, other.columns, strict=True))
    ]


def test_no_two_patterns_can_say_the_same_sentence():
    assert overlaps(sentence_grammar()) == []


def test_every_sentence_has_exactly_one_derivation(sample):
    assert {len(sentence_grammar().derivations(sentence)) for sentence in sample} == {1}


def test_an_overlap_is_found():
    pets, farm = Choice(("cat", "dog")), Choice(("cow", "dog"))
    ambiguous = grammar_of((1, "the %s runs", (pets,)), (1, "the %s runs", (farm,)))
    assert len(overlaps(ambiguous)) == 1
    assert len(ambiguous.derivations("the dog runs")) == 2
    assert not overlaps(grammar_of((1, "the %s runs", (pets,)), (1, "the %s eats", (farm,))))


@pytest.mark.parametrize("phrases", [(), ("cat", "cat"), ("cat", "big cat")])
def test_a_choice_refuses_what_would_make_it_ambiguous(phrases):
    with pytest.raises(ValueError, match="choice"):
        Choice(phrases)


def test_probabilities_of_all_sentences_sum_to_one_and_give_the_entropy():
    """A grammar small enough to list: the closed form is the definition, phrase lengths included."""
    things = Choice(("a cat", "an owl", "the dog"))
    grammar = grammar_of((3, "i see %s", (things,)), (1, "%s %s", (things, Choice(("runs", "eats")))))
    said = set(itertools.islice(grammar.sentences(random.Random(0).random), 2_000))
    probabilities = [grammar.derivations(sentence)[0][1] for sentence in said]
    assert len(said) == 3 + 6
    assert math.fsum(probabilities) == pytest.approx(1, abs=1e-12)
    assert grammar.entropy() == pytest.approx(-sum(p * math.log(p) for p in probabilities), abs=1e-12)
    assert grammar.expected_length() == pytest.approx(0.75 * 4 + 0.25 * 3)


def test_the_entropy_is_what_sampling_says(sample):
    surprise = [-math.log(sentence_grammar().derivations(sentence)[0][1]) for sentence in sample]
    tokens = [len(sentence.split(" ")) + 1 for sentence in sample]
    # A ratio of two means: the error of its numerator minus ratio times denominator.
    ratio = entropy_per_word()
    errors = [s - ratio * t for s, t in zip(surprise, tokens, strict=True)]
    standard_error = statistics.stdev(errors) / math.sqrt(len(errors))
    assert abs(statistics.fmean(errors)) < 4 * standard_error
    assert standard_error < 0.02 * statistics.fmean(surprise), "too few to tell a wrong entropy"


def unigram_entropy(documents: Sequence[str]) -> float:
    """Nats per predicted token for a model that knows only how often each word, and the end, comes up."""
    counts = Counter(word for document in documents for word in document.split(" "))
    tokens = counts.total() + len(documents)
    return -math.fsum(n / tokens * math.log(n / tokens) for n in [*counts.values(), len(documents)])


def test_unigram_entropy(corpus):
    # 2 words and 2 ends out of 4: each with probability 1/4, 1/4 and 1/2.
    assert unigram_entropy(["a", "b"]) == pytest.approx(1.5 * math.log(2))
    assert unigram_entropy(["a"] * 3) == pytest.approx(math.log(2))
    assert entropy_per_word() < unigram_entropy(corpus) < math.log(len(vocabulary()) + 1)


def test_the_files_import_nothing_but_the_standard_library_and_each_other():
    """The corpus is made at every start: what it imported would be waited for at every start."""
    folder = Path(module.__file__).parent
    own = ("grammar", "first_grade")
    for name in ("sentences", *own):
        for node in ast.walk(ast.parse((folder / f"{name}.py").read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for imported in names:
                known = imported.split(".")[0] in sys.stdlib_module_names
                assert known or imported in {f"gptlab.data.{other}" for other in own}, f"{name}: {imported}"
