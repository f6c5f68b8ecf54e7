"""Plugins: where they are found, what they may add, and what is said when one is wrong."""

import json
import sys
from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.cli.verbs.plugins import listing
from gptlab.errors import UserError
from gptlab.plugins.hookspecs import gptlab_run_started
from gptlab.plugins.loading import LISTENING, REGISTERING, load_plugins
from tests.plugin_texts import EVERY_HOOK, HALF, NEW_OP, SCALED

SMALL = [
    "data=questions",
    "data.valFraction=0.1",
    "model.nEmbd=8",
    "model.nHead=2",
    "train.numSteps=2",
    "samples.n=1",
    "tracking=none",
    "progress=none",
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with an empty ./plugins, and no other place where plugins are looked for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GPTLAB_PLUGINS", raising=False)
    (tmp_path / "plugins").mkdir()
    return tmp_path


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / "plugins" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_in_plugins_of_the_current_folder_is_found(folder):
    write(folder, "half.py", HALF)
    registry = load_plugins().registry
    assert registry.owner("op", "halfmul") == "half"
    assert registry.entry("op", "halfmul").description == "a * b / 2."


def test_a_package_folder_is_found_with_its_experiments_and_its_groups(folder, capsys):
    write(folder, "pair/__init__.py", HALF + "from . import other\n")
    write(folder, "pair/other.py", "LOADED = True\n")
    write(folder, "pair/experiments/paired.yaml", "ops: {mul: halfmul}\n")
    write(folder, "pair/conf/schedule/late.yaml", "defaults: [linear]\nwarmup: 7\n")
    assert load_plugins().registry.owner("op", "halfmul") == "pair"
    assert main(["+experiment=paired", "schedule=late", "--cfg", "job"]) == 0
    shown = capsys.readouterr().out
    assert "mul: halfmul" in shown
    assert "warmup: 7" in shown


def test_experiments_beside_plugin_files_are_found(folder, capsys):
    write(folder, "half.py", HALF)
    write(folder, "experiments/halved.yaml", "ops: {mul: halfmul}\n")
    assert main(["+experiment=halved", "--cfg", "job"]) == 0
    assert "mul: halfmul" in capsys.readouterr().out


def test_folders_named_by_the_variable_are_searched(folder, monkeypatch):
    elsewhere = folder / "else where"
    elsewhere.mkdir()
    (elsewhere / "half.py").write_text(HALF)
    monkeypatch.setenv("GPTLAB_PLUGINS", f"{folder / 'nowhere'}:{elsewhere}")
    assert load_plugins().registry.owner("op", "halfmul") == "half"


def test_the_checkouts_own_plugins_are_found(folder):
    assert load_plugins().registry.owner("op", "logmul") == "logmul"


def test_an_installed_package_is_found_by_its_entry_point(folder, monkeypatch):
    site = folder / "site"
    (site / "half_plugin-1.2.dist-info").mkdir(parents=True)
    (site / "half_plugin.py").write_text(HALF)
    (site / "half_plugin-1.2.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: half-plugin\nVersion: 1.2\n"
    )
    (site / "half_plugin-1.2.dist-info/entry_points.txt").write_text("[gptlab]\nhalf = half_plugin\n")
    monkeypatch.syspath_prepend(site)
    plugins = load_plugins()
    monkeypatch.delitem(sys.modules, "half_plugin")
    assert plugins.registry.owner("op", "halfmul") == "half"
    assert "half 1.2 (half-plugin (installed))\n  op: halfmul" in listing(plugins)


def test_hidden_files_and_tests_are_no_plugins(folder):
    for name in ("_half.py", ".half.py", "test_half.py", "half.txt"):
        write(folder, name, HALF)
    assert "halfmul" not in load_plugins().registry.names("op")


def test_the_listing_says_where_what_and_why_not(folder, capsys):
    write(folder, "half.py", HALF)
    write(folder, "broken.py", "import there_is_no_such_module\n")
    assert main(["plugins"]) == 0
    out, err = capsys.readouterr()
    assert "half (plugins/half.py)\n  op: halfmul" in out
    assert "broken (plugins/broken.py)\n  left out: ModuleNotFoundError: No module named 'there_is_no" in out
    assert "printer" in out
    assert "listener: listeners=[printer]" in out
    assert "there_is_no_such_module" not in err


@pytest.mark.slow
def test_a_swapped_op_trains_and_the_run_remembers_whose_it_was(folder, capsys):
    write(folder, "half.py", HALF)
    assert main([*SMALL, "ops.mul=halfmul", "hydra.run.dir=one"]) == 0
    brought = json.loads((folder / "one/plugins.json").read_text())
    assert brought.keys() == {"op halfmul", "plugin half"}
    assert brought["op halfmul"] == "half"
    assert main([*SMALL, "hydra.run.dir=two"]) == 0
    first, second = (
        json.loads((folder / name / "metrics.jsonl").read_text().splitlines()[-1])["train/loss"]
        for name in ("one", "two")
    )
    assert first != second
    (folder / "plugins/half.py").unlink()
    assert main(["generate", "run=one", "n=1"]) == 2
    assert "no op is named 'halfmul'" in (said := capsys.readouterr().err)
    assert "The run took it from the plugin 'half'" in said


@pytest.mark.slow
def test_what_is_installed_never_changes_a_run(folder):
    losses = []
    for run in ("without", "with"):
        assert main([*SMALL, f"hydra.run.dir={run}"]) == 0
        losses.append((folder / run / "checkpoints/step-000002/weights.safetensors").read_bytes())
        write(folder, "half.py", HALF)
    assert losses[0] == losses[1]


@pytest.mark.slow
def test_a_components_fields_are_typed_config_keys(folder, capsys):
    write(folder, "scaled.py", SCALED)
    assert main([*SMALL, "model/norm=scaled", "model.norm.factor=0.25", "hydra.run.dir=one"]) == 0
    assert main([*SMALL, "model/norm=scaled", "model.norm.factr=0.25"]) == 2
    assert "Did you mean model.norm.factor" in capsys.readouterr().err
    assert main([*SMALL, "model/norm=scaled", "model.norm.factor=much"]) == 2
    assert "must be a number: got much" in capsys.readouterr().err


@pytest.mark.slow
def test_weights_that_do_not_fit_their_use_are_named_with_their_shapes(folder, capsys):
    write(folder, "scaled.py", SCALED)
    assert main([*SMALL, "model/norm=scaled", "model.norm.wide=5"]) == 2
    said = capsys.readouterr().err
    assert "the model's norm Scaled does not work with the weights matrix (5x8)" in said
    assert "(2x5) @ (8x5): 5 and 8 must be equal" in said
    assert not (folder / "runs").exists()


@pytest.mark.slow
def test_listeners_act_only_if_named(folder, capsys):
    write(
        folder,
        "shout.py",
        "import gptlab\n@gptlab.hookimpl\ndef gptlab_step_ended(step):\n    print('STEP', step)\n"
        "@gptlab.hookimpl\ndef gptlab_run_ended(run, error):\n    print('END', error)\n",
    )
    assert main(SMALL) == 0
    assert "STEP" not in capsys.readouterr().out
    assert main([*SMALL, "listeners=[shout]"]) == 0
    assert capsys.readouterr().out.split("\n")[:3] == ["STEP 1", "STEP 2", "END None"]


@pytest.mark.slow
def test_a_listener_that_raises_is_left_out_and_the_run_goes_on(folder, capsys):
    text = "import gptlab\n@gptlab.hookimpl\ndef gptlab_step_ended(run):\n    run.nonsense\n"
    write(folder, "faulty.py", text)
    assert main([*SMALL, "listeners=[faulty]", "hydra.run.dir=one"]) == 0
    assert "the listener 'faulty' failed in gptlab_step_ended" in capsys.readouterr().err
    assert len((folder / "one/metrics.jsonl").read_text().splitlines()) == 2


def test_a_listener_that_is_none_is_refused(folder, capsys):
    write(folder, "half.py", HALF)
    assert main([*SMALL, "listeners=[half]"]) == 2
    assert "no listener is named 'half'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_plugin_that_fails_to_import_costs_one_line_and_its_reason_comes_back(folder, capsys):
    write(folder, "broken.py", "import there_is_no_such_module\n" + HALF)
    assert main(["plugins"]) == 0
    capsys.readouterr()
    assert main(SMALL) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(lines) == 1
    assert "the plugin 'broken' (plugins/broken.py) is left out: ModuleNotFoundError" in lines[0]
    assert main([*SMALL, "ops.mul=halfmul"]) == 2
    assert "The plugin 'broken' may have it, but is left out: ModuleNotFoundError" in capsys.readouterr().err


def test_a_hook_that_raises_leaves_none_of_its_names(folder, capsys):
    write(folder, "half.py", HALF.replace("register(halfmul)", "register(halfmul)\n    1 / 0"))
    assert "halfmul" not in load_plugins().registry.names("op")
    assert "left out: ZeroDivisionError" in capsys.readouterr().err


def test_a_forgotten_hookimpl_is_noticed(folder, capsys):
    write(folder, "half.py", HALF.replace("@gptlab.hookimpl", ""))
    load_plugins()
    assert (
        "'half' (plugins/half.py) registers nothing. Is @gptlab.hookimpl missing" in capsys.readouterr().err
    )


def test_two_plugins_of_one_name_are_both_named(folder, monkeypatch):
    write(folder, "half.py", HALF)
    other = folder / "other"
    other.mkdir()
    (other / "half.py").write_text(HALF)
    monkeypatch.setenv("GPTLAB_PLUGINS", str(other))
    with pytest.raises(UserError, match=r"two plugins are named 'half': plugins/half\.py and other/half\.py"):
        load_plugins()


def test_two_plugins_that_register_one_name_are_both_named(folder):
    write(folder, "half.py", HALF)
    write(folder, "twin.py", HALF)
    with pytest.raises(UserError, match="two plugins register the op 'halfmul': half and twin"):
        load_plugins()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            HALF.replace("gptlab_register_ops", "gptlab_register_opps"),
            "there is no hook 'gptlab_register_opps'. Did you mean gptlab_register_ops",
        ),
        (
            HALF.replace("ops(register)", "ops(registry)"),
            r"gptlab_register_ops takes \(register\), and the plugin asks for.*registry",
        ),
        (HALF.replace("(xp, a, b)", "(xp)"), "must take the array namespace and then a fixed count"),
        (SCALED.replace("frozen=True", ""), "must be a frozen dataclass"),
        (
            SCALED.replace('"norm", "scaled"', '"gnorm", "scaled"'),
            "no kind of component is named 'gnorm'. Did you mean norm",
        ),
    ],
    ids=["misspelt hook", "wrong signature", "op without numbers", "no frozen dataclass", "unknown kind"],
)
def test_a_wrong_plugin_is_an_error_that_says_what_is_wrong(folder, text, says):
    write(folder, "wrong.py", text)
    with pytest.raises(UserError, match=says):
        load_plugins()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("result", "says"),
    [
        ("a * b, (b,)", "takes 2 numbers and must give as many local gradients"),
        ("a * b, (b, xp.asarray([a, a]))", "must give finite numbers at its own samples"),
        ("xp.log(a - a) * b, (b, a)", "must give finite numbers at its own samples"),
    ],
    ids=["count", "shape", "nan"],
)
def test_an_op_that_fails_at_its_own_samples_is_refused_before_training(folder, capsys, result, says):
    write(folder, "half.py", HALF.replace("0.5 * a * b, (0.5 * b, 0.5 * a)", result))
    assert main([*SMALL, "ops.mul=halfmul"]) == 2
    assert says in capsys.readouterr().err
    assert not (folder / "runs").exists()


