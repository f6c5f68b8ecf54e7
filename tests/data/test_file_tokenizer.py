"""tokenizer=file: the file's ids to the letter, which token parts documents, what is kept, and what is refused."""

import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptlab.autograd.ops import OpTable
from gptlab.data.content import identity_of
from gptlab.data.documents import encoded
from gptlab.data.file_tokenizer import FileTokenizer, FileVocabulary, vocabulary_of
from gptlab.data.fixed_vocabulary import FixedVocabulary
from gptlab.data.reading import SPACED, WHOLE, last_token_boundary
from gptlab.data.tokenizers import InBatches
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.model.metric import BitsPerByte
from gptlab.optim.optimizers import SGD
from gptlab.plugins.loading import load_plugins
from gptlab.training.generation import Sampling, generate
from tests.data.long.setting import data
from tests.data.tokenizer_files import FILES, content_of, save
from tests.models import make_gpt

MADE = {name: make() for name, make in FILES.items()}
MARKS = {"gpt2": "<|endoftext|>", "llama": "<s>", "llama3": "<|begin_of_text|>", "bert": "[CLS]"}
LOSSLESS = ("gpt2", "llama3")
texts = st.text(st.sampled_from("the catrfs.,'\n\tTé İ😀1_")) | st.text(
    st.characters(exclude_categories=["Cs"])
)


def vocabulary(name: str) -> FileVocabulary:
    made = MADE[name]
    return vocabulary_of(content_of(made), made.token_to_id(MARKS[name]))


VOCABULARIES = {name: vocabulary(name) for name in FILES}
each = pytest.mark.parametrize("name", FILES)


@pytest.fixture
def path(tmp_path):
    return save(MADE["gpt2"], tmp_path / "tokenizer.json")


@each
def test_the_mark_between_documents_is_the_file_s_own_and_ids_are_not_changed(name, tmp_path):
    built = FileTokenizer(str(save(MADE[name], tmp_path / "tokenizer.json"))).build([])
    assert built.mark == MARKS[name] and built.ends == (built.bos,)
    assert built.vocabSize == MADE[name].get_vocab_size()
    assert built.bos == {"gpt2": built.vocabSize - 1, "llama": 1, "bert": 2}.get(name, built.vocabSize - 3)


@each
@given(text=texts)
def test_a_text_has_the_library_s_ids(name, text):
    assert VOCABULARIES[name].encode(text) == MADE[name].encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("name", LOSSLESS)
@given(text=texts)
def test_bytes_come_back_as_they_are_and_are_counted(name, text):
    own = VOCABULARIES[name]
    ids = own.encode(text)
    assert own.decode([own.bos, *ids, own.bos]) == text
    assert sum(map(own.bytes_in, ids)) == len(text.encode()) and own.bytes_in(own.bos) == 0


@each
@given(some=st.lists(texts, max_size=5))
def test_many_texts_at_once_are_each_by_itself(name, some):
    ids, counts = VOCABULARIES[name].encode_all(some)
    assert counts.tolist() == [len(VOCABULARIES[name].encode(text)) for text in some]
    assert ids.tolist() == [i for text in some for i in VOCABULARIES[name].encode(text)]


@each
@given(text=texts)
def test_it_is_the_same_after_a_trip_through_json(name, text):
    own = VOCABULARIES[name]
    restored = FileTokenizer().restore(json.loads(json.dumps(own.state())))
    assert (restored.vocabSize, restored.bos, restored.ends) == (own.vocabSize, own.bos, own.ends)
    assert restored.encode(text) == own.encode(text) and restored.state() == own.state()


@pytest.mark.parametrize("own", [VOCABULARIES["gpt2"], pickle.loads(pickle.dumps(VOCABULARIES["gpt2"]))])
def test_a_mark_in_a_text_ends_nothing(own):
    """Nor in the processes that encode a long text side by side, which get the tokenizer by pickle."""
    assert isinstance(own, InBatches)
    ids = own.encode("the<|endoftext|>cat")
    assert own.bos not in ids and own.decode(ids) == "the<|endoftext|>cat"


