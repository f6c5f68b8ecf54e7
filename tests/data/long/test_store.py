"""The files that tokens are kept in: made once, found again, never trusted."""

import gc
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from gptlab.data import content, reading, store, tokenized
from gptlab.data.datasets import Text
from gptlab.data.tokenizers import CharTokenizer, Vocabulary
from gptlab.data.watching import Watch
from gptlab.errors import UserError
from tests.data.long.setting import (
    assert_same_data,
    data,
    each_tokenizer,
    each_unit,
    entries,
    leftovers,
)


@pytest.mark.slow
@each_tokenizer
@each_unit
def test_the_second_start_does_not_read_the_text(text, long, readings, unit, name):
    arguments = [text, f"tokenizer={name}", f"data.unit={unit}"]
    data(*arguments)
    readings.count = 0
    data(*arguments)
    assert readings.count == 0
    data(
        *arguments, "model.blockSize=7", "seed=3", "data.valFraction=0.3"
    )  # of which the tokens know nothing
    assert readings.count == 0 and len(entries(long)) == 1


@pytest.mark.slow
def test_a_copy_of_the_text_is_known_by_its_content(text, long, readings):
    data(text)
    shutil.copyfile(text, text.with_name("copy.txt"))
    readings.count = 0
    data(text.with_name("copy.txt"))
    assert readings.count == 1 and len(entries(long)) == 1


@pytest.mark.slow
def test_a_changed_text_is_tokenized_anew(text, long):
    first = data(text)
    text.write_bytes(text.read_bytes().replace(b"cat", b"dog"))
    second = data(text)
    assert second.facts.digest != first.facts.digest and "dog" in second.tokenizer.state()["pieces"]
    assert len(entries(long)) == 2


@pytest.mark.slow
def test_a_text_that_has_just_been_written_is_not_known_by_its_time(text, long, readings, monkeypatch):
    monkeypatch.setattr(content, "SETTLED", 2.0)
    for _ in range(2):
        readings.count = 0
        data(text)
        assert readings.count >= 1


def replace_unseen(path, old, new):
    """Other data of the same size and time."""
    stat = path.stat()
    path.write_bytes(path.read_bytes().replace(old, new))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)


def of_a_disk_that_tells_no_change(monkeypatch):
    stamp = reading.FileTexts.stamp
    monkeypatch.setattr(
        reading.FileTexts, "stamp", lambda texts: [(*facts[:3], facts[2], 0) for facts in stamp(texts)]
    )


@pytest.mark.slow
@pytest.mark.parametrize("tells", [True, False], ids=["told by the disk", "told by a sample"])
def test_other_data_of_the_same_size_and_time_is_other_data(text, long, monkeypatch, tells):
    if not tells:
        of_a_disk_that_tells_no_change(monkeypatch)
    first = data(text)
    replace_unseen(text, b"cat", b"dog")
    second = data(text)
    assert second.facts.digest != first.facts.digest and "dog" in second.tokenizer.state()["pieces"]
    replace_unseen(text, b"dog", b"cat")
    assert_same_data(data(text), first)
    assert len(entries(long)) == 2


@pytest.mark.slow
def test_what_is_moved_or_copied_is_read_once_and_known_again(text, long, readings):
    first = data(text)
    moved = text.rename(text.with_name("moved.txt"))
    shutil.copy2(moved, text)
    for path in (moved, text):
        readings.count = 0
        assert data(path).facts.digest == first.facts.digest
        assert readings.count == 1
        data(path)
        assert readings.count == 1
    assert len(entries(long)) == 1


@pytest.mark.slow
def test_an_entry_is_not_made_again_of_other_data_under_the_old_digest(text, long, monkeypatch):
    """Where neither the disk nor a sample tells that it is other data: the reading does that it is made of."""
    of_a_disk_that_tells_no_change(monkeypatch)
    monkeypatch.setattr(reading.FileTexts, "sample", lambda texts: b"")
    first = data(text)
    replace_unseen(text, b"cat", b"dog")
    assert data(text).facts.digest == first.facts.digest, "it is all that is known"
    (entry,) = entries(long)
    (entry / "tokens.bin").write_bytes(b"")
    second = data(text)
    assert second.facts.digest != first.facts.digest
    assert [kept.name for kept in entries(long) if kept != entry] != []
    assert_same_data(data(text), second)


