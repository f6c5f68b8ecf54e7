"""Looking inside while a run goes on: when, for whom, what becomes of it in MLflow, and what it must not cost."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.cli import main
from gptlab.data.documents import Documents
from gptlab.data.tokenizers import Vocabulary
from gptlab.errors import UserError
from gptlab.files import write_json
from gptlab.inspection.inspection import Inspection, inspect, write_inspection
from gptlab.inspection.pictures import attention_picture, mosaic_of
from gptlab.launch import observers
from gptlab.launch.observers import LONGEST, Watch, ids_to_watch
from gptlab.tracking.store import find_store, open_store
from gptlab.tracking.uploads import log_inspection
from gptlab.training.loop import Chunk
from tests.models import make_gpt
from tests.tracked import make_run

PNG = b"\x89PNG\r\n\x1a\n"
WORDS = Vocabulary(["the", "cat", "dog", "eats", "a$b", "runs"], "word")
FEW = [
    "tracking=none",
    "progress=none",
    "samples.n=0",
    "train.numSteps=5",
    "data=text",
    "data.path=texts.txt",
]
SMALL = ["model.nEmbd=8", "model.nHead=2", "model.blockSize=6"]
TEXTS = "the cat eats\nthe dog sees a cat\na dog eats\n" * 20
PLUGIN = """
import gptlab

