"""From texts to steps: documents, windows, the split and the epochs, as properties of every document."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptlab.data import orders
from gptlab.data.batches import Epochs
from gptlab.data.datasets import Names, Text
from gptlab.data.documents import Documents
from gptlab.data.tokenizers import CharTokenizer, Vocabulary
from gptlab.errors import UserError
from tests.models import encode, pack, windows

TOKENIZER = Vocabulary("abcde", "character")
BOS = TOKENIZER.bos
texts = st.lists(st.text("abcde", max_size=9), min_size=1, max_size=8)
block_sizes = st.integers(1, 12)


def rows_of(documents: Documents) -> list[list[int]]:
    """Each document without its padding."""
    return [
        row[: length + 1].tolist() for row, length in zip(documents.tokens, documents.lengths, strict=True)
    ]


def numbered(count: int) -> Documents:
    """Documents whose only prediction is their number."""
    return pack([[0, i] for i in range(count)], 0)


def numbers(documents) -> list[int]:
    return documents.tokens[..., 1].ravel().tolist()


@given(texts, block_sizes)
def test_a_document_is_bos_words_bos_and_predicts_at_the_first_positions(texts, blockSize):
    documents = encode(texts, TOKENIZER, blockSize)
    for text, row, length in zip(texts, rows_of(documents), documents.lengths, strict=True):
        whole = [BOS, *TOKENIZER.encode(text), BOS]
        assert length == min(blockSize, len(text) + 1)
        assert row == whole[: length + 1]
    assert documents.tokens.shape[1] == documents.lengths.max() + 1
    assert documents.tokens.dtype == documents.lengths.dtype == np.int32


@given(texts, block_sizes)
def test_windows_tile_the_running_text(texts, blockSize):
    documents = windows(texts, TOKENIZER, blockSize)
    stream = [BOS]
    for text in texts:
        stream += [*TOKENIZER.encode(text), BOS]
    rows = rows_of(documents)
    assert [token for row in rows for token in row[1:]] == stream[1:]  # each predicted exactly once
    assert [row[0] for row in rows] == [stream[0], *(row[-1] for row in rows[:-1])]
    assert (documents.lengths[:-1] == blockSize).all() and documents.lengths[-1] >= 1


@given(st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=7), min_size=1, max_size=9))
def test_packing_loses_nothing_and_pads_with_bos(rows):
    documents = pack(rows, 10)
    assert rows_of(documents) == rows
    for row, tokens in zip(rows, documents.tokens.tolist(), strict=True):
        assert set(tokens[len(row) :]) <= {10}


def test_unigram_entropy_is_that_of_the_predicted_tokens():
    assert encode(["aab"], TOKENIZER, 16).unigram_entropy() == pytest.approx(1.5 * np.log(2))  # a a b BOS
    assert encode(["aab"], TOKENIZER, 2).unigram_entropy() == 0.0  # a a
    assert encode(["ab", "aaaa"], TOKENIZER, 1).unigram_entropy() == 0.0


@pytest.mark.slow
@given(st.integers(1, 700), st.integers(0, 3), st.data())
def test_an_order_that_is_not_listed_is_a_seeded_permutation_all_the_same(count, seed, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orders, "LISTED", 0)
        order, again, other = (orders.shuffled(count, [s, 1]) for s in (seed, seed, seed + 1))
    rows = np.asarray(order)
    assert sorted(rows.tolist()) == list(range(count)) == sorted(np.asarray(other).tolist())
    np.testing.assert_array_equal(rows, np.asarray(again))
    if count > 50:
        assert (rows != np.asarray(other)).mean() > 0.8 and (rows != np.arange(count)).mean() > 0.8
    part = data.draw(st.slices(count).filter(lambda s: s.step is None or s.step > 0))
    np.testing.assert_array_equal(np.asarray(order[part]), rows[part])
    half = order[count // 2 :]
    np.testing.assert_array_equal(half[np.arange(len(half))[::-1]], rows[count // 2 :][::-1])


def test_a_listed_order_is_numpy_s_permutation():
    np.testing.assert_array_equal(orders.shuffled(99, [3, 1]), np.random.default_rng([3, 1]).permutation(99))


def test_documents_come_once_in_an_order_that_is_not_listed(monkeypatch):
    monkeypatch.setattr(orders, "LISTED", 0)
    course = numbers(Epochs(numbered(30), 3, 0).chunk(0, 40))
    assert all(sorted(course[i : i + 30]) == list(range(30)) for i in range(0, 120, 30))
    assert course[30:60] != course[60:90]


@pytest.mark.slow
@given(st.integers(1, 300), st.data(), st.integers(0, 3))
def test_what_is_left_out_of_an_order_is_left_out_and_the_rest_comes_once(count, data, seed):
    left_out = np.array(sorted(data.draw(st.sets(st.integers(0, count - 1)))), dtype=np.int64)
    rest = orders.Without(left_out, count)
    assert np.asarray(rest).tolist() == sorted(set(range(count)) - set(left_out.tolist()))
    listed = np.asarray(orders.through(orders.shuffled(len(rest), [seed, 1]), rest))
    assert sorted(listed.tolist()) == np.asarray(rest).tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orders, "LISTED", 0)
        computed = orders.through(orders.shuffled(len(rest), [seed, 1]), rest)
    rows = np.asarray(computed)
    assert sorted(rows.tolist()) == np.asarray(rest).tolist()
    part = data.draw(st.slices(len(rest)).filter(lambda s: s.step is None or s.step > 0))
    for order in (rest, computed):
        np.testing.assert_array_equal(np.asarray(order[part]), np.asarray(order)[part])


@given(
    st.integers(1, 20), st.integers(1, 4), st.booleans(), st.lists(st.integers(1, 15), min_size=1, max_size=6)
)
def test_a_chunk_is_the_smaller_ones_it_is_made_of(count, batchSize, shuffle, sizes):
    start, total = 3, sum(sizes)
    whole = Epochs(numbered(count), batchSize, 5, shuffle).chunk(start, total)
    pieces, at = [], start
    for size in sizes:
        # Each from a course of its own, as a resumed run has it.
        pieces.append(Epochs(numbered(count), batchSize, 5, shuffle).chunk(at, size))
        at += size
    assert whole.tokens.shape == (total, batchSize, 2)
    np.testing.assert_array_equal(whole.tokens, np.concatenate([piece.tokens for piece in pieces]))
    np.testing.assert_array_equal(whole.lengths, np.concatenate([piece.lengths for piece in pieces]))


def epochs_of(shuffle: bool, seed: int = 0) -> list[list[int]]:
    course = numbers(Epochs(numbered(30), 3, seed, shuffle).chunk(0, 40))
    return [course[i : i + 30] for i in range(0, 120, 30)]


@pytest.mark.parametrize("shuffle", [True, False], ids=["shuffled", "in-order"])
def test_a_document_comes_once_an_epoch(shuffle):
    assert all(sorted(epoch) == list(range(30)) for epoch in epochs_of(shuffle))


def test_epochs_differ_in_order_and_by_seed():
    epochs = epochs_of(True)
    assert epochs[0] == list(range(30))  # as the split has ordered them
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert epochs_of(True) == epochs
    assert epochs_of(True, seed=1)[1:] != epochs[1:]


def test_without_shuffle_every_epoch_is_in_the_files_order():
    assert epochs_of(False) == [list(range(30))] * 4


def test_names_have_a_vocabulary_of_27_characters_and_come_once():
    names = Names().documents()
    assert len(set(names)) == len(names) > 5000
    assert {"mary", "james", "emma"} <= set(names)
    assert CharTokenizer().build(names).vocabSize == 27


TEXTS = {
    "plain": (b"one\ntwo words\n", ["one", "two words"]),
    "crlf": (b"one\r\ntwo\r\n", ["one", "two"]),
    "no-end": (b"one\ntwo", ["one", "two"]),
    "blank-lines": (b"\n one \n\n  \ntwo\n\n", [" one ", "two"]),
    "bom": (b"\xef\xbb\xbfone\ntwo\n", ["one", "two"]),
    "utf-8": ("é\n😀\n".encode(), ["é", "😀"]),
    # What Python's splitlines takes for line ends, and no other program does.
    "separators": ("a\u2028b\x0bc\x0cd\x85e\x1cf\n".encode(), ["a\u2028b\x0bc\x0cd\x85e\x1cf"]),
}


@pytest.mark.parametrize(("content", "documents"), TEXTS.values(), ids=TEXTS.keys())
def test_a_text_file_is_a_document_a_line(tmp_path, content, documents):
    (tmp_path / "a.txt").write_bytes(content)
    assert Text(path=str(tmp_path / "a.txt")).documents() == documents


def test_a_folder_is_its_files_in_the_order_of_their_names(tmp_path):
    for name, line in {
        "b.txt": "second",
        "a.txt": "first",
        "c/d.txt": "third",
        ".hidden": "not this",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(line, encoding="utf-8")
    assert Text(path=str(tmp_path)).documents() == ["first", "second", "third"]
    window = Text(path=str(tmp_path), unit="window")
    assert window.window and window.documents() == ["first", "second", "third"]


def test_running_text_keeps_its_line_ends(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\r\n\r\ntwo\r\n")
    assert Text(path=str(tmp_path / "a.txt"), unit="window").documents() == ["one\n\ntwo\n"]


@pytest.mark.parametrize("unit", ["line", "window"])
@pytest.mark.parametrize(
    ("content", "offset"), [(b"caf\xe9\n", 3), (b"\xef\xbb\xbfcaf\xe9\n", 6)], ids=["", "bom"]
)
def test_a_byte_that_is_not_utf_8_is_named_with_its_offset_in_the_file(tmp_path, unit, content, offset):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(UserError, match=rf"a\.txt has the byte 0xe9 at offset {offset}\. Convert it first"):
        Text(path=str(tmp_path / "a.txt"), unit=unit).documents()


@pytest.mark.parametrize("unit", ["line", "window"])
def test_a_file_that_is_missing_is_refused_with_the_nearest(tmp_path, unit):
    (tmp_path / "shakespeare.txt").write_text("to be", encoding="utf-8")
    with pytest.raises(
        UserError, match=r"^data\.path must be .* there is no .*Did you mean .*shakespeare\.txt\?"
    ):
        Text(path=str(tmp_path / "shakespear.txt"), unit=unit).documents()


@pytest.mark.parametrize("unit", ["line", "window"])
@pytest.mark.parametrize("content", [None, "", " \n\n"], ids=["empty-folder", "empty-file", "blank-file"])
def test_what_is_empty_is_refused(tmp_path, unit, content):
    path = tmp_path if content is None else tmp_path / "a.txt"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"^data\.path must hold .* is (an )?empty"):
        Text(path=str(path), unit=unit).documents()


@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")], ids=str)
def test_a_held_out_share_out_of_range_is_refused(value):
    with pytest.raises(UserError, match=r"^data\.valFraction must be at least 0 and below 1: got "):
        Names(valFraction=value)


def test_an_unknown_unit_is_refused():
    with pytest.raises(UserError, match=r"^data\.unit must be line or window: got word"):
        Text(path="x", unit="word")
