"""Progress: a live line on a terminal, sparse plain lines elsewhere, nothing where nothing is asked for."""

import contextlib
import math
import os
import pty

import pytest

from gptlab import progress as progress_module
from gptlab.progress import LiveLine, PlainLines, Silence, make_progress


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(progress_module.time, "monotonic", lambda: self.now)


def lines_of(capsys):
    out, err = capsys.readouterr()
    assert err == ""
    return out.splitlines()


@pytest.mark.parametrize(("pause", "count"), [(0.5, 5), (9.9, 50), (10.0, 100), (60.0, 100)], ids=str)
def test_plain_lines_come_at_most_one_each_ten_seconds(monkeypatch, capsys, pause, count):
    clock = Clock(monkeypatch)
    plain, printed = PlainLines(200), []
    for step in range(1, 101):
        clock.now += pause
        plain.update(step, 2.0, 1234.0)
        printed += [clock.now] * len(lines_of(capsys))
    assert all(later - earlier >= 10 for earlier, later in zip([1000.0, *printed], printed, strict=False))
    assert count - 1 <= len(printed) <= count


def test_a_plain_line_says_step_loss_speed_and_time_left(monkeypatch, capsys):
    clock = Clock(monkeypatch)
    plain = PlainLines(400)
    clock.now += 30
    plain.update(100, 2.34567, 1234.5)
    assert lines_of(capsys) == ["step 100/400  loss 2.346  1,234 tokens/s  90 s left"]


def test_a_plain_line_before_the_speed_is_known_and_of_a_loss_that_is_no_number(monkeypatch, capsys):
    clock = Clock(monkeypatch)
    plain = PlainLines(2)
    clock.now += 30
    plain.update(1, math.nan, math.nan)
    (line,) = lines_of(capsys)
    assert line.startswith("step 1/2  loss nan") and "tokens/s" not in line


def test_notes_stay_whatever_the_time(capsys):
    plain = PlainLines(10)
    for text in ("one", "[bold]two[/bold]"):
        plain.note(text)
    plain.close()
    assert lines_of(capsys) == ["one", "[bold]two[/bold]"]


def test_silence_is_silent(capsys):
    silence = make_progress("none", 10)
    assert isinstance(silence, Silence)
    silence.update(1, 2.0, 3.0)
    silence.note("text")
    silence.close()
    assert lines_of(capsys) == []


def test_plain_lines_are_for_what_is_no_terminal():
    assert isinstance(make_progress("auto", 10), PlainLines)


def all_of(master):
    """What was written to the terminal; the kernel hands it over bit by bit."""
    read = b""
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        while part := os.read(master, 1 << 16):
            read += part
    return read.decode()


def test_on_a_terminal_there_is_one_live_line_and_notes_as_they_are(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    master, slave = pty.openpty()
    try:
        with os.fdopen(slave, "w", encoding="utf-8") as terminal:
            monkeypatch.setattr("sys.stdout", terminal)
            live = make_progress("auto", 10)
            assert isinstance(live, LiveLine)
            live.update(4, 2.5, 1234.0)
            live.note("step 4: loss 2.500  e.g. [bold]the cat[/bold]")
            live.close()
            monkeypatch.undo()
        shown = all_of(master)
    finally:
        os.close(master)
    assert "4/10" in shown and "loss 2.500" in shown and "1,234 tokens/s" in shown
    assert "e.g. [bold]the cat[/bold]" in shown
    assert shown.count("\n") < 8  # redrawn in place, not line after line