def test_a_mark_that_a_text_can_hold_is_refused(tmp_path):
    """Words by a list have no other id for it."""
    content = content_of(MADE["bert"])
    content["model"] = {"type": "WordLevel", "vocab": {"a": 0, "end": 1}, "unk_token": "a"}
    content |= {"normalizer": None, "post_processor": None, "added_tokens": [], "decoder": None}
    own = vocabulary_of(content, 1)
    assert own.encode("a") == [0]
    with pytest.raises(
        UserError, match="the mark between documents must not be inside one: a text has 'end'"
    ):
        own.encode("a end")


@pytest.mark.parametrize(
    ("name", "unit"), [("gpt2", SPACED), ("llama3", SPACED), ("llama", WHOLE), ("bert", WHOLE)]
)
def test_running_text_is_cut_where_that_changes_nothing(name, unit):
    assert VOCABULARIES[name].parted == unit
    assert last_token_boundary("a b", WHOLE) is None


@pytest.mark.parametrize("name", LOSSLESS)
@given(text=st.text(st.sampled_from("thE 1.'\n"), max_size=30))
def test_parts_have_the_ids_of_the_whole(name, text):
    if found := last_token_boundary(text, VOCABULARIES[name].parted):
        parts = [VOCABULARIES[name].encode(part) for part in (text[: found[0]], text[found[1] :])]
        assert [*parts[0], *parts[1]] == VOCABULARIES[name].encode(text)


@each
def test_a_long_text_in_blocks_has_the_ids_of_the_whole(name, tmp_path, monkeypatch):
    from gptlab.data.datasets import Text

    text = tmp_path / "text.txt"
    text.write_text("the café sees  the\n\n weather " * 40, encoding="utf-8")
    monkeypatch.setattr("gptlab.data.reading.IN_MEMORY", 0)
    monkeypatch.setattr("gptlab.data.reading.BLOCK", 17)
    own = VOCABULARIES[name]
    pieces = [ids for ids, _ in encoded(Text(path=str(text), unit="window").documents(), own)]
    whole = MADE[name].encode(text.read_text(encoding="utf-8"), add_special_tokens=False).ids
    assert np.concatenate(pieces).tolist() == [own.bos, *whole]
    assert (len(pieces) > 9) == (own.parted == SPACED)


def test_what_the_file_would_cut_off_pad_or_leave_to_chance_is_not():
    made = FILES["gpt2"]()
    made.enable_truncation(2)
    made.enable_padding(length=9)
    content = content_of(made)
    content["model"]["dropout"] = 1.0
    assert vocabulary_of(content, 0).encode("the cat sees") == VOCABULARIES["gpt2"].encode("the cat sees")


def test_a_model_may_have_more_rows_than_the_file_has_ids():
    own = vocabulary_of(content_of(MADE["gpt2"]), MADE["gpt2"].token_to_id("<|endoftext|>"), (3,), 304)
    assert own.vocabSize == 304 and own.ends == (own.bos, 3)
    assert own.decode([303]) == "" and own.bytes_in(303) == 0
    assert len(BitsPerByte().for_tokens(own).first) == 304
    with pytest.raises(ValueError, match="must fit into 200"):
        vocabulary_of(own.content, 1, (), 200)


def test_bytes_of_words_that_are_no_bytes_are_counted_in_their_places():
    own = VOCABULARIES["llama"]
    the = own.library.token_to_id("▁the")
    counts = BitsPerByte().for_tokens(own)
    assert (counts.first[the], counts.later[the]) == (3, 4)


@pytest.mark.parametrize("wanted", ["</s>", "▁the"])
def test_another_mark_may_be_chosen(wanted, tmp_path):
    path = save(MADE["llama"], tmp_path / "tokenizer.json")
    assert FileTokenizer(str(path), bos=wanted).build([]).mark == wanted
    with pytest.raises(
        UserError, match=r"^tokenizer\.bos must be a token of .*: got </S>\. Near it: </s>, <s>"
    ):
        FileTokenizer(str(path), bos="</S>").build([])