def test_a_sample_sees_every_file(tmp_path, long):
    for name, size in (("a", 5), ("b", 0), ("c", 300_000)):
        (tmp_path / name).write_bytes(b"x" * size)
    texts = reading.TextLines(tmp_path, [tmp_path / name for name in "abc"], "data.path")
    assert len(texts.sample()) > reading.LOOK * 50 and set(texts.sample()) == {ord("x")}
    for name, at in (("a", 0), ("c", 299_999)):
        before = texts.sample()
        with (tmp_path / name).open("r+b") as file:
            file.seek(at)
            file.write(b"y")
        assert texts.sample() != before


@pytest.mark.slow
def test_another_vocabulary_s_tokens_are_others(text, long):
    corpus = text.with_name("corpus.txt")
    corpus.write_bytes(text.read_bytes())
    one = data(text, f"tokenizer.path={corpus}")
    corpus.write_bytes(text.read_bytes() + b"\nzebra\n")
    other = data(text, f"tokenizer.path={corpus}")
    assert other.tokenizer.vocabSize == one.tokenizer.vocabSize + 1


@pytest.mark.slow
@pytest.mark.parametrize("file", ["tokens.bin", "starts.bin", "tokenizer.json", "header.json"])
@pytest.mark.parametrize("harm", ["flipped", "cut", "missing", "empty"])
def test_a_damaged_entry_is_found_and_made_again(text, long, monkeypatch, file, harm):
    with monkeypatch.context() as undone:
        undone.setattr(reading, "IN_MEMORY", 1 << 20)
        whole = data(text)
    data(text)
    (entry,) = entries(long)
    path = entry / file
    content, stat = path.read_bytes(), path.stat()
    middle = len(content) // 2
    if harm == "missing":
        path.unlink()
    else:
        harmed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        path.write_bytes({"flipped": harmed, "cut": content[:-8], "empty": b""}[harm])
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # not told by its time
    assert_same_data(data(text), whole)
    assert entries(long) == [entry] and path.read_bytes() == content and not leftovers(long)


PLUGIN = """
import gptlab
from dataclasses import dataclass

class Ends:
    vocabSize, bos = 257, 256
    def encode(self, text):
        return [ord(c) % 256 for c in text.strip()]
    def decode(self, ids):
        return "".join(chr(i) for i in ids if i != self.bos)
    def state(self):
        return {}

@dataclass(frozen=True)
class EndsTokenizer:
    \"\"\"Characters.\"\"\"
    def build(self, documents):
        return Ends()
    def restore(self, state):
        return Ends()

@gptlab.hookimpl
def gptlab_register_tokenizers(register):
    register("ends", EndsTokenizer)
"""


@pytest.mark.slow
def test_a_plugin_s_tokens_are_made_again_when_its_code_has_changed(text, long, monkeypatch):
    monkeypatch.chdir(text.parent)
    (text.parent / "plugins").mkdir()
    plugin = text.parent / "plugins/ends.py"
    plugin.write_text(PLUGIN)
    first = data(text, "tokenizer=ends", "data.valFraction=0")
    plugin.write_text(PLUGIN.replace("ord(c) % 256", "255 - ord(c) % 256"))
    second = data(text, "tokenizer=ends", "data.valFraction=0")
    kept = np.arange(first.train.width - 1) < first.train.lengths[:, None] - 1
    np.testing.assert_array_equal(first.train.tokens[:, 1:][kept], 255 - second.train.tokens[:, 1:][kept])
    plugin.write_text(PLUGIN.replace("% 256", ""))
    with pytest.raises(UserError, match=r"ids must be 0 \.\.\. 256"):
        data(text, "tokenizer=ends")


class Turned(Vocabulary):
    """Gives the ids from the last to the first once `turn` is set, as a library's other version might."""

    turn = False

    def encode(self, text):
        return super().encode(text)[:: -1 if Turned.turn else 1]


class TurnedTokenizer(CharTokenizer):
    def build(self, documents):
        return Turned(super().build(documents).pieces, "character")

    def restore(self, state):
        return Turned(state["pieces"], "character")


@each_unit
def test_a_tokenizer_that_gives_other_ids_than_it_did_is_noticed(text, long, monkeypatch, unit):
    texts = Text(path=str(text), unit=unit).documents()
    first = tokenized.tokenize(texts, TurnedTokenizer(), {}, Watch()).stream
    monkeypatch.setattr(Turned, "turn", True)
    second = tokenized.tokenize(texts, TurnedTokenizer(), {}, Watch()).stream
    assert len(entries(long)) == 1
    for start, end in zip(first.starts[:-1], first.starts[1:], strict=True):
        np.testing.assert_array_equal(first.tokens[start + 1 : end], second.tokens[start + 1 : end][::-1])


