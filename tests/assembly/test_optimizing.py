"""optimizer.clip, optimizer.decay, train.rates, train.average: what of them stands around the optimizer."""

from dataclasses import dataclass, fields

import numpy as np
import pytest

from gptlab.assembly.optimizing import optimizer_of, transformed
from gptlab.command.composing import compose, prepared
from gptlab.config.schema import plain
from gptlab.config.typed import Chosen, Config, TrainConfig, typed
from gptlab.errors import UserError
from gptlab.launch.experiment import Experiment
from gptlab.optim.optimizers import Adam, AdamW
from gptlab.optim.transforms import Averaged, ByName, Clipped, Decayed, Scaled
from gptlab.plugins.loading import load_plugins

REGISTRY = load_plugins().registry
SHAPES = {
    "tokenEmbedding": (5, 4),
    "layers.0.norm.scale": (4,),
    "layers.0.mlp.hidden": (4, 4),
    "layers.1.norm.scale": (4,),
}


def made(name="adam", shapes=SHAPES, train=None, **settings):
    chosen = Chosen(name=name, **settings)
    return transformed(optimizer_of(chosen, REGISTRY), chosen, TrainConfig(**(train or {})), shapes)


def groups(optimizer):
    return dict(zip(optimizer.names, optimizer.parts, strict=True))


def test_where_nothing_is_asked_for_it_is_the_optimizer_itself():
    assert made(clip=None, decay={}) == Adam() and made("adamw", beta1=0.5) == AdamW(beta1=0.5)


def test_the_average_is_outermost_and_the_norm_is_of_all():
    optimizer = made(clip=1, train={"average": 0.9, "rates": {"layers": 2}})
    assert isinstance(optimizer, Averaged) and isinstance(optimizer.inner, Clipped)
    assert isinstance(optimizer.inner.inner, ByName)
    assert (optimizer.average, optimizer.inner.clip) == (0.9, 1.0) and isinstance(optimizer.inner.clip, float)


def test_rates_go_by_how_names_begin_or_by_a_star_and_the_last_that_fits_counts():
    found = groups(made(train={"rates": {"layers": 2.0, "*.scale": 0.5, "layers.1": 4.0}}))
    assert found == {
        ("tokenEmbedding",): Adam(),
        ("layers.0.norm.scale",): Scaled(Adam(), 0.5),
        ("layers.0.mlp.hidden",): Scaled(Adam(), 2.0),
        ("layers.1.norm.scale",): Scaled(Adam(), 4.0),
    }


def test_rates_of_the_init_are_multiplied_by_those_of_the_config():
    own = {"layers.0.mlp.hidden": 0.25, "tokenEmbedding": 1.0, "frozen": 0.5}
    chosen = Chosen(name="adam")
    assert groups(transformed(Adam(), chosen, TrainConfig(), SHAPES, own)) == {
        ("tokenEmbedding", "layers.0.norm.scale", "layers.1.norm.scale"): Adam(),
        ("layers.0.mlp.hidden",): Scaled(Adam(), 0.25),
    }
    both = groups(transformed(Adam(), chosen, TrainConfig(rates={"*.hidden": 2.0}), SHAPES, own))
    assert both[("layers.0.mlp.hidden",)] == Scaled(Adam(), 0.5)
    assert transformed(Adam(), chosen, TrainConfig(), SHAPES, {"tokenEmbedding": 1.0}) == Adam()


def test_decay_by_name_takes_the_place_of_the_optimizers_own_and_leaves_the_others_theirs():
    found = groups(made("adamw", weightDecay=0.2, decay={"vectors": 0.1, "tokenEmbedding": 0}))
    assert found == {
        ("tokenEmbedding",): Decayed(AdamW(weightDecay=0.0), 0.0),
        ("layers.0.norm.scale", "layers.1.norm.scale"): Decayed(AdamW(weightDecay=0.0), 0.1),
        ("layers.0.mlp.hidden",): AdamW(weightDecay=0.2),
    }
    found = groups(made("adam", decay={"matrices": 0.1, "tokenEmbedding": 0.3}))
    assert found["layers.0.mlp.hidden",] == Decayed(Adam(), 0.1)
    assert found["tokenEmbedding",] == Decayed(Adam(), 0.3)
    assert found["layers.0.norm.scale", "layers.1.norm.scale"] == Adam()


