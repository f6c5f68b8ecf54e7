"""`python -m gptlab compare`: what differs, the final numbers, one picture; runs from disk and from MLflow."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from gptlab.cli import main
from gptlab.sweeps.record import RUNNING
from gptlab.sweeps.sweep import Sweep
from tests.sweep_records import failed, record

CONFIG = {"seed": 0, "model": {"nEmbd": 16, "nLayer": 1}, "optimizer": {"name": "adam", "beta1": 0.9}}


@dataclass
class Said:
    status: int
    out: str
    error: str

    def row(self, name: str) -> list[str]:
        """The cells of a row of the table, side by side."""
        line = next(line for line in self.out.splitlines() if line.startswith(name + " "))
        return line.removeprefix(name).split()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.fixture
def compare(capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def run(*arguments: str) -> Said:
        status = main(["compare", *arguments])
        out, error = capfd.readouterr()
        return Said(status, out, error)

    return run


def make_run(path: Path, name: str, run_id: str = "", loss: float = 2.0, **changed: Any) -> Path:
    """A run's folder as training leaves it, as far as it is compared."""
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump({**CONFIG, **changed}))
    (path / "run.json").write_text(json.dumps({"id": run_id, "name": name}))
    rows = [
        {"step": s, "train/loss": loss + 1 / s, "val/loss": loss + abs(s - 20) / 100} for s in range(1, 31)
    ]
    (path / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)) + '\n{"step": 31, "tr')
    weights = path / "checkpoints" / "step-000030" / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    save_file({"a": np.zeros((3, 4), np.float32), "b": np.zeros((5,), np.float32)}, weights)
    return path


def make_sweep(path: Path, run_id: str = "") -> Path:
    """Four jobs: two good ones, one that failed before it had a config, one that was killed as it ran."""
    for i, loss in enumerate((2.5, 2.25)):
        job = record(i, {"model.nEmbd": str(16 * (i + 1))}, loss)
        make_run(path / str(i), job.name, model={"nEmbd": 16 * (i + 1), "nLayer": 1})
        job.write(path / str(i))
    failed(2, {"model.nEmbd": "17"}, "nHead must divide nEmbd").write(path / "2")
    make_run(path / "3", "nEmbd=64", loss=3.0, model={"nEmbd": 64, "nLayer": 1})
    replace(record(3, {"model.nEmbd": "64"}, None, status=RUNNING), runId="").write(path / "3")
    Sweep("tiny", ["model.nEmbd=16,32,17,64"], ["model.nEmbd"], run_id).write(path)
    return path


@pytest.mark.slow
def test_only_what_differs_is_shown_side_by_side(folder: Path, compare: Callable[..., Said]) -> None:
    make_run(folder / "a", "tiny nEmbd=16")
    make_run(folder / "b", "tiny lion", loss=1.5, optimizer={"name": "lion", "decay": 0.1})
    said = compare("a", "b")
    assert (said.status, said.error) == (0, "")
    assert said.out.splitlines()[0].split() == ["nEmbd=16", "lion"], "the names, without what they share"
    assert said.row("optimizer.name") == ["adam", "lion"]
    assert said.row("optimizer.beta1") == ["0.9", "-"]
    assert said.row("optimizer.decay") == ["-", "0.1"]
    assert "model.nEmbd" not in said.out and "seed" not in said.out
    assert said.row("parameters") == ["17", "17"]
    assert said.row("steps") == ["30", "30"], "the line that was cut off is no step"
    assert said.row("best validation loss") == ["2.0000", "1.5000"]
    assert said.row("last validation loss") == ["2.1000", "1.6000"]
    assert said.row("at step") == ["20", "20"]
    assert "3 keys of the config are the same." in said.out
    assert said.out.splitlines()[-1] == "curves: compare.png"
    assert Path("compare.png").read_bytes().startswith(b"\x89PNG")


def add_metric(run: Path, name: str, value: float) -> None:
    with open(run / "metrics.jsonl", "a") as rows:
        rows.write("\n" + json.dumps({"step": 31, "val/loss": 2.1, name: value}))