def test_the_only_special_token_is_the_mark_and_of_several_unknown_ones_none(tmp_path):
    made = FILES["gpt2"]()
    content = content_of(made)
    content["added_tokens"][0]["content"] = "<end>"
    own = tmp_path / "tokenizer.json"
    own.write_text(json.dumps(content), "utf-8")
    assert FileTokenizer(str(own)).build([]).mark == "<end>"
    content["added_tokens"].append(
        {**content["added_tokens"][0], "id": len(made.get_vocab()), "content": "<pad>"}
    )
    own.write_text(json.dumps(content), "utf-8")
    with pytest.raises(
        UserError, match=r"does not say which it is: it has <end>, <pad>\. Type tokenizer\.bos=TOKEN"
    ):
        FileTokenizer(str(own)).build([])
    content["added_tokens"] = []
    own.write_text(json.dumps(content), "utf-8")
    with pytest.raises(UserError, match=r"it has none\. Type tokenizer\.bos=TOKEN"):
        FileTokenizer(str(own)).build([])


def test_a_character_that_the_file_does_not_know_is_not_passed_over():
    content = content_of(MADE["llama"])
    content["model"] |= {"unk_token": None, "byte_fallback": False, "fuse_unk": False}
    content["model"]["vocab"] = {
        k: v for k, v in content["model"]["vocab"].items() if not k.startswith("<0x")
    }
    content["model"]["vocab"] |= {f"x{i}": i for i in range(3, 259)}
    own = vocabulary_of(content, 1)
    assert own.decode(own.encode("the café")) == "the café"
    with pytest.raises(UserError, match="'Ω' is not"):
        own.encode("the Ω")
    words = {**content, "model": {"type": "WordLevel", "vocab": {"▁a": 0, "▁b": 1}, "unk_token": "?"}}
    with pytest.raises(UserError, match=r"every piece of a text must be in the vocabulary.*\[UNK\]"):
        vocabulary_of(words, 1).encode("c")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfe\x00", "it is not text. Convert SentencePiece"),
        (b"{", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", 'it has no "model"'),
        (b'{"model": "BPE"}', 'it has no "model"'),
        (b'{"name": "bpe", "merges": []}', 'it has no "model"'),
        (b'{"model": {"type": "Mine", "vocab": {}}}', "the library reads no tokenizer in it"),
        (b'{"model": {"type": "BPE", "vocab": {}, "merges": []}}', "it has 0 tokens"),
        (b'{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b"]}}', "the library reads no"),
        (
            b'{"model": {"type": "BPE", "vocab": {"a": 0, "b": 4000000000}, "merges": []}}',
            "ids up to 4,000,000,000",
        ),
    ],
    ids=lambda value: str(value[:40]) if isinstance(value, bytes) else "",
)
def test_what_is_no_tokenizer_is_refused_in_a_line(content, says, tmp_path):
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(UserError, match=r"^tokenizer\.path must be a tokenizer\.json") as refused:
        FileTokenizer(str(tmp_path), bos="a").build([])
    assert says in str(refused.value) and "\n" not in str(refused.value)


def test_no_file_and_a_name_on_a_hub_are_refused(tmp_path, path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"got no tokenizer\.path\. Type tokenizer\.path=tokenizer\.json"):
        FileTokenizer().build([])
    with pytest.raises(UserError, match="there is no openai/gpt2, and nothing is downloaded"):
        FileTokenizer("openai/gpt2").build([])
    with pytest.raises(UserError, match=r"Did you mean tokenizer\.json\?"):
        FileTokenizer("tokeniser.json").build([])


@pytest.mark.parametrize(
    "changes", [{"content": None}, {"ends": 3}, {"bos": "a"}, {"bos": 10**9}, {"vocabSize": True}]
)
def test_a_state_that_describes_none_is_no_tokenizer(changes):
    with pytest.raises((TypeError, ValueError)):
        FileTokenizer().restore({**VOCABULARIES["gpt2"].state(), **changes})


