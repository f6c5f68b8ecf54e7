"""Bits per byte and token frequencies, by hand."""

import numpy as np
import pytest

from gptlab.data.tokenizers import Vocabulary
from gptlab.model.metric import BitsPerByte, bytes_of, size
from gptlab.model.slicing import EDGES, RANGES, Frequency, Length, Position, slices_of


def test_bits_per_byte_by_hand():
    words = Vocabulary(["a", "für"], "word")
    metric = BitsPerByte().for_tokens(words)
    assert (metric.first, metric.later, metric.bos) == ((1, 4, 0), (2, 5, 0), 2)
    # Each of three tokens is as likely: log2(3) bits a token. " für" has five bytes, the end has none.
    ids = np.array([2, *words.encode("a für für"), 2])
    bits, sizes = metric(np, np.full((4, 3), np.nan_to_num(0.7)), ids[:-1], ids[1:], np.array([1, 1, 2, 1]))
    np.testing.assert_allclose(bits, np.log2(3) * np.array([1, 1, 2, 1]))
    np.testing.assert_array_equal(sizes, [1, 5, 10, 0])


def test_where_nothing_counts_there_may_be_no_number():
    metric = BitsPerByte().for_tokens(Vocabulary(["a"], "word"))
    bits, sizes = metric(np, np.array([[np.nan, 0.0]]), np.array([1]), np.array([0]), np.array([0.0]))
    assert bits.tolist() == sizes.tolist() == [0.0]


@pytest.mark.parametrize("unit", ["word", "character"])
@pytest.mark.parametrize("text", ["der bär für für", "a", "für der"])
def test_the_bytes_of_tokens_add_up_to_those_of_the_text(unit, text):
    pieces = sorted(set(text) if unit == "character" else set(text.split()))
    tokenizer = Vocabulary(pieces, unit)
    first, *later = tokenizer.encode(text)
    total = bytes_of(tokenizer, first)[0] + sum(bytes_of(tokenizer, token)[1] for token in later)
    assert total == len(text.encode())


def test_a_part_of_a_character_is_one_byte():
    assert size("\ufffd") == 1 and size("a\ufffd") == 2 and size("ü") == 2


def test_frequencies_are_quarters_of_what_stands_there():
    # 16 occurrences: 1 1 2 | 4 | 8, the middles of those as frequent at 1, 3, 6 and 12 of 16.
    assert Frequency.of(np.array([8, 1, 2, 1, 4, 0])).classes == (3, 0, 0, 0, 1, 0)
    assert Frequency.of(np.array([5, 5, 5, 5])).classes == (2, 2, 2, 2), "equals are together"
    assert Frequency.of(np.zeros(3, dtype=int)).classes == (0, 0, 0)
    tokens, lengths = np.array([[5, 0, 1, 4]]), np.array([3])
    assert Frequency.of(np.array([8, 1, 2, 1, 4, 0]))(tokens, lengths).tolist() == [[3, 0, 1]]


def test_lengths_and_positions_are_in_the_slice_that_names_them():
    lengths = np.array([1, 4, 5, 8, 9, 1000])
    found = [RANGES[k] for k in Length()(np.zeros((6, 2)), lengths)[:, 0]]
    assert found == ["1-4", "1-4", "5-8", "5-8", "9-16", "513-1024"] and len(RANGES) == len(EDGES)
    found = Position()(np.zeros((2, 10)), np.array([9, 3]))
    assert found.tolist() == [[0] * 4 + [1] * 4 + [2]] * 2


def test_by_is_one_name_or_several():
    assert slices_of("m", BitsPerByte(), "length") == ("length",)
    assert slices_of("m", BitsPerByte(), ["length", "position"]) == ("length", "position")
