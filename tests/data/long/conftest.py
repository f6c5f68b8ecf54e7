"""Long data that is small: everything counts as long, and is read in small pieces."""

from pathlib import Path
from typing import Any

import pytest

from gptlab.data import arrays, content, documents, reading, store
from tests.data.long.setting import sample_text


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "data.txt"
    path.write_bytes(b"\xef\xbb\xbf  " + sample_text().encode())
    return path


@pytest.fixture
def long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All text counts as long, and is read in small blocks. The folder that tokens are kept in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(reading, "IN_MEMORY", 0)
    monkeypatch.setattr(reading, "BLOCK", 61)
    monkeypatch.setattr(documents, "AT_ONCE", 97)
    monkeypatch.setattr(documents, "TABLE", 0)
    monkeypatch.setattr(arrays, "MAPPED", 0)
    monkeypatch.setattr(content, "SETTLED", 0.0)  # a file that has just been changed is read again to be sure
    return store.tokens_folder()


class Counter:
    """Counts how often files of text are gone through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.count = 0
        blocks = reading.FileTexts.blocks

        def counted(texts: Any, file: Path) -> Any:
            self.count += 1
            return blocks(texts, file)

        monkeypatch.setattr(reading.FileTexts, "blocks", counted)


@pytest.fixture
def readings(monkeypatch) -> Counter:
    return Counter(monkeypatch)
