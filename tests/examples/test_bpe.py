"""The example plugin bpe: any text there and back, the size, what JSON keeps."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptlab.checks import assert_passes
from gptlab.errors import UserError
from gptlab.plugins.loading import load_plugins

REGISTRY = load_plugins().registry
BytePairs = REGISTRY.get("tokenizer", "bpe")
DOCUMENTS = ["The cat sees the other cats", "there is the weather", "a feather, a father; the café"] * 3
TRAINED = BytePairs(size=280).build(DOCUMENTS)
texts = st.text(st.sampled_from("the catrfs.,'\n éİ😀")) | st.text(st.characters(exclude_categories=["Cs"]))


def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("tokenizer", "bpe") == "bpe"
    assert_passes("bpe")


@given(texts)
def test_any_text_comes_back_trimmed_and_lower_cased(text):
    ids = TRAINED.encode(text)
    assert TRAINED.decode([TRAINED.bos, *ids, TRAINED.bos]) == text.strip().lower()
    assert all(0 <= i < TRAINED.bos for i in ids)


@pytest.mark.parametrize("size", [257, 265, 280])
def test_the_vocabulary_has_the_size_asked_for_bos_last(size):
    tokenizer = BytePairs(size=size).build(DOCUMENTS)
    assert (tokenizer.vocabSize, tokenizer.bos) == (size, size - 1)


def test_it_is_smaller_where_there_is_nothing_left_to_pair():
    assert 257 < BytePairs(size=9999).build(DOCUMENTS).vocabSize < 400


def test_pairs_that_are_frequent_become_one_piece_and_none_crosses_a_word():
    pieces = BytePairs(size=9999).build(DOCUMENTS)
    assert [pieces.decode([i]) for i in pieces.encode("the weather cats")] == ["the", " weather", " cats"]
    assert len(BytePairs(size=257).build(DOCUMENTS).encode("the cat")) == len("the cat")


def test_it_does_not_depend_on_the_order_of_the_documents():
    assert BytePairs(size=270).build(DOCUMENTS[::-1]).state() == BytePairs(size=270).build(DOCUMENTS).state()


@given(texts)
def test_it_is_the_same_after_a_trip_through_json(text):
    restored = BytePairs().restore(json.loads(json.dumps(TRAINED.state())))
    assert (restored.vocabSize, restored.bos) == (TRAINED.vocabSize, TRAINED.bos)
    assert restored.encode(text) == TRAINED.encode(text)


@pytest.mark.parametrize("documents", [[], ["", " \n"]], ids=repr)
def test_empty_documents_are_refused(documents):
    with pytest.raises(UserError, match="the documents are empty"):
        BytePairs().build(documents)


def test_a_size_without_room_for_the_bytes_is_refused():
    with pytest.raises(UserError, match=r"^tokenizer\.size must be at least 257.*got 256"):
        BytePairs(size=256)


def test_without_tokenizers_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(UserError, match="pip install tokenizers"):
        BytePairs().build(["a"])
