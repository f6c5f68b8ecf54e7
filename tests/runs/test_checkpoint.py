"""What a run leaves on disk: whole or not there at all, to the bit, and never believed blindly."""

import errno
import hashlib
import json
import os
import shutil
import subprocess

import numpy as np
import pytest

import gptlab.runs.checkpoint.folder
from gptlab.errors import UserError
from gptlab.files import OpenFile, append_whole, read_json, write_atomic, write_json, write_text
from gptlab.runs.checkpoint.folder import checkpoint_folders, read_checkpoint
from gptlab.runs.checkpoint.newest import (
    newest_or_refuse,
    newest_whole,
    remove_checkpoint,
    remove_leftovers,
    to_remove,
)
from tests.checkpoints import SHAPES, STATE, contents, listing, random_weights, save


class Broken(Exception):
    pass


@pytest.mark.parametrize("old", [None, "before"], ids=["new", "replacing"])
def test_a_writer_that_raises_leaves_what_was_there_and_no_litter(tmp_path, old):
    path = tmp_path / "a.txt"
    if old is not None:
        path.write_text(old)
    before = listing(tmp_path)

    def write(beside):
        beside.write_text("half of what was m")
        raise Broken

    with pytest.raises(Broken):
        write_atomic(path, write)
    assert listing(tmp_path) == before
    assert old is None or path.read_text() == old


def test_while_it_is_written_the_old_one_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")
    seen = []

    def write(beside):
        beside.write_text("after")
        seen.append((path.read_text(), beside.parent == path.parent))

    write_atomic(path, write)
    assert seen == [("before", True)]
    assert path.read_text() == "after"
    assert listing(tmp_path) == ["a.txt"]


def test_a_writer_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "a.txt", lambda beside: None)
    assert listing(tmp_path) == []


@pytest.mark.parametrize("text", ["", "one\n", "é 😀\n"], ids=repr)
def test_text_is_written_as_utf_8(tmp_path, text):
    write_text(tmp_path / "a.txt", text)
    assert (tmp_path / "a.txt").read_bytes() == text.encode()


def test_json_makes_the_round_trip(tmp_path):
    content = {"pieces": ["", "é", "😀", '"', "\u2028"], "n": 1}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == content


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "a run's folder must hold a.json: there is no"),
        (b'{"pieces": [', "must be JSON"),
        (b"\xff", "must be JSON"),
    ],
    ids=["missing", "cut", "not-text"],
)
def test_json_that_cannot_be_read_is_refused(tmp_path, content, says):
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=says):
        read_json(tmp_path / "a.json")


