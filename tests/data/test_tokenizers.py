"""Tokenizers: round trips for any text, the order of the vocabulary, and what is refused."""

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gptlab.data.tokenizers import CharTokenizer, WordTokenizer
from gptlab.errors import UserError
from gptlab.plugins.loading import load_plugins

REGISTRY = load_plugins(discover=False).registry
NAMES = ["word", "char"]
each = pytest.mark.parametrize("name", NAMES)

# One line of any text there is; few different characters, so that words and spaces repeat.
lines = st.text(st.sampled_from("aAbB cC ıİßΣ  éÉ\t\u3000😀\uff41"), max_size=12) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=12
)


def build(name, documents, **fields):
    return REGISTRY.get("tokenizer", name)(**fields).build(documents)


def cleaned(text):
    return text.strip().lower()


@each
@given(texts=st.lists(lines, min_size=1, max_size=6))
def test_what_is_encoded_decodes_to_the_trimmed_lower_cased_text(name, texts):
    assume(any(text.strip() for text in texts))
    tokenizer = build(name, texts)
    for text in texts:
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == cleaned(text)
        assert all(0 <= i < tokenizer.bos for i in ids)


@each
@given(texts=st.lists(lines, min_size=1, max_size=6))
def test_without_lower_casing_the_trimmed_text_comes_back_also_after_a_trip_through_json(name, texts):
    assume(any(text.strip() for text in texts))
    tokenizer = build(name, texts, lowercase=False)
    restored = REGISTRY.get("tokenizer", name)().restore(json.loads(json.dumps(tokenizer.state())))
    for text in texts:
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text.strip()
        assert restored.encode(text) == ids == tokenizer.encode_all([text])[0].tolist()
    if name == "char":
        assert tokenizer.decode(tokenizer.encode_typed(texts[0].strip())) == texts[0].strip()


@each
def test_what_was_kept_without_a_word_of_its_case_is_lower_cased_and_writes_the_same_again(name):
    old = {"pieces": ["a", "b"]}
    restored = REGISTRY.get("tokenizer", name)(lowercase=False).restore(old)
    assert restored.encode("B A" if name == "word" else "BA") == [1, 0]
    assert restored.state() == old
    with pytest.raises(TypeError, match="lowercase must be true or false"):
        REGISTRY.get("tokenizer", name)().restore({**old, "lowercase": "no"})


@each
def test_with_its_case_kept_a_capital_is_a_piece_of_its_own(name):
    tokenizer = build(name, ["A a"], lowercase=False)
    assert {"A", "a"} <= set(tokenizer.pieces)
    with pytest.raises(UserError, match="'B' is not in the vocabulary"):
        tokenizer.encode("B")


@each
@given(texts=st.lists(lines, min_size=1, max_size=6))
def test_the_vocabulary_is_each_piece_once_by_utf_16_code_unit_and_bos_last(name, texts):
    assume(any(text.strip() for text in texts))
    tokenizer = build(name, texts)
    pieces = [tokenizer.decode([i]) for i in range(tokenizer.bos)]
    words = [
        cleaned(text).split(" ") if name == "word" else list(cleaned(text)) for text in texts if text.strip()
    ]
    assert set(pieces) == {piece for some in words for piece in some}
    assert len(set(pieces)) == len(pieces)
    units = [
        [int.from_bytes(piece.encode("utf-16-be")[i : i + 2]) for i in range(0, 99, 2)] for piece in pieces
    ]
    assert units == sorted(units)
    assert tokenizer.bos == tokenizer.vocabSize - 1 == len(pieces)


@each
def test_an_astral_character_comes_before_the_last_ones_of_the_basic_plane(name):
    # By code point U+FF41 < U+1F600; by UTF-16 code unit the surrogate D83D < FF41.
    tokenizer = build(name, ["\uff41", "😀", "z"])
    assert [tokenizer.decode([i]) for i in range(3)] == ["z", "😀", "\uff41"]