def test_one_that_keeps_its_weights_in_its_state_decays_by_its_own_field_or_not_at_all():
    free = REGISTRY.get("optimizer", "schedulefree")
    matrices = {name: shape for name, shape in SHAPES.items() if len(shape) > 1}
    found = groups(made("schedulefree", shapes=matrices, decay={"tokenEmbedding": 0.3}))
    assert found == {("tokenEmbedding",): free(weightDecay=0.3), ("layers.0.mlp.hidden",): free()}
    assert "vectors" not in str(groups(made("schedulefree", decay={"vectors": 0})))
    with pytest.raises(
        UserError, match=r"ScheduleFree keeps weights in its state, and .* not layers\.0\.norm\.scale"
    ):
        made("schedulefree", decay={"*.scale": 0.1})


@pytest.mark.parametrize(
    ("train", "settings", "words"),
    [
        (
            {"rates": {"tokenEmbeding": 2.0}},
            {},
            ["train.rates", "'tokenEmbeding'", "Did you mean tokenEmbedding"],
        ),
        ({}, {"decay": {"*.scales": 0.0}}, ["optimizer.decay", "'*.scales'", "layers.0.norm.scale"]),
        ({"rates": {"layers": 0.0}}, {}, ["train.rates.layers must be above 0: got 0.0"]),
        ({}, {"decay": {"layers": -0.1}}, ["optimizer.decay.layers must be at least 0: got -0.1"]),
        ({}, {"clip": 0.0}, ["optimizer.clip must be above 0: got 0.0. Try optimizer.clip=1.0"]),
        ({}, {"clip": float("nan")}, ["optimizer.clip must be above 0: got nan"]),
        ({}, {"beta": 0.0}, ["beta", "beta1"]),
    ],
)
def test_what_cannot_be_meant_is_refused(train, settings, words):
    with pytest.raises(UserError) as refused:
        made(train=train, **settings)
    for word in words:
        assert word in str(refused.value)


def test_an_average_of_1_is_refused_before_anything_is_built():
    with pytest.raises(
        UserError,
        match=r"^train\.average must be at least 0 and below 1: got 1\.0\. Try train\.average=0\.999",
    ):
        experiment("train.average=1")


def test_a_field_of_that_name_of_the_optimizers_own_is_its_own():
    @dataclass(frozen=True)
    class Own(Adam):
        clip: float = 3.0

    registry = load_plugins(discover=False).registry
    registry.register("optimizer", "own", Own, "test")
    chosen = Chosen(name="own", clip=5.0)
    assert transformed(optimizer_of(chosen, registry), chosen, TrainConfig(), SHAPES) == Own(clip=5.0)


def experiment(*overrides):
    registry = prepared().registry
    config = typed(Config, plain(compose("train", ["data=questions", "tracking=none", *overrides])))
    return Experiment.of(config, registry)


@pytest.mark.slow
def test_an_experiment_has_it_of_the_weights_that_are_trained():
    found = experiment(
        "optimizer.clip=0.5",
        "train.rates={output: 2}",
        "train.freeze=[tokenEmbedding]",
        "+optimizer.decay={matrices: 0.1}",
    ).optimizer
    assert isinstance(found, Clipped)
    assert "output" in found.inner.names[-1] + found.inner.names[0]
    assert "tokenEmbedding" not in str(found.inner.names)
    assert experiment().optimizer == experiment("optimizer.clip=null").optimizer
    with pytest.raises(UserError, match="'tokenEmbedding'"):
        experiment("train.rates={tokenEmbedding: 2}", "train.freeze=[tokenEmbedding]")


@pytest.mark.slow
def test_every_optimizer_takes_them():
    for name in REGISTRY.names("optimizer"):
        found = experiment(
            f"optimizer={name}", "optimizer.clip=1", "train.average=0.9", "train.rates.output=2"
        ).optimizer
        assert isinstance(found, Averaged) and {item.name for item in fields(found)} == {"inner", "average"}
        params = {name: np.ones(2) for some in found.inner.inner.names for name in some}
        assert "train.average" in found.init(params)


def test_norms_need_an_engine_that_measures():
    @dataclass(frozen=True)
    class Plain:
        dtype: str = "float64"

        def session(self, definition, optimizer, ops):
            raise AssertionError("it is refused before")

    @dataclass(frozen=True)
    class Around(Plain):
        def session(self, *parts, **more):
            raise AssertionError("it is not asked for yet")

    registry = prepared().registry
    registry.register("engine", "plain", Plain, "test")
    registry.register("engine", "around", Around, "test")
    config = typed(Config, plain(compose("train", ["data=questions", "tracking=none", "train.norms=true"])))
    config.engine = Chosen(name="plain")
    with pytest.raises(
        UserError, match=r"^train\.norms needs an engine that measures norms: engine=plain does not"
    ):
        Experiment.of(config, registry)
    config.engine = Chosen(name="around")
    assert Experiment.of(config, registry).config.train.norms
