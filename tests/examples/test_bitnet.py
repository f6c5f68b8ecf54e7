"""The example plugin bitnet: three numbers a matrix, a gradient straight through, and what a run leaves of it."""

import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file

import gptlab
from gptlab.autograd.numbers import FLOATS
from gptlab.autograd.ops import OpTable
from gptlab.checks import assert_passes
from gptlab.cli import main
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.model.reparametrized import reparametrized
from gptlab.optim.optimizers import Adam
from gptlab.plugins.loading import load_plugins
from tests.models import assert_same_run, make_gpt, random_batches, trained

REGISTRY = load_plugins().registry
BitNet, ternaryst = REGISTRY.get("reparametrization", "bitnet"), REGISTRY.get("op", "ternaryst")
OPS = OpTable(others={"ternaryst": ternaryst})
QUERY = "layers.0.attention.query"


def made(**fields):
    return reparametrized(make_gpt(), BitNet(**fields), OPS)


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("reparametrization", "bitnet") == REGISTRY.owner("op", "ternaryst") == "bitnet"
    assert_passes("bitnet")


@pytest.mark.parametrize("xp", [FLOATS, np], ids=["floats", "numpy"])
def test_the_nearest_of_three_numbers_is_that_of_the_paper(xp):
    for scale in (0.5, 1.0, 3.0):
        for w in np.linspace(-4, 4, 81):
            wanted = scale * np.clip(np.round(w / scale), -1, 1)  # RoundClip, equation 2
            assert float(ternaryst(xp, float(w), scale)[0]) == wanted
    assert float(ternaryst(xp, 0.0, 0.0)[0]) == 0.0
    assert ternaryst(xp, 0.7, 0.5)[1] == (1.0, 0.0)


def test_what_is_used_of_each_matrix_is_minus_one_zero_or_one_times_its_mean_size():
    definition, applied = made()
    assert applied.count("ternaryst") == 1
    session = ScalarEngine().session(definition, Adam(), OPS)
    state, _ = trained(ScalarEngine(), definition, 3, ops=OPS)
    used = session.export(session.for_evaluation(session.init(state.weights, {}))).weights
    assert list(used) == list(definition.base.shapes)
    for name, array in used.items():
        latent = state.weights.get(f"{name}.latent")
        assert (latent is not None) == name.startswith("layers.")
        if latent is None:
            assert array.tobytes() == state.weights[name].tobytes()
            continue
        scale = np.abs(latent).mean()
        np.testing.assert_allclose(array, scale * np.clip(np.round(latent / scale), -1, 1), rtol=1e-12)
        assert len(np.unique(array)) == 3
    again = session.export(session.for_evaluation(session.init(used, {}))).weights
    assert all(again[name].tobytes() == used[name].tobytes() for name in used)


def test_the_gradient_of_the_latent_matrix_is_that_of_the_one_that_is_used():
    definition, _ = made()
    weights, batches = definition.initial_weights(0), random_batches(definition, 1)
    session = ScalarEngine().session(definition, Adam(), OPS)
    used = session.export(session.for_evaluation(session.init(weights, {}))).weights
    plain = ScalarEngine().session(definition.base, Adam(), OPS)
    ours, theirs = (
        s.gradients(s.init(w, {}), batches.tokens[0], batches.lengths[0])[2]
        for s, w in ((session, weights), (plain, used))
    )
    for name, gradient in theirs.items():
        np.testing.assert_allclose(ours.get(f"{name}.latent", ours.get(name)), gradient, rtol=1e-12)
    assert np.abs(ours[f"{QUERY}.latent"]).max() > 1e-4


@pytest.mark.slow
def test_both_engines_train_alike_with_it():
    definition, _ = made()
    scalar = trained(ScalarEngine(), definition, 20, ops=OPS)
    assert_same_run(trained(XlaEngine("float64"), definition, 20, ops=OPS), scalar, rtol=1e-10)
    assert np.abs(scalar[1].loss - trained(ScalarEngine(), make_gpt(), 20)[1].loss).max() > 1e-6


SETTINGS = [
    *("data=text", "data.path=words.txt", "data.valFraction=0.1", "model.nEmbd=8", "model.nHead=2"),
    *("model.blockSize=8", "tracking=none", "progress=none", "samples.n=0", "train.learningRate=0.01"),
]


@pytest.mark.slow
@pytest.mark.usefixtures("optimized")
def test_a_run_is_resumed_to_the_bit_and_what_it_leaves_needs_no_plugin(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text(
        "the cat sees a dog\na dog likes the cat\nthe bird sees the cat\n" * 8
    )
    run = ["model/reparametrization=bitnet", "train.numSteps=20", "checkpoint.every=8", "train.evalEvery=4"]
    assert main([*SETTINGS, *run, "hydra.run.dir=whole", "train.rates={layers: 2.0}"]) == 0
    shutil.copytree("whole", "cut")
    shutil.rmtree("cut/checkpoints/step-000020")
    assert main(["resume=cut", "progress=none"]) == 0
    for name in ("weights", "training", "optimizer"):
        file = f"checkpoints/step-000020/{name}.safetensors"
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), name
    loaded = gptlab.load("whole")
    assert len(np.unique(loaded.weights[QUERY])) == 3
    latent = load_file("whole/checkpoints/step-000020/training.safetensors")[f"{QUERY}.latent"]
    assert len(np.unique(latent)) == latent.size
    assert len(loaded.generate(n=2)) == 2
    loaded.inspect("the cat")

    capfd.readouterr()
    assert (
        main([*SETTINGS[:3], *SETTINGS[6:], "initFrom=whole", "train.numSteps=1", "hydra.run.dir=plain"]) == 0
    )
    assert main(["export", "run=whole", "output=whole.json", "tracking=none"]) == 0
    both = [*SETTINGS, "model/adapter=lora", *run]
    assert main(both) == 2
    assert "model/adapter=lora and model/reparametrization=bitnet" in capfd.readouterr().err
