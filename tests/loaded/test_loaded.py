"""`gptlab.load`: a finished run against the files that it left and the verbs that read them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import gptlab
from gptlab.autograd.value import Value
from gptlab.cli import main
from gptlab.errors import UserError
from gptlab.loaded.facts import MOST, thinned
from gptlab.loaded.views import Config, Curve, Page

TEXT = "the cat eats"
FEW = ["train.numSteps=20", "train.evalEvery=10", "model.nLayer=2", "samples.n=0", "progress=none"]
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one small run, `runs/small`."""
    folder = tmp_path_factory.mktemp("loaded")
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert main(["+experiment=tiny", *FEW, "tracking=none", "hydra.run.dir=runs/small"]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def run(place, monkeypatch):
    monkeypatch.chdir(place)
    return gptlab.load("latest")


@pytest.mark.slow
def test_the_weights_are_those_of_the_newest_checkpoint(run, place):
    kept = load_file(place / "runs/small/checkpoints/step-000020/weights.safetensors")
    assert set(run.weights) == set(kept)
    assert all(np.array_equal(run.weights[name], kept[name]) for name in kept)
    assert (run.step, str(run.folder)) == (20, "runs/small")
    assert run.name == json.loads((place / "runs/small/run.json").read_text())["name"]
    assert run.parameters == sum(array.size for array in kept.values())


def test_the_losses_are_those_that_were_logged(run, place):
    rows = [json.loads(line) for line in (place / "runs/small/metrics.jsonl").read_text().splitlines()]
    assert run.losses.tolist() == [row["train/loss"] for row in rows if "train/loss" in row]
    steps, values = run.metrics["val/loss"]
    assert steps.tolist() == [10, 20]
    assert values.tolist() == [row["val/loss"] for row in rows if "val/loss" in row]
    assert set(run.metrics) == {name for row in rows for name in row} - {"step"}


@pytest.mark.slow
def test_generate_gives_the_texts_of_the_verb(run, capsys):
    assert main(["generate", 'prompt="the cat"', "n=4", "temperature=1.5", "topK=50", "seed=7"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert run.generate("the cat", 4, temperature=1.5, topK=50, seed=7) == said
    assert all(text.startswith("the cat") for text in said)


@pytest.mark.slow
def test_attention_is_that_of_inspect(run):
    attention, seen = run.attention(TEXT), run.inspect(TEXT)
    assert attention.tokens == seen.tokens == ["BOS", "the", "cat", "eats"]
    assert attention.shape == (2, 4, 4, 4)
    assert np.array_equal(np.asarray(attention), seen.attention)
    np.testing.assert_allclose(attention[1, 2].sum(-1), 1, rtol=1e-5)
    assert np.asarray(attention, dtype=np.float64).dtype == np.float64


def test_a_plot_shows_what_is_chosen(run):
    attention = run.attention(TEXT)

    def squares(**chosen):
        texts = [text.get_text() for axes in attention.plot(**chosen).axes for text in axes.texts]
        return [text for text in texts if text.startswith("layer")]

    assert len(squares()) == 8
    assert squares(layer=1) == [f"layer 1, head {head}" for head in range(4)]
    assert squares(layer=-1, head=2) == ["layer 1, head 2"]
    (axes,) = attention.plot(layer=0, head=3).axes
    numbers = [text.get_text() for text in axes.texts][1:]
    assert numbers == [f"{attention[0, 3][t, s]:.2f}" for t in range(4) for s in range(t + 1)]


@pytest.mark.parametrize("chosen", [{"layer": 2}, {"head": 4}, {"head": -5}], ids=str)
def test_a_layer_or_head_that_there_is_not_is_refused(run, chosen):
    (what,) = chosen
    with pytest.raises(UserError, match=f"{what} must be 0 to"):
        run.attention(TEXT).plot(**chosen)


def test_an_attention_that_cannot_be_seen_is_said(run):
    from dataclasses import replace

    none = replace(run.attention(TEXT), shares=np.zeros((2, 0, 4, 4)), notes=("attention is not shown: why",))
    assert none._repr_png_() is None
    with pytest.raises(UserError, match="not shown: why"):
        none.plot()


@pytest.mark.slow
def test_pictures_need_no_pyplot_and_a_notebook_shows_them(place):
    code = (
        "import gptlab, sys; run = gptlab.load(); a = run.attention('the cat'); "
        "shown = [a._repr_png_(), a.plot()._repr_png_(), run.plot()._repr_png_()]; "
        "print(all(png[:8] == bytes.fromhex('89504e470d0a1a0a') and size['width'] > 200 for png, size in shown), "
        "'matplotlib.pyplot' in sys.modules, 'mlflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=place, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split() == ["True", "False", "False"], done.stderr


def test_the_config_reads_by_key_and_by_attribute(run):
    assert run.config.model.nLayer == run.config["model"]["nLayer"] == 2
    assert "nLayer: 2" in repr(run.config.model)
    assert isinstance(run.config, Config) and "model" in dir(run.config)
    with pytest.raises(AttributeError, match="Did you mean nLayer"):
        run.config.model.nLayers  # noqa: B018


def test_a_weight_that_there_is_not_names_the_nearest(run):
    with pytest.raises(UserError, match=r"Did you mean layers\.0\.attention\.query"):
        run.weights["layers.0.attention.querry"]
    assert "layers.0.mlp.hidden" in repr(run.weights)


def test_on_the_scalar_engine_every_number_is_a_value_with_a_gradient(run):
    model = gptlab.load("latest", engine="scalar").model
    assert isinstance(model.params[0], Value)
    ids = [run.tokenizer.bos, *run.tokenizer.encode(TEXT), run.tokenizer.bos]
    loss = model.loss(ids)
    loss.backward()
    assert loss.data == pytest.approx(run.inspect(TEXT).loss, rel=1e-5)
    assert model.weights.layers[0].attention.query[3, 5].grad != 0
    with pytest.raises(UserError, match="no engine is named 'scaler'"):
        gptlab.load("latest", engine="scaler")


def test_what_a_notebook_shows_is_escaped_and_whole(run):
    run.name = "<b>$bold"
    shown = run._repr_html_()
    assert "&lt;b&gt;$bold" in shown and "<b><b>" not in shown
    assert f"{run.parameters:,}" in shown and "<polyline" in shown
    assert PNG in run.plot().png()
    seen = run.inspect(TEXT)
    assert repr(seen).startswith('<inspection of "the cat eats": 4 positions')
    assert all(f"{loss:.3f}" in seen._repr_html_() for loss in seen.losses)


def test_a_curve_is_thinned_to_its_last_point_without_what_is_not_finite():
    values = np.arange(1000.0)
    values[[3, 998]] = np.nan, np.inf
    kept = thinned(Curve(np.arange(1000), values))
    assert len(kept) <= MOST
    assert kept[-1] == (999, 999.0)
    assert [step for step, _ in kept] == sorted(step for step, _ in kept)


def test_a_page_lies_in_a_frame_of_its_own(tmp_path):
    page = Page('<!doctype html><p title="a&b">')
    assert 'srcdoc="&lt;!doctype html&gt;&lt;p title=&quot;a&amp;b&quot;&gt;"' in page._repr_html_()
    assert page.save(tmp_path / "page.html").read_text() == page.html


def test_the_page_of_a_text_names_run_and_text(run):
    html = run.page(TEXT).html
    assert "the cat eats" in html and "tiny" in html


@pytest.mark.slow
def test_a_file_of_weights_is_a_run_without_losses(run, place, tmp_path):
    file = tmp_path / "small.safetensors"
    assert main(["export", "latest", "--format=safetensors", f"output={file}"]) == 0
    loaded = gptlab.load(file)
    assert loaded.generate("the", seed=3) == run.generate("the", seed=3)
    assert len(loaded.metrics) == 0
    assert loaded.folder is None
    for asked in (lambda: loaded.losses, loaded.plot):
        with pytest.raises(UserError, match=r"losses are those that a run logged: .* has none"):
            asked()
    assert "<polyline" not in loaded._repr_html_()


def test_a_run_without_weights_and_no_run_at_all_are_refused(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="there is none"):
        gptlab.load()
    shutil.copytree(place / "runs/small", tmp_path / "runs/small")
    shutil.rmtree(tmp_path / "runs/small/checkpoints")
    with pytest.raises(UserError, match="must have a checkpoint"):
        gptlab.load("runs/small")
    with pytest.raises(UserError, match="run must be latest, the folder"):
        gptlab.load("runs/nosuch")


@pytest.mark.parametrize(
    ("text", "said"), [("", "empty"), ("the " * 17, "at most blockSize=16"), ("the xylophone", "vocabulary")]
)
def test_a_text_that_cannot_be_looked_at_is_refused(run, text, said):
    with pytest.raises(UserError, match=said):
        run.attention(text)


def test_a_notebook_shows_a_mistake_without_a_traceback():
    assert UserError("that must hold")._render_traceback_() == ["gptlab: that must hold"]


@pytest.mark.slow
def test_a_run_that_lies_in_mlflow_only_has_its_losses(mlflow_folder):
    assert main(["+experiment=tiny", *FEW, "inspect.atEnd=false"]) == 0
    here = gptlab.load("latest")
    run_id = json.loads((here.folder / "run.json").read_text())["id"]
    shutil.rmtree("runs")
    there = gptlab.load(run_id)
    assert there.folder is None
    np.testing.assert_array_equal(there.losses, here.losses)
    np.testing.assert_array_equal(there.metrics["val/loss"].steps, here.metrics["val/loss"].steps)
    assert all(np.array_equal(there.weights[name], here.weights[name]) for name in here.weights)
    assert run_id in repr(there)
