"""Which files a path stands for, and what cannot be read as text."""

import os
from pathlib import Path

import pytest

from gptlab.data.reading import text_files
from gptlab.errors import UserError


def test_a_pipe_a_device_and_a_link_to_nowhere_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path, words in {
        tmp_path / "pipe": "pipe or a device",
        Path("/dev/zero"): "pipe or a device",
        tmp_path / "link": "is a link to",
        tmp_path / ("x" * 300): "cannot read",
        tmp_path / "link" / "below": "there is no",
    }.items():
        with pytest.raises(UserError, match=f"^data.path.*{words}"):
            text_files(path, "data.path")


def test_a_folder_is_gone_through_until_something_in_it_is_no_text(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/one.txt").write_text("a")
    (tmp_path / "b.bin").write_bytes(b"\xff")
    (tmp_path / "c").mkdir()
    os.mkfifo(tmp_path / "a/pipe")
    (tmp_path / "a/loop").symlink_to(tmp_path)
    assert text_files(tmp_path / "a", "data.path") == [tmp_path / "a/one.txt"]
    seen = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: seen.append(Path(folder).name) or scan(folder))
    with pytest.raises(UserError, match=r"b\.bin has the byte 0xff"):
        text_files(tmp_path, "data.path")
    assert "c" not in seen


def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    (tmp_path / "one.txt").write_text("a")

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(UserError, match=r"data\.path: cannot read .*one\.txt: Permission denied"):
        text_files(tmp_path, "data.path")
