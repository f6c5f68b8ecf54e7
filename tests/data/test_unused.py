"""What is said of data that the model never sees: documents that are cut, capitals, nothing to hold out."""

import pytest

from gptlab.data.documents import stream_in_memory
from gptlab.data.tokenizers import CharTokenizer, Vocabulary
from gptlab.data.unused import CaseLost, cutting_note, cutting_of
from tests.data.long.setting import data
from tests.models import encode

TEXTS = ["a" * 4, "ab" * 10, "b", "ab" * 30]
LETTERS = Vocabulary("ab", "character")


@pytest.mark.parametrize(("blockSize", "cut"), [(1, 4), (2, 3), (5, 2), (20, 2), (21, 1), (60, 1)])
def test_what_is_cut_is_what_the_documents_of_that_blockSize_lack(blockSize, cut):
    found = cutting_of(stream_in_memory(TEXTS, LETTERS), blockSize)
    assert found is not None and (found.cut, found.documents) == (cut, 4)
    assert found.used == int(encode(TEXTS, LETTERS, blockSize).lengths.sum())
    assert found.predictions == sum(len(text) + 1 for text in TEXTS)


def test_where_all_is_used_nothing_is_said():
    stream = stream_in_memory(TEXTS, LETTERS)
    assert cutting_of(stream, 61) is None and cutting_note(stream, 61, True) == ""


def test_the_line_has_the_numbers_and_what_to_type():
    stream = stream_in_memory(TEXTS, LETTERS)
    assert cutting_note(stream, 20, True) == (
        "cut: 2 of 4 documents are longer than model.blockSize=20, and only 52.8% of the tokens are used. To use all "
        "of them: data.unit=window or model.blockSize=61"
    )
    assert cutting_note(stream, 60, False).endswith("To use all of them: model.blockSize=61")
    assert "1 of 4 documents is longer" in cutting_note(stream, 60, False)
    long = stream_in_memory(["a" * 5000], LETTERS)
    assert cutting_note(long, 4999, True).endswith("To use all of them: data.unit=window")
    assert "99.9% of" in cutting_note(long, 5000, True), "what is cut is never nothing"


@pytest.mark.parametrize(
    ("texts", "lowercase", "lost"),
    [(["ab", "aB"], True, True), (["ab"], True, False), (["aB"], False, False), (["é", "É"], True, True)],
)
def test_a_capital_is_lost_where_there_is_one_and_it_is_lower_cased(texts, lowercase, lost):
    case = CaseLost(CharTokenizer(lowercase=lowercase).build(texts))
    for text in texts:
        case.look([text])
    assert case.found is lost


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("A cat sees a dog\na dog\nthe dog sleeps in the sun, and so does the cat\n")
    return path


def said(path, *overrides):
    return [note.partition(":")[0] for note in data(path, *overrides).notes]


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ([], ["lower-cased"]),
        (["model.blockSize=5"], ["cut", "lower-cased"]),
        (["model.blockSize=5", "data.unit=window"], ["lower-cased"]),
        (["model.blockSize=5", "tokenizer.lowercase=false"], ["cut"]),
        (["tokenizer=char", "tokenizer.lowercase=false", "model.blockSize=60"], []),
    ],
    ids=" ".join,
)
def test_a_run_says_what_it_leaves_out_and_nothing_where_that_is_nothing(text, overrides, says):
    assert said(text, *overrides) == says


@pytest.mark.slow
def test_of_two_short_documents_or_windows_one_is_held_out_at_any_share(tmp_path):
    (tmp_path / "two.txt").write_text("a cat\na dog\n")
    for more in ([], ["data.unit=window", "model.blockSize=3"]):
        found = data(tmp_path / "two.txt", "data.valFraction=0.001", *more)
        assert (len(found.train), len(found.held_out)) == (1, 1) and not found.notes


def test_of_one_window_nothing_is_held_out_and_the_blockSize_that_makes_two_is_told(tmp_path):
    (tmp_path / "one.txt").write_text("a cat sees a dog\n")
    found = data(tmp_path / "one.txt", "data.unit=window")
    assert found.notes == (
        "no validation: none of the data can be held out, since it has one document of model.blockSize=16 tokens. "
        "For two of them: model.blockSize=3",
    )
    again = data(tmp_path / "one.txt", "data.unit=window", "model.blockSize=3")
    assert (len(again.train), len(again.held_out)) == (1, 1)