def test_a_tokenizer_that_is_restored_to_another_is_refused(text, long, monkeypatch):
    monkeypatch.setattr(
        TurnedTokenizer, "restore", lambda self, state: Vocabulary(state["pieces"][::-1], "character")
    )
    with pytest.raises(UserError, match=r"gives different ids .*python -m gptlab check"):
        tokenized.tokenize(Text(path=str(text)).documents(), TurnedTokenizer(), {}, Watch())


def test_short_data_leaves_no_file(text, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data(text)
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
def test_what_breaks_off_leaves_nothing(text, long, monkeypatch):
    encode_all = tokenized.encoded

    def breaking(*arguments):
        yield next(encode_all(*arguments))
        assert leftovers(long)
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(tokenized, "encoded", breaking)
        with pytest.raises(KeyboardInterrupt):
            data(text)
    assert entries(long) == [] and leftovers(long) == []
    data(text)


@pytest.mark.slow
def test_what_a_killed_process_left_is_removed(text, long):
    data(text)
    (entry,) = entries(long)
    parts = [long / f".{key}.0123.part" for key in (entry.name, "0" * 64)]
    for part in parts:
        part.mkdir()
        (part / "tokens.bin").write_bytes(b"half")
    shutil.rmtree(entry)
    data(text)
    assert entries(long) == [entry] and leftovers(long) == []


def test_a_text_that_changes_meanwhile_is_refused(text, long, monkeypatch):
    encode_all = tokenized.encoded

    def changing(*arguments):
        text.write_bytes(text.read_bytes() + b"cat\n")
        yield from encode_all(*arguments)

    monkeypatch.setattr(tokenized, "encoded", changing)
    with pytest.raises(UserError, match=r"data\.path must not change while it is read"):
        data(text, "tokenizer=char")
    assert entries(long) == [] and leftovers(long) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(text, long):
    long.mkdir(parents=True)
    long.chmod(0o500)
    with pytest.raises(UserError, match=r"must be writable and have room: .*tokens.*XDG_CACHE_HOME="):
        data(text)


def test_a_cache_folder_that_is_a_file_is_named(text, long, tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(UserError, match=r"must be writable and have room: .*tokens.*XDG_CACHE_HOME="):
        data(text)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's full disk")
def test_a_full_disk_is_told_with_what_to_do(text, long, monkeypatch):
    write = tokenized.write_stream

    def full(part, *arguments):
        (part / "tokens.bin").symlink_to("/dev/full")
        return write(part, *arguments)

    monkeypatch.setattr(tokenized, "write_stream", full)
    with pytest.raises(UserError, match=r"No space left on device\. Name another: XDG_CACHE_HOME="):
        data(text)
    assert entries(long) == [] and leftovers(long) == []


@pytest.mark.slow
def test_what_was_not_used_for_longest_makes_room(tmp_path, long, monkeypatch):
    paths = [tmp_path / f"{i}.txt" for i in range(4)]
    for i, path in enumerate(paths):
        path.write_text(f"text number {i}\n" * 50)
    made = []
    for i, path in enumerate(paths[:3]):
        open_one = data(path)
        made += [entry for entry in entries(long) if entry not in made]
        os.utime(made[-1] / "header.json", (i, i))
    data(paths[0])  # used again, and so no longer the oldest
    gc.collect()  # the first two, which nobody has open any more
    monkeypatch.setattr(store, "LIMIT", 1)
    last = data(paths[3])
    left = entries(long)
    assert len(open_one.train) and made[2] in left and len(left) == 2 and not leftovers(long)
    assert last.train.tokens.shape[0] == len(last.train)


def test_files_in_use_stay_readable_when_they_are_removed(text, long):
    found = data(text)
    before = found.train.tokens
    store.remove(entries(long)[0])
    np.testing.assert_array_equal(found.train.tokens, before)


def test_who_makes_the_same_tokens_waits_for_who_does(tmp_path):
    events = []
    waiting = threading.Event()

    class Noting(Watch):
        def note(self, text):
            events.append(text)
            waiting.set()

    def second():
        with store.locked(tmp_path, "key", Noting()):
            events.append("second")

    thread = threading.Thread(target=second)
    with store.locked(tmp_path, "key", Watch()):
        thread.start()
        assert waiting.wait(30)
        events.append("first")
    thread.join(30)
    assert events[0].startswith("data: another process is tokenizing the same")
    assert events[1:] == ["first", "second"] and not list(tmp_path.iterdir())
