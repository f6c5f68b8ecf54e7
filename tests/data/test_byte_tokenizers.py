"""Tokenizers of bytes: any text there and back, the size, what is learned and kept, and what is refused."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gptlab.assembly.data import Data
from gptlab.data import byte_tokenizers
from gptlab.data.byte_tokenizers import SIGNS, BytePairTokenizer, ByteTokenizer, sample_of
from gptlab.data.documents import encoded
from gptlab.data.reading import SPACED, last_token_boundary
from gptlab.errors import UserError
from gptlab.model.metric import BitsPerByte
from gptlab.plugins.loading import load_plugins
from tests.data.long.setting import data

REGISTRY = load_plugins(discover=False).registry
DOCUMENTS = ["The cat sees the other cats", "there is the weather", "a feather, a father; the café"] * 3
TRAINED = BytePairTokenizer(vocabSize=280).build(DOCUMENTS)
BYTES = ByteTokenizer().build([])
BOTH = {"byte": (ByteTokenizer(), BYTES), "bpe": (BytePairTokenizer(), TRAINED)}
each = pytest.mark.parametrize(("factory", "tokenizer"), BOTH.values(), ids=BOTH)
texts = st.text(st.sampled_from("the catrfs.,'\n\tTé İ😀")) | st.text(
    st.characters(exclude_categories=["Cs"])
)


def test_they_are_gptlab_s_own():
    for name, (factory, _) in BOTH.items():
        assert type(factory) is REGISTRY.get("tokenizer", name)


@each
@given(text=texts)
@example(text=" \n a  b \n")
def test_any_text_comes_back_as_it_is_also_what_training_has_not_seen(factory, tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode([tokenizer.bos, *ids, tokenizer.bos]) == text
    assert all(0 <= i < tokenizer.bos for i in ids)


@each
@given(some=st.lists(texts, max_size=5))
def test_many_texts_at_once_are_each_by_itself(factory, tokenizer, some):
    ids, counts = tokenizer.encode_all(some)
    assert counts.tolist() == [len(tokenizer.encode(text)) for text in some]
    assert ids.tolist() == [i for text in some for i in tokenizer.encode(text)]
    assert ids.dtype.itemsize > 1, "BOS is beyond a byte"


@each
@given(text=texts)
def test_it_is_the_same_after_a_trip_through_json(factory, tokenizer, text):
    restored = type(factory)().restore(json.loads(json.dumps(tokenizer.state())))
    assert (restored.vocabSize, restored.bos) == (tokenizer.vocabSize, tokenizer.bos)
    assert restored.encode(text) == tokenizer.encode(text)
    assert restored.decode(tokenizer.encode(text)) == text


@each
@given(text=texts)
def test_the_bytes_of_tokens_are_those_of_the_text_to_the_last_part_of_a_character(factory, tokenizer, text):
    sizes = BitsPerByte().for_tokens(tokenizer)
    assert sum(sizes.later[i] for i in tokenizer.encode(text)) == len(text.encode())
    assert sizes.first == sizes.later and sizes.first[tokenizer.bos] == 0


def test_bytes_that_are_no_character_are_shown_as_such():
    assert BYTES.decode([0xC3]) == BYTES.decode([0xC3, BYTES.bos]) == "\ufffd"
    assert BYTES.decode([0xC3, 0xA9, 0xFF]) == "é\ufffd" and BYTES.encode("é") == [0xC3, 0xA9]
    assert BYTES.encode("\ud83d") == [ord("?")]
    assert TRAINED.decode(TRAINED.encode("\ud83d")) == "?"


@pytest.mark.parametrize("size", [257, 265, 280])
def test_the_vocabulary_has_the_size_asked_for_bos_last(size):
    tokenizer = BytePairTokenizer(vocabSize=size).build(DOCUMENTS)
    assert (tokenizer.vocabSize, tokenizer.bos) == (size, size - 1)


def test_it_is_smaller_where_there_is_nothing_left_to_pair():
    assert 257 < BytePairTokenizer(vocabSize=9999).build(DOCUMENTS).vocabSize < 400


def test_pairs_that_are_frequent_become_one_piece_and_none_crosses_a_word():
    pieces = BytePairTokenizer(vocabSize=9999).build(DOCUMENTS)
    assert [pieces.decode([i]) for i in pieces.encode("the weather cats")] == ["the", " weather", " cats"]
    assert len(BytePairTokenizer(vocabSize=257).build(DOCUMENTS).encode("the cat")) == len("the cat")


def test_the_first_pair_is_the_most_frequent_one_of_the_words():
    assert BytePairTokenizer(vocabSize=258).build(["xyxy xyxy", "ab"]).merges == [("x", "y")]


def test_it_does_not_depend_on_the_order_of_the_documents_nor_on_the_process():
    states = [BytePairTokenizer(vocabSize=270).build(some).state() for some in (DOCUMENTS, DOCUMENTS[::-1])]
    code = (
        "import json\nfrom gptlab.data.byte_tokenizers import BytePairTokenizer\n"
        f"print(json.dumps(BytePairTokenizer(vocabSize=270).build({DOCUMENTS!r}).state()))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert states[0] == states[1] == json.loads(found.stdout)


def test_the_alphabet_is_that_of_the_library_byte_for_byte():
    from tokenizers.pre_tokenizers import ByteLevel

    assert sorted(SIGNS) == sorted(ByteLevel.alphabet()) and sorted(SIGNS.values()) == list(range(256))
    shown = ByteLevel(add_prefix_space=False, use_regex=False)
    for character in map(chr, range(0x800)):
        [(signs, _)] = shown.pre_tokenize_str(character)
        assert bytes(SIGNS[sign] for sign in signs) == character.encode()


@given(text=st.text("aB \n\t'é1.\u00a0漢", max_size=30))
def test_words_are_cut_where_the_library_would_cut_a_whole_text(text):
    assert TRAINED.encode(text) == TRAINED.library.encode(text).ids
    if found := last_token_boundary(text, SPACED):
        assert found[0] == found[1] and text[found[0]] == " "
        for after in ("", "b", " b", "'s", "\n"):
            whole = TRAINED.library.encode(text + after).ids
            assert TRAINED.encode(text[: found[0]]) + TRAINED.encode(text[found[0] :] + after) == whole


def test_words_that_are_remembered_are_not_more_than_so_many(monkeypatch):
    monkeypatch.setattr(byte_tokenizers, "KNOWN", 3)
    tokenizer = BytePairTokenizer(vocabSize=270).build(DOCUMENTS)
    for text in ["a b", "c d e f g", "a b", "z" * 99]:
        assert tokenizer.decode(tokenizer.encode(text)) == text
        assert len(tokenizer.known) <= 3
    assert "z" * 99 not in tokenizer.known


def test_of_a_long_text_parts_that_are_spread_over_it_are_learned_from(monkeypatch):
    documents = [f"{i:04}" for i in range(10_000)]
    assert sample_of(documents) == documents
    monkeypatch.setattr(byte_tokenizers, "SAMPLE", 4000)
    monkeypatch.setattr("gptlab.data.reading.BLOCK", 400)
    some = sample_of(documents)
    assert 500 < len(some) <= 1000 and some == sorted(set(some))
    assert len({text[0] for text in some}) == 10


@pytest.mark.slow
@each
@pytest.mark.parametrize("unit", ["line", "window"])
def test_long_data_is_the_same_as_short_data_also_found_again(
    factory, tokenizer, unit, tmp_path, monkeypatch
):
    path, name = tmp_path / "data.txt", next(n for n, (f, _) in BOTH.items() if f is factory)
    path.write_text(
        "\n".join(f"The café no. {i} sees  {i % 7} cats, ok" for i in range(300)), encoding="utf-8"
    )
    overrides = [f"tokenizer={name}", f"data.unit={unit}", "model.blockSize=8"]
    short = data(path, *overrides)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for module, constant, value in (
        ("reading", "IN_MEMORY", 0),
        ("reading", "BLOCK", 61),
        ("documents", "TABLE", 0),
    ):
        monkeypatch.setattr(f"gptlab.data.{module}.{constant}", value)
    for _ in range(2):
        assert_same(short, data(path, *overrides))
    assert len(list((tmp_path / "cache/gptlab/tokens").glob("[!.]*/header.json"))) == 1


def assert_same(one: Data, other: Data) -> None:
    assert one.facts == other.facts and one.tokenizer.state() == other.tokenizer.state()
    np.testing.assert_array_equal(one.train.tokens, other.train.tokens)
    np.testing.assert_array_equal(one.held_out.tokens, other.held_out.tokens)


def test_a_text_is_encoded_in_parts_that_fit_together(tmp_path, monkeypatch):
    from gptlab.data.datasets import Text

    path = tmp_path / "text.txt"
    path.write_text("the café sees  the\n\n weather " * 40, encoding="utf-8")
    monkeypatch.setattr("gptlab.data.reading.IN_MEMORY", 0)
    monkeypatch.setattr("gptlab.data.reading.BLOCK", 17)
    for _, tokenizer in BOTH.values():
        pieces = [ids for ids, _ in encoded(Text(path=str(path), unit="window").documents(), tokenizer)]
        assert len(pieces) > 9
        assert np.concatenate(pieces).tolist() == [
            tokenizer.bos,
            *tokenizer.encode(path.read_text(encoding="utf-8")),
        ]


@pytest.mark.parametrize("documents", [[], ["", " \n"]], ids=repr)
def test_empty_documents_are_refused(documents):
    with pytest.raises(UserError, match="the documents are empty"):
        BytePairTokenizer().build(documents)


def test_a_size_without_room_for_the_bytes_is_refused():
    with pytest.raises(UserError, match=r"^tokenizer\.vocabSize must be at least 257.*got 256"):
        BytePairTokenizer(vocabSize=256)


def test_a_corpus_of_its_own_and_one_that_is_missing(tmp_path):
    (tmp_path / "corpus.txt").write_text("xyxy\n")
    learned = BytePairTokenizer(vocabSize=258, path=str(tmp_path / "corpus.txt")).build(["abab"])
    assert learned.merges == [("x", "y")]
    with pytest.raises(UserError, match=r"^tokenizer\.path must be a file or folder that exists"):
        BytePairTokenizer(path=str(tmp_path / "none.txt")).build([])


@pytest.mark.parametrize(
    "merges",
    [None, {}, [["a"]], [["a", 1]], [["a", "bc"]], [["é", "b"], ["é b", "c"]], ["ab"]],
    ids=repr,
)
def test_a_state_that_describes_none_is_no_tokenizer(merges):
    with pytest.raises((TypeError, ValueError)):
        BytePairTokenizer().restore({"merges": merges})


def test_the_library_s_way_to_the_network_is_not_needed():
    code = (
        "import sys\nsys.modules.update(dict.fromkeys(['huggingface_hub', 'httpx', 'httpx2', 'requests']))\n"
        "from gptlab.data.byte_tokenizers import BytePairTokenizer\n"
        "print(BytePairTokenizer(vocabSize=258).build(['abab']).encode('ab'))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[256]\n"
