"""A plugin that is edited between a run and what goes on with it: noticed, said, and gone on with only if told."""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gptlab import load
from gptlab.cli import main
from gptlab.plugins.code import digest_of
from gptlab.plugins.loading import load_plugins

HALF = """import gptlab
{top}
@gptlab.op(samples=[(0.5, -1.5), (2.0, 3.0)])
def halfmul(xp, a, b):
    return {factor} * a * b, ({factor} * b, {factor} * a)

@gptlab.hookimpl
def gptlab_register_ops(register):
    register(halfmul)
"""
TINY = [
    "data=text",
    "data.path=words.txt",
    "model.nLayer=1",
    "model.nEmbd=8",
    "model.nHead=2",
    "model.blockSize=8",
    "samples.n=0",
]
TINY += ["tracking=none", "progress=none", "engine=scalar", "inspect.atEnd=false", "checkpoint.every=1"]
RUN = [*TINY, "ops.mul=halfmul", "train.numSteps=2", "hydra.run.dir=one"]
CHANGED = "the plugin 'half' has changed since one"


def write(folder: Path, factor: str = "0.5", top: str = "") -> None:
    (folder / "plugins").mkdir(exist_ok=True)
    (folder / "plugins" / "half.py").write_text(HALF.format(factor=factor, top=top))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GPTLAB_PLUGINS", raising=False)
    write(tmp_path)
    (tmp_path / "words.txt").write_text("what is it\nwho was it\n" * 30)
    return tmp_path


def rewound(folder: Path) -> None:
    """The run as it is after one of its two steps."""
    shutil.rmtree(folder / "checkpoints" / "step-000002")


