"""engine.devices and engine.mesh: several devices compute what one does, and what cannot be spread is refused."""

import os

import numpy as np
import pytest

from gptlab.engines.held_out_rows import Rows
from gptlab.engines.packing import PassShape, choose_shape
from gptlab.engines.spreading import MeshSizes, Spreads, check_divides, mesh_sizes
from gptlab.engines.xla import XlaEngine
from gptlab.engines.xla_chunks import spread_rows
from gptlab.errors import UserError
from tests.processes import run_program


@pytest.mark.slow
def test_several_devices_compute_what_one_does(monkeypatch):
    flags = os.environ.get("XLA_FLAGS", "")
    monkeypatch.setenv("XLA_FLAGS", f"--xla_force_host_platform_device_count=8 {flags}")
    said = run_program("tests.spread_runs", timeout=580)
    assert said["apart"].pop("another rate") > 1e-3  # what the others must not be
    assert len(said["apart"]) == 9
    assert said["same bits"]  # of a run that is resumed on the same devices
    assert {name: far for name, far in said["apart"].items() if not far < 1e-10} == {}
    # And each has its share of the work, and of the numbers.
    whole = said["flops"]["one"]
    assert said["flops"]["eight"] < 0.3 * whole
    assert said["flops"]["mesh"] < 0.5 * whole
    hidden = {name: parts["layers.0.mlp.hidden"] for name, parts in said["parts"].items()}
    assert hidden == {"one": [32, 8], "eight": [32, 8], "mesh": [16, 4]}
    assert said["parts"]["mesh"]["layers.0.attention.output"] == [4, 4]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"devices": 0}, "engine.devices must be at least 1: got 0"),
        ({"devices": "two"}, "engine.devices must be a whole number, or all: got two"),
        ({"mesh": {"data": 2, "modle": 2}}, "no axis of engine.mesh is named 'modle'. Did you mean model?"),
        ({"mesh": {"data": 0}}, "engine.mesh.data must be at least 1: got 0"),
        ({"mesh": {"data": "two"}}, "engine.mesh.data must be a whole number: got two"),
        ({"mesh": 4}, "engine.mesh must say how many devices each axis has: got 4"),
        (
            {"devices": 8, "mesh": {"data": 2, "model": 2}},
            "as engine.devices says, 8: got '{data: 2, model: 2}'",
        ),
    ],
)
def test_what_no_machine_has_is_refused(settings, words):
    with pytest.raises(UserError, match=words):
        XlaEngine(**settings)


@pytest.mark.parametrize(
    ("devices", "mesh", "words"),
    [
        (
            8,
            {},
            "there are, 4 .cpu.: got engine.devices=8. XLA_FLAGS=--xla_force.*_count=8 in front .* makes",
        ),
        (1, {"data": 4, "model": 2}, "engine.mesh='{data: 4, model: 2}' takes 8"),
        ("all", {"data": 2}, "engine.devices=all take all devices, 4: engine.mesh='{data: 2}' takes 2"),
    ],
)
def test_more_devices_than_there_are_and_fewer_than_all(devices, mesh, words):
    with pytest.raises(UserError, match=words):
        mesh_sizes(devices, mesh, 4, "cpu")


def test_what_the_settings_come_to():
    assert mesh_sizes(1, {}, 4, "cpu") is None
    assert mesh_sizes("all", {}, 1, "gpu") is None
    assert mesh_sizes("all", {}, 4, "cpu") == mesh_sizes(4, {}, 4, "cpu") == MeshSizes(4, 1, sharded=False)
    assert mesh_sizes(1, {"model": 2}, 4, "cpu") == MeshSizes(1, 2, sharded=True)
    assert mesh_sizes(4, {"data": 4}, 8, "cpu") == MeshSizes(4, 1, sharded=True)


def test_what_a_mesh_does_not_divide():
    check_divides(MeshSizes(2, 4, sharded=True), 6, 8)
    check_divides(MeshSizes(2, 4, sharded=True), None, 8)
    with pytest.raises(
        UserError, match=r"train.batchSize must be a multiple .* 4: got 6. Try train.batchSize=8"
    ):
        check_divides(MeshSizes(4, 1, sharded=False), 6, 1)
    with pytest.raises(UserError, match=r"model.nHead must be a multiple .* 4: got 2. Try model.nHead=4"):
        check_divides(MeshSizes(1, 4, sharded=True), 6, 2)


def test_weights_are_read_on_one_device_wherever_they_were_trained():
    engine = XlaEngine("float64", mesh={"data": 64, "model": 4})
    assert isinstance(engine, Spreads)
    assert engine.alone() == XlaEngine("float64")


@pytest.mark.slow
def test_each_device_has_as_many_rows_of_a_pass_as_any_other():
    short = np.random.default_rng(0).integers(2, 13, 1000)
    for batch in (16, 64, 96):
        for parts in (1, 3):
            shapes = [choose_shape(short, batch, 12, parts, devices) for devices in (2, 4, 8)]
            assert all(shape is not None for shape in shapes)
            assert [s.rows % n for s, n in zip(shapes, (2, 4, 8), strict=True)] == [0, 0, 0]
    # What a device may hold at once does not shrink with their number.
    assert choose_shape(np.full(1000, 64), 64, 64) == PassShape(8, 64)
    assert choose_shape(np.full(1000, 64), 64, 64, devices=4) == PassShape(32, 64)
    assert choose_shape(np.full(1000, 64), 64, 64, devices=8) is None


def test_passes_of_an_evaluation_go_side_by_side():
    documents = np.arange(5 * 2 * 3).reshape(5, 2, 3)
    rows = spread_rows(Rows(documents, documents + 1), 4)
    assert rows.documents.shape == rows.positions.shape == (2, 8, 3)
    np.testing.assert_array_equal(rows.documents.reshape(-1, 2, 3)[:5], documents)
    np.testing.assert_array_equal(rows.positions.reshape(-1, 2, 3)[:5], documents + 1)
    assert (rows.documents.reshape(-1, 2, 3)[5:] == -1).all()
    np.testing.assert_array_equal(spread_rows(Rows(documents, documents), 1).documents, documents)
