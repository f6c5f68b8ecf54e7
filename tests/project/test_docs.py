"""The documentation held to account: hooks, tutorial commands, README sessions and commands."""

import doctest
import re
import shlex

import pytest

from gptlab.checks import check_names
from gptlab.cli import main
from gptlab.command.composing import prepared
from gptlab.config.experiments import experiment_files
from gptlab.plugins import hookspecs
from gptlab.plugins.folders import is_plugin
from tests.repository import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PLUGINS = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
ATTENTION = (ROOT / "docs/attention.md").read_text(encoding="utf-8")
HOOKS = [name for name in vars(hookspecs) if name.startswith("gptlab_")]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_is_documented_with_its_signature_and_an_example(hook):
    code = getattr(hookspecs, hook).__code__
    signature = f"{hook}({', '.join(code.co_varnames[: code.co_argcount])})"
    headings = [line for line in PLUGINS.splitlines() if line.startswith("### ")]
    assert any(signature in heading for heading in headings)
    if hook not in ("gptlab_run_started", "gptlab_run_ended"):  # shown with gptlab_step_ended
        assert any(f"def {hook}(" in block for block in blocks(PLUGINS, "python"))


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_is_tested(hook):
    assert any(
        hook in path.read_text() for path in (ROOT / "tests").rglob("*.py") if path.name != "test_docs.py"
    )


@pytest.mark.slow
def test_each_block_with_a_hook_is_a_plugin_that_passes_its_check(tmp_path, monkeypatch, capsys):
    """As it is printed, in a file of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plugins").mkdir()
    files = {}
    for number, text in enumerate(block for block in blocks(PLUGINS, "python") if "hookimpl" in block):
        files[f"block{number}"] = text
        (tmp_path / f"plugins/block{number}.py").write_text(text)
    plugins = prepared()
    registered = {f"{entry.kind} {entry.name}" for entry in plugins.registry if entry.owner in files}
    assert registered == {
        "op halfmul",
        "op sine",
        "activation swish",
        "activation noisyrelu",
        "norm depthscaled",
        "attention elman",
        "reparametrization spread",
        "init uniform",
        "objective focal",
        "metric top",
        "optimizer signsgd",
        "optimizer backtracking",
        "schedule root",
        "sampler frequency",
        "schedule careful",
        "dataset counting",
        "dataset median",
        "tokenizer letters",
        "engine slowmotion",
        "tracking csv",
        "listener norms",
        "verb largest",
    }
    for name, text in files.items():
        checks = check_names(plugins, [name])
        assert checks and [check for check in checks if not check.passed] == [], text
    chosen = [
        "objective=focal",
        "metrics=[top]",
        "optimizer=signsgd",
        "schedule=root",
        "sampler=frequency",
        "data=counting",
        "tokenizer=letters",
        "model/activation=swish",
        "model/norm=depthscaled",
        "model/attention=elman",
        "model/init=uniform",
        "ops.mul=halfmul",
        "engine=slowmotion",
        "tracking=csv",
        f"listeners=[norms,{','.join(n for n, text in files.items() if 'def gptlab_register' not in text)}]",
    ]
    few = ["train.numSteps=2", "train.logEvery=1", "model.nEmbd=4", "model.nHead=2", "model.blockSize=8"]
    assert main([*chosen, *few, "samples.n=1", "hydra.run.dir=run"]) == 0
    assert len((tmp_path / "run/metrics.csv").read_text().splitlines()) == 2
    capsys.readouterr()
    assert main(["largest", "run=run", "n=2"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.slow
def test_each_attention_of_the_page_of_attentions_is_a_plugin_that_passes_its_check(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plugins").mkdir()
    for number, text in enumerate(blocks(ATTENTION, "python")):
        (tmp_path / f"plugins/block{number}.py").write_text(text)
    plugins = prepared()
    names = ["cosine", "strided", "retention"]
    assert [entry.name for entry in plugins.registry if entry.owner.startswith("block")] == names
    for name in names:
        checks = check_names(plugins, [name])
        assert checks and [check for check in checks if not check.passed] == []


@pytest.mark.slow
def test_the_tutorials_commands_do_what_they_say(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/half.py").write_text(blocks(PLUGINS, "python")[0])
    commands = [line for block in blocks(PLUGINS, "console") for line in block.splitlines()]
    assert len(commands) == 6
    for command in commands:
        assert main(shlex.split(command)[3:]) == 0, command
    said = capsys.readouterr().out
    assert "half (plugins/half.py)\n  op: halfmul" in said
    assert "ok    op halfmul  described, gradient, engines agree" in said
    assert len(list((tmp_path / "runs").rglob("run.json"))) == 5


def test_the_readmes_python_session_holds():
    result = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert result.attempted > 5
    assert result.failed == 0


EXAMPLES = [path.stem for path in sorted((ROOT / "plugins").iterdir()) if is_plugin(path)]


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_has_a_test_an_experiment_and_its_numbers_noted(name):
    assert (ROOT / f"tests/examples/test_{name}.py").is_file()
    assert name in experiment_files()
    assert f"| `{name}` |" in (ROOT / "docs/experiments.md").read_text(encoding="utf-8")
