"""Long data gives the same tokens as short data, whatever is in it."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gptlab.data import documents, reading, tokenized
from gptlab.data.byte_tokenizers import Bytes
from gptlab.data.content import content_of
from gptlab.data.datasets import Text
from gptlab.data.documents import Cuts
from gptlab.data.reading import last_token_boundary
from gptlab.data.tokenizers import CharTokenizer, Vocabulary, distinct, split
from gptlab.data.watching import PlainWatch, Watch
from gptlab.errors import UserError
from tests.data.long.setting import (
    UNITS,
    assert_same_data,
    data,
    each_tokenizer,
    each_unit,
    entries,
    leftovers,
)
from tests.models import encode, pack, windows


@pytest.mark.slow
@each_tokenizer
@each_unit
@pytest.mark.parametrize("blockSize", [5, 100])
def test_long_data_is_the_same_to_the_last_token(text, long, monkeypatch, unit, name, blockSize):
    overrides = [
        f"tokenizer={name}",
        f"data.unit={unit}",
        f"model.blockSize={blockSize}",
        "data.valFraction=0.1",
    ]
    cold, warm = data(text, *overrides), data(text, *overrides)
    assert isinstance(cold.train, Cuts) and len(entries(long)) == 1 and not leftovers(long)
    with monkeypatch.context() as undone:
        undone.setattr(reading, "IN_MEMORY", 1 << 20)
        undone.setattr(documents, "TABLE", 1 << 20)
        short = data(text, *overrides)
    assert not isinstance(short.train, Cuts)
    assert_same_data(cold, short)
    assert_same_data(warm, short)
    # What it must be, written out: each text by itself through `encode`.
    whole = text.read_text(encoding="utf-8").removeprefix("\ufeff")
    texts = [line for line in whole.split("\n") if line.strip()] if unit == "line" else [whole]
    assert short.facts.digest == content_of(texts).joined[:16]
    stream = [short.tokenizer.bos]
    for one in texts:
        stream += [*short.tokenizer.encode(one), short.tokenizer.bos]
    entry = entries(long)[0]
    header = json.loads((entry / "header.json").read_text())
    assert np.fromfile(entry / "tokens.bin", header["dtype"]).tolist() == stream
    starts = [i for i, token in enumerate(stream) if token == short.tokenizer.bos][:-1]
    ends = [*starts[1:], len(stream) - 1]
    if unit == "window":
        starts = list(range(0, len(stream) - 1, blockSize))
        ends = [len(stream) - 1] * len(starts)
    rows = [stream[i : min(end, i + blockSize) + 1] for i, end in zip(starts, ends, strict=True)]
    expected = pack(rows, short.tokenizer.bos)
    made = (encode if unit == "line" else windows)(texts, short.tokenizer, blockSize)
    np.testing.assert_array_equal(made.tokens, expected.tokens)
    np.testing.assert_array_equal(made.lengths, expected.lengths)
    assert expected.unigram_entropy() == cold.facts.facts["unigramEntropy"]
    assert len(expected) == cold.facts.documents


@pytest.mark.slow
@pytest.mark.parametrize("capital", ["a", "B"])
def test_long_data_says_what_of_it_is_not_used_when_it_is_tokenized_and_when_its_tokens_are_found(
    tmp_path, long, monkeypatch, capital
):
    path = tmp_path / "text.txt"
    path.write_text("a b c d e f\na\n" * 5 + f"{capital} c\n")
    cold, warm = (data(path, "model.blockSize=4").notes for _ in range(2))
    monkeypatch.setattr(reading, "IN_MEMORY", 1 << 20)
    assert cold == warm == data(path, "model.blockSize=4").notes
    assert [note.partition(":")[0] for note in warm] == ["cut"] + ["lower-cased"] * (capital == "B")


@pytest.mark.slow
def test_several_files_are_texts_of_their_own(tmp_path, long, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, content in {
        "a": "one two\nthree",
        "b": " \n" * 99,
        "c": "\n\n four\n",
        "d": "",
        "e": "one",
    }.items():
        (folder / name).write_text(content)
    found = [data(folder, f"data.unit={unit}", "data.valFraction=0") for unit in ("line", "window")]
    monkeypatch.setattr(reading, "IN_MEMORY", 1 << 20)
    for unit, one in zip(("line", "window"), found, strict=True):
        assert_same_data(one, data(folder, f"data.unit={unit}", "data.valFraction=0"))
    assert [one.facts.documents for one in found] == [4, 1]


ALPHABET = "aAΣσ'.\u0301ʰ \t\n12é😀\u2028漢"


@pytest.mark.parametrize("unit", UNITS.values())
@given(text=st.text(ALPHABET, max_size=30))
@example(text="AΣ'b")
@example(text="a \n b")
def test_a_boundary_parts_what_is_the_same_apart(unit, text):
    if found := last_token_boundary(text, unit):
        before, after = text[: found[0]], text[found[1] :]
        assert split(before, unit) + split(after, unit) == split(text, unit)
        assert before.strip() and after.strip()
        # Whatever comes next.
        assert split(before, unit) + split(after + "bΣ c", unit) == split(text + "bΣ c", unit)


@pytest.mark.parametrize("unit", UNITS.values())
@given(texts=st.lists(st.text(ALPHABET, max_size=12), max_size=6))
def test_many_texts_at_once_are_each_by_itself(unit, texts):
    pieces = distinct(texts, unit)
    assert pieces == {piece for text in texts for piece in split(text, unit)}
    if pieces:
        tokenizer = Vocabulary(sorted(pieces), unit)
        ids, counts = tokenizer.encode_all(texts)
        assert [len(tokenizer.encode(text)) for text in texts] == counts.tolist()
        assert [i for text in texts for i in tokenizer.encode(text)] == ids.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("piece", ["q", "é", "😀"])
def test_what_is_not_in_the_vocabulary_is_named_in_long_data_too(tmp_path, long, piece):
    (tmp_path / "corpus.txt").write_text("a b c\n")
    (tmp_path / "data.txt").write_text(f"a b\nb {piece} c\n", encoding="utf-8")
    for name, unit in UNITS.items():
        with pytest.raises(UserError, match=rf"the {unit} '{piece}' is not in the vocabulary of"):
            data(tmp_path / "data.txt", f"tokenizer={name}", f"tokenizer.path={tmp_path / 'corpus.txt'}")
    assert entries(long) == [] and leftovers(long) == []


@pytest.mark.slow
def test_a_tokenizer_that_takes_no_batches_gets_whole_texts(text, long, monkeypatch):
    asked = []
    encode = Bytes.encode
    monkeypatch.setattr(Bytes, "encode", lambda self, text: asked.append(len(text)) or encode(self, text))
    monkeypatch.delattr(Bytes, "encode_all")
    for unit in ("line", "window"):
        found = data(text, "tokenizer=byte", f"data.unit={unit}")
        with monkeypatch.context() as undone:
            undone.setattr(reading, "IN_MEMORY", 1 << 20)
            assert_same_data(found, data(text, "tokenizer=byte", f"data.unit={unit}"))
    assert max(asked) == len(text.read_text(encoding="utf-8").removeprefix("\ufeff"))


@dataclass(frozen=True)
class Generated:
    count: int

    def __iter__(self):
        return (f"word{i % 7} and\n{i % 11}" for i in range(self.count))


def test_a_dataset_may_give_its_texts_anew_each_time(long, monkeypatch):
    texts = Generated(50)
    found = tokenized.tokenize(texts, CharTokenizer(), {}, Watch())
    short = tokenized.tokenize(list(texts), CharTokenizer(), {}, Watch())
    assert found.entry is not None and short.entry is None
    np.testing.assert_array_equal(found.stream.tokens[:], short.stream.tokens)
    np.testing.assert_array_equal(found.stream.starts[:], short.stream.starts)
    assert (found.digest, found.stream.longest) == (short.digest, short.stream.longest)
    monkeypatch.setattr(reading, "IN_MEMORY", 1 << 20)
    assert tokenized.tokenize(texts, CharTokenizer(), {}, Watch()).entry is None  # it is not long
    assert tokenized.tokenize(iter(texts), CharTokenizer(), {}, Watch()).digest == found.digest


def test_long_work_says_how_far_it_is(text, long, capsys, monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr("gptlab.data.watching.time.monotonic", lambda: float(next(clock)))
    tokenized.tokenize(Text(path=str(text)).documents(), CharTokenizer(), {}, PlainWatch())
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    for what in ("reading", "building the vocabulary", "tokenizing"):
        assert any(line.startswith(f"data: {what}, ") and line.endswith(" s left") for line in lines)
    assert len(lines) < 45


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(blank=st.integers(0, 90), offset=st.integers(0, 200))
def test_a_byte_that_is_not_utf_8_is_named_wherever_a_block_ends(tmp_path, long, blank, offset):
    content = ("é" * 100 + "\n").encode()[: offset // 2 * 2] + b"\n" * blank
    (tmp_path / "bad.txt").write_bytes(content + b"a\xe9b\n")
    for unit in ("line", "window"):
        with pytest.raises(UserError, match=rf"has the byte 0xe9 at offset {len(content) + 1}\. Convert"):
            list(Text(path=str(tmp_path / "bad.txt"), unit=unit).documents())


@each_unit
def test_long_data_that_is_blank_is_refused(tmp_path, long, unit):
    (tmp_path / "blank.txt").write_text(" \n\t\n" * 100)
    with pytest.raises(UserError, match=r"^data\.path must hold .* is empty"):
        data(tmp_path / "blank.txt", f"data.unit={unit}")
