"""Tab completion as bash asks for it: the line so far in COMP_LINE, the choices on stdout."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gptlab.cli import main

Complete = Callable[[str], list[str]]


@pytest.fixture
def complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Complete:
    monkeypatch.chdir(tmp_path)

    def ask(line: str) -> list[str]:
        monkeypatch.setenv("COMP_LINE", line)
        monkeypatch.setenv("COMP_POINT", str(len(line)))
        assert main(["-sc", "query=bash"]) == 0
        out, error = capfd.readouterr()
        assert error == ""
        assert list(tmp_path.iterdir()) == []
        return out.split()

    return ask


def test_experiments(complete: Complete) -> None:
    assert {"+experiment=tiny", "+experiment=book"} <= set(complete("gptlab +experiment="))


def test_names_of_a_group(complete: Complete) -> None:
    assert {"model/norm=layernorm", "model/norm=none", "model/norm=rmsnorm"} <= set(
        complete("gptlab model/norm=")
    )
    assert "optimizer=adamw" in complete("gptlab +experiment=tiny optimizer=ada")


@pytest.mark.slow
def test_keys_of_the_chosen_component(complete: Complete) -> None:
    assert "optimizer.momentum=" in complete("gptlab optimizer=sgd optimizer.")
    assert "train.numSteps=" in complete("gptlab +experiment=tiny train.num")


@pytest.mark.slow
def test_ops(complete: Complete) -> None:
    assert "ops.mul=maximum" in complete("gptlab ops.mul=ma")


@pytest.mark.parametrize(
    ("line", "verb"), [("gptlab gen", "generate"), ("gptlab u", "ui"), ("gptlab imp", "import")]
)
def test_verbs(complete: Complete, line: str, verb: str) -> None:
    assert complete(line) == [verb]


@pytest.mark.slow
def test_keys_of_a_verb(complete: Complete) -> None:
    assert complete("gptlab generate temp") == ["temperature="]
    assert {"engine=scalar", "engine=xla"} <= set(complete("gptlab generate n=3 engine="))
    assert complete("gptlab ui po") == ["port="]
    assert complete("gptlab import weights.json tokenizer.pa") == ["tokenizer.path="]


@pytest.mark.slow
def test_export(complete: Complete) -> None:
    formats = ("json", "safetensors", "gguf", "c", "huggingface", "transformerlens")
    assert sorted(complete("gptlab export latest --form")) == sorted(f"--format={name}" for name in formats)
    assert complete("gptlab export latest --format=json out") == ["output="]
    assert complete("gptlab export over") == ["overwrite="]


@pytest.mark.parametrize(
    "line", ["gptlab model.norm=[ ", "gptlab --nosuch tra", "gptlab optimizer=nosuch optimizer."]
)
def test_a_line_that_is_wrong_is_no_error(complete: Complete, line: str) -> None:
    complete(line)


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_install_prints_a_script_for_the_command(shell: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["-sc", f"install={shell}"]) == 0
    out, error = capfd.readouterr()
    assert error == ""
    assert "gptlab" in out and "-sc query=" in out


REFUSED = {
    "data=",
    "experiment=",
    "+experiment=",
    "hydra",
    "hydra.",
    "model/",
    "optimizer=",
    "schedule=",
    "sweep=",
    "original=",
}


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["generate", "export", "import", "compare", "inspect", "ui"])
def test_nothing_is_offered_that_the_verb_refuses(complete: Complete, verb: str) -> None:
    offered = set(complete(f"gptlab {verb} "))
    assert offered and offered.isdisjoint(REFUSED)
    assert not any(choice.endswith(".name=") for choice in complete(f"gptlab {verb} tracking."))


@pytest.mark.slow
def test_an_experiment_is_offered_with_its_plus_where_there_is_one(complete: Complete) -> None:
    for line in ("gptlab ", "gptlab exp", "gptlab train ", "gptlab summary ", "gptlab graph "):
        offered = complete(line)
        assert "+experiment=" in offered and "experiment=" not in offered
    assert complete("gptlab experiment=ti") == ["+experiment=tiny"]
    assert complete("gptlab generate +experiment=") == []


@pytest.mark.slow
def test_verbs_without_a_config(complete: Complete) -> None:
    assert complete("gptlab plugins ") == complete("gptlab sync ") == []
    assert complete("gptlab check half") == []
    assert complete("gptlab check adamw") == ["adamw"]
    assert complete("gptlab summary ver") == ["versus="]
    assert complete("gptlab summary ops.mul=ma") == ["ops.mul=maximum"]


@pytest.mark.slow
def test_names_and_keys_of_the_gallery(complete: Complete) -> None:
    assert complete("gptlab gallery squ") == ["squaredrelu"]
    assert "seeds=" in complete("gptlab gallery squaredrelu se")
    assert "squaredrelu" not in complete("gptlab gallery squaredrelu s")


@pytest.mark.parametrize(
    ("line", "choice"),
    [
        ("python -m gptlab gen", "generate"),
        ("/opt/env/bin/python3.11 -m gptlab +experiment=tin", "+experiment=tiny"),
        ("python -m gptlab --help tra", "train."),
        ("gptlab --help train.num", "train.numSteps"),
        ("gptlab generate --help prom", "prompt"),
    ],
)
def test_as_a_module_and_behind_help(complete: Complete, line: str, choice: str) -> None:
    assert choice in complete(line)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_asks_for_a_module_and_leaves_other_uses_of_python_alone(tmp_path: Path) -> None:
    script = """
    _old() { COMPREPLY=("old-$2"); }
    complete -F _old python
    eval "$(python -m gptlab -sc install=bash)"
    ask() {
        COMP_WORDS=($1); COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )); COMP_LINE="$1"; COMP_POINT=${#1}; COMPREPLY=()
        _gptlab_of_python "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}"; echo "${COMPREPLY[*]}"
    }
    complete -p python gptlab
    ask "python -m gptlab gen"
    ask "python script"
    """
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    of_python, of_gptlab, module, other = done.stdout.splitlines()
    assert of_python.endswith("-F _gptlab_of_python python") and of_gptlab.endswith("gptlab")
    assert (module, other) == ("generate", "old-script")