def test_an_op_of_another_arity_is_refused(folder, capsys):
    write(folder, "half.py", HALF)
    assert main([*SMALL, "ops.exp=halfmul"]) == 2
    assert "ops.exp must be an op of 1 numbers, got 'halfmul', which takes 2" in capsys.readouterr().err


def test_every_registering_hook_adds_to_its_kind(folder):
    write(folder, "every.py", EVERY_HOOK)
    kinds = {entry.kind for entry in load_plugins().registry if entry.owner == "every"}
    assert kinds == {
        "op",
        "activation",
        "init",
        "sampler",
        "objective",
        "metric",
        "optimizer",
        "schedule",
        "dataset",
        "tokenizer",
        "engine",
        "tracking",
        "listener",
        "verb",
    }
    assert set(REGISTERING) == {
        line.split("(")[0] for line in EVERY_HOOK.split("def ") if line.startswith("gptlab_")
    }


@pytest.mark.slow
def test_every_listening_hook_is_called_with_what_it_asks_for(folder, capsys):
    lines = [f"@gptlab.hookimpl\ndef {hook}(run):\n    print('{hook}', run.name)\n" for hook in LISTENING]
    write(folder, "ears.py", "import gptlab\n" + "".join(lines))
    assert main([*SMALL, "listeners=[ears]"]) == 0
    heard = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("gptlab_")]
    # Step 1 and step 2, which is the last one: saved, then looked into.
    assert heard == [*LISTENING[:1], "gptlab_step_ended", *LISTENING[1:]]
    assert gptlab_run_started.__doc__


@pytest.mark.slow
def test_an_engine_and_a_tracking_of_a_plugin_are_selected_by_name(folder):
    write(folder, "every.py", EVERY_HOOK)
    small = [argument for argument in SMALL if not argument.startswith("tracking")]
    assert main([*small, "engine=mine", "tracking=mine", "hydra.run.dir=one"]) == 0
    assert main([*small, "engine=scalar", "tracking=none", "hydra.run.dir=two"]) == 0
    mine, scalar = (
        (folder / run / "checkpoints/step-000002/weights.safetensors").read_bytes() for run in ("one", "two")
    )
    assert mine == scalar


@pytest.mark.slow
def test_a_new_op_is_applied_by_its_name_on_both_engines(folder):
    write(folder, "squaring.py", NEW_OP)
    losses = []
    for engine in ("scalar", "xla"):
        dtype = "engine.dtype=float64"
        arguments = [
            *SMALL,
            "model/activation=squaring",
            f"engine={engine}",
            dtype,
            f"hydra.run.dir={engine}",
        ]
        assert main(arguments) == 0
        rows = (folder / engine / "metrics.jsonl").read_text().splitlines()
        losses.append([json.loads(row)["train/loss"] for row in rows])
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)
