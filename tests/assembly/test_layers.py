"""Layers with parts of their own: `model.layers`, `model.pattern`, from the command to the run that is read again."""

import json
from pathlib import Path

import numpy as np
import pytest

import gptlab
from gptlab.autograd.ops import OpTable
from gptlab.cli import main
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.inspection.tapped import look
from gptlab.model.block import PreNorm
from gptlab.model.mlp import NoMLP, SwiGLU
from gptlab.model.norm import LayerNorm
from gptlab.model.summary import summarize
from gptlab.model.summary_table import groups
from gptlab.optim.optimizers import SGD
from tests.models import SMALL as SIZES
from tests.models import assert_same_run, make_gpt, trained
from tests.plugin_texts import stand_beside

PLUGIN = '''
from dataclasses import dataclass
import gptlab
from gptlab.model.attention import CausalAttention


@dataclass(frozen=True)
class Sliding(CausalAttention):
    """Causal attention to the last positions alone (Beltagy et al. 2020). window: how many. nKVHead: as in causal."""

    window: int = 2

    def __call__(self, weights, x, position, context, config):
        return super().__call__(weights, x, position, context.within(self.window), config)


@dataclass(frozen=True)
class Compiled(Sliding):
    """As local, with xla only. window, nKVHead: as there."""

    engines = ("xla",)


@gptlab.hookimpl
def gptlab_register_components(register):
    register("attention", "local", Sliding)
    register("attention", "compiled", Compiled)
'''
SMALL = ["data=names", "tokenizer=char", "data.valFraction=0.001", "model.nEmbd=8", "model.nHead=2"]
RUN = [*SMALL, "model.nLayer=3", "train.numSteps=2", "samples.n=0", "tracking=none", "progress=none"]
MIXED = "model.layers=[{attention: local}, {}, {attention: {name: local, window: 3}, mlp: swiglu, norm: layernorm}]"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return stand_beside(tmp_path, monkeypatch, window=PLUGIN)


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
def test_a_run_of_layers_with_parts_of_their_own_is_read_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*RUN, MIXED, "hydra.run.dir=runs/one"]) == 0
    run = gptlab.load("runs/one")
    names = [type(run.definition.in_layer(i).attention).__name__ for i in range(3)]
    assert names == ["Sliding", "CausalAttention", "Sliding"]
    assert run.definition.in_layer(2).attention.window == 3
    assert "layers.2.mlp.gate" in run.weights and "layers.1.mlp.gate" not in run.weights
    # What a layer alone uses is of the run as well.
    assert json.loads(Path("runs/one/plugins.json").read_text())["attention local"] == "window"

    assert main(["generate", "run=runs/one", "n=1", "engine=scalar"]) == 0
    assert main(["inspect", "run=runs/one", "text=anna"]) == 0
    assert main(["export", "runs/one", "--format=safetensors", "output=one.safetensors"]) == 0
    assert main(["generate", "run=one.safetensors", "n=1"]) == 0
    capsys.readouterr()
    assert main(["export", "runs/one", "--format=json"]) == 2
    assert "can hold only the standard model" in (said := last_line(capsys)) and "model.layers=" in said

    assert main([*RUN, "initFrom=runs/one", "hydra.run.dir=runs/two"]) == 0
    assert repr(gptlab.load("runs/two").definition.layers) == repr(run.definition.layers)
    assert main([*RUN, "initFrom=runs/one", "model.layers=[{}, {}, {mlp: none}]"]) == 2
    assert "initFrom takes the model" in last_line(capsys)

    Path("plugins/window.py").unlink()
    assert main(["generate", "run=runs/one", "n=1"]) == 2
    assert "no attention is named 'local'" in last_line(capsys)


