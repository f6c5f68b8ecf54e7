"""What a process has of memory, and what it may still have."""

import numpy as np
import pytest

from gptlab.engines import process_memory


def test_what_is_taken_counts_and_what_is_given_back_does_not():
    before = process_memory.resident()
    taken = np.ones(64 << 17)  # 64 MiB, some of which may have been kept from what was there before
    held = process_memory.resident()
    assert held - before > taken.nbytes * 0.5
    assert process_memory.peak() >= held * 0.99
    del taken
    process_memory.give_back()
    assert process_memory.resident() < held - (32 << 20)


@pytest.fixture
def told(tmp_path, monkeypatch):
    """What a system tells, written by a test."""
    files = {name: tmp_path / name for name in ("status", "meminfo", "max", "current", "stat")}
    monkeypatch.setattr(process_memory, "STATUS", files["status"])
    monkeypatch.setattr(process_memory, "MACHINE", files["meminfo"])
    monkeypatch.setattr(process_memory, "LIMITS", ((files["max"], files["current"]),))
    monkeypatch.setattr(process_memory, "CACHE", files["stat"])
    monkeypatch.setattr(process_memory, "of_limits", lambda: None)

    def write(**texts):
        for name, text in texts.items():
            files[name].write_text(text)

    return write


def test_the_narrowest_of_machine_container_and_limits(told, monkeypatch):
    told(meminfo="MemTotal: 100 kB\nMemAvailable: 50 kB\n", max="max\n", current="1\n")
    assert process_memory.available() == 50 << 10
    told(max=str(40 << 10), current=str(30 << 10))
    assert process_memory.available() == 10 << 10
    told(stat=f"anon 1\ninactive_file {5 << 10}\n")  # files that make room
    assert process_memory.available() == 15 << 10
    monkeypatch.setattr(process_memory, "of_limits", lambda: 7)
    assert process_memory.available() == 7
