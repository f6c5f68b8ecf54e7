"""Data with right answers, made into what a run trains on and evaluates."""

from dataclasses import replace

import numpy as np
import pytest

from gptlab.assembly.data import data_of
from gptlab.config.typed import Chosen, Config
from gptlab.data.endless import BLOCK
from gptlab.data.examples import Example
from gptlab.data.tasks.copying import Copy
from gptlab.data.tokenizers import CharTokenizer, WordTokenizer
from gptlab.engines.marks import MARK, unmarked
from gptlab.errors import UserError
from gptlab.plugins.loading import load_plugins
from tests.assembly.problem_sets import Digits, Sums

REGISTRY = load_plugins(discover=False).registry


def made(dataset, tokenizer="char", seed=0, blockSize=16):
    config = Config(
        seed=seed, data=Chosen(name="these", shuffle=dataset.shuffle), tokenizer=Chosen(name=tokenizer)
    )
    config = replace(config, model=replace(config.model, blockSize=blockSize))
    factory = CharTokenizer() if tokenizer == "char" else WordTokenizer()
    return data_of(config, dataset, factory, REGISTRY)


def texts(data, documents):
    rows = zip(documents.tokens, documents.lengths.tolist(), strict=True)
    return [data.tokenizer.decode(row[1 : length + 1].tolist()) for row, length in rows]


def test_only_answers_count_and_an_end_that_does_not_count_is_not_there():
    data = made(Sums(), "word")
    assert data.marked
    assert set(data.train.lengths.tolist()) == {5}  # x + y = z, and no end
    assert (data.train.counted == [False, False, False, False, True]).all()
    told = data.train.told
    np.testing.assert_array_equal(told[:, 1:] >= MARK, ~data.train.counted)
    np.testing.assert_array_equal(unmarked(told), data.train.tokens)
    assert sum(1 for part in data.train.targets() for _ in part) == len(data.train), (
        "frequencies are of answers"
    )


def test_an_end_counts_where_the_example_says_so():
    data = made(Digits(numExamples=20, numHeldOut=5))
    for row, counted, length in zip(data.train.tokens, data.train.counted, data.train.lengths, strict=True):
        assert row[length] == data.tokenizer.bos
        given = row.tolist().index(data.tokenizer.encode(">")[0])
        assert counted[:length].tolist() == [False] * given + [True] * (length - given)
        assert not counted[length:].any()


def test_all_of_it_counts_if_asked_for():
    data = made(Sums(countAll=True), "word")
    assert set(data.train.lengths.tolist()) == {6}
    assert data.train.counted.all()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_share_of_the_problems_is_held_out_whatever_the_runs_seed(share):
    one, other = (made(Sums(valFraction=share), "word", seed) for seed in (0, 1))
    assert len(one.held_out) == round(share * 49)
    assert texts(one, one.held_out) == texts(other, other.held_out)
    assert texts(one, one.train) != texts(other, other.train)
    assert sorted(texts(one, one.train)) == sorted(texts(other, other.train))
    assert not set(texts(one, one.train)) & set(texts(one, one.held_out))
    assert one.facts.digest == other.facts.digest
    another = made(Sums(valFraction=share, splitSeed=1), "word")
    assert set(texts(another, another.held_out)) != set(texts(one, one.held_out))
    assert another.split != one.split


@pytest.mark.parametrize(("share", "p"), [(0.001, 7), (0.999, 7), (0.3, 1)])
def test_a_share_that_leaves_a_side_without_a_problem_is_refused(share, p):
    with pytest.raises(UserError, match=r"data\.valFraction must leave a problem on each side"):
        made(Sums(valFraction=share, p=p), "word")


def test_labels_are_classes_in_their_order():
    label = made(Digits(numExamples=200, numHeldOut=100)).held_out.labels["digits"]
    assert label.names[-2:] == ("4", "5")
    data = made(Digits(numExamples=200, numHeldOut=100))
    found = [label.names[i] for i in data.held_out.labels["digits"].classes]
    assert found == [str(len(text.partition(">")[0])) for text in texts(data, data.held_out)]


