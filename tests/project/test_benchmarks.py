"""The benchmarks: all implementations train the same thing, and the command measures and reports it."""

import functools
import importlib
import json
import os
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import causes, gpu, growth, instrumented, report, scale, speed, start, timeline
from benchmarks.commands import CommandFailed
from benchmarks.gpt2_task import gpt2_task
from benchmarks.implementations import DOUBLE, EITHER, NAMES, make_trainer, precision
from benchmarks.products import all_products, matrices_of, operations, product_operations
from benchmarks.settings import SETTINGS
from benchmarks.task import Task, make_task, synthetic_task
from gptlab.engines.engine import Metrics

STEPS = 20


@functools.cache
def tiny(batchSize: int) -> tuple[Task, object]:
    """Two layers, and documents that are shorter than blockSize."""
    return make_task("names", nLayer=2, nEmbd=4, batchSize=batchSize, nHead=2, blockSize=6)


@functools.cache
def losses(name: str, batchSize: int, dtype: str = "float32") -> np.ndarray:
    run = make_trainer(name, *tiny(batchSize), dtype)
    return np.concatenate([run(STEPS // 2), run(STEPS // 2)])  # state stays between calls


def test_the_tasks_documents_have_several_lengths():
    task, _ = tiny(3)
    assert len(set(task.lengths[: 3 * STEPS].tolist())) > 2
    assert task.lengths.max() == task.blockSize


@pytest.mark.slow
@pytest.mark.parametrize("batchSize", [3, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [*EITHER, *DOUBLE])
def test_all_in_float64_give_the_same_losses(name, batchSize):
    reference = losses("numpy_manual", batchSize)
    assert len(reference) == STEPS
    np.testing.assert_allclose(losses(name, batchSize, "float64"), reference, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if precision(name) == "float32"])
def test_those_in_float32_give_the_same_losses_to_rounding(name):
    if name == "torch_eager":
        pytest.importorskip("torch")
    if name == "simd_c" and shutil.which(os.environ.get("CC", "cc")) is None:
        pytest.skip("there is no C compiler")
    found = losses(name, 3)
    np.testing.assert_allclose(found, losses("numpy_manual", 3), rtol=1e-4)
    assert not np.array_equal(found, losses("numpy_manual", 3))  # it was float32 indeed


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(os.environ.get("CC", "cc")) is None, reason="there is no C compiler")
@pytest.mark.parametrize("batchSize", [1, 5])
def test_the_c_has_the_same_losses_at_all_numbers_of_vectors(batchSize):
    """Eight lanes where the machine has them, documents of one vector and of two, columns of one to three."""
    task, definition = make_task("names", nLayer=1, nEmbd=8, batchSize=batchSize, nHead=2, blockSize=12)
    found, reference = (make_trainer(name, task, definition)(STEPS) for name in ("simd_c", "numpy_manual"))
    lengths = task.lengths[task.rows(0, STEPS)]
    assert lengths.min() < 8 < lengths.max()
    np.testing.assert_allclose(found, reference, rtol=1e-5)
    assert np.float64(5e-324) * 1.0 > 0, (
        "what is compiled fast must not have the process round small numbers to 0"
    )


def test_the_c_is_left_out_with_a_note_where_there_is_no_compiler(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(ImportError, match=r"no C compiler \(no-such-compiler\)"):
        make_trainer("simd_c", *tiny(3))


def test_the_c_is_to_be_beaten_at_every_size():
    sizes = {
        (setting.task["nEmbd"], setting.task["batchSize"])
        for setting in SETTINGS
        for target in setting.targets
        if (target.subject, target.against, target.atMost) == ("xla", "simd_c", 1 / 1.5)
    }
    assert sizes == {(nEmbd, batchSize) for nEmbd in (16, 32, 64, 128) for batchSize in (1, 16)}


def test_an_implementation_that_computes_something_else_is_not_timed():
    class Answers:
        def __init__(self, shift: float):
            self.shift = shift

        def ask(self, do: str, steps: int) -> list[float]:
            return [3.0 + self.shift] * steps

    setting = SETTINGS[0]
    equal, wrong = (
        {"xla": Answers(0.0), "jax_plain": Answers(1e-5)},
        {"xla": Answers(0.0), "jax_plain": Answers(1e-2)},
    )
    assert [note for _, note in speed.compare_losses(setting, equal).values()] == ["", ""]
    notes = [note for _, note in speed.compare_losses(setting, wrong).values()]
    assert notes[0] == "" and "jax_plain's losses differ from xla's by 3.3e-03" in notes[1]
    broken = {"xla": Answers(0.0), "jax_plain": Answers(float("nan"))}
    assert "inf" in speed.compare_losses(setting, broken)["jax_plain"][1]


def test_a_ratio_is_the_median_of_the_rounds_ratios():
    # In the last round the machine was ten times slower, for both.
    assert speed.median_ratio([1.0, 1.0, 20.0], [1.0, 2.0, 10.0]) == 1.0


def test_each_takes_its_turn_and_nobody_always_comes_first():
    order = []
    timings = {name: lambda name=name: order.append(name) or 1.0 for name in "ab"}
    assert speed.take_turns(timings, 3) == {"a": [1.0] * 3, "b": [1.0] * 3}
    assert "".join(order) == "abbaab"


def test_operations_of_the_standard_products():
    """Two products by hand: (P, E) by (E, E') takes 2 P E E', three times over with the backward pass."""
    E, T, B, V = 8, 4, 2, growth.VOCABULARY
    one_layer = 3 * 2 * B * T * (4 * E * E + 2 * 4 * E * E)
    attention = 3 * B * (2 * T * T * E + 2 * T * T * E)
    output = 3 * 2 * B * T * V * E
    assert growth.operations(nEmbd=E, nLayer=1, blockSize=T, batchSize=B) == one_layer + attention + output


TINY_GPT2 = {"nLayer": 2, "nEmbd": 8, "nHead": 2, "blockSize": 6, "batchSize": 3}


def test_baby_is_as_large_as_nanogpts():
    sizes = next(sizes for title, sizes, _ in scale.SETTINGS if title == "baby GPT")
    task, definition = gpt2_task(**sizes)
    assert sum(array.size for array in task.weights.values()) == 10_745_088
    multiplied = sum(M * K for M, K in matrices_of(task))
    unmultiplied = task.blockSize * task.nEmbd + 13 * task.nEmbd  # positions, and 13 norms
    assert multiplied + unmultiplied == 10_745_088 and definition.tieEmbeddings


def test_operations_of_a_gpt2_are_those_of_its_products():
    task, _ = gpt2_task(**TINY_GPT2)
    E, T, B, V, L = 8, 6, 3, task.vocabSize, 2
    products = 3 * 2 * B * T * (L * (4 * E * E + 2 * 4 * E * E) + V * E)
    assert product_operations(task) == products
    assert operations(task) == products + 3 * L * B * (2 * T * T * E + 2 * T * T * E)
    all_products(B * T, matrices_of(task))()  # shapes that fit


def test_torch_trains_the_same_gpt2():
    pytest.importorskip("torch")
    task, definition = gpt2_task(**TINY_GPT2)
    assert task.clip == 1.0 and task.weightDecay == 0.1
    found, reference = (make_trainer(name, task, definition)(8) for name in ("torch_nanogpt", "xla"))
    np.testing.assert_allclose(found, reference, rtol=1e-4)
    assert not np.array_equal(found, reference)


def test_the_table_of_scale_says_what_is_met():
    cell = {
        "title": "baby",
        "threads": "one",
        "sizes": {"batchSize": 2, "blockSize": 8},
        "peak": {"xla": 2**20},
    }
    cell |= {"flops": 6e9, "product_flops": 5e9}
    cell["times"] = {"xla": [0.1, 0.1, 0.9], "torch_nanogpt": [0.2, 0.1, 0.9], "products": [0.05, 0.05, 0.45]}
    cell |= scale.compared(cell, {"xla": [1.0] * 3, "torch_nanogpt": [2.0] * 3})
    assert cell["ratio"] == {"torch_nanogpt": 1.0} and cell["processor"] == {"torch_nanogpt": 0.5}
    assert cell["share"] == pytest.approx(0.6)  # 6 GFLOP in 0.1 s, where the products do 5 in 0.05
    table = scale.table([cell])
    assert "| baby | one | gptlab | 100 ms | 160 | 60 | 1.0 MiB |  |  |  |" in table
    assert "1.00x | ≤ 0.75x | **no** |" in table and "60% of its rate | ≥ 70% | **no** |" in table


def test_what_is_kept_counts_each_parameter_four_times():
    task, _ = synthetic_task(nLayer=2, nEmbd=8, blockSize=5, batchSize=1, vocabSize=growth.VOCABULARY)
    count = sum(array.size for array in task.weights.values())
    assert growth.kept_bytes(nEmbd=8, nLayer=2, blockSize=5) == 4 * 4 * count


def test_growth_is_told_from_the_cell_before():
    cells = [
        {"seconds": 1.0, "flops": 10},
        {"seconds": 4.0, "flops": 20},
        {"note": "no"},
        {"seconds": 1.0, "flops": 1},
    ]
    growth.relate(cells)
    assert [cell["relative"] for cell in cells] == [None, 2.0, None, None]


def test_the_shares_of_the_causes_fill_the_wall_time():
    clocked = {"engine": 5.0, "host": 2.0, "logging": 1.0, "closing": 1.0, "evaluation": 1.0}
    found = causes.shares({**clocked, "aStep": 0.4, "aCall": 0.5, "calls": 2, "steps": 10}, smallest=0.1)
    assert found["step"] == 1.0
    assert found["shares"] == pytest.approx(
        {"arithmetic": 0.3, "dispatch": 0.1, "host": 0.3, "logging": 0.1, "closing": 0.1, "evaluation": 0.1}
    )


def test_clocks_sum_to_the_wall_time_and_compiling_stands_apart(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(instrumented, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    clocks = instrumented.Clocks()

    def call(seconds: float, compiles: bool) -> tuple[None, Metrics]:
        now[0] += seconds
        if compiles:
            clocks.on_event(instrumented.COMPILED, seconds)
        return None, Metrics(np.zeros(4), np.zeros(4))

    timed = clocks.around(call, "engine")
    with clocks.running("host"):
        timed(5.0, compiles=True)
        now[0] += 1.0
        timed(2.0, compiles=False)
        timed(3.0, compiles=True)
        now[0] += 1.0
    assert clocks.seconds == {"host": 2.0, "engine": 2.0, "compiling": 8.0}
    assert (clocks.calls, clocks.steps) == (1, 4)


@pytest.mark.parametrize(
    "arguments",
    [["--only", "nothing"], ["--rounds", "0"], ["--threads", "three"], ["speeed"], ["growth", "--only", "x"]],
)
def test_options_that_do_not_fit_end_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_the_page_holds_what_the_results_say(tmp_path, monkeypatch):
    page, results = tmp_path / "performance.md", tmp_path / "results"
    page.write_text("before\n<!-- measured -->\nold\n<!-- end -->\nafter\n")
    monkeypatch.setattr(report, "PAGE", page)
    monkeypatch.setattr(report, "RESULTS", results)
    machine = {
        "date": "today",
        "cpu": "A",
        "cores": 2,
        "system": "S",
        "python": "3",
        "versions": {},
        "commit": "",
    }
    row = speed.Row("names-1", "names, batch 1", "one", "xla", "jax_plain", "time", 1.05)
    row.times, row.ratio = {"xla": [2e-6, 3e-6, 4e-6], "jax_plain": [3e-6]}, 1.06
    left_out = speed.Row("names-1", "names, batch 1", "one", "xla", "simd_c", "time", 1 / 1.5)
    left_out.note = "simd_c left out: there is no C compiler (cc)"
    rows = [row.as_json(), left_out.as_json()]
    report.write_json(results / "speed.json", {"machine": machine, "rounds": 3, "rows": rows})
    report.write_page()
    text = page.read_text()
    assert text.startswith("before\n<!-- measured -->\n") and text.endswith("<!-- end -->\nafter\n")
    assert "| names, batch 1 | one | xla 3 µs | jax_plain 3 µs | 1.06x | ≤ 1.05x | **no** |" in text
    noted = "simd_c left out: there is no C compiler (cc)"
    assert f"| names, batch 1 | one | xla | simd_c | {noted} | ≤ 0.667x |  |" in text
    assert "old" not in text


@pytest.mark.slow
def test_the_command_measures_the_smallest_setting(tmp_path, capsys):
    path = tmp_path / "numbers" / "names.json"
    before = report.PAGE.read_text(encoding="utf-8")
    arguments = ["--quick", "--only", "names-1", "--threads", "one", "--json", str(path)]
    assert command.main(arguments) == 0
    said = capsys.readouterr().out
    assert "| names, batch 1 | one | xla " in said and "≤ 1.05x" in said
    result = json.loads(path.read_text("utf-8"))
    assert result["machine"]["cores"] == len(os.sched_getaffinity(0))
    assert {"cpu", "python", "versions", "date"} <= set(result["machine"])
    first = result["rows"][0]
    assert len(first["times"]["xla"]) == result["rounds"] == 2
    assert first["met"] == (first["ratio"] <= 1.05)
    assert first["difference"] < 1e-4 and first["peak"]["xla"] > 1e7
    assert report.PAGE.read_text(encoding="utf-8") == before


def part_with_clock(*takes: float) -> tuple[gpu.Part, list[str]]:
    """A part of ten seconds of items that take so long each, measured; and which of them were."""
    now, begun = [0.0], []

    def item(i: int, seconds: float) -> gpu.Row:
        begun.append(str(i))
        now[0] += seconds
        if seconds == 3:
            raise MemoryError("none is left\nmore words")
        return [str(i)]

    part = gpu.Part("a part", ["item"], 10, clock=lambda: now[0])
    part.measure(
        iter((f"item {i}", functools.partial(item, i, seconds)) for i, seconds in enumerate(takes)), 10
    )
    return part, begun


@pytest.mark.slow
def test_a_part_ends_in_its_time_and_tells_what_it_has_not_reached():
    part, begun = part_with_clock(4, 4, 4, 1)
    assert begun == ["0", "1"] and part.left == ["item 2", "item 3"]
    assert "Not reached in its time: item 2; item 3." in part.text()


@pytest.mark.slow
def test_a_part_goes_on_after_what_could_not_be():
    part, begun = part_with_clock(3, 1)
    assert begun == ["0", "1"] and part.rows == [["1"]]
    assert "item 0 left out: MemoryError: none is left" in part.text() and "more words" not in part.text()


def test_a_step_is_timed_without_what_was_compiled():
    now = [0.0]

    def run(steps: int) -> None:
        now[0] += 60.0 if now[0] == 0 else 0.01 * steps

    assert gpu.step_seconds(run, lambda: now[0]) == pytest.approx(0.01)


@pytest.mark.slow
def test_the_command_for_a_gpu_prints_its_tables_where_there_is_none(monkeypatch, tmp_path, capsys):
    sizes = replace(gpu.SMALL, batches=(2,), product=32, jobs=2, steps=2, seconds=(600,) * 4)
    monkeypatch.setattr(gpu, "SMALL", sizes)
    monkeypatch.setattr(gpu, "TIMED", 1e-6)
    assert command.main(["gpu", "--out", str(tmp_path / "gpu.md")]) == 0
    printed = capsys.readouterr().out
    assert "No accelerator is here: small sizes" in printed and "Not reached" not in printed
    assert (tmp_path / "gpu.md").read_text() == printed
    for begin in (
        "| 32 x 32, ",
        "| names | 2 | ",
        "| book | 2 | ",
        "| 1 | and compiling",
        "| 2 | compiled before",
    ):
        assert begin in printed
    assert "| a tiny GPT-2 | 4 x 16 | gptlab | " in printed


def test_a_timelines_rows_fill_the_wall_time_and_what_began_last_has_it():
    spans = [("import", 1.0, 5.0), ("jax", 2.0, 4.0), ("tracing", 4.5, 4.75), ("steps", 6.0, 12.0)]
    samples = [(0.0, 0.0), (2.0, 1.0), (4.0, 3.0), (10.0, 3.0)]
    found = timeline.shares(spans, samples, 0.0, 10.0)
    walls = {name: wall for name, (wall, _) in found.items()}
    assert walls == {"import": 1.75, "jax": 2.0, "tracing": 0.25, "steps": 4.0, timeline.REST: 2.0}
    assert found["jax"] == (2.0, 2.0) and found["steps"][1] == 0.0
    assert sum(used for _, used in found.values()) == pytest.approx(3.0)


@pytest.mark.parametrize(("module", "path", "row"), timeline.SEAMS, ids=lambda value: str(value))
def test_each_seam_of_the_timeline_is_there(module, path, row):
    owner = importlib.import_module(module)
    for name in path.split("."):
        owner = getattr(owner, name)
    assert callable(owner) and row in timeline.ROWS


def test_the_table_of_the_start_says_what_is_met():
    taken = {"wall": 2.4, "processor": 2.0, "first": 1.9}
    result = {
        "commands": {"import jax": {**taken, "wall": 0.9}, "with MLflow": taken, "MLflow waited for": taken},
        "above": {name: {"prompt": 1.5, "first": 1.01} for name in ("with MLflow", "MLflow waited for")},
        "rows": {"with MLflow": {timeline.JAX: [0.9, 0.8], timeline.TRACING: [1.5, 1.25]}},
    }
    table = start.table(result)
    assert "| import jax | 900 ms | 2 s |  |  |  |" in table
    assert "| with MLflow | 2.4 s | 2 s | 1.50 s | 1.01 s | **no** |" in table
    assert "| importing jax | 0.90 s (0.80) |" in table and "| together | 2.40 s (2.05) |" in table


@pytest.mark.slow
def test_a_command_with_clocks_tells_where_its_time_goes(tmp_path):
    words = ["+experiment=names", "tracking=none", "train.numSteps=3", "hydra.run.dir=run"]
    found = start.clocked(words, str(tmp_path))
    rows = {
        timeline.BEGINNING,
        timeline.JAX,
        timeline.HYDRA,
        timeline.COMPOSING,
        timeline.TRACING,
        timeline.LOADING,
    }
    assert rows | {timeline.STEPS, timeline.SAMPLES, timeline.FOLDER, timeline.END} <= set(found)
    assert set(found) <= set(timeline.ROWS) and all(wall > 0 for wall, _ in found.values())
    with pytest.raises(CommandFailed, match="ended with 2"):
        start.timed(["-m", "gptlab", "train.numStep=3"], str(tmp_path))