def test_one_that_is_edited_within_a_second_is_run_as_it_is_now(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = folder / "plugins/half.py"
    now = time.time()
    for factor in ("0.5", "0.7", "0.9"):  # of one size
        write(folder, factor)
        os.utime(file, (now, now))
        op = load_plugins().registry.get("op", "halfmul")
        assert op(np, 1.0, 1.0)[0] == float(factor)
    os.utime(file, (now - 60, now - 60))  # what was compiled of it is not kept from then, either
    assert load_plugins().registry.get("op", "halfmul")(np, 1.0, 1.0)[0] == 0.9


@pytest.mark.slow
def test_an_edited_plugin_is_noticed_wherever_a_run_is_used_again(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(RUN) == 0
    kept = json.loads((folder / "one/plugins.json").read_text())
    assert kept == {"op halfmul": "half", "plugin half": load_plugins().registry.digest("half")}
    state = json.loads((folder / "one/checkpoints/step-000002/state.json").read_text())
    assert state["plugins"] == kept
    assert main(["export", "one", "output=w.safetensors", "tracking=none"]) == 0
    rewound(folder / "one")
    capfd.readouterr()
    assert main(["generate", "run=one", "n=1", "tracking=none"]) == 0
    assert "plugin" not in capfd.readouterr().err

    write(folder, "0.9")
    for verb in (["generate", "n=1"], ["inspect", "text=what"], ["export", "output=other.safetensors"]):
        main([verb[0], "run=one", *verb[1:], "tracking=none"])
        assert capfd.readouterr().err.count(CHANGED) == 1, verb
    load("one", uri=None)
    assert capfd.readouterr().err.count(CHANGED) == 1
    assert main(["import", "w.safetensors"]) == 0
    assert "the plugin 'half' has changed since w.safetensors" in capfd.readouterr().err
    begun = [*TINY, "train.numSteps=1", "hydra.run.dir=two", "initFrom=one"]
    assert main(begun) == 0
    assert capfd.readouterr().err.count(CHANGED) == 1

    before = (folder / "one/metrics.jsonl").read_bytes()
    assert main(["resume=one", "progress=none"]) == 2
    error = capfd.readouterr().err
    assert CHANGED in error
    assert "add anyway=true" in error
    assert (folder / "one/metrics.jsonl").read_bytes() == before
    assert main(["resume=one", "progress=none", "anyway=true"]) == 0
    assert capfd.readouterr().err.count(CHANGED) == 1
    # What it was gone on with is what it has now.
    now = json.loads((folder / "one/plugins.json").read_text())
    assert now != kept
    rewritten = json.loads((folder / "one/checkpoints/step-000002/state.json").read_text())
    assert rewritten["plugins"] == now
    assert "anyway" not in rewritten["config"]


@pytest.mark.slow
def test_a_run_from_before_there_were_digests_still_goes_on(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("gptlab.plugins.loading.digest_of", lambda *arguments: "")
        assert main(RUN) == 0
    assert json.loads((folder / "one/plugins.json").read_text()) == {"op halfmul": "half"}
    rewound(folder / "one")
    write(folder, "0.9")
    assert main(["resume=one", "progress=none"]) == 0
    assert "has changed" not in capfd.readouterr().err


@pytest.mark.slow
def test_a_sweep_goes_on_with_an_edited_plugin_only_if_told(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sweep = ["-m", *TINY, "train.numSteps=1", "ops.mul=halfmul,mul", "hydra.sweep.dir=s"]
    assert main(sweep) == 0
    write(folder, "0.9")
    again = [*[text for text in sweep if "sweep.dir" not in text], "sweep.resume=s"]
    capfd.readouterr()
    assert main(again) == 2
    assert "the plugin 'half' has changed since s was trained" in capfd.readouterr().err
    assert main([*again, "anyway=true"]) == 0


@pytest.mark.parametrize(
    ("before", "after", "noticed"),
    [
        ({"p.py": "A = 1"}, {"p.py": "A = 2"}, True),
        ({"p.py": "A = 1", "q.py": ""}, {"q.py": "A = 1"}, False),
        ({"p.py": "from . import q", "q.py": ""}, {"q.py": "A = 1"}, True),
        ({"p.py": "from .q import A", "q.py": "from .r import A", "r.py": "A = 1"}, {"r.py": "A = 2"}, True),
        ({"p.py": "from gptlab.found.q import A", "q.py": "A = 1"}, {"q.py": "A = 2"}, True),
        ({"p.py": "from gptlab.found import q", "q.py": "A = 1"}, {"q.py": "A = 2"}, True),
        (
            {"p.py": "import math, numpy, gptlab\nimport beside_it", "../beside_it.py": ""},
            {"../beside_it.py": "1"},
            True,
        ),
        ({"p/__init__.py": "from p import deep"}, {"p/deep/er.py": "A = 1"}, True),
        ({"p/__init__.py": "from ..q import A", "q.py": "A = 1"}, {"q.py": "A = 2"}, True),
        ({"p/__init__.py": ""}, {"p/notes.txt": "a word"}, False),
        ({"p.py": "def ("}, {"p.py": "def )"}, True),
    ],
)
def test_a_digest_is_of_the_plugin_and_of_the_users_own_modules_that_it_imports(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: dict[str, str],
    after: dict[str, str],
    noticed: bool,
) -> None:
    plugins = tmp_path / "plugins"
    monkeypatch.syspath_prepend(tmp_path)

    def digest(files: dict[str, str]) -> str:
        for name, text in files.items():
            (plugins / name).parent.mkdir(parents=True, exist_ok=True)
            (plugins / name).write_text(text)
        package = (plugins / "p").is_dir()
        return digest_of(
            "p", plugins / ("p/__init__.py" if package else "p.py"), plugins / "p" if package else None
        )

    assert (digest(before) != digest(after)) == noticed


def test_a_digest_does_not_depend_on_where_the_plugin_lies(tmp_path: Path) -> None:
    found = set()
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "p.py").write_text("from .q import A")
        (tmp_path / place / "q.py").write_text("A = 1")
        found.add(digest_of("p", tmp_path / place / "p.py", None))
    assert len(found) == 1


@pytest.mark.slow
def test_an_op_that_a_component_applies_by_name_counts_as_used(folder: Path) -> None:
    (folder / "plugins" / "act.py").write_text(
        "import gptlab\nfrom dataclasses import dataclass\n"
        "@dataclass(frozen=True)\nclass Halved:\n    def __call__(self, x):\n        return x.apply('halfmul', x)\n"
        "@gptlab.hookimpl\ndef gptlab_register_components(register):\n    register('activation', 'halved', Halved)\n"
    )
    assert main([*RUN, "model/activation=halved"]) == 0
    assert set(json.loads((folder / "one/plugins.json").read_text())) == {
        "activation halved",
        "op halfmul",
        "plugin act",
        "plugin half",
    }