@pytest.mark.slow
def test_metrics_stand_below_the_losses(folder: Path, compare: Callable[..., Said]) -> None:
    for i, name in enumerate(("a", "b")):
        run = make_run(folder / name, f"tiny nEmbd={i}")
        add_metric(run, "val/accuracy", 0.25 + i / 2)
    add_metric(folder / "a", "train/accuracy", 1.0)
    said = compare("a", "b")
    assert said.row("validation accuracy") == ["0.2500", "0.7500"]
    assert said.row("training accuracy") == ["1.0000", "-"]
    for i in range(8):
        add_metric(make_run(folder / str(i), f"tiny seed={i}", seed=i), "val/accuracy", i / 8)
    add_metric(folder / "0", "val/top", 1.0)
    header = compare(*map(str, range(8))).out.splitlines()[0]
    # Of many runs, which are rows, the first that all have.
    assert "validation accuracy" in header and "top" not in header


@pytest.mark.slow
def test_the_same_config_and_name_twice(folder: Path, compare: Callable[..., Said]) -> None:
    make_run(folder / "a", "tiny", run_id="a" * 32)
    make_run(folder / "b", "tiny")
    said = compare("a", "b")
    assert "The configs are the same." in said.out
    assert said.out.splitlines()[0].split() == ["(aaaaaaaa)", "(b)"]


@pytest.mark.slow
def test_a_sweeps_folder_means_its_jobs_best_first(folder: Path, compare: Callable[..., Said]) -> None:
    sweep = make_sweep(folder / "runs" / "day" / "sweep", run_id="f" * 32)
    said = compare(str(sweep), "output=out.PNG")
    assert said.status == 0, said.error
    assert said.row("model.nEmbd") == ["32", "16", "64", "17"]
    assert said.row("best validation loss") == ["2.2500", "2.5000", "3.0000", "-"]
    assert said.row("status") == ["finished", "finished", "running", "failed"]
    assert "failed: nEmbd=17: nHead must divide nEmbd" in said.out
    assert Path("out.PNG").exists() and not Path("compare.png").exists()
    by_id = compare("f" * 32)
    assert by_id.out.splitlines()[:-1] == said.out.splitlines()[:-1], "its parent's id names it too"


@pytest.mark.slow
def test_many_runs_are_rows(folder: Path, compare: Callable[..., Said]) -> None:
    for i in range(60):
        make_run(folder / "sweep" / str(i), f"tiny seed={i}", seed=i)
    said = compare(*(f"sweep/{i}" for i in range(60)))
    assert said.out.splitlines()[0].split()[:2] == ["seed", "parameters"], (
        "names that only repeat it are left out"
    )
    assert "... and 10 more" in said.out
    make_run(folder / "other", "mine", seed=60)
    said = compare(*(f"sweep/{i}" for i in range(9)), "other")
    assert said.out.splitlines()[0].split()[:2] == ["run", "seed"]
    assert (said.row("tiny seed=7")[0], said.row("mine")[0]) == ("7", "60")


@pytest.mark.slow
def test_a_run_named_twice_counts_once(folder: Path, compare: Callable[..., Said]) -> None:
    make_run(folder / "runs" / "a", "tiny", run_id="a" * 32)
    make_run(folder / "runs" / "b", "tiny nEmbd=8", run_id="b" * 32)
    said = compare("runs/a", "a" * 32, "runs:/" + "b" * 32, "./runs/b", "latest")
    assert said.out.splitlines()[0].count("(") == 1, "the shared name leaves one of them nothing but its id"
    assert said.row("steps") == ["30", "30"]


@pytest.mark.slow
def test_mistakes_are_told(folder: Path, compare: Callable[..., Said]) -> None:
    make_run(folder / "a", "tiny")
    make_run(folder / "b", "tiny nEmbd=8")
    (folder / "empty").mkdir()
    (folder / "notes.png").write_text("mine")
    (folder / "broken").mkdir()
    (folder / "broken" / "config.yaml").write_text("model: [")
    for arguments, told in {
        (): "compare takes runs, or a sweep: got none",
        ("a",): "compare needs two runs or more: a names tiny",
        ("a", "./a"): "compare needs two runs or more",
        ("a", "empty"): "empty has no config.yaml",
        ("a", "broken"): "broken/config.yaml must be YAML",
        ("a", "no such/run"): "there is no 'no such/run' below",
        ("a", "nosuch"): "there is no MLflow store at",
        ("a", "nosuch", "tracking=none"): "MLflow is not searched",
        ("a", "b", "output=x.jpg"): "must be a file that ends in .png",
        ("a", "b", "output=no/x.png"): "no is not one",
        ("a", "b", "output=notes.png"): "and notes.png is not.",
        ("a", "b", "colour=red"): "the config has no key 'colour'",
        ("a", "b", "-m"): "leave --multirun out of compare",
    }.items():
        said = compare(*arguments)
        assert (said.status, said.out) == (2, ""), arguments
        assert told in said.error and said.error.count("\n") == 1, arguments
    assert (folder / "notes.png").read_text() == "mine"
    assert not (folder / "compare.png").exists() and not (folder / "mlflow.db").exists()


