"""resume=: what of a run's config the command line may change."""

import pytest

from gptlab.command.composing import compose, prepared
from gptlab.config.schema import plain
from gptlab.config.typed import Config, typed
from gptlab.launch.resuming import is_place, key_of, with_places

ON_FOUR = ["engine.mesh={data: 2, model: 2}"]


def config_of(overrides: list[str]) -> Config:
    prepared()
    return typed(Config, plain(compose("train", overrides)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed_now", "devices", "mesh"),
    [
        ([], 1, {"data": 2, "model": 2}),
        (["engine.devices=1"], 1, {}),
        (["engine.devices=all"], "all", {}),
        (["engine.mesh={data: 8}"], 1, {"data": 8}),
        (["engine.mesh.model=2"], 1, {"model": 2}),
    ],
)
def test_a_run_goes_on_where_the_command_line_says(typed_now, devices, mesh):
    keys = {key_of(override) for override in typed_now}
    config = with_places(config_of(ON_FOUR), config_of(typed_now), keys)
    assert (config.engine["devices"], config.engine["mesh"]) == (devices, mesh)
    assert config.engine["dtype"] == "float32"


def test_what_is_no_place():
    assert [is_place(key) for key in ("engine.dtype", "engine", "engine.name", "train.mesh")] == [False] * 4
    assert [is_place(key) for key in ("engine.mesh", "engine.mesh.data", "engine.devices")] == [True] * 3
