"""README.md and docs/*.md do what they say, from top to bottom, and print what they show."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from gptlab.cli import main, verb_of
from gptlab.command.line import read_command_line
from gptlab.command.verbs import VERBS
from tests.project.pages import (
    OUTPUT,
    PAGES,
    SHELL,
    SKIPPED,
    STOPPED,
    Mistake,
    alike,
    blocks_of,
    follow,
    followed,
    says_the_same,
)
from tests.project.reader import Reader
from tests.repository import ROOT

TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in PAGES}
CALL = "python -m gptlab "
WORDS = ("python", "make", "source", "mlflow", "srun", "pip", "cc", "head")  # that a command may begin with
# What no test can do, and why. Each further one is a promise that nobody holds.
NOT_RUN = {
    ("README.md", "make test", "it is these tests"),
    ("README.md", "python -m gptlab ui", "a server"),
    ("README.md", "python -m gptlab play", "it serves until Ctrl-C"),
    ("docs/play.md", "", "it serves until Ctrl-C"),
    ("docs/inspect.md", "", "as it came; another machine expects other words"),
    ("docs/checkpoints.md", "", "TransformerLens, which has an environment of its own: make huggingface"),
    ("docs/ablate.md", "", "it takes minutes"),
    ("docs/ablate.md", "", "as it came; no two runs take the same seconds"),
    ("docs/checkpoints.md", "mlflow models serve", "a server"),
    ("docs/experiments.md", "", "it takes minutes"),
    ("docs/gallery.md", "", "it takes minutes"),
    ("docs/performance.md", "", "for a machine with an accelerator"),
    ("docs/performance.md", "", "measurements of hours"),
    ("docs/training.md", "", "for a machine with an NVIDIA GPU"),
    ("docs/training.md", "", "two machines"),
    ("docs/sweeps.md", "", "Ray, which has an environment of its own: make ray"),
    ("docs/sweeps.md", "", "a cluster"),
    ("docs/sweeps.md", "", "as it came; no two sweeps take the same seconds"),
    ("docs/sweeps.md", "", "it takes a minute"),
    ("docs/sweeps.md", "", "words that stand for runs"),
    ("docs/tutorials/your-own-question.md", "", "README does it"),
    ("docs/tutorials/your-own-question.md", "", "it takes minutes"),
}


def test_what_is_not_run_is_little_and_has_its_reason() -> None:
    skipped = {
        (name, begin, reason)
        for name, page in TEXTS.items()
        for block in blocks_of(page)
        for begin, reason in block.skipped.items()
    }
    assert skipped == NOT_RUN
    for name, begin, _ in NOT_RUN:
        assert (
            any(c.startswith(begin) for block in blocks_of(TEXTS[name]) for c in block.commands())
            or not begin
        )


@pytest.mark.parametrize("name", PAGES)
def test_each_block_is_something_to_do_or_what_a_command_prints(name: str) -> None:
    """And each comment stands right above a block: one that does not would be passed over."""
    page, comments = TEXTS[name], 0
    for block in blocks_of(page):
        comments += len([*SKIPPED.finditer(block.comments), *STOPPED.finditer(block.comments)])
        comments += len(OUTPUT.findall(block.comments))
        for command in block.commands():
            assert settled(command).split()[0] in WORDS, command
        if block.language not in (*SHELL, "python", "toml"):
            assert block.output_of or block.saved_as, block.text
    assert comments == len(re.findall(r"<!-- (?:not run|stopped|output)", page))
    # Nothing else that a reader takes for a command or an output.
    assert not re.search(r"^ {4}(?:python|make|gptlab) ", page, re.MULTILINE)


def settled(command: str) -> str:
    """The command without the variables that are set in front of it."""
    return re.sub(r"^(?:[A-Z_]+=\S+ )+", "", command)


def commands_of(page: str) -> Iterator[str]:
    """Each command of gptlab that a page shows, in blocks and in backquotes, without those that leave words open."""
    shown = [command for block in blocks_of(page) for command in block.commands()]
    shown += re.findall(rf"`({CALL}[^`\n]+)`", page)
    for command in dict.fromkeys(shown):
        if command.startswith(CALL) and not re.search(r"\b[A-Z]{3,}\b|\.\.\.", command.replace("MLflow", "")):
            yield command.removeprefix(CALL)


# They take words, not a config; or, as `graph expr=`, what is no override. All of them are run below.
NOT_COMPOSED = ("plugins", "check", "sync", "compare", "ledger", "gallery", "export", "import")
OWN_WORDS = ("expr=", "param=", "versus=")


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_each_command_composes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks_of(TEXTS[name]):
        if block.saved_as:
            (tmp_path / block.saved_as).parent.mkdir(exist_ok=True)
            (tmp_path / block.saved_as).write_text(block.text, encoding="utf-8")
    for command in commands_of(TEXTS[name]):
        verb, rest = verb_of(shlex.split(command))
        if verb in VERBS and "--help" in rest:
            assert main(shlex.split(command)) == 0, command
            continue
        if (
            verb not in VERBS
            or verb in NOT_COMPOSED
            or not {"--cfg", "--help"}.isdisjoint(rest)
            or any(text.startswith(OWN_WORDS) for text in rest)
        ):
            continue
        line = read_command_line(rest, VERBS[verb].root or verb)
        overrides = next(line.jobs()) if line.sweeps else line.flags.overrides
        kept = [text for text in overrides if not text.startswith(("hydra", "+sweep", "resume="))]
        assert main([*([] if verb == "train" else [verb]), *kept, "--cfg", "job"]) == 0, command
    said = capsys.readouterr().err.splitlines()
    assert not [line for line in said if "gptlab: " in line and "for the first time" not in line]


@pytest.mark.slow
@pytest.mark.first
@pytest.mark.parametrize("name", PAGES)
def test_a_page_works_from_top_to_bottom_and_prints_what_it_shows(name: str, tmp_path: Path) -> None:
    _, done = followed(name, tmp_path)
    for block, came in done.printed:
        assert (says_the_same if block.numbers_aside else alike)(block.text, came), (
            f"{name} shows\n{block.text}\nand what comes is\n{came}\nRenew it: make outputs"
        )


@pytest.mark.slow
def test_the_last_lines_of_make_tiny_work_where_it_was_typed(tmp_path: Path) -> None:
    """With its runs in another folder; the README has the plain case."""
    with Reader(tmp_path, in_checkout=True) as reader:
        status, said = reader.shell("mkdir 'the runs' && make tiny FOLDER='the runs'")
        assert status == 0, said
        steps = re.findall(r"^[a-z ]+: +(cd .* -m gptlab .*)$", said, re.MULTILINE)
        assert len(steps) == 5, said
        for step in steps:
            if step.endswith(" ui"):
                continue
            few = "" if step.endswith(" generate") else " train.numSteps=2 tracking=none"
            status, said = reader.shell(f"cd '{reader.folder}' && ({step}{few})")
            assert status == 0, f"{step}\n{said}"
        assert not (reader.folder / "runs").exists()


PAGE = """
Save this as `sub/cat.txt`:

```text
the cat
```

<!-- not run: false (it fails) -->
```
cat sub/cat.txt      # what is in it
cd sub
false
```

<!-- output: cat -->
```
the dog 2.500
```

<!-- not run (it takes minutes) -->
<!-- output: false -->
```
the bird
```

```python
x = 3
```

```python
>>> x + 1
5

```
"""


def test_a_page_is_followed_in_one_folder_and_its_outputs_are_renewed(tmp_path: Path) -> None:
    with Reader(tmp_path, in_checkout=False) as reader:
        done = follow(PAGE, reader)
        assert reader.shell("pwd; cd ..")[1].strip().endswith("/sub")
        with pytest.raises(Mistake, match="false\nended with 1"):
            follow(PAGE.replace("<!-- not run: false (it fails) -->\n", "").replace("cd sub", "cd ."), reader)
        with pytest.raises(Mistake, match="no command before begins with dog"):
            follow(PAGE.replace("output: cat", "output: dog"), reader)
    renewed = done.renewed(PAGE)
    assert renewed == PAGE.replace("the dog 2.500", "the cat").replace("\n5\n", "\n4\n")


RUN = """\
data: 29,400 documents
step 500: loss 2.930 (perplexity 10.1)   "goodbye"
samples:
  yes
run folder: runs/2026-11-22/17-31-27-248819
MLflow run: a767fd9a2fa144498d75b56023c6f138
"""


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("17-31-27-248819", "18-00-00-000000", True),
        ("a767fd9a2fa144498d75b56023c6f138", "0" * 32, True),
        ("data:", "step 1/500  loss 6.4  9 s left\ndata:", True),
        ("2.930", "2.941", True),  # another machine
        ("10.1", "10.2", True),
        ("2.930", "3.030", False),
        ("29,400", "29,401", False),
        ("step 500", "step 600", False),
        ("goodbye", "the cat", False),  # the same machine, by its losses, draws the same
        ("  yes", "  no", False),
        ("samples:", "some:", False),
        ("  yes\n", "", False),
    ],
)
def test_what_counts_as_the_same_output(old: str, new: str, same: bool) -> None:
    assert old in RUN
    assert alike(RUN, RUN.replace(old, new)) is same
    # Where a loss shows that the machine is another, texts may be others.
    other = RUN.replace("2.930", "2.931").replace("goodbye", "the cat").replace("  yes", "  no")
    assert alike(RUN, other)


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("2.930", "3.030", True),
        ("29,400", "29,401", True),
        ("  yes\n", "", True),  # a sample
        ("samples:", "some:", False),
        ("step 500", "epoch 500", False),
        ("documents", "", False),
    ],
)
def test_what_counts_as_the_same_words(old: str, new: str, same: bool) -> None:
    assert old in RUN
    assert says_the_same(RUN, RUN.replace(old, new)) is same
