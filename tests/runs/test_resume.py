"""resume= gives bitwise the run that was never interrupted: each engine, each optimizer, whatever ended it."""

import json
import os
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from gptlab.calling import command_with
from gptlab.cli import main
from gptlab.command.line import parsed
from gptlab.engines.packing import choose_shape
from gptlab.errors import UserError
from gptlab.plugins.loading import load_plugins
from gptlab.runs.checkpoint.folder import checkpoint_folders, read_checkpoint
from tests.resuming import TINY, as_killed, assert_same_end, logged, result
from tests.sweeping import at_step, command_in

OPTIMIZERS = ["adam", "adamw", "sgd", "schedulefree", "lion", "muon", "optax", "sam", "samsgd", "soap"]
SOME = [
    "train.numSteps=11",
    "train.logEvery=2",
    "train.evalEvery=4",
    "checkpoint.every=3",
    "checkpoint.keep=9",
]


def train(name: str, *arguments: str) -> Path:
    assert main([*TINY, *SOME, f"hydra.run.dir={name}", *arguments]) == 0
    return Path(name)


def test_the_list_has_every_optimizer_there_is() -> None:
    assert set(OPTIMIZERS) == set(load_plugins().registry.names("optimizer"))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [name for name in OPTIMIZERS if name != "optax"])
def test_a_resumed_run_is_the_uninterrupted_one_to_the_bit(folder: Path, optimizer: str) -> None:
    whole = train(
        "whole", "engine=scalar", "train.batchSize=3", f"optimizer={optimizer}", "schedule.warmup=3"
    )
    assert [f.name for f in checkpoint_folders(whole)] == [f"step-{s:06d}" for s in (3, 6, 9, 11)]
    for step in (3, 9):
        copy = as_killed(whole, Path(f"killed-{step}"), step)
        assert main([f"resume={copy}"]) == 0
        assert_same_end(copy, whole)
    assert (checkpoint_folders(whole)[0] / "training.safetensors").exists() == (optimizer == "schedulefree")


AROUND = ["optimizer.clip=0.5", "train.average=0.9", "train.rates={layers.0: 2, *.key: 0.5}"]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "schedulefree"])
def test_so_is_one_with_the_weights_averaged_and_rates_by_name(folder: Path, optimizer: str) -> None:
    whole = train(
        "whole", "engine=scalar", f"optimizer={optimizer}", *AROUND, "optimizer.decay={output: 0.1}"
    )
    copy = as_killed(whole, Path("killed"), 6)
    assert main([f"resume={copy}"]) == 0
    assert_same_end(copy, whole)
    saved = read_checkpoint(checkpoint_folders(whole)[-1])
    for name, array in saved.weights.items():
        assert array.tobytes() == saved.optimizer["train.average"][name].tobytes(), "kept is the average"
        assert (array != saved.training[name]).any()


@pytest.mark.usefixtures("optimized")
@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        *(["train.batchSize=16", "samples.n=0", f"optimizer={name}"] for name in OPTIMIZERS),
        ["train.batchSize=1"],
        ["train.batchSize=16", "samples.n=0", "engine.dtype=float64"],
        ["train.batchSize=16", "samples.n=0", "optimizer=sam", *AROUND],
        ["train.batchSize=16", "samples.n=0", "optimizer.clip=0.5", "train.average=0.9", "train.norms=true"],
    ],
    ids=lambda arguments: " ".join(a.partition(".")[2] or a for a in arguments if a != "samples.n=0"),
)
def test_compiled_too(folder: Path, arguments: list[str]) -> None:
    whole = train("whole", "engine=xla", *arguments)
    copy = as_killed(whole, Path("killed"), 6)
    assert main([f"resume={copy}"]) == 0
    assert_same_end(copy, whole)
    weights = read_checkpoint(checkpoint_folders(copy)[-1]).weights["output"]
    assert weights.dtype == ("float64" if "engine.dtype=float64" in arguments else "float32")


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [["train.freeze=[tokenEmbedding]"], ["model/adapter=lora", "optimizer=schedulefree"]],
    ids=["freeze", "lora"],
)
def test_a_run_that_began_from_another_needs_no_more_than_its_own_checkpoint(
    folder: Path, arguments: list[str]
) -> None:
    train("source", "engine=scalar")
    whole = train("whole", "engine=scalar", "initFrom=source", *arguments)
    copy = as_killed(whole, Path("killed"), 6)
    shutil.rmtree("source")
    assert main([f"resume={copy}"]) == 0
    assert_same_end(copy, whole)


def test_rows_are_shared_where_that_is_tested(folder: Path) -> None:
    lengths = np.array([len(line.split()) + 1 for line in Path("corpus.txt").read_text().splitlines()])
    shape = choose_shape(np.minimum(lengths, 6), 16, 6)
    assert shape is not None and shape.rows < 16