@pytest.mark.slow
def test_runs_that_are_only_in_mlflow(mlflow_folder: Path, compare: Callable[..., Said]) -> None:
    from gptlab.tracking.store import find_store, open_store

    client = open_store(find_store(None))
    experiment = client.create_experiment("sweep")
    parent = client.create_run(experiment, run_name="tiny: nEmbd").info.run_id
    children = []
    for i, size in enumerate((16, 32, 64)):
        tags = {"mlflow.parentRunId": parent, **({"error": "nan\nhere"} if size == 64 else {})}
        run_id = client.create_run(experiment, run_name=f"nEmbd={size}", tags=tags).info.run_id
        client.log_param(run_id, "model.nEmbd", str(size))
        client.log_param(run_id, "seed", "0")
        client.log_metric(run_id, "parameters/total", 1000 * size, step=0)
        for step in (1, 2, 3):
            client.log_metric(run_id, "train/loss", 4.0 - i - step / 10, step=step)
        if size != 64:
            client.log_metric(run_id, "val/loss", 3.0 - i, step=2)
            client.log_metric(run_id, "val/loss", 3.5 - i, step=3)
        client.set_terminated(run_id, "FAILED" if size == 64 else "FINISHED")
        children.append(run_id)
    said = compare(parent)
    assert said.status == 0, said.error
    assert said.row("model.nEmbd") == ["32", "16", "64"]
    assert said.row("parameters") == ["32,000", "16,000", "64,000"]
    assert said.row("best validation loss") == ["2.0000", "3.0000", "-"]
    assert said.row("last validation loss") == ["2.5000", "3.5000", "-"]
    assert said.row("status") == ["finished", "finished", "failed"]
    assert "failed: nEmbd=64: nan here" in said.out
    assert "1 keys of the config" not in said.out and "1 key of the config is the same." in said.out
    two = compare(children[0], f"runs:/{children[1]}")
    assert two.row("model.nEmbd") == ["16", "32"], "in the order in which they were typed"
    assert "there is no run 'nosuch'" in compare(children[0], "nosuch").error


@pytest.mark.slow
def test_runs_as_training_leaves_them(folder: Path, compare: Callable[..., Said]) -> None:
    tiny = ["model.nHead=2", "train.numSteps=4", "train.logEvery=1", "train.evalEvery=2", "samples.n=0"]
    for size in (4, 8):
        assert main([*tiny, f"model.nEmbd={size}", "tracking=none", f"hydra.run.dir=runs/{size}"]) == 0
    said = compare("runs/4", "latest")
    assert said.row("model.nEmbd") == ["4", "8"]
    assert said.row("steps") == ["4", "4"]
    small, large = (int(cell.replace(",", "")) for cell in said.row("parameters"))
    assert 0 < small < large


@pytest.mark.slow
def test_objectives_that_may_count_other_tokens_are_named(folder: Path, compare: Callable[..., Said]) -> None:
    answers = {"name": "answers", "zLoss": 0.0, "after": "="}
    make_run(folder / "one", "one", objective=answers)
    make_run(folder / "two", "two", objective={**answers, "after": "+"})
    make_run(folder / "three", "three", objective={**answers, "zLoss": 1e-4})
    said = "The objectives differ: objective.after. Losses can be compared only where the same tokens count."
    assert said in compare("one", "two").out.splitlines()
    assert "The objectives differ" not in compare("one", "three").out
    make_run(folder / "four", "four")
    assert "The objectives differ" not in compare("one", "four").out, "what is not told is no other value"
