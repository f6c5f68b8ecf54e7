"""What a process has of memory, and what it may still have."""

import mmap

import numpy as np
import pytest

from gptlab.engines import process_memory


def test_what_is_taken_counts_and_what_is_given_back_does_not():
    size = 256 << 20  # from the system itself: an allocator may hand out again what it had kept
    before = process_memory.resident()
    with mmap.mmap(-1, size) as taken:
        np.frombuffer(taken, np.uint8)[:: mmap.PAGESIZE] = 1
        held = process_memory.resident()
        assert held - before > size * 0.5
        assert process_memory.peak() >= held * 0.99
    assert process_memory.resident() < held - size * 0.5


def test_an_allocator_gives_back_what_it_kept():
    kept = [bytearray(1 << 16) for _ in range(4096)]  # 256 MiB in pieces that are not the system's own
    held = process_memory.resident()
    del kept
    process_memory.give_back()
    assert process_memory.resident() < held - (128 << 20)


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
