"""Progress: a live panel on a terminal, sparse plain lines elsewhere, nothing where nothing is asked for."""

import contextlib
import io
import math
import os
import pty
import select
import signal
import sys
import termios
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from rich.console import Console

from gptlab.launch.progress import NamedLines, PlainLines, Progress, live, make_progress, plain
from gptlab.launch.progress.live import LivePanel
from tests.launch.screens import Screen, Still


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        for module in (plain,):
            monkeypatch.setattr(module.time, "monotonic", lambda: self.now)


def lines_of(capsys):
    out, err = capsys.readouterr()
    assert err == ""
    return out.splitlines()


@pytest.mark.parametrize(("pause", "count"), [(0.5, 5), (9.9, 50), (10.0, 100), (60.0, 100)], ids=str)
def test_plain_lines_come_at_most_one_each_ten_seconds(monkeypatch, capsys, pause, count):
    clock = Clock(monkeypatch)
    lines, printed = PlainLines(200), []
    for step in range(1, 101):
        clock.now += pause
        lines.update(step, 2.0, 1234.0, pause)
        printed += [clock.now] * len(lines_of(capsys))
    assert all(later - earlier >= 10 for earlier, later in zip([1000.0, *printed], printed, strict=False))
    assert count - 1 <= len(printed) <= count


def test_a_plain_line_says_step_loss_speed_and_time_left(monkeypatch, capsys):
    clock = Clock(monkeypatch)
    lines = PlainLines(400)
    clock.now += 30
    lines.update(100, 2.34567, 1234.5, 0.3)
    assert lines_of(capsys) == ["step 100/400  smoothed loss 2.346  1,234 tokens/s  90 s left"]


def test_what_was_compiled_says_nothing_of_the_time_left(monkeypatch, capsys):
    clock = Clock(monkeypatch)
    lines = PlainLines(1001)
    clock.now += 30
    lines.update(1, 2.0, math.nan, math.nan)
    clock.now += 10
    lines.update(101, 2.0, 1234.0, 0.1)
    clock.now += 100
    lines.update(201, 2.0, 1234.0, math.nan)  # with the first evaluation
    clock.now += 30
    lines.update(301, 2.0, 1234.0, 0.3)
    assert [line.partition("1,234 tokens/s  ")[2] for line in lines_of(capsys)] == [
        "",
        "90 s left",
        "80 s left",
        "140 s left",
    ]


def test_a_plain_line_before_the_speed_is_known_and_of_a_loss_that_is_no_number(monkeypatch, capsys):
    clock = Clock(monkeypatch)
    lines = PlainLines(2)
    clock.now += 30
    lines.update(1, math.nan, math.nan, math.nan)
    assert lines_of(capsys) == ["step 1/2  smoothed loss nan"]


def test_notes_stay_whatever_the_time(capsys):
    lines = PlainLines(10)
    for text in ("one", "[bold]two[/bold]"):
        lines.note(text)
    lines.close()
    assert lines_of(capsys) == ["one", "[bold]two[/bold]"]


def test_silence_is_silent(capsys):
    silence = make_progress("none", 10)
    assert type(silence) is Progress
    silence.logged(1, {"train/smoothedLoss": 2.0}, ["text"])
    silence.update(1, 2.0, 3.0, 4.0)
    silence.note("text")
    silence.close()
    assert lines_of(capsys) == []


def test_plain_lines_are_for_what_is_no_terminal():
    assert isinstance(make_progress("auto", 10), PlainLines)


def all_of(master, read=None):
    """What was written to the terminal; the kernel hands it over bit by bit, and so it is put into `read`."""
    read = [] if read is None else read
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        while select.select([master], [], [], 60)[0] and (part := os.read(master, 1 << 16)):
            read.append(part)
    return b"".join(read).decode()


