"""What a run leaves on disk: whole or not there at all, to the bit, and never believed blindly."""

import json

import numpy as np
import pytest

from gptlab.checkpoint import load_weights, read_json, save_weights, write_atomic, write_json, write_text
from gptlab.errors import UserError
from tests.models import make_gpt

SHAPES = {name: weight.shape for name, weight in make_gpt().declared_weights().items()}


def random_weights(dtype=np.float64, seed=0):
    generator = np.random.default_rng(seed)
    return {name: generator.normal(size=shape).astype(dtype) for name, shape in SHAPES.items()}


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


class Broken(Exception):
    pass


@pytest.mark.parametrize("old", [None, "before"], ids=["new", "replacing"])
def test_a_writer_that_raises_leaves_what_was_there_and_no_litter(tmp_path, old):
    path = tmp_path / "a.txt"
    if old is not None:
        path.write_text(old)
    before = listing(tmp_path)

    def write(beside):
        beside.write_text("half of what was m")
        raise Broken

    with pytest.raises(Broken):
        write_atomic(path, write)
    assert listing(tmp_path) == before
    assert old is None or path.read_text() == old


def test_while_it_is_written_the_old_one_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")
    seen = []

    def write(beside):
        beside.write_text("after")
        seen.append((path.read_text(), beside.parent == path.parent))

    write_atomic(path, write)
    assert seen == [("before", True)]
    assert path.read_text() == "after"
    assert listing(tmp_path) == ["a.txt"]


def test_a_writer_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "a.txt", lambda beside: None)
    assert listing(tmp_path) == []


@pytest.mark.parametrize("text", ["", "one\n", "é 😀\n"], ids=repr)
def test_text_is_written_as_utf_8(tmp_path, text):
    write_text(tmp_path / "a.txt", text)
    assert (tmp_path / "a.txt").read_bytes() == text.encode()


def test_json_makes_the_round_trip(tmp_path):
    content = {"pieces": ["", "é", "😀", '"', "\u2028"], "n": 1}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == content


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "a run's folder must hold a.json: there is no"),
        (b'{"pieces": [', "must be JSON"),
        (b"\xff", "must be JSON"),
    ],
    ids=["missing", "cut", "not-text"],
)
def test_json_that_cannot_be_read_is_refused(tmp_path, content, says):
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=says):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_weights_make_the_round_trip_to_the_bit_in_the_models_order(tmp_path, dtype):
    weights = random_weights(dtype)
    path = save_weights(tmp_path, 500, weights)
    assert listing(tmp_path) == [
        "checkpoints",
        "checkpoints/step-000500",
        "checkpoints/step-000500/weights.safetensors",
    ]
    assert path == tmp_path / "checkpoints/step-000500/weights.safetensors"
    found = load_weights(tmp_path, SHAPES)
    assert list(found) == list(SHAPES)
    for name, array in weights.items():
        assert found[name].dtype == dtype
        assert found[name].tobytes() == array.tobytes()


def test_arrays_that_are_views_are_saved_as_they_read(tmp_path):
    weights = random_weights()
    views = {name: np.asfortranarray(array) for name, array in weights.items()}
    save_weights(tmp_path, 1, views)
    assert all((load_weights(tmp_path, SHAPES)[name] == array).all() for name, array in weights.items())


def test_the_file_has_its_step_and_the_models_names_for_any_other_program(tmp_path):
    content = save_weights(tmp_path, 500, random_weights()).read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header.pop("__metadata__") == {"step": "500"}
    assert {name: tuple(entry["shape"]) for name, entry in header.items()} == SHAPES


@pytest.mark.parametrize("steps", [(2, 10), (999, 1000), (999_999, 1_000_000)], ids=str)
@pytest.mark.parametrize("newest_last", [True, False])
def test_the_newest_step_is_loaded(tmp_path, steps, newest_last):
    for step in steps if newest_last else steps[::-1]:
        save_weights(tmp_path, step, random_weights(seed=step))
    found = load_weights(tmp_path, SHAPES)
    assert (found["output"] == random_weights(seed=steps[1])["output"]).all()


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(UserError, match="the run must have weights: there are none below"):
        load_weights(tmp_path, SHAPES)


def without(name):
    return {other: array for other, array in random_weights().items() if other != name}


WRONG = {
    "shape": (
        {**random_weights(), "output": np.zeros((12, 8))},
        r"output: the file has \(12, 8\), the model \(11, 8\)$",
    ),
    "transposed": (
        {**random_weights(), "layers.1.mlp.hidden": np.zeros((8, 32))},
        r"layers\.1\.mlp\.hidden: the file has \(8, 32\), the model \(32, 8\)$",
    ),
    "missing": (
        without("positionEmbedding"),
        r"positionEmbedding: the file has none, the model \(6, 8\)$",
    ),
    "too-many": (
        {**random_weights(), "finalNorm.scale": np.ones(8)},
        r"finalNorm\.scale: the file has \(8,\), the model none$",
    ),
}


@pytest.mark.parametrize(("weights", "says"), WRONG.values(), ids=WRONG.keys())
def test_weights_of_another_model_are_refused_with_both_shapes(tmp_path, weights, says):
    save_weights(tmp_path, 1, weights)
    with pytest.raises(
        UserError, match=rf"the weights must fit the model: .*weights\.safetensors does not\. {says}"
    ):
        load_weights(tmp_path, SHAPES)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.5, 0.999], ids=str)
def test_a_file_that_is_cut_off_is_refused(tmp_path, share):
    path = save_weights(tmp_path, 1, random_weights())
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(
        UserError, match=r"the weights must be a whole safetensors file: .*weights\.safetensors is not"
    ):
        load_weights(tmp_path, SHAPES)


def test_a_file_of_something_else_is_refused(tmp_path):
    path = save_weights(tmp_path, 1, random_weights())
    path.write_bytes(b"\x80\x04\x95 a pickle, never opened")
    with pytest.raises(UserError, match="must be a whole safetensors file"):
        load_weights(tmp_path, SHAPES)