FILES = ["SHA256SUMS", "optimizer.safetensors", "state.json", "weights.safetensors"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_a_checkpoint_makes_the_round_trip_to_the_bit(tmp_path, dtype):
    weights, training = random_weights(dtype), random_weights(dtype, seed=1)
    folder = save(tmp_path, 500, weights, training, valLoss=0.1 + 0.2)
    assert listing(tmp_path) == [
        "checkpoints",
        "checkpoints/step-000500",
        *(f"checkpoints/step-000500/{name}" for name in sorted([*FILES, "training.safetensors"])),
    ]
    found = read_checkpoint(folder)
    assert (found.step, found.folder, found.damaged) == (500, folder, ())
    assert found.state == {"format": 1, "step": 500, **STATE, "valLoss": 0.1 + 0.2}
    for name, array in weights.items():
        for part, expected in (
            (found.weights, array),
            (found.training, training[name]),
            (found.optimizer["mean"], array),
        ):
            assert part[name].dtype == dtype
            assert part[name].tobytes() == expected.tobytes()
    assert found.optimizer["total"]["weight"].shape == ()
    found.weights["output"][0] = 0  # what is read can be written into


def test_weights_that_are_also_those_to_train_on_are_kept_once(tmp_path):
    folder = save(tmp_path)
    assert sorted(p.name for p in folder.iterdir()) == FILES
    found = read_checkpoint(folder)
    assert found.training is found.weights


@pytest.mark.parametrize("key", ["a/b", "a%2Fb", "é", ""], ids=repr)
def test_any_name_of_an_optimizers_state_comes_back(tmp_path, key):
    state = {"step": 1, **STATE}
    optimizer = {key: {"0/mu/output": np.ones(2)}}
    folder = gptlab.runs.checkpoint.folder.write_checkpoint(tmp_path, state, {"w": np.ones(2)}, optimizer)
    assert list(read_checkpoint(folder).optimizer) == [key]
    assert list(read_checkpoint(folder).optimizer[key]) == ["0/mu/output"]


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_sha256sum_checks_it_too(tmp_path):
    folder = save(tmp_path)
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    assert subprocess.run(command, cwd=folder, capture_output=True).returncode == 0
    digest = hashlib.sha256((folder / "state.json").read_bytes()).hexdigest()
    assert f"{digest}  state.json\n" in (folder / "SHA256SUMS").read_text()


def test_arrays_that_are_views_are_saved_as_they_read(tmp_path):
    weights = random_weights()
    views = {name: np.asfortranarray(array) for name, array in weights.items()}
    save(tmp_path, 1, views)
    found = newest_whole(tmp_path).weights
    assert all((found[name] == array).all() for name, array in weights.items())


def test_the_file_has_its_step_and_the_models_names_for_any_other_program(tmp_path):
    content = (save(tmp_path) / "weights.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header.pop("__metadata__") == {"step": "500"}
    assert {name: tuple(entry["shape"]) for name, entry in header.items()} == SHAPES


@pytest.mark.parametrize("steps", [(2, 10), (999, 1000), (999_999, 1_000_000)], ids=str)
@pytest.mark.parametrize("newest_last", [True, False])
def test_the_newest_step_is_loaded(tmp_path, steps, newest_last):
    for step in steps if newest_last else steps[::-1]:
        save(tmp_path, step, random_weights(seed=step))
    found = newest_or_refuse(tmp_path)
    assert found.step == steps[1]
    assert (found.weights["output"] == random_weights(seed=steps[1])["output"]).all()


def test_a_damaged_newest_is_passed_over_and_told_of(tmp_path):
    folders = [save(tmp_path, step) for step in (1, 2, 3, 4)]
    (folders[3] / "SHA256SUMS").unlink()
    (folders[2] / "weights.safetensors").write_bytes(b"")
    found = newest_whole(tmp_path)
    assert found.step == 2
    assert [damaged.folder for damaged in found.damaged] == [folders[3], folders[2]]
    assert str(folders[3] / "SHA256SUMS") in found.damaged[0].reason
    with pytest.raises(
        UserError, match=f"no {folders[3]}/SHA256SUMS. The newest whole one is run={folders[1]}$"
    ):
        newest_or_refuse(tmp_path)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(UserError, match="the run must have a checkpoint: there is none below"):
        newest_whole(tmp_path)
    (save(tmp_path) / "state.json").unlink()
    missing = r"must have a whole checkpoint: .* has none\. .*state\.json, which SHA256SUMS names, is missing"
    with pytest.raises(UserError, match=missing):
        newest_whole(tmp_path)


def test_what_is_no_checkpoint_is_not_taken_for_one(tmp_path):
    folder = save(tmp_path)
    for name in ("step-final", ".step-000700.part", "step-12", "step-000600"):
        (folder.parent / name).touch() if name == "step-000600" else (folder.parent / name).mkdir()
    assert checkpoint_folders(tmp_path) == [folder]


@pytest.mark.parametrize("file", [*FILES, "rename"])
def test_a_disk_that_fills_leaves_the_earlier_one_and_no_litter(tmp_path, monkeypatch, file):
    save(tmp_path, 1)
    before = contents(tmp_path)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    write = gptlab.runs.checkpoint.folder.write_synced

    def write_half(path, content):
        if path.name != file:
            return write(path, content)
        path.write_bytes(content[: len(content) // 2])
        raise full

    def rename(*paths):
        raise full

    monkeypatch.setattr(gptlab.runs.checkpoint.folder, "write_synced", write_half)
    if file == "rename":
        monkeypatch.setattr(gptlab.runs.checkpoint.folder, "put_in_place", rename)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path, 2)
    assert contents(tmp_path) == before
    assert listing(tmp_path / "checkpoints") == ["step-000001", *(f"step-000001/{name}" for name in FILES)]


def test_all_files_are_on_disk_before_the_checkpoint_has_its_name(tmp_path, monkeypatch):
    """A loss of power must find a name only on what is whole."""
    events = []

    def fsync(descriptor):
        events.append(os.readlink(f"/proc/self/fd/{descriptor}").rpartition("/")[2])

    def rename(source, target):
        events.append("renamed")
        return move(source, target)

    move = os.rename
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    save(tmp_path)
    assert sorted(events[:4]) == FILES
    assert events[4:] == [".step-000500.part", "renamed", "checkpoints"]


def test_a_damaged_one_of_the_same_step_is_replaced(tmp_path):
    folder = save(tmp_path)
    (folder / "weights.safetensors").write_bytes(b"")
    (folder / "extra").touch()
    assert save(tmp_path) == folder
    assert read_checkpoint(folder).step == 500
    assert len(listing(tmp_path / "checkpoints")) == 5


def test_what_a_killed_process_left_is_removed(tmp_path):
    folder = save(tmp_path)
    shutil.copytree(folder, folder.parent / ".step-000600.part")
    shutil.copytree(folder, folder.parent / ".step-000400.old.part")
    assert newest_whole(tmp_path).step == 500
    remove_leftovers(tmp_path)
    assert checkpoint_folders(tmp_path) == list(folder.parent.iterdir()) == [folder]
    remove_checkpoint(folder)
    assert list(folder.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("losses", "keep", "removed"),
    [
        ({}, 2, []),
        ({5: None}, 1, []),
        ({5: None, 10: None, 15: None}, 2, [5]),
        ({5: 1.0, 10: 2.0, 15: 3.0}, 1, [10]),
        ({5: 1.0, 10: 2.0, 15: 0.5}, 1, [5, 10]),
        ({5: 1.0, 10: 1.0, 15: 2.0}, 1, [5]),
        ({100: None, 5: 1.0, 10: None, 15: 0.5}, 1, [5, 10]),
        ({5: None, 10: None, 15: 0.5}, 3, []),
    ],
    ids=str,
)
def test_the_newest_and_the_best_stay(losses, keep, removed):
    assert to_remove(losses, keep) == removed


def test_a_file_grows_by_whole_texts(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    append_whole(path, b"one\n")
    append_whole(path, b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"
    write, given = os.write, []

    def full_at_half(descriptor: int, content: bytes) -> int:
        given.append(bytes(content))
        if len(given) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, content[:3])

    monkeypatch.setattr(os, "write", full_at_half)
    with pytest.raises(OSError, match="No space left"):
        append_whole(path, b"three\n")
    assert given == [b"three\n", b"ee\n"]
    assert path.read_bytes() == b"one\ntwo\n"


def test_an_open_file_knows_what_has_its_name(tmp_path):
    path = tmp_path / "a.txt"
    file = OpenFile(path)
    file.append(b"one\n")
    assert file.size_at(path) == 4
    path.rename(tmp_path / "b.txt")
    assert file.size_at(path) is None
    path.write_text("another")
    assert file.size_at(path) is None and file.size_at(path / "below") is None
    file.close()
    with pytest.raises(OSError):
        os.fstat(file.descriptor)