def test_baselines_and_the_floor_are_facts():
    facts = made(Sums(), "word").facts.facts
    assert facts["baseline/uniform"] == 2.0
    assert facts["baseline/floor"] == 0.0
    assert 0 < facts["unigramEntropy"] <= np.log(7)


def test_endless_problems_are_new_ones_and_the_same_whatever_the_chunks():
    data = made(Digits(most=3000, numHeldOut=500, longer=True))
    held_out = set(texts(data, data.held_out))
    assert len(held_out) == 500
    course, batch = data.endless, 50
    steps = 3 * BLOCK // batch
    whole = course.chunk(0, steps, batch)
    parts = [made(Digits(most=3000, longer=True)).endless.chunk(start, 7, batch) for start in (0, 7, 35, 49)]
    for start, part in zip((0, 7, 35, 49), parts, strict=True):
        np.testing.assert_array_equal(part.tokens, whole.tokens[start : start + 7])
        np.testing.assert_array_equal(part.lengths, whole.lengths[start : start + 7])
    rows = zip(
        unmarked(whole.tokens).reshape(steps * batch, -1), whole.lengths.reshape(-1).tolist(), strict=True
    )
    drawn = [data.tokenizer.decode(row[1 : length + 1].tolist()) for row, length in rows]
    assert len(set(drawn)) > 1500
    assert not held_out & set(drawn), "a problem that is held out is never drawn"
    assert not set(texts(data, data.held_out_sets["longer"])) & set(drawn)
    other = made(Digits(most=3000, longer=True), seed=1)
    assert texts(other, other.held_out) == texts(data, data.held_out)
    assert other.facts.digest == data.facts.digest
    assert (other.endless.chunk(0, 7, batch).tokens != parts[0].tokens).any()


def test_endless_problems_need_room_for_new_ones():
    with pytest.raises(
        UserError, match=r"left to train on or to hold out: .* At most half of all can be held out"
    ):
        made(Digits(most=40, numHeldOut=39))
    with pytest.raises(UserError, match="left to train on or to hold out: 40 are taken"):
        made(Digits(most=40, numHeldOut=8, numExamples=33))
    assert len(made(Digits(most=40, numHeldOut=8, numExamples=32)).train) == 32
    assert len(made(Digits(most=40, numHeldOut=8)).endless.chunk(0, 3, 1).tokens) == 3


def test_no_kind_is_held_out_as_a_whole():
    """Of the 500 that are held out some 80 have two symbols, of which there are 16."""
    data = made(Copy(length=6, shortest=1, symbols=4), "word")
    for side in (data.train, data.held_out):
        label = side.labels["length"]
        assert [label.names[i] for i in np.unique(label.classes)] == list("123456")


def test_what_is_said_of_answers_is_not_said_where_all_of_it_counts():
    assert set(made(Sums(countAll=True), "word").facts.facts) == {"unigramEntropy"}


def test_so_many_examples_are_the_same_for_all_seeds_and_distinct():
    one, other = (made(Digits(numExamples=300, numHeldOut=50), seed=seed) for seed in (0, 1))
    assert one.endless is None
    assert len(set(texts(one, one.train)) | set(texts(one, one.held_out))) == 350
    assert sorted(texts(one, one.train)) == sorted(texts(other, other.train))
    assert texts(one, one.train) != texts(other, other.train)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"blockSize": 4}, r"'0 \+ 0 = 0' has 5, and model.blockSize is 4. Type model.blockSize=5"),
        ({"parts": ["1 + 1 =", ""]}, "must have an answer, which counts: '1 \\+ 1 =' has none"),
        ({"sets": {"val": [Example(["1", "2"])]}}, "a held-out set must have a name of its own"),
        ({"sets": {"harder": []}}, "must have a problem: harder has none"),
    ],
)
def test_what_cannot_be_is_refused(changes, words):
    class These(Sums):
        def examples(self):
            return [Example(changes["parts"])] if "parts" in changes else super().examples()

        def held_out_sets(self):
            return changes.get("sets", {})

    with pytest.raises(UserError, match=words):
        made(These(), "word", blockSize=changes.get("blockSize", 16))