@pytest.mark.slow
def test_a_pattern_comes_again_and_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pattern = ["model.nLayer=6", "model.pattern=[local,local,causal]", "model.attention.nKVHead=1"]
    assert main(["summary", *SMALL, *pattern]) == 0
    out = capsys.readouterr().out
    assert "attention Sliding" in out and "attention CausalAttention(nKVHead=1)" in out
    rows = [line.split("  ")[0] for line in out.splitlines() if line.startswith("layers.")]
    assert rows == [
        "layers.0",
        "layers.1, the same",
        "layers.2",
        "layers.3 to layers.4, the same as layers.0",
        "layers.5, the same as layers.2",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.pattern=[locl]", "model.pattern[0]: no attention is named 'locl'. Did you mean local?"),
        ("model.pattern=[]", "must name from 1 to nLayer=3 attentions, which come again and again: got 0"),
        ("model.pattern=[none,none,none,none]", "got 4. Try model.pattern=[none,none,none], or model.nLayer=4."),
        ("model.pattern=none", "model.pattern must be a list: got none. Try 'model.pattern=[none]'."),
        ("model.layers=[{mlp: none}]", "for each of nLayer=3 layers: got 1. Try model.nLayer=1; an entry is"),
        ("model.layers=[{}, {mpl: none}, {}]", "[1]: no part of a layer is named 'mpl'. Did you mean mlp?"),
        ("model.layers=[{}, {mlp: nine}, {}]", "in model.layers[1]: no mlp is named 'nine'. Did you mean none?"),
        ("model.layers=[{}, {}, none]", "by their kinds: got none. Try {attention: none}."),
        ("model.layers=[{mlp: {expansion: 2}}, {}, {}]", "model.layers[0].mlp must be a name, or a name and fields"),
        ("model.layers=[{mlp: {name: mlp, expand: 2}}, {}, {}]", "no field of mlp mlp is named 'expand'"),
        ("model.layers=[{mlp: {name: mlp, expansion: much}}, {}, {}]", "mlp needs another expansion: Value 'much'"),
        ("model.layers=[{attention: {name: causal, nKVHead: 3}}, {}, {}]", "in layer 0: nKVHead must divide nHead"),
        ("model.layers=[{attention: compiled}, {}, {}] engine=scalar", "needs engine=xla: got engine=scalar"),
        ("model.layers=[{}, {}, {}] model.pattern=[none]", "say the same thing: got both"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_a_line(
    folder: Path, capsys: pytest.CaptureFixture[str], override: str, said: str
) -> None:
    words = override.replace("] ", "]\n").split("\n")
    assert main([*RUN, *words]) == 2
    assert said in last_line(capsys)
    assert not (folder / "runs").exists()


LAYERS = (
    (("mlp", SwiGLU(width=5)),),
    (),
    (("attention", make_gpt(attention="none").attention), ("norm", LayerNorm(scale=True))),
    (("mlp", NoMLP()),),
)
FOUR = {**SIZES, "nLayer": 4}


@pytest.mark.slow
def test_both_engines_train_layers_of_different_parts_alike() -> None:
    gpt = make_gpt(FOUR, layers=LAYERS)
    names = list(gpt.declared_weights())
    assert "layers.0.mlp.gate" in names and "layers.1.mlp.gate" not in names
    assert "layers.2.mlpNorm.scale" in names and "layers.2.attention.query" not in names
    assert not any(name.startswith("layers.3.mlp.") for name in names)
    scalar, xla = (trained(engine, gpt, 3) for engine in (ScalarEngine(), XlaEngine("float64")))
    assert_same_run(xla, scalar)


@pytest.mark.slow
def test_layers_that_are_as_the_model_are_the_model() -> None:
    own = make_gpt(FOUR)
    said = make_gpt(FOUR, layers=((("mlp", own.mlp),), (), (), (("block", PreNorm()),)))
    assert said.shapes == own.shapes
    runs = [trained(XlaEngine("float64"), gpt, 2) for gpt in (own, said)]
    for name, array in runs[0][0].weights.items():
        np.testing.assert_array_equal(array, runs[1][0].weights[name])


@pytest.mark.slow
def test_inspection_and_summary_see_each_layer_as_it_is() -> None:
    gpt, ops = make_gpt(FOUR, layers=LAYERS, initStd=0.3), OpTable()
    weights = gpt.initial_weights(0)
    seen = look(gpt, ops, weights, np.array([10, 3, 1]), np.array([3, 1, 4]))
    assert seen.heads == [2, 2, 0, 2]
    session = XlaEngine("float64").session(gpt, SGD(), ops)
    logits = session.logits(session.init(weights, SGD().init(weights)), np.array([10, 3, 1]))
    np.testing.assert_allclose(seen.logits, logits, rtol=1e-9)
    summary = summarize(gpt, ops, SGD())
    assert summary.layers[2] == "attention NoAttention, mlp MLP, norm LayerNorm(scale=True)"
    assert [name for name, _ in groups(summary) if name.startswith("layers")] == [
        f"layers.{i}" for i in range(4)
    ]
    assert "SwiGLU(width=5)" in gptlab.Model(gpt, session, session.init(weights, {}))._repr_html_()


def test_a_model_by_hand() -> None:
    model = gptlab.create_model(vocabSize=5, nLayer=2, layers=[{"attention": "none"}, {"mlp": NoMLP()}])
    assert [name for name in model.state.weights if name.startswith("layers.0.attention")] == []
    assert np.isfinite(model.logits([4, 1])).all()
    with pytest.raises(UserError, match="layers must have an entry for each of nLayer=2 layers: got 1"):
        gptlab.create_model(vocabSize=5, nLayer=2, layers=[{}])
    with pytest.raises(UserError, match=r"in layers\[0\]: no part of a layer is named 'position'"):
        gptlab.create_model(vocabSize=5, layers=[{"position": "none"}])