def test_kept_tokens_are_those_of_the_file_s_content(path):
    """Also of the folder that it lies in, whatever else is there."""
    (path.parent / "model.safetensors").write_bytes(b"\xff")
    of_folder = FileTokenizer(str(path.parent))
    before = identity_of(of_folder, {})["files"]
    assert before == identity_of(FileTokenizer(str(path)), {})["files"] and len(before) == 1
    path.write_text(path.read_text("utf-8").replace("<|endoftext|>", "<|end|>"), "utf-8")
    assert identity_of(of_folder, {})["files"] != before


@pytest.mark.parametrize("unit", ["line", "window"])
def test_data_is_read_with_it_and_needs_the_file_no_more(unit, path, tmp_path):
    (tmp_path / "corpus.txt").write_text("the cat sees\na dog runs\nthe café\n" * 4, "utf-8")
    overrides = [f"data.unit={unit}", "model.blockSize=8"]
    found = data(tmp_path / "corpus.txt", "tokenizer=file", f"tokenizer.path={path}", *overrides)
    bos = found.tokenizer.bos
    if unit == "line":
        assert (found.train.tokens[:, 0] == bos).all() and found.tokenizer.decode(found.train.tokens[0]) in (
            "the cat sees",
            "a dog runs",
            "the café",
        )
    path.unlink()
    state = {"name": "file", **json.loads(json.dumps(found.tokenizer.state()))}
    kept = FixedVocabulary(
        state, load_plugins(discover=False).registry.get("tokenizer", "file")(), "run"
    ).build([])
    assert kept.encode("the cat") == found.tokenizer.encode("the cat")


@pytest.mark.slow
@pytest.mark.parametrize("ends", [(1,), (1, 2), (3, 1)])
@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_samples_end_with_the_file_s_marks_on_either_engine(ends, penalty):
    """A model whose BOS is not its last id: each text stops before the first of its ends, beyond blockSize as well."""
    words = [f"w{i}" for i in range(11)]
    content = {
        "model": {"type": "WordLevel", "vocab": {w: i for i, w in enumerate(words)}, "unk_token": "w0"}
    }
    own = vocabulary_of(content, ends[0], ends)
    how = Sampling(n=60, temperature=2.0, seed=3, repetitionPenalty=penalty, length=11)
    found = []
    for engine in (ScalarEngine(), XlaEngine("float64")):
        gpt = make_gpt(initStd=0.3)
        session = engine.session(gpt, SGD(), OpTable())
        found.append(
            generate(session, session.init(gpt.initial_weights(0), {}), own, gpt.sizes.blockSize, how)
        )
    assert found[0] == found[1]
    lengths = [len(text.split()) for text in found[0]]
    assert min(lengths) == 0 and max(lengths) == 11 and len(set(lengths)) > 5
    assert not any(words[end] in text.split() for text in found[0] for end in ends)
    assert any(words[10] in text.split() for text in found[0]), "the last id is a word like any other"


@pytest.mark.slow
def test_the_mark_is_not_counted_by_a_penalty_wherever_its_id_is():
    """Both engines: were BOS counted, its logit would be another one."""
    gpt = make_gpt(initStd=0.3)
    bos = np.array([1], dtype=np.int32)

    def choose(xp, logits, uniform, seen, **_):
        return (seen.sum() * 0 + 5 + seen[1]).astype("int32")

    for engine in (ScalarEngine(), XlaEngine("float64")):
        session = engine.session(gpt, SGD(), OpTable())
        state = session.init(gpt.initial_weights(0), {})
        rows = session.generate(state, choose, bos, np.full((1, 4), 0.5), {}, ends=(1,))
        assert rows.tolist() == [[5] * 4]
        assert session.generate(state, choose, bos, np.full((1, 4), 0.5), {}).tolist() == [[6] * 4]
    assert math.isclose(sum(map(len, rows)), 4)