@each
@given(texts=st.lists(lines, min_size=1, max_size=6))
def test_it_is_the_same_after_a_trip_through_json(name, texts):
    assume(any(text.strip() for text in texts))
    tokenizer = build(name, texts)
    restored = REGISTRY.get("tokenizer", name)().restore(json.loads(json.dumps(tokenizer.state())))
    assert (restored.vocabSize, restored.bos) == (tokenizer.vocabSize, tokenizer.bos)
    for text in texts:
        ids = tokenizer.encode(text)
        assert restored.encode(text) == ids
        assert restored.decode(ids) == tokenizer.decode(ids)


@each
def test_it_does_not_depend_on_the_order_of_the_documents(name):
    documents = ["the cat runs", "a dog", "the tree"]
    assert build(name, documents).state() == build(name, documents[::-1]).state()


def test_words_are_cut_at_single_spaces():
    tokenizer = build("word", ["a  b", "a\tb c"])
    assert [tokenizer.decode([i]) for i in range(tokenizer.bos)] == ["", "a", "a\tb", "b", "c"]
    assert tokenizer.encode("a  b") == [1, 0, 3]
    assert tokenizer.decode([1, 0, 3]) == "a  b"


def test_a_line_end_in_running_text_lies_between_words():
    tokenizer = build("word", ["the cat\n  runs \n\nhome"])
    assert sorted(tokenizer.state()["pieces"]) == ["cat", "home", "runs", "the"]
    assert tokenizer.decode(tokenizer.encode("the cat\nruns")) == "the cat runs"


@each
@pytest.mark.parametrize("text", ["", "  ", "\t\n"], ids=repr)
def test_a_blank_text_has_no_tokens(name, text):
    assert build(name, ["ab"]).encode(text) == []


@each
def test_bos_is_not_in_a_text(name):
    tokenizer = build(name, ["ab"])
    assert tokenizer.decode([tokenizer.bos, *tokenizer.encode("ab"), tokenizer.bos]) == "ab"


def test_an_unknown_word_is_named_with_the_nearest():
    tokenizer = build("word", ["the cat runs", "seven ducks swim"])
    with pytest.raises(
        UserError, match=r"the word 'duck' is not in the vocabulary of 6 words\. Near it: ducks\."
    ):
        tokenizer.encode("The duck")


def test_an_unknown_character_is_named():
    with pytest.raises(UserError, match=r"the character 'q' is not in the vocabulary of 2 characters\."):
        build("char", ["ab"]).encode("aq")


@each
def test_path_is_the_corpus_of_the_vocabulary(name, tmp_path):
    (tmp_path / "corpus.txt").write_text("B c\n\nd\n", encoding="utf-8")
    tokenizer = build(name, ["a"], path=str(tmp_path / "corpus.txt"))
    assert tokenizer.decode(tokenizer.encode("b")) == "b"
    with pytest.raises(UserError, match="'a' is not in the vocabulary"):
        tokenizer.encode("a")


@each
def test_path_may_begin_with_the_home_folder(name, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "corpus.txt").write_text("b\n", encoding="utf-8")
    assert build(name, ["a"], path="~/corpus.txt").state() == {"pieces": ["b"]}


@each
def test_a_corpus_that_is_missing_is_named_by_its_key(name, tmp_path):
    with pytest.raises(UserError, match=r"^tokenizer\.path must be a file or folder that exists"):
        build(name, ["a"], path=str(tmp_path / "none.txt"))


@each
@pytest.mark.parametrize("documents", [[], [""], [" ", "\n"]], ids=repr)
def test_an_empty_vocabulary_is_refused(name, documents):
    with pytest.raises(
        UserError, match=r"the vocabulary must have at least one \w+, but the documents are empty"
    ):
        build(name, documents)


def test_the_two_of_pieces_are_these():
    assert (REGISTRY.get("tokenizer", "word"), REGISTRY.get("tokenizer", "char")) == (
        WordTokenizer,
        CharTokenizer,
    )