@pytest.fixture
def on_terminal(monkeypatch):
    """Runs a function with a terminal as standard output; returns what it returned and what was shown.

    on_terminal.type_in(keys, shown) types on its keyboard meanwhile.
    """
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "30")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_INTERACTIVE", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)

    def run(function):
        master, slave = pty.openpty()
        modes = termios.tcgetattr(slave)
        modes[3] |= termios.NOFLSH  # a Ctrl-C throws nothing away that has not been read yet
        termios.tcsetattr(slave, termios.TCSANOW, modes)
        read, threads = [], threading.enumerate()

        def type_in(keys, shown):
            """Returns once the terminal shows them: they would stand amid what is written next."""
            already = len(b"".join(read))
            os.write(master, keys)
            deadline = time.monotonic() + 30
            while shown.encode() not in b"".join(read)[already:]:
                assert time.monotonic() < deadline
                time.sleep(0.001)

        run.type_in = type_in
        try:
            with ThreadPoolExecutor(1) as pool:
                whole = pool.submit(all_of, master, read)
                with os.fdopen(slave, "w", encoding="utf-8") as screen, contextlib.redirect_stdout(screen):
                    result = function()
                shown = whole.result()
            # One that went on would draw on the terminal of the next test. One that was told to end may need a moment.
            for thread in set(threading.enumerate()) - {*threads}:
                thread.join(30)
                assert not thread.is_alive(), "nothing is drawn any more"
            return result, shown
        finally:
            os.close(master)

    return run


def progressed():
    progress = make_progress("auto", 10)
    progress.logged(4, {"train/smoothedLoss": 2.5, "val/loss": 2.25}, ["", "the cat eats"])
    progress.update(4, 2.5, 1234.0, 0.5)
    progress.note("step 4: loss 2.500  e.g. [bold]the cat[/bold]")
    progress.close()
    return progress


@pytest.mark.parametrize("colour", [True, False], ids=["colour", "NO_COLOR"])
def test_on_a_terminal_there_is_a_live_panel_and_notes_as_they_are(monkeypatch, on_terminal, colour):
    monkeypatch.setenv("TERM", "xterm-256color")
    if not colour:
        monkeypatch.setenv("NO_COLOR", "1")
    progress, shown = on_terminal(progressed)
    assert isinstance(progress, LivePanel)
    for text in ("step 4/10", "loss 2.500", "validation 2.250", "1,234 tokens/s", "the cat eats"):
        assert text in shown
    assert "e.g. [bold]the cat[/bold]" in shown
    assert ("\x1b[36m" in shown) == colour  # cyan


@pytest.mark.parametrize("kind", ["dumb", "unknown"])
def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(monkeypatch, on_terminal, kind):
    monkeypatch.setenv("TERM", kind)
    _, shown = on_terminal(progressed)
    assert shown.splitlines() == ["step 4: loss 2.500  e.g. [bold]the cat[/bold]"]


SIZES = [(80, 24), (100, 30), (64, 12), (63, 12), (40, 10), (20, 5), (120, 30)]
each_size = pytest.mark.parametrize(("width", "height"), SIZES, ids=str)


