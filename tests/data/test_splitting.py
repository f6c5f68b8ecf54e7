"""What is held out: distinct documents with all their repetitions, by what they say and by a seed of their own."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gptlab.data import orders
from gptlab.data.documents import Cuts, Documents, stream_in_memory
from gptlab.data.splitting import Sides, Split, document_keys, piece_keys, split, split_by_seed
from gptlab.data.tokenizers import CharTokenizer, Vocabulary, WordTokenizer
from gptlab.errors import UserError
from tests.models import encode, windows

TOKENIZER = Vocabulary("abcd", "character")
# Few letters and short texts: many come more than once.
repeated = st.lists(st.text("abcd", min_size=1, max_size=3), min_size=1, max_size=60)
shares = st.floats(0.01, 0.9)


def rows_of(documents: Documents) -> list[tuple[int, ...]]:
    tokens, lengths = documents.tokens.tolist(), documents.lengths.tolist()
    return [tuple(row[: length + 1]) for row, length in zip(tokens, lengths, strict=True)]


def made(documents: Documents, tokenizer=TOKENIZER, valFraction=0.2, splitSeed=0, seed=0, **more) -> Split:
    more = {"shuffle": True, **more}
    keys = document_keys(documents, tokenizer)
    return split(documents, keys, valFraction=valFraction, splitSeed=splitSeed, seed=seed, **more)


def texts_of(documents: Documents, tokenizer=TOKENIZER) -> list[str]:
    return [tokenizer.decode(row) for row in rows_of(documents)]


@given(repeated, st.integers(1, 4), st.booleans())
def test_keys_are_equal_just_where_documents_are(texts, blockSize, window):
    documents = (windows if window else encode)(texts, TOKENIZER, blockSize)
    keys = document_keys(documents, TOKENIZER)
    rows = rows_of(documents)
    assert len(set(keys.tolist())) == len(set(rows))
    assert len(set(zip(keys.tolist(), rows, strict=True))) == len(set(rows))


def test_keys_tell_the_order_and_the_end_and_do_not_depend_on_ids():
    some = encode(["ab", "ba", "aab", "aba", "a", "aa"], TOKENIZER, 9)
    assert len(set(document_keys(some, TOKENIZER).tolist())) == 6
    other = Vocabulary("0a1b", "character")  # the same letters, other ids
    assert document_keys(encode(["abba"], other, 9), other) == document_keys(
        encode(["abba"], TOKENIZER, 9), TOKENIZER
    )


def test_tokens_that_look_the_same_have_keys_of_their_own():
    class Halves:
        vocabSize, bos = 3, 2

        def decode(self, ids):
            return "\ufffd"

    assert len(set(piece_keys(Halves()).tolist())) == 3  # type: ignore[arg-type]


@given(repeated, shares, st.integers(0, 3), st.booleans(), st.booleans())
def test_no_document_is_on_both_sides_and_none_is_lost(texts, valFraction, splitSeed, shuffle, window):
    documents = (windows if window else encode)(texts, TOKENIZER, 4)
    found = made(documents, valFraction=valFraction, splitSeed=splitSeed, shuffle=shuffle)
    train, held_out = rows_of(found.train), rows_of(found.held_out)
    assert not set(train) & set(held_out)
    assert Counter(train + held_out) == Counter(rows_of(documents))
    assert train
    assert bool(held_out) == (len(set(rows_of(documents))) > 1)
    if not shuffle:
        assert train == [row for row in rows_of(documents) if row not in set(held_out)]


@given(st.integers(2, 400), shares, st.integers(0, 5))
def test_of_documents_that_come_once_the_share_asked_for_is_held_out(count, valFraction, splitSeed):
    texts = [np.base_repr(i, 4).translate(str.maketrans("0123", "abcd")) for i in range(count)]
    assume(len(set(texts)) == count)
    found = made(encode(texts, TOKENIZER, 16), valFraction=valFraction, splitSeed=splitSeed)
    assert len(found.held_out) == min(max(1, round(count * valFraction)), count - 1)


@pytest.mark.slow
@given(repeated, shares)
def test_the_run_s_seed_and_the_order_of_the_documents_do_not_change_what_is_held_out(texts, valFraction):
    held = [
        Counter(texts_of(made(encode(some, TOKENIZER, 16), valFraction=valFraction, seed=seed).held_out))
        for some, seed in ((texts, 0), (texts, 7), (texts[::-1], 0))
    ]
    assert held[0] == held[1] == held[2]


def test_other_documents_beside_it_leave_a_document_on_its_side():
    words = [f"{a} {b}" for a in "abcdefghij" for b in "klmnopqrst"]
    sides = []
    for texts in (words, [*words, "0 zebra"]):  # a word that is sorted before all others, and renumbers them
        tokenizer = WordTokenizer().build(texts)
        sides.append(set(texts_of(made(encode(texts, tokenizer, 9), tokenizer).held_out, tokenizer)))
    assert len(sides[0]) == len(sides[1]) == 20
    assert len(sides[0] & sides[1]) >= 19


def test_another_splitSeed_holds_out_others_and_another_seed_only_orders():
    texts = [a + b + c for a in "abcd" for b in "abcd" for c in "abcd"]
    documents = encode(texts, TOKENIZER, 9)
    assert len({tuple(sorted(texts_of(made(documents, splitSeed=s).held_out))) for s in range(4)}) == 4
    orders_of_training = [texts_of(made(documents, seed=s).train) for s in range(4)]
    assert len({tuple(order) for order in orders_of_training}) == 4
    assert len({tuple(sorted(order)) for order in orders_of_training}) == 1


@pytest.mark.parametrize("window", [False, True], ids=["lines", "windows"])
def test_a_stream_that_is_not_in_memory_is_split_alike(window, monkeypatch):
    texts = [a + b * n for a in "abcd" for b in "abcd" for n in (1, 2, 5)] * 3
    stream = Cuts(stream_in_memory(texts, TOKENIZER), 4, window)
    table = made(stream.in_memory())
    monkeypatch.setattr(orders, "LISTED", 0)
    lazy = made(stream)
    assert isinstance(lazy.train, Cuts)
    assert sorted(rows_of(lazy.train)) == sorted(rows_of(table.train))
    assert rows_of(lazy.held_out) == rows_of(table.held_out)
    assert lazy.digest == table.digest


def test_what_is_held_out_says_which_keys_it_has():
    documents = encode([a + b for a in "abcd" for b in "abcd"], TOKENIZER, 9)
    keys = document_keys(documents, TOKENIZER)
    found = made(documents, valFraction=0.3)
    assert (keys[found.rows] == document_keys(found.held_out, TOKENIZER)).all() and len(found.rows) == 5


def test_two_lines_that_come_fifty_times_are_one_each():
    found = made(encode(["ab"] * 50 + ["cd"] * 50, TOKENIZER, 9), valFraction=0.02)
    assert sorted(map(len, map(set, map(texts_of, (found.train, found.held_out))))) == [1, 1]
    assert len(found.train) == len(found.held_out) == 50


@pytest.mark.parametrize("splitSeed", range(8))
def test_one_document_that_comes_all_the_time_is_trained_on_and_does_not_drive_out_the_rest(splitSeed):
    texts = ["a"] * 900 + [a + b + c for a in "abcd" for b in "abcd" for c in "abcd"]
    found = made(encode(texts, TOKENIZER, 9), valFraction=0.1, splitSeed=splitSeed)
    assert "a" not in texts_of(found.held_out)
    assert len(found.held_out) == 6  # of 65 distinct ones


@pytest.mark.parametrize(("texts", "says"), [(["ab"], "one document"), (["ab"] * 9, "all of its documents")])
def test_where_there_is_one_distinct_document_nothing_is_held_out_and_that_is_said(texts, says):
    found = made(encode(texts, TOKENIZER, 9))
    assert (len(found.train), len(found.held_out)) == (len(texts), 0)
    assert says in found.lack


def test_nothing_is_held_out_if_nothing_is_asked_for():
    found = made(encode(["ab", "cd"], TOKENIZER, 9), valFraction=0.0)
    assert (len(found.train), len(found.held_out), found.lack) == (2, 0, "")


@pytest.mark.parametrize(("count", "held"), [(1, 0), (2, 1), (5, 1), (50, 10), (2000, 400), (30_000, 4000)])
def test_without_a_share_a_fifth_is_held_out_a_few_thousand_at_most(count, held):
    texts = [f"{i:05}" for i in range(count)]
    tokenizer = CharTokenizer().build(texts)
    documents = encode(texts, tokenizer, 9)
    assert len(made(documents, tokenizer, valFraction=None).held_out) == held
    assert len(
        split_by_seed(documents, np.arange(count), valFraction=None, shuffle=True, seed=0).held_out
    ) == min(round(count / 5), 4000)


@pytest.mark.parametrize("splitSeed", range(4))
def test_without_a_share_nothing_that_comes_often_is_held_out(splitSeed):
    """A line that is half of what is held out, or a few of them, would be most of its noise."""
    texts = [a + b + c + d for a in "abcd" for b in "abcd" for c in "abcd" for d in "abcd"]
    often = {text: 1 + i % 3 * 20 for i, text in enumerate(texts)}
    documents = encode([text for text, times in often.items() for _ in range(times)], TOKENIZER, 9)
    held = texts_of(made(documents, valFraction=None, splitSeed=splitSeed).held_out)
    assert len(held) == round(len(texts) / 5) == len(set(held)), "of 256, those that come once"
    assert len(set(texts_of(made(documents, valFraction=0.2).held_out))) < len(
        texts_of(made(documents, valFraction=0.2).held_out)
    )


@pytest.mark.slow
@given(repeated, repeated, shares, shares, st.integers(0, 3))
def test_what_an_earlier_run_trained_on_or_held_out_stays_so(first, then, share, other, splitSeed):
    before = made(encode(first, TOKENIZER, 9), valFraction=share)
    trained, held = set(texts_of(before.train)), set(texts_of(before.held_out))
    documents = encode(then, TOKENIZER, 9)
    if set(then) <= held:
        with pytest.raises(UserError, match="must have a document to train on"):
            made(documents, valFraction=other, splitSeed=splitSeed, before=before.sides)
        return
    found = made(documents, valFraction=other, splitSeed=splitSeed, before=before.sides)
    assert not set(texts_of(found.held_out)) & trained
    assert not set(texts_of(found.train)) & held
    assert found.kept == sum(text in trained | held for text in then)
    # And of both, for a third run.
    assert not set(found.sides.held_out.tolist()) & set(found.sides.trained.tolist())
    assert len(found.sides.trained) + len(found.sides.held_out) == len({*first, *then})


@given(repeated, shares, shares, st.integers(0, 3))
def test_the_same_data_keeps_the_split_that_it_had(texts, share, other, splitSeed):
    documents = encode(texts, TOKENIZER, 9)
    before = made(documents, valFraction=share)
    found = made(documents, valFraction=other, splitSeed=splitSeed, before=before.sides)
    assert found.digest == before.digest
    assert bool(found.lack) == (len(before.held_out) == 0)


def test_a_run_on_all_of_the_data_leaves_nothing_to_hold_out():
    documents = encode(["ab", "cd", "a"], TOKENIZER, 9)
    before = made(documents, valFraction=0.0)
    found = made(documents, valFraction=0.5, before=before.sides)
    assert len(found.held_out) == 0 and "from a run on all of it" in found.lack


def test_what_was_trained_on_and_held_out_at_once_counts_as_trained_on():
    documents = encode(["ab", "cd"] * 20, TOKENIZER, 9)
    keys = document_keys(documents, TOKENIZER)
    old = split_by_seed(documents, keys, valFraction=0.2, shuffle=True, seed=0)
    assert set(texts_of(old.held_out)) == {"ab", "cd"}, "as it was: on both sides"
    assert len(old.sides.trained) == 2 and len(old.sides.held_out) == 0


@pytest.mark.parametrize("shuffle", [True, False], ids=["shuffled", "in-order"])
def test_the_old_split_is_the_last_documents_after_the_run_s_own_shuffle(shuffle):
    texts = [a + b + c for a in "abcd" for b in "abcd" for c in "abcd"]
    documents = encode(texts, CharTokenizer().build(texts), 9)
    keys = document_keys(documents, CharTokenizer().build(texts))
    found = split_by_seed(documents, keys, valFraction=0.25, shuffle=shuffle, seed=3)
    order = np.random.default_rng([3, 1]).permutation(64) if shuffle else np.arange(64)
    assert rows_of(found.train) == [rows_of(documents)[i] for i in order[:48]]
    assert rows_of(found.held_out) == [rows_of(documents)[i] for i in order[48:]]


def test_sides_are_empty_to_begin_with():
    assert not len(Sides().trained) and not len(Sides().held_out)
