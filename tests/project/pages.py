"""README.md and docs/*.md as things to do: from top to bottom, as printed, each page in one folder.

A page is shell commands, Python, files to save ("save as `FILE`") and what comes out. What a reader does not see
says how a block is meant, in comments right above it:

    <!-- not run (REASON) -->                    nothing of the block
    <!-- not run: COMMAND (REASON) -->           not the commands that begin so
    <!-- stopped once it trains: COMMAND -->     SIGTERM as soon as the first step is logged
    <!-- output: COMMAND -->                     the block is what that command printed; with "not run (REASON)", once
    <!-- output, numbers aside: COMMAND -->      the same, where numbers and samples are others each time

`python -m tests.project.pages` runs all of them and writes what comes out into the pages.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.project.reader import Reader
from tests.repository import ROOT

# What benchmarks write, and measure for hours, is not to be done by the way.
PAGES = ["README.md", *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*.md")))]

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMENTS = re.compile(r"(?:<!--[^>]*-->\s*)+\Z")
SAVED = re.compile(r"\bsave (?:it|this)? ?as `([^`]+)`[^`]*:\s*\Z", re.IGNORECASE)
SKIPPED = re.compile(r"<!-- not run(?:: (.+?))? \(([^()]+)\) -->")
STOPPED = re.compile(r"<!-- stopped once it trains: (.+?) -->")
OUTPUT = re.compile(r"<!-- output(?:, numbers aside)?: (.+?) -->")
ASIDE = "<!-- output, numbers aside: "
SHELL = ("", "sh", "console")


class Mistake(AssertionError):
    """A page that does not do what it says."""


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text, where the text stands in the page, and what is said of it."""

    language: str
    text: str
    start: int
    before: str
    comments: str = ""

    @property
    def skipped(self) -> dict[str, str]:
        """The reason by the beginning of each command that is not run; all of them begin with nothing."""
        return {begin or "": reason for begin, reason in SKIPPED.findall(self.comments)}

    @property
    def output_of(self) -> str | None:
        found = OUTPUT.search(self.comments)
        return found[1] if found else None

    @property
    def saved_as(self) -> str | None:
        found = SAVED.search(self.before)
        return found[1] if found else None

    @property
    def numbers_aside(self) -> bool:
        return ASIDE in self.comments

    def commands(self) -> list[str]:
        """The commands of a block of the shell, without what is said beside them."""
        if self.language not in SHELL or self.output_of or self.saved_as:
            return []
        lines = re.sub(r"\\\n\s*", "", self.text).splitlines()
        return [command for line in lines if (command := re.sub(r"\s{2,}#.*", "", line).strip())]

    def to_run(self) -> list[str]:
        return [c for c in self.commands() if not any(c.startswith(begin) for begin in self.skipped)]


def blocks_of(page: str) -> Iterator[Block]:
    for found in FENCED.finditer(page):
        before = page[: found.start()]
        comments = COMMENTS.search(before)
        before = before[: comments.start()] if comments else before
        yield Block(
            found[1], found[2], found.start(2), before.rstrip()[-400:], comments[0] if comments else ""
        )


@dataclass
class Done:
    """A page once it has been followed: what is printed in it, and what came out instead."""

    printed: list[tuple[Block, str]] = field(default_factory=list)

    def renewed(self, page: str) -> str:
        for block, came in reversed(self.printed):
            if bare(block.text) != bare(came):
                page = page[: block.start] + came + page[block.start + len(block.text) :]
        return page


def follow(page: str, reader: Reader) -> Done:
    """Do what the page says, top to bottom. Raises Mistake for what fails, and for an output of no command."""
    done, outputs = Done(), {}
    for block in blocks_of(page):
        if block.output_of and "" in block.skipped:
            continue
        if block.output_of:
            came = [text for command, text in outputs.items() if command.startswith(block.output_of)]
            if not came:
                raise Mistake(f"no command before begins with {block.output_of}")
            done.printed.append((block, came[-1]))
        elif block.saved_as:
            reader.save(block.saved_as, block.text)
        elif block.language == "python" and "" not in block.skipped:
            if block.text.lstrip().startswith(">>>"):
                done.printed.append((block, reader.session(block.text)))
            else:
                reader.python(block.text)
        for command in block.to_run():
            stops = any(command.startswith(begin) for begin in STOPPED.findall(block.comments))
            status, came = reader.shell(command, stops)
            if status != (143 if stops else 0):
                raise Mistake(f"{command}\nended with {status}:\n{came}")
            outputs[command] = re.sub(r" +$", "", PROGRESS.sub("", came), flags=re.MULTILINE)
    return done