STOPPING = """import os, signal
import gptlab

@gptlab.hookimpl
def gptlab_step_ended(step):
    if step == 5:
        os.kill(os.getpid(), getattr(signal, os.environ["STOP_BY"]))

@gptlab.hookimpl
def gptlab_checkpoint_saved(run, folder, step, removed):
    with open("saved.txt", "a") as file:
        print(step, folder.name, [gone.name for gone in removed], (folder / "SHA256SUMS").exists(), file=file)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("signal", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_after_a_signal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], signal: str, status: int
) -> None:
    (folder / "plugins").mkdir()
    (folder / "plugins/stopping.py").write_text(STOPPING)
    monkeypatch.setenv("STOP_BY", signal)
    few, run = ["engine=scalar", "train.logEvery=1"], Path("runs/day/time")
    whole = train("whole", *few)
    asked = [*TINY, *SOME, *few, "checkpoint.every=100", "listeners=[stopping]", f"hydra.run.dir={run}"]
    assert main(asked) == status
    (saved,) = checkpoint_folders(run)
    step = read_checkpoint(saved).step
    assert 5 <= step < 11
    told = capfd.readouterr().err.strip()
    assert told.endswith(f"kept in {run}; go on with: python -m gptlab resume={run}")
    assert logged(run) == logged(whole)[:step]
    assert main([*command_in(told), "listeners=[]", "checkpoint.keep=1"]) == 0
    assert result(run) == result(whole)
    assert logged(run) == logged(whole)
    assert Path("saved.txt").read_text() == f"{step} {saved.name} [] True\n"


FAULTS = [MemoryError(), RuntimeError("device lost"), KeyboardInterrupt(), SystemExit(3), OSError(28, "full")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", [*FAULTS, UserError("no such thing.")], ids=lambda fault: type(fault).__name__
)
def test_whatever_ends_the_loop_what_there_is_is_saved_and_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], fault: BaseException
) -> None:
    whole = train("whole", "engine=scalar")
    capfd.readouterr()
    (folder / "plugins").mkdir()
    (folder / "plugins/ending.py").write_text(ENDING)
    asked = [
        *TINY,
        *SOME,
        "engine=scalar",
        "checkpoint.every=100",
        "hydra.run.dir=a run",
        "listeners=[ending]",
    ]

    def fail() -> None:
        raise fault

    with monkeypatch.context() as patch:
        at_step(patch, 1, 5, fail)
        try:
            status = main(asked)
        except BaseException as raised:
            assert raised is fault
            told = "".join(getattr(raised, "__notes__", []))
        else:
            assert status == {KeyboardInterrupt: 130, OSError: 1}.get(type(fault), 2)
            told = capfd.readouterr().err
    (saved,) = checkpoint_folders(Path("a run"))
    assert f"at step {read_checkpoint(saved).step} of 11; kept in a run; go on with: " in told
    assert Path("ended.txt").read_text() == f"{type(fault).__name__}\n"
    assert main([*command_in(told.strip()), "listeners=[]"]) == 0
    assert result(Path("a run")) == result(whole)


ENDING = """import gptlab

@gptlab.hookimpl
def gptlab_run_ended(run, error):
    with open("ended.txt", "w") as file:
        print(type(error).__name__, file=file)
"""


@pytest.mark.slow
def test_a_sample_or_an_evaluation_that_fails_costs_neither_steps_nor_their_numbers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train("whole", "engine=scalar", "train.logEvery=1")
    asked = [*TINY, *SOME, "engine=scalar", "train.logEvery=1", "checkpoint.every=100", "hydra.run.dir=run"]
    for name in ("gptlab.launch.observers.generate", "gptlab.training.loop.Training.evaluate"):
        with monkeypatch.context() as patch:
            patch.setattr(name, lambda *arguments: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                main(asked)
        (saved,) = checkpoint_folders(Path("run"))
        step = read_checkpoint(saved).step
        assert step == 4
        rows = [{k: v for k, v in row.items() if k.startswith("train/")} for row in logged(Path("run"))]
        assert rows == [
            {k: v for k, v in row.items() if k.startswith("train/")} for row in logged(whole)[:step]
        ]
        shutil.rmtree("run")


def test_what_can_not_be_saved_is_told_beside_what_ended_the_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a step that fails has used up the weights that it began from."""

    def fail(*_: object) -> None:
        raise RuntimeError("the device is lost")

    asked = [*TINY, *SOME, "engine=scalar", "hydra.run.dir=run"]
    at_step(monkeypatch, 1, 5, fail)
    monkeypatch.setattr("gptlab.runs.saving.Saver.save", lambda self, state: 1 / 0)
    with pytest.raises(RuntimeError) as raised:
        main([*asked, "checkpoint.every=100"])
    (note,) = raised.value.__notes__
    assert note.startswith("Training ended at step ") and note.endswith("There is no earlier one.")
    assert "could not be written (division by zero)" in note