@gptlab.hookimpl
def gptlab_inspected(run, step, inspection):
    with open(run.folder / "seen.txt", "a") as file:
        print(step, inspection.text, len(inspection.attention), file=file)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with texts and a plugin that listens."""
    (tmp_path / "texts.txt").write_text(TEXTS)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/seer.py").write_text(PLUGIN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def seen(place: Path, *arguments: str, listeners: str = "[seer]") -> list[str]:
    """What the plugin was given in a run."""
    folder = place / "runs" / "one"
    assert main([*FEW, *SMALL, f"listeners={listeners}", f"hydra.run.dir={folder}", *arguments]) == 0
    file = folder / "seen.txt"
    return file.read_text().splitlines() if file.exists() else []


@pytest.mark.slow
def test_at_the_end_a_held_out_document_unless_told_otherwise(place: Path) -> None:
    (line,) = seen(place)
    assert line.startswith("5 ")
    assert line.split(" ", 1)[1].rpartition(" ")[0] in TEXTS.splitlines()


@pytest.mark.slow
def test_every_so_many_steps_a_text_of_ones_own(place: Path) -> None:
    lines = seen(place, "inspect.every=2", "inspect.text=a cat eats")
    assert lines == ["2 a cat eats 1", "4 a cat eats 1", "5 a cat eats 1"]


@pytest.mark.slow
def test_the_last_step_is_looked_at_once(place: Path) -> None:
    assert [line.split()[0] for line in seen(place, "inspect.every=5")] == ["5"]


@pytest.mark.slow
def test_not_at_the_end(place: Path) -> None:
    lines = seen(place, "inspect.atEnd=false", "inspect.every=3")
    assert [line.split()[0] for line in lines] == ["3"]


@pytest.mark.slow
def test_a_run_that_nobody_looks_at_computes_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observers, "inspect_ids", None)  # would fail, and say so
    assert seen(place, listeners="[]") == []


@pytest.mark.slow
def test_runs_of_a_sweep_are_looked_at_only_if_asked(place: Path) -> None:
    swept = ["-m", *FEW, *SMALL, "listeners=[seer]", "seed=0,1", "train.numSteps=2"]
    assert main(swept) == 0
    assert not list(place.glob("runs/*/*/*/seen.txt"))
    assert main([*swept, "inspect.atEnd=true"]) == 0
    assert len(list(place.glob("runs/*/*/*/seen.txt"))) == 2


@pytest.mark.slow
def test_what_cannot_be_inspected_costs_no_run(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> None:
        raise MemoryError("too much")

    monkeypatch.setattr(observers, "inspect_ids", broken)
    assert seen(place, "inspect.every=2") == []
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "running the plugins" not in line]
    assert line == "gptlab: step 2 is not inspected: MemoryError: too much"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("inspect.text=the kat", "in inspect: the word 'kat' is not in the vocabulary"),
        ("inspect.text=''", "in inspect: text must not be empty"),
        ("inspect.every=0", "inspect.every must be at least 1: got 0"),
        ("inspect.atend=true", "Type inspect.atEnd=true"),
    ],
)
def test_mistakes(place: Path, capsys: pytest.CaptureFixture[str], argument: str, said: str) -> None:
    assert main([*FEW, *SMALL, argument]) == 2
    assert said in capsys.readouterr().err
    assert not (place / "runs").exists(), "nothing may be written before"


@pytest.mark.slow
def test_looking_changes_nothing_of_what_is_learnt(place: Path) -> None:
    weights = []
    for name, every in (("with", "2"), ("without", "null")):
        arguments = [f"inspect.every={every}", f"hydra.run.dir={place / name}", "listeners=[seer]"]
        assert main([*FEW, *SMALL, *arguments]) == 0
        weights.append((place / name / "checkpoints/step-000005/weights.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_which_document_is_looked_at() -> None:
    bos = WORDS.bos
    rows = np.array([[bos, 1, 2, bos, bos, bos], [bos, 1, 2, 3, 0, bos]], np.int32)
    documents, none = Documents(rows, np.array([3, 5], np.int32)), Documents(rows[:0], np.zeros(0, np.int32))
    assert ids_to_watch(None, WORDS, 8, [documents]) == rows[1].tolist()
    assert ids_to_watch(None, WORDS, 8, [none, documents]) == rows[1].tolist()
    assert ids_to_watch(None, WORDS, 8, [none]) == []
    long = np.zeros((1, 100), np.int32)
    assert len(ids_to_watch(None, WORDS, 99, [Documents(long, np.array([99], np.int32))])) == LONGEST + 1
    assert ids_to_watch("the cat", WORDS, 8, [documents]) == [bos, 0, 1, bos]
    with pytest.raises(UserError, match="at most blockSize=1"):
        ids_to_watch("the cat", WORDS, 1, [documents])


@pytest.mark.slow
def test_a_model_with_an_adapter_is_looked_at_merged(place: Path) -> None:
    lines = seen(place, "model/adapter=lora", "model.adapter.rank=2", "inspect.text=a cat")
    assert lines == ["5 a cat 1"]


@pytest.fixture(scope="module")
def inspection() -> Inspection:
    gpt = make_gpt()
    weights = {name: array.astype(np.float32) for name, array in gpt.initial_weights(0).items()}
    words = Vocabulary([*WORDS.pieces, *"wxyz"], "word")
    return inspect(gpt, OpTable(), weights, words, "the cat eats a$b")


@pytest.mark.slow
def test_the_picture_has_every_layer_and_head(inspection: Inspection) -> None:
    picture = attention_picture(inspection, 'run, step 5: "$a $b"')
    assert picture.startswith(PNG)
    mosaic = mosaic_of(inspection.attention, 2)
    layers, heads, length, _ = inspection.attention.shape
    assert mosaic.shape == (layers * (length + 2) - 2, heads * (length + 2) - 2)
    for i in range(layers):
        for j in range(heads):
            top, left = i * (length + 2), j * (length + 2)
            square = mosaic[top : top + length, left : left + length]
            np.testing.assert_array_equal(square, inspection.attention[i, j])
    assert np.isnan(mosaic).sum() == mosaic.size - inspection.attention.size


@pytest.mark.slow
def test_pages_and_pictures_in_mlflow(mlflow_folder: Path, inspection: Inspection) -> None:
    client = open_store(find_store())
    run = make_run(mlflow_folder)
    run.id = client.create_run("0").info.run_id
    for step in (2, 4):
        path = f"inspect/step-{step:06d}.npz"
        for _ in range(2):  # a write may be done twice
            write_inspection(inspection, run.folder / path)
            log_inspection(client, run, path, step)
        assert not (run.folder / path).exists()
        log_inspection(client, run, path, step)
    steps = [file.path for file in client.list_artifacts(run.id, "inspect")]
    assert steps == ["inspect/step-000002", "inspect/step-000004"]
    for step in steps:
        names = [Path(file.path).name for file in client.list_artifacts(run.id, step)]
        assert names == ["attention.png", "inspect.html"]
    images = [file.path for file in client.list_artifacts(run.id, "images")]
    full = [path for path in images if path.endswith(".png")]
    assert [path.split("+")[:3] for path in full] == [["images/attention", "step", s] for s in ("2", "4")]


@pytest.mark.slow
def test_the_page_of_a_sweep_s_job_leads_to_the_sweep_s(mlflow_folder: Path, inspection: Inspection) -> None:
    client = open_store(find_store())
    for page in ("sweep.html", "report.html", ""):
        sweep = mlflow_folder / (page or "gallery")
        sweep.mkdir()
        run = make_run(sweep)
        run.id = client.create_run("0").info.run_id
        write_json(sweep / "sweep.json", {"name": "<both>", "page": page})
        write_inspection(inspection, run.folder / "inspect/step-000004.npz")
        log_inspection(client, run, "inspect/step-000004.npz", 4)
        html = (run.folder / "inspect/step-000004/inspect.html").read_text()
        link = f'<a href="./../../../{page}">&lt;both&gt;</a>'
        assert (f'<p id="way" data-at="inspect/step-000004/inspect.html">All runs: {link}' in html) == bool(
            page
        )
        assert ('id="way"' in html) == bool(page)


def test_a_fault_of_the_drawing_is_logged_and_holds_nothing_up(
    mlflow_folder: Path, inspection: Inspection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> bytes:
        raise ZeroDivisionError("no ink")

    monkeypatch.setattr("gptlab.inspection.pictures.attention_picture", broken)
    client = open_store(find_store())
    run = make_run(mlflow_folder)
    run.id = client.create_run("0").info.run_id
    write_inspection(inspection, run.folder / "inspect/step-000002.npz")
    log_inspection(client, run, "inspect/step-000002.npz", 2)
    names = [file.path for file in client.list_artifacts(run.id, "inspect/step-000002")]
    assert names == ["inspect/step-000002/failed.txt"]
    assert "no ink" in (run.folder / names[0]).read_text()


@pytest.mark.slow
def test_a_run_from_its_start_to_mlflow(mlflow_folder: Path) -> None:
    (mlflow_folder / "texts.txt").write_text(TEXTS)
    arguments = [*FEW[1:], *SMALL, "inspect.every=2", "inspect.text=a cat eats", "hydra.run.dir=run"]
    assert main(arguments) == 0
    client = open_store(find_store())
    (found,) = client.search_runs([client.get_experiment_by_name("gptlab").experiment_id])
    assert found.info.status == "FINISHED"
    steps = [Path(file.path).name for file in client.list_artifacts(found.info.run_id, "inspect")]
    assert steps == ["step-000002", "step-000004", "step-000005"]
    assert sorted(path.name for path in (mlflow_folder / "run/inspect").iterdir()) == steps
    assert json.loads((mlflow_folder / "run/run.json").read_text())["synced"] is True


@pytest.mark.slow
def test_a_watch_looks_at_the_weights_to_use() -> None:
    """Those that `for_evaluation` gives, where they are not those to train at."""

    class Session:
        def for_evaluation(self, state: Any) -> Any:
            return {name: 0.0 * array for name, array in state.items()}

        def export(self, state: Any) -> Any:
            return type("State", (), {"weights": state})()

    class State(dict[str, Any]):
        step = 3

    gpt, found = make_gpt(), []
    words = Vocabulary([*WORDS.pieces, *"wxyz"], "word")
    watch = Watch(
        gpt,
        OpTable(),
        Session(),  # type: ignore[arg-type]
        words,
        [words.bos, 0, 1],
        0,
        True,
        lambda step, one: found.append((step, one)),
    )
    watch.chunk_ended(State(gpt.initial_weights(0)), Chunk())  # type: ignore[arg-type]
    assert found == []
    watch.ended(State(gpt.initial_weights(0)))  # type: ignore[arg-type]
    ((step, one),) = found
    assert step == 3
    assert all((array == 0).all() for array in one.weights.values())
