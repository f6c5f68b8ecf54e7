"""What a run is called."""

import pytest

from gptlab.sweeps.naming import run_name

NAMES = {
    "nothing": ([], False, "train"),
    "experiment": (["+experiment=tiny"], False, "tiny"),
    "experiment-and-override": (["+experiment=tiny", "model.nEmbd=32"], False, "tiny nEmbd=32"),
    "order-is-kept": (["model.nEmbd=32", "+experiment=tiny", "seed=1"], False, "tiny nEmbd=32 seed=1"),
    "override": (["train.learningRate=0.1"], False, "learningRate=0.1"),
    "component": (["model/norm=layernorm"], False, "norm=layernorm"),
    "component-field": (["model.norm.eps=1e-6"], False, "norm.eps=1e-6"),
    "group": (["engine=scalar", "optimizer.beta1=0.9"], False, "engine=scalar beta1=0.9"),
    "op": (["ops.mul=halfmul"], False, "ops.mul=halfmul"),
    "data": (["data=text", "data.path=a=b.txt"], False, "data=text path=a=b.txt"),
    "added": (["++model.nEmbd=8"], False, "nEmbd=8"),
    "sweep": (["+experiment=tiny", "model.nEmbd=32", "model.nLayer=2"], True, "nEmbd=32 nLayer=2"),
    "sweep-of-nothing": (["+experiment=tiny"], True, "tiny"),
}


@pytest.mark.parametrize(("overrides", "in_sweep", "name"), NAMES.values(), ids=NAMES.keys())
def test_a_run_is_named_for_what_was_chosen(overrides, in_sweep, name):
    assert run_name(overrides, in_sweep) == name


@pytest.mark.parametrize(
    "override",
    [
        "tracking=none",
        "tracking.uri=sqlite:///x.db",
        "progress=none",
        "hydra.sweep.dir=x",
        "description=a b",
        "listeners=[a]",
    ],
)
def test_where_a_run_is_kept_and_shown_is_no_part_of_its_name(override):
    assert run_name(["+experiment=tiny", override], False) == "tiny"
    assert run_name(["+experiment=tiny", "seed=1", override], True) == "seed=1"


def test_a_key_that_only_begins_like_one_of_these_is_part_of_the_name():
    assert run_name(["data.progressive=1"], False) == "progressive=1"
    assert run_name(["progressive=1"], False) == "progressive=1"


def test_a_name_has_a_length_that_a_table_and_a_store_can_take():
    assert len(run_name([f"model.a{i}={i}" for i in range(200)], False)) == 250