@each_size
@pytest.mark.parametrize(
    ("keys", "shown"),
    [(b"", ""), (b"\x03", "^C"), (b"\x03\x03\x03", "^C^C^C"), (b"\x1a", "^Z"), (b"abc", "abc")],
    ids=["nothing", "^C", "^C^C^C", "^Z", "letters"],
)
def test_a_closed_panel_leaves_nothing_of_itself(monkeypatch, on_terminal, width, height, keys, shown):
    """Also where a terminal shows what is typed: there is room for it."""
    for name, value in {"COLUMNS": width, "LINES": height, "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, str(value))

    monkeypatch.setattr(live, "Live", Still)

    def run():
        progress = make_progress("auto", 1000)
        for step in range(1, 4):
            progress.logged(step, {"train/loss": 2.5, "val/loss": 2.25}, ["the cat eats " * 20])
            progress.update(step, 2.5, 123456.0, 3.5)
            Still.newest.refresh()
        for text in ("one", "two"):
            on_terminal.type_in(keys, shown)
            progress.note(text)
        on_terminal.type_in(keys, shown)
        progress.close()

    _, written = on_terminal(run)
    assert Screen(width, written).lines == ["one", "two"]


ENTER = """
import sys, time
from gptlab.launch.progress import live, make_progress
from tests.launch.screens import Still
live.Live = Still
progress = make_progress("auto", 1000)
try:
    progress.update(1, 2.5, 123456.0, 3.5)
    Still.newest.refresh()
    print("\\x1b[5h", end="", flush=True)  # says: drawn; moves nothing
    sys.stdin.readline()
    Still.newest.refresh()
    print("\\x1b[6h", end="", flush=True)
    while True:  # signal.pause would sleep on where the signal comes just before it
        time.sleep(0.05)
except KeyboardInterrupt:
    progress.close()
"""


@pytest.mark.parametrize("width", [80, 40])
def test_enter_and_ctrl_c_on_a_terminal_of_its_own_leave_nothing(width):
    child, master = pty.fork()
    if child == 0:
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": str(width), "LINES": "30"}
        os.execv(sys.executable, [sys.executable, "-c", ENTER])
    try:
        modes = termios.tcgetattr(master)
        shown = until(master, "\x1b[5h")
        assert not termios.tcgetattr(master)[3] & termios.ECHO
        os.write(master, b"typed\n")
        shown += until(master, "\x1b[6h")
        os.write(master, b"\x03")
        shown += all_of(master)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert Screen(width, shown).lines == []
        assert modes[3] & termios.ECHO
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.close(master)


def until(master, mark):
    """What was written to the terminal up to a mark."""
    read = b""
    while mark.encode() not in read:
        assert select.select([master], [], [], 60)[0], read
        read += os.read(master, 1 << 16)
    return read.decode()


@pytest.fixture
def panels():
    """Makes panels on a console of some size and encoding, and closes them."""
    made = []

    def make(width=100, height=30, encoding="utf-8", total=400):
        file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        console = Console(file=file, force_terminal=True, width=width, height=height, color_system=None)
        made.append(LivePanel(console, total))
        return made[-1], console

    yield make
    for panel in made:
        panel.close()


def drawn(panel, console):
    """The lines as they are drawn, without what moves the cursor and clears."""
    lines = console.render_lines(panel.picture(), pad=False)
    return ["".join(segment.text for segment in line) for line in lines]


@pytest.mark.parametrize(
    "size", [(100, 30), (200, 50), (64, 12), (63, 30), (100, 11), (30, 5), (8, 2), (1, 1)]
)
def test_a_panel_fits_the_terminal_and_what_comes_first_is_shown(monkeypatch, panels, size):
    clock = Clock(monkeypatch)
    panel, console = panels(*size)
    for step in range(1, 201):
        clock.now += 0.25
        panel.logged(step, {"train/smoothedLoss": 5 - step / 100, "val/loss": 3.25}, ["the cat eats " * 20])
        panel.update(step, 5 - step / 100, 1234.0, 0.25)
    lines = drawn(panel, console)
    assert len(lines) <= min(size[1], 6) and all(len(line) <= size[0] for line in lines)
    text = "\n".join(lines)
    if size >= (30, 5):
        assert "200/400" in text and "loss 3.0" in text
    if size > (60, 0):
        assert "0:50 left" in text and "validation 3.250" in text
    assert ("the cat eats" in text) == ("▃" in text) == (size[0] >= 64 and size[1] >= 12)


def test_a_panel_follows_the_size_of_its_terminal(panels):
    panel, console = panels(100, 30)
    panel.update(1, 2.0, math.nan, math.nan)
    assert len(drawn(panel, console)) == 6
    console.width = 40
    assert len(drawn(panel, console)) == 2


def test_where_there_are_no_blocks_the_curve_and_the_sample_are_ascii(panels):
    panel, console = panels(encoding="ascii")
    for step in range(1, 9):
        panel.logged(step, {"train/smoothedLoss": float(step)}, ["die Straße"])
    lines = drawn(panel, console)
    assert all(line.isascii() for line in lines)
    assert "_.-=+*%#" in lines[2] and "die Stra?e" in lines[3]


def test_a_sample_cannot_move_the_cursor(panels):
    panel, console = panels()
    panel.logged(1, {"train/smoothedLoss": 1.0}, ["one\x1b[2Jtwo\nthree\rfour"])
    assert "one [2Jtwo three four" in drawn(panel, console)[3]


def test_a_panel_shows_the_smoothed_loss_and_its_curve_leaves_out_what_is_no_number(panels):
    panel, console = panels()
    assert "compiling" in drawn(panel, console)[2]
    for step, loss in enumerate([4.0] * 100 + [math.nan, math.inf] + [2.0] * 100, start=1):
        panel.logged(step, {"train/loss": 9.0, "train/smoothedLoss": loss}, [])
    assert "smoothed loss 2.000" in drawn(panel, console)[2]
    panel.update(202, 9.0, math.nan, math.nan)  # of a step that was logged already
    assert "smoothed loss 2.000" in drawn(panel, console)[2] and "tokens/s" not in drawn(panel, console)[2]


ASKED = {"val/loss": 3.25, "longer/loss": 4.0, "val/accuracy": 0.5, "val/top": 0.75, "longer/accuracy": 0.25}


@pytest.mark.parametrize("size", [(100, 30), (64, 12), (63, 30)])
def test_a_panel_shows_the_metric_that_was_asked_for_first_on_all_documents(panels, size):
    panel, console = panels(*size)
    panel.logged(1, {"train/smoothedLoss": 4.0}, [])
    assert len(drawn(panel, console)) == (6 if size >= (64, 12) else 2), "no row for what is not known"
    for accuracy in (0.0, 0.5, 1.0):
        row = {"train/smoothedLoss": 4.0, **ASKED, "val/accuracy": accuracy, "train/accuracy": 1.0}
        panel.logged(2, row, ["the cat eats"])
    lines = drawn(panel, console)
    assert all(len(line) <= size[0] for line in lines)
    if size < (64, 12):
        assert "validation 3.250  accuracy 1.000" in lines[0] and "top" not in lines[0]
    else:
        assert (
            "accuracy  validation 1.000  longer 0.250  training 1.000" in lines[3]
            and "the cat eats" in lines[4]
        )
        assert ("▁▅█" in lines[3]) == (size[0] > 64), "its curve, where there is room"


def test_a_plain_line_says_the_metric_of_the_latest_evaluation(monkeypatch, capsys):
    clock = Clock(monkeypatch)
    lines = PlainLines(400)
    for step, row in ((50, ASKED), (60, {"train/loss": 2.0})):
        lines.logged(step, row, [])
    clock.now += 30
    lines.update(100, 2.34567, 1234.5, 0.3)
    assert lines_of(capsys) == [
        "step 100/400  smoothed loss 2.346  accuracy 0.500  1,234 tokens/s  90 s left"
    ]


def test_a_run_beside_others_says_whose_lines_are_its(monkeypatch, capsys):
    clock = Clock(monkeypatch)
    lines = make_progress("auto", 100, beside="seed=1")
    assert isinstance(lines, NamedLines) and not isinstance(make_progress("auto", 100), NamedLines)
    clock.now += 10
    lines.note("of which there would be many")
    lines.update(10, 2.5, 1000.0, 0.1)
    out = capsys.readouterr().out
    assert out.startswith("seed=1: step 10/100  smoothed loss 2.5") and out.count("\n") == 1
    make_progress("none", 100, beside="seed=1").update(10, 2.5, 1000.0, 0.1)
    assert capsys.readouterr().out == ""
