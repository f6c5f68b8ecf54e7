"""Verbs that plugins bring: run with their keys, shown by --help without being run, completed."""

from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.command.verbs import VERBS
from gptlab.plugins.registry import OWN_VERBS
from tests.plugin_texts import stand_beside

GREETING = '''
import os
from dataclasses import dataclass, field

import gptlab

open("was_run", "w").close()


@dataclass(frozen=True)
class Greeting:
    """Say hello.

      python -m gptlab greet name=Ada times=2

    name: whose. times: how often. loud: in capitals. fail: how.
    """

    name: str = "you"
    times: int = 1
    loud: bool = False
    fail: str = ""

    def __post_init__(self):
        gptlab.require("times", self.times, at_least=1, example=1)

    def __call__(self):
        if self.fail == "user":
            raise gptlab.UserError("say something else.")
        if self.fail == "python":
            raise KeyError("nobody\\nis there")
        if self.fail == "status":
            return 3
        if self.fail == "nonsense":
            return "done"
        words = f"hello {self.name}"
        for _ in range(self.times):
            print(words.upper() if self.loud else words)


@gptlab.hookimpl
def gptlab_register_verbs(register):
    register("greet", Greeting)
'''


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return stand_beside(tmp_path, monkeypatch, greeting=GREETING)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "hello you\n"),
        (["name=Ada", "times=2"], "hello Ada\nhello Ada\n"),
        (["name=1.10", "loud=true"], "HELLO 1.10\n"),
        (["name=a, b"], "hello a, b\n"),
    ],
    ids=str,
)
def test_it_is_run_with_its_keys(place: Path, capsys, words: list[str], said: str) -> None:
    assert main(["greet", *words]) == 0
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["times=two"], "times must be a whole number: got two."),
        (["times=0"], "times must be at least 1: got 0. Try times=1."),
        (["tims=2"], "no key of greet is named 'tims'. Did you mean times"),
        (["Ada"], "greet takes keys with their values (name=, times=, loud=, fail=): got Ada."),
        (["--loud"], "got --loud. Type python -m gptlab greet --help"),
        (["times=1,2"], "greet takes one value for each key"),
        (["fail=user"], "say something else."),
        (["fail=python"], "the verb 'greet' of the plugin 'greeting' failed: KeyError: "),
        (["fail=nonsense"], "must return an exit status or None: got 'done'"),
    ],
    ids=str,
)
def test_what_goes_wrong_is_a_line_and_status_2(place: Path, capsys, words: list[str], said: str) -> None:
    assert main(["greet", *words]) == 2
    out, err = capsys.readouterr()
    assert said in err and len(err.splitlines()) == 2 and out == ""  # with the line of the folder's first run


def test_its_status_is_that_of_the_command(place: Path) -> None:
    assert main(["greet", "fail=status"]) == 3


@pytest.mark.slow
def test_help_and_completion_run_no_plugin(place: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    assert main(["greet", "--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Say hello.\n\n  python -m gptlab greet name=Ada times=2\n")
    assert said.endswith("keys: name=you times=1 loud=false fail=\n")
    assert main(["--help"]) == 0
    assert "Verbs that plugins bring:\n  greet  Say hello." in capsys.readouterr().out
    for line, choices in [("gptlab gre", "greet \n"), ("gptlab greet ", "name=\ntimes=\nloud=\nfail=\n")]:
        monkeypatch.setenv("COMP_LINE", line)
        assert main(["-sc", "query=bash"]) == 0
        assert capsys.readouterr().out == choices
    assert not Path("was_run").exists()
    assert main(["gret"]) == 2
    assert "Did you mean greet" in capsys.readouterr().err


def test_one_whose_name_cannot_be_read_is_run_all_the_same(place: Path, capsys) -> None:
    text = GREETING.replace('register("greet"', 'register("gre" + "et"').replace("import os\n", "# greet\n")
    Path("plugins/greeting.py").write_text(text)
    assert main(["greet"]) == 0
    assert main(["greet", "--help"]) == 0
    assert capsys.readouterr().out.startswith("hello you\nSay hello.\n")


@pytest.mark.parametrize("name", ["train", "check", "a b", "+a", "a=b", "-a", ""])
def test_no_verb_has_the_name_of_one_of_ours_or_what_is_no_word(place: Path, capsys, name: str) -> None:
    Path("plugins/greeting.py").write_text(GREETING.replace('"greet"', repr(name)))
    assert main(["plugins"]) == 2
    assert "not one of gptlab's own (train, generate, " in capsys.readouterr().err


def test_the_list_of_gptlab_s_own_is_the_table() -> None:
    assert set(OWN_VERBS) == set(VERBS)