# --- is what comes out what is printed? ------------------------------------------------------------------

PROGRESS = re.compile(
    r"^step +\d+/\d+ .*\n", re.MULTILINE
)  # a line every ten seconds, where it takes so long
VARYING = re.compile(r"\d{4}-\d\d-\d\d[/ ]\d\d-\d\d-\d\d-\d{6}|\b[0-9a-f]{32}\b")
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[-+]\d+)?")
# How exactly the machine rounds, and how large a Python's objects are: other numbers on another one.
LOOSE = re.compile(r"they agree: |memory|bytes a node|gradient by the graph|by a central difference")
# Sums are taken in another order with other vector instructions, which 3,000 steps of training make larger.
SHARE, LAST_DIGITS = 0.01, 2
TEXTS = re.compile(r'^  .*|".*"$', re.MULTILINE)


def bare(text: str) -> str:
    """An output without its ids and dates, and without what is there only where it takes long."""
    return VARYING.sub("ID", PROGRESS.sub("", text)).rstrip()


def alike(printed: str, came: str) -> bool:
    """True if a reader gets what is printed.

    Words and whole numbers are the same; ids and dates are of their form; numbers with a point are so near as
    those of another machine may be. Where all of those are the same to the last digit, sampled texts are too.
    """
    printed, came = bare(printed), bare(came)
    if printed == came:
        return True
    if LOOSE.search(printed) is None and NUMBER.findall(printed) == NUMBER.findall(came):
        return False
    if printed.startswith(">>>"):
        return False
    lines = [TEXTS.sub('"', text).splitlines() for text in (printed, came)]
    return len(lines[0]) == len(lines[1]) and all(map(line_alike, *lines))


def says_the_same(printed: str, came: str) -> bool:
    """True if the same words come, whatever their numbers, samples and order: which run is the best may change."""
    words = [
        set(re.findall(r"[^\W\d_]{2,}", TEXTS.sub("", VARYING.sub("", bare(text)))))
        for text in (printed, came)
    ]
    return words[0] == words[1]


def line_alike(printed: str, came: str) -> bool:
    words = [re.sub(r" +", " ", NUMBER.sub("#", line)) for line in (printed, came)]
    if words[0] != words[1] or LOOSE.match(printed):
        return words[0] == words[1]
    pairs = zip(NUMBER.findall(printed), NUMBER.findall(came), strict=True)
    return all(number_alike(a, b) for a, b in pairs)


def number_alike(printed: str, came: str) -> bool:
    if "." not in printed and "e" not in printed:
        return printed == came
    a, b = float(printed.replace(",", "")), float(came.replace(",", ""))
    mantissa, _, exponent = printed.partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    return abs(a - b) <= max(SHARE * abs(a), LAST_DIGITS * unit * (1 + 1e-9))


def followed(name: str, folder: Path) -> tuple[str, Done]:
    """A page of the repository, followed in this empty folder."""
    page = (ROOT / name).read_text(encoding="utf-8")
    with Reader(folder, in_checkout=name == "README.md") as reader:
        return page, follow(page, reader)


def renew(names: list[str]) -> None:
    """Write what comes out now into the pages; where only ids and dates are others, all stays as it is."""
    for name in names:
        # What MLflow's process still sends, it writes there.
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            page, done = followed(name, Path(folder))
        renewed = done.renewed(page)
        print(
            f"{name}: {len(done.printed)} outputs, {'renewed' if renewed != page else 'as they were'}",
            flush=True,
        )
        (ROOT / name).write_text(renewed, encoding="utf-8")


if __name__ == "__main__":
    renew(sys.argv[1:] or PAGES)
