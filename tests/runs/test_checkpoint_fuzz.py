"""No byte of a checkpoint can change without being found out, and nothing that is changed raises another error."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gptlab.errors import UserError
from gptlab.runs.checkpoint.folder import read_checkpoint
from tests.checkpoints import random_weights, save, sign

CASES = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
NAMES = ["SHA256SUMS", "optimizer.safetensors", "state.json", "training.safetensors", "weights.safetensors"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    few = {"tokenEmbedding": random_weights()["tokenEmbedding"]}
    return save(tmp_path_factory.mktemp("run"), 500, few, few)


@pytest.fixture(scope="module")
def whole(folder):
    return {name: (folder / name).read_bytes() for name in NAMES}


@st.composite
def damages(draw):
    """A file by its number, and a function that changes its bytes: one overwritten, cut off, taken out, added."""
    kind = draw(st.sampled_from(["change", "cut", "remove", "insert", "append", "swap"]))
    place, other = draw(st.floats(0, 1, exclude_max=True)), draw(st.floats(0, 1, exclude_max=True))
    bits, new = draw(st.integers(1, 255)), draw(st.binary(min_size=1, max_size=20))

    def change(content: bytes) -> bytes:
        at, to = int(place * len(content)), int(other * len(content))
        if kind == "change":
            return content[:at] + bytes([content[at] ^ bits]) + content[at + 1 :]
        if kind == "cut":
            return content[:at]
        if kind == "remove":
            return content[: min(at, to)] + content[max(at, to) + 1 :]
        if kind == "insert":
            return content[:at] + new + content[at:]
        if kind == "append":
            return content + new
        return content[to:] + content[:to]

    return draw(st.sampled_from(NAMES)), change


@pytest.mark.slow
@settings(CASES, max_examples=2000)
@given(damages())
def test_no_byte_of_any_file_changes_without_being_found(folder, whole, damage):
    name, change = damage
    changed = change(whole[name])
    (folder / name).write_bytes(changed)
    try:
        if changed == whole[name]:
            assert read_checkpoint(folder).step == 500
            return
        with pytest.raises(UserError, match=str(folder)):
            read_checkpoint(folder)
        assert (folder / name).read_bytes() == changed
    finally:
        (folder / name).write_bytes(whole[name])


@pytest.mark.slow
@settings(CASES, max_examples=600)
@given(damages())
def test_a_changed_byte_with_digests_that_fit_is_read_or_refused_but_never_an_error_of_another_kind(
    folder, whole, damage
):
    name, change = damage
    if name == "SHA256SUMS":
        return
    (folder / name).write_bytes(change(whole[name]))
    sign(folder)
    try:
        assert read_checkpoint(folder).weights
    except UserError as error:
        assert str(folder) in str(error)
    finally:
        (folder / name).write_bytes(whole[name])
        (folder / "SHA256SUMS").write_bytes(whole["SHA256SUMS"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@settings(CASES, max_examples=400)
@given(st.sampled_from(["format", "step", "run", "random", "valLoss", "config", "tokenizer", "files"]), JSON)
def test_any_other_value_in_the_state_is_read_or_refused(folder, whole, key, value):
    state = json.loads(whole["state.json"])
    (folder / "state.json").write_text(json.dumps({**state, key: value}))
    sign(folder)
    try:
        assert read_checkpoint(folder).state[key] == value or value != value
    except UserError as error:
        assert str(folder) in str(error)
    finally:
        (folder / "state.json").write_bytes(whole["state.json"])
        (folder / "SHA256SUMS").write_bytes(whole["SHA256SUMS"])
