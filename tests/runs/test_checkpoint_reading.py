"""Checkpoints that are not as gptlab wrote them: refused with one message, and left as they are."""

import json
import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from gptlab.errors import UserError
from gptlab.runs.checkpoint.arrays import check_shapes
from gptlab.runs.checkpoint.folder import STATE, WEIGHTS, read_checkpoint
from gptlab.runs.checkpoint.newest import newest_whole
from tests.checkpoints import SHAPES, contents, random_weights, save, sign

NAMES = ["SHA256SUMS", "optimizer.safetensors", "state.json", "training.safetensors", "weights.safetensors"]


def refused(folder, says):
    before = contents(folder)
    with pytest.raises(UserError, match=says) as error:
        read_checkpoint(folder)
    assert "\n" not in str(error.value)
    assert contents(folder) == before


@pytest.fixture
def folder(tmp_path):
    return save(tmp_path, training=random_weights(seed=1))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_cut_off(folder, name, share):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(share * len(content))])
    refused(folder, "a checkpoint must be whole" if name == "SHA256SUMS" else f"{name} is damaged")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_missing(folder, name):
    (folder / name).unlink()
    refused(folder, name)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_missing_from_the_digests_too(folder, name):
    (folder / name).unlink()
    if name == "SHA256SUMS":
        return
    sign(folder)
    if name == "training.safetensors":
        assert read_checkpoint(folder).training is not None  # it is not always there
    else:
        refused(folder, f"a checkpoint must have its {name}")


@pytest.mark.parametrize("name", ["extra.txt", ".hidden", "z.pkl", "weights.safetensors.bak"])
def test_a_file_that_is_too_many(folder, name):
    (folder / name).write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    refused(folder, f"{name} is not in its SHA256SUMS")


def test_a_folder_that_is_too_many(folder):
    (folder / "inner").mkdir()
    refused(folder, "inner: Is a directory")


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="nosuch: No such file or directory"):
        read_checkpoint(tmp_path / "nosuch")


@pytest.mark.parametrize(
    "change",
    [
        bytes.upper,
        lambda sums: sums + b"\n",
        lambda sums: sums.replace(b"  ", b" *"),
        lambda sums: b"\xff" + sums,
    ],
    ids=["upper", "newline", "binary", "not-text"],
)
def test_digests_in_any_other_words(folder, change):
    (folder / "SHA256SUMS").write_bytes(change((folder / "SHA256SUMS").read_bytes()))
    refused(folder, "a checkpoint must be whole")


@pytest.mark.parametrize("name", ["weights.safetensors", "training.safetensors", "optimizer.safetensors"])
@pytest.mark.parametrize(
    "content",
    [b"", b"\x80\x04\x95 a pickle, never opened", b"\xff" * 64, b'{"a": 1}', b"\x02\0\0\0\0\0\0\0[]"],
    ids=["empty", "pickle", "ones", "json", "list"],
)
def test_a_foreign_file_with_digests_that_fit(folder, name, content):
    (folder / name).write_bytes(content)
    sign(folder)
    refused(folder, f"must be a whole safetensors file: .*{name} is not")


@pytest.mark.parametrize("name", ["weights.safetensors", "training.safetensors"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
def test_a_weight_that_is_not_finite(folder, name, value):
    weights = random_weights()
    weights["layers.1.mlp.hidden"][3, 2] = value
    save_file(weights, folder / name)
    sign(folder)
    refused(folder, rf"weights must be finite: .*{name} has {value} at layers\.1\.mlp\.hidden\[3, 2\]")


@pytest.mark.parametrize(
    "dtype", [np.float16, np.int32, np.uint8, np.bool_], ids=lambda dtype: dtype.__name__
)
@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors"])
def test_a_wrong_dtype(folder, name, dtype):
    save_file({"output": np.ones((2, 2), dtype)}, folder / name)
    sign(folder)
    refused(folder, r"must be float32 \(F32\) or float64 \(F64\): .* has output: [FIUB]\w+\.$")


def changed_state(folder, **changes):
    state = json.loads((folder / STATE).read_text())
    (folder / STATE).write_text(json.dumps({**state, **changes}))
    sign(folder)


def test_a_newer_format_says_so(folder):
    changed_state(folder, format=2, step=None)
    refused(folder, r"must be of format 1 or older: .*state\.json has format 2\. A newer gptlab wrote it")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("step", -1),
        ("step", "500"),
        ("step", True),
        ("position", 1.5),
        ("random", {}),
        ("valLoss", "low"),
        ("valLoss", float("nan")),
        ("smoothedLoss", None),
        ("smoothedLoss", {"nats": "many", "tokens": 1.0}),
        ("smoothedLoss", {"nats": float("inf"), "tokens": 1.0}),
        ("run", {"id": None, "name": "x"}),
        ("config", []),
        ("config", {}),
        ("tokenizer", {}),
        ("plugins", None),
        ("files", {"metrics.jsonl": -1}),
        ("format", None),
    ],
    ids=str,
)
def test_a_state_that_lacks_what_it_should_hold(folder, key, value):
    changed_state(folder, **{key: value})
    says = (
        "must be a checkpoint's state: it has no" if key == "format" else "is not as gptlab wrote it, in .*"
    )
    refused(folder, rf"state\.json {says}.*{key}")


@pytest.mark.parametrize("content", [b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b"9" * 5000], ids=len)
def test_a_state_that_is_none(folder, content):
    (folder / STATE).write_bytes(content)
    sign(folder)
    refused(folder, "state.json must be")


def test_a_folder_with_the_name_of_another_step(folder):
    os.rename(folder, folder.with_name("step-000600"))
    refused(folder.with_name("step-000600"), "is of step 500. Rename it to step-000500")


def test_a_checkpoint_that_was_put_elsewhere_under_another_name(folder, tmp_path):
    os.rename(folder, tmp_path / "ein Übergang 😀")
    assert read_checkpoint(tmp_path / "ein Übergang 😀").step == 500


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
    "too-many-numbers": (
        {**random_weights(), "scale": np.ones(())},
        r"scale: the file has \(\), the model none$",
    ),
    "two": (
        {**random_weights(), "output": np.zeros((1, 8)), "tokenEmbedding": np.zeros((1, 8))},
        r"tokenEmbedding: the file has \(1, 8\), the model \(11, 8\); "
        r"output: the file has \(1, 8\), the model \(11, 8\)$",
    ),
}


@pytest.mark.parametrize(("weights", "says"), WRONG.values(), ids=WRONG.keys())
def test_weights_of_another_model_are_refused_with_both_shapes(tmp_path, weights, says):
    found = newest_whole(save(tmp_path, 1, weights).parent.parent)
    with pytest.raises(
        UserError, match=rf"the weights must fit the model: .*weights\.safetensors does not\. {says}"
    ):
        check_shapes(found.weights, SHAPES, found.folder / WEIGHTS)