@pytest.mark.parametrize(
    "name",
    [
        "runs/a",
        "a b",
        "r,1",
        "x='y'",
        'say "x"',
        "größe",
        "010",
        "1.10",
        "true",
        "NaN",
        "latest",
        "a=b",
        "$HOME",
        "back\\slash",
        'b\\"q',
        "end\\",
        "two\\\\",
        "[1]",
        "(a)",
        "{b}",
        "-x",
        "~",
        "a;b",
        "a&b",
        "100%",
        "#a",
        "a:b",
    ],
)
def test_the_command_that_is_told_names_the_folder_whatever_it_is_called(folder: Path, name: str) -> None:
    python, m, gptlab, override = shlex.split(command_with(resume=folder / name))
    assert (python, m, gptlab) == ("python", "-m", "gptlab")
    read = parsed(override)
    assert read.key_or_group == "resume"
    assert Path(str(read.value())) == Path(name) and str(read.value()) != "latest"


@pytest.mark.slow
def test_the_hook_hears_of_each_checkpoint_and_of_what_went_for_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "plugins").mkdir()
    (folder / "plugins/stopping.py").write_text(STOPPING.replace("step == 5", "False"))
    run = train("run", "engine=scalar", "listeners=[stopping]", "checkpoint.keep=1", "train.evalEvery=0")
    assert Path("saved.txt").read_text().splitlines() == [
        "3 step-000003 [] True",
        "6 step-000006 ['step-000003'] True",
        "9 step-000009 ['step-000006'] True",
        "11 step-000011 ['step-000009'] True",
    ]
    assert [f.name for f in run.joinpath("checkpoints").iterdir()] == ["step-000011"]


@pytest.mark.slow
def test_a_checkpoint_says_how_good_it_is_and_the_best_stays(folder: Path) -> None:
    """At a learning rate that soon does harm."""
    harmful = ["train.learningRate=0.5", "schedule=constant"]
    run = train("run", "engine=scalar", "checkpoint.every=2", "checkpoint.keep=1", *harmful)
    losses = {row["step"]: row["val/loss"] for row in logged(run) if "val/loss" in row}
    kept = {(c := read_checkpoint(f)).step: c.state["valLoss"] for f in checkpoint_folders(run)}
    assert list(losses) == [4, 8, 11]
    best = min(losses, key=lambda step: losses[step])
    assert best != 11
    assert kept == {best: losses[best], 11: losses[11]}


@pytest.mark.slow
def test_the_newest_damaged_is_passed_over_with_a_word(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = train("whole", "engine=scalar")
    copy = as_killed(whole, Path("with space ü"), 9)
    broken = copy / "checkpoints/step-000009/optimizer.safetensors"
    broken.write_bytes(broken.read_bytes()[:-1])
    capfd.readouterr()
    assert main(["resume='with space ü'"]) == 0
    error = capfd.readouterr().err
    assert f"{broken} is damaged" in error and error.count("\n") == 1
    assert "Going on from the newest whole one" in error and "step-000006" in error
    assert_same_end(copy, whole)


@pytest.mark.slow
def test_by_the_id_in_its_folder_though_it_was_killed(folder: Path) -> None:
    whole = train("whole", "engine=scalar")
    assert json.loads((whole / "run.json").read_text())["name"]
    Path("runs/day").mkdir(parents=True)
    copy = as_killed(whole, Path("runs/day/time"), 3)
    (copy / "run.json").write_text('{"id": "0123abc", "name": "x"}')
    assert main(["resume=0123abc"]) == 0
    assert_same_end(copy, whole)
    assert json.loads((copy / "run.json").read_text())["id"] == "0123abc"


@pytest.mark.slow
def test_from_the_folder_of_its_newest_checkpoint(folder: Path) -> None:
    whole = train("whole", "engine=scalar")
    copy = as_killed(whole, Path("killed"), 9)
    assert main([f"resume={copy}/checkpoints/step-000009/"]) == 0
    assert_same_end(copy, whole)


@pytest.mark.slow
def test_what_the_command_line_may_say_of_a_run_that_goes_on(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = train("whole", "engine=scalar", "checkpoint.keep=2")
    copy = as_killed(whole, Path("killed"), 9)
    same = ["train.numSteps=11", "engine=scalar", "data=text", "data.path=corpus.txt", "optimizer=adam"]
    assert main([f"resume={copy}", "checkpoint.every=1", "checkpoint.keep=5", "progress=auto", *same]) == 0
    assert "resumed at step 9" in capfd.readouterr().out
    assert_same_end(copy, whole)
    assert [f.name[-2:] for f in checkpoint_folders(copy)] == ["09", "10", "11"]


@pytest.mark.slow
def test_the_run_s_config_stays_and_no_other_folder_is_left(folder: Path) -> None:
    whole = train("whole", "engine=scalar")
    copy = as_killed(whole, Path("killed"), 3)
    before = (copy / "config.yaml").read_bytes()
    assert main([f"resume={copy}"]) == 0
    assert (copy / "config.yaml").read_bytes() == before
    assert sorted(os.listdir()) == ["corpus.txt", "killed", "whole"]
    assert not list(copy.rglob("*.part"))
