"""`python -m gptlab summary`: the counts are right, for components and ops that nobody listed as well."""

from dataclasses import dataclass
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import gptlab
from gptlab.autograd.ops import OpTable
from gptlab.cli import main
from gptlab.cli.verbs.summary import split
from gptlab.engines.context import causal_context
from gptlab.engines.xla_arithmetic import XlaArithmetic
from gptlab.engines.xla_costs import counted
from gptlab.engines.xla_programs import tensors
from gptlab.errors import UserError
from gptlab.model.adapted import Adapted, frozen_names
from gptlab.model.adapter import LoRA
from gptlab.model.summary import summarize
from gptlab.model.summary_table import change, merged, si, size, summary_table
from gptlab.optim.optimizers import SGD, Adam
from gptlab.plugins.loading import load_plugins
from tests.models import BOOK, SMALL, make_gpt
from tests.recurrent import Lstm

# Ours leaves out comparisons, XLA's has them; XLA's has what it fused, ours what was traced.
FORWARD, TRAINING = 0.02, 0.05


@cache
def plugins():
    return load_plugins().registry


def named(kind, name):
    return plugins().get(kind, name)()


def xla_counts(gpt, ops, positions):
    """The operations that XLA finds in the compiled forward pass, and in the loss and its gradient."""
    arrays = XlaArithmetic(ops, "float32")
    weights = {n: jax.ShapeDtypeStruct(w.shape, "float32") for n, w in gpt.declared_weights().items()}
    row = jax.ShapeDtypeStruct((positions,), jnp.int32)
    context = causal_context(positions)

    def logits(weights, tokens):
        return gpt.logits(tensors(weights, arrays), tokens, context).data

    def loss(weights, tokens, targets):
        return jnp.mean(gpt.losses(tensors(weights, arrays), tokens, targets, context).data)

    programs = [
        jax.jit(logits).lower(weights, row),
        jax.jit(jax.value_and_grad(loss)).lower(weights, row, row),
    ]
    found = [program.compile().cost_analysis() for program in programs]
    return [costs["flops"] + costs.get("transcendentals", 0) for costs in found]


MODELS = {
    "book": {},
    "everything": {
        "norm": ("layernorm", {"scale": True}),
        "mlp": "swiglu",
        "activation": "silu",
        "position": "rope",
        "attention": ("causal", {"nKVHead": 2}),
        "finalNorm": True,
        "tieEmbeddings": True,
    },
    "plugins": {"mlp": "moe", "block": "parallelblock", "position": "alibi", "activation": "gelu"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_operations_are_those_that_xla_counts(name):
    changes = {
        kind: named(kind, value) if name == "plugins" and kind != "activation" else value
        for kind, value in MODELS[name].items()
    }
    gpt, ops = make_gpt(BOOK, **changes), OpTable({}, {})
    summary = summarize(gpt, ops, Adam())
    forward, training = xla_counts(gpt, ops, 16)
    assert summary.forward * 16 == pytest.approx(forward, rel=FORWARD)
    assert summary.training * 16 == pytest.approx(training, rel=TRAINING)
    assert not summary.at_least


def test_a_scan_is_counted_for_each_position():
    """Its matrix products, and what the gates take: a sum, three sigmoids, two tanh, three products, a sum."""
    gpt = make_gpt(SMALL, attention=Lstm())
    summary = summarize(gpt, OpTable({}, {}), SGD())
    H, E = 8, 8
    products = 2 * 4 * H * E + 2 * 4 * H * H + 2 * E * H
    gates = 4 * H + 3 * 4 * H + 2 * H + 3 * H + H
    assert part(summary, "layers.0.attention").forward == pytest.approx(products + gates, abs=2 * H)
    assert not summary.at_least


@pytest.mark.slow
def test_operations_of_a_swapped_op_are_those_that_xla_counts():
    gpt, ops = make_gpt(SMALL), OpTable({"exp": plugins().get("op", "padeexp")}, {})
    forward, training = xla_counts(gpt, ops, 6)
    summary = summarize(gpt, ops, Adam())
    assert summary.forward * 6 == pytest.approx(forward, rel=0.1)
    assert summary.training * 6 == pytest.approx(training, rel=0.1)
    assert summary.forward > summarize(gpt, OpTable({}, {}), Adam()).forward


def part(summary, name):
    return next(part for part in summary.parts if part.name == name)


def test_matrix_products_by_hand():
    """2·in·out a token for each matrix; scores and what they weigh, 2·T·E each."""
    summary = summarize(make_gpt(BOOK), OpTable({}, {}), Adam())
    mlp = part(summary, "layers.0.mlp")
    assert mlp.forward == 2 * 2 * 32 * 128 + 128  # and relu
    assert part(summary, "output").forward == 2 * 32 * 597
    products = 2 * 4 * 32 * 32 + 2 * 2 * 16 * 32
    assert products <= part(summary, "layers.1.attention").forward <= 1.06 * products
    assert summary.parameters == 63296 and summary.trained == 63296
    # Each product has two in the gradient: one for the weights, one for what came in.
    assert part(summary, "output").training == pytest.approx(3 * 2 * 32 * 597, rel=0.001)


@dataclass(frozen=True)
class Halved:
    """Its mlp in a loop, which no table of components knows."""

    def weights(self, config):
        return {"hidden": (config.nEmbd, config.nEmbd)}

    def __call__(self, weights, x, activation):
        for _ in range(3):
            x = x @ weights["hidden"].T * 0.5
        return x


def test_a_component_that_nobody_listed_is_counted():
    summary = summarize(make_gpt(SMALL, mlp=Halved()), OpTable({}, {}), SGD())
    assert part(summary, "layers.1.mlp").forward == 3 * (2 * 8 * 8 + 8)


@gptlab.op(samples=[(0.5, -1.5), (2.0, 3.0)])
def halvedproduct(xp, a, b):
    """a * b / 2."""
    return 0.5 * a * b, (0.5 * b, 0.5 * a)


@pytest.mark.slow
def test_a_swapped_op_is_counted_by_what_it_does():
    """What it multiplies and what is summed; the local gradients, which a forward pass does not need, are left out."""
    summary = summarize(make_gpt(SMALL), OpTable({"mul": halvedproduct}, {}), SGD())
    # 0.5 · x first, which is one a number of x, then a product for each term, and the sums of those.
    assert part(summary, "output").forward == 8 + 8 * 11 + (8 - 1) * 11
    assert part(summary, "output").training > 2 * part(summary, "output").forward


@pytest.mark.parametrize(
    ("function", "operations"),
    [
        (lambda x: x, 0),
        (lambda x: x + x * x, 2 * 6),
        (lambda x: jnp.exp(x).reshape(3, 2).T, 6),
        (lambda x: (x > 0).astype(jnp.float32), 0),
        (lambda x: x.sum(), 5),
        (lambda x: x.max(1), 4),
        (lambda x: x @ x.T, 2 * 2 * 2 * 3),
        (lambda x: x[jnp.array([0, 0])], 0),
        (lambda x: (x * x, x)[1], 0),
        (lambda x: jax.lax.scan(lambda c, row: (c * row, None), x[0], x)[0], 6),
        (lambda x: jax.jit(lambda y: (y * y * y, y))(x)[1], 0),
        (lambda x: jax.lax.cond(x[0, 0] > 0, jnp.exp, lambda y: y * y + y, x), 12),
        (lambda x: x.at[jnp.array([0, 0])].add(x), 6),
    ],
)
def test_what_counts(function, operations):
    jaxpr = jax.make_jaxpr(function)(np.ones((2, 3), np.float32)).jaxpr
    found = counted(jaxpr)
    assert found.total.total == operations and not found.at_least


def test_a_loop_of_unknown_length_is_said_to_be_one():
    def doubled(x):
        return jax.lax.while_loop(lambda y: y.sum() < 100, lambda y: y + y, x)

    assert counted(jax.make_jaxpr(doubled)(np.ones(3, np.float32)).jaxpr).at_least


@pytest.mark.slow
def test_memory_is_that_of_the_arrays():
    summary = summarize(make_gpt(BOOK), OpTable({}, {}), Adam(), batchSize=4, dtype="float64")
    numbers = 8 * 63296
    memory = summary.memory
    assert (memory["weights"], memory["gradients"], memory["optimizer"]) == (numbers, numbers, 2 * numbers)
    assert summary.optimizer == {"mean": numbers, "square": numbers}
    once = summarize(make_gpt(BOOK), OpTable({}, {}), SGD())
    assert (
        1.9 < memory["activations"] / (4 * once.memory["activations"]) <= 2
    )  # booleans are not twice as long
    # The mlp keeps what came in, and its hidden layer before and after the relu or one of them.
    mlp = part(once, "layers.0.mlp").kept
    assert 4 * 16 * 128 <= mlp <= 4 * 16 * (32 + 2 * 128)


def test_what_is_frozen_costs_no_gradient_and_no_state():
    gpt = make_gpt(BOOK)
    whole = summarize(gpt, OpTable({}, {}), Adam())
    frozen = frozenset(name for name in gpt.declared_weights() if name != "output")
    summary = summarize(gpt, OpTable({}, {}), Adam(), frozen=frozen)
    assert summary.trained == 19104 and summary.memory["optimizer"] == 2 * 4 * 19104
    assert summary.forward == whole.forward and summary.training < 0.6 * whole.training
    assert part(summary, "layers.0.mlp").training == pytest.approx(part(summary, "layers.0.mlp").forward)


def test_an_adapter_is_a_part():
    definition = Adapted(make_gpt(BOOK), LoRA())
    frozen = frozen_names([], definition)
    summary = summarize(definition, OpTable({}, {}), Adam(), frozen=frozen)
    adapter = part(summary, "adapter")
    assert adapter.parameters == summary.trained == 4 * 2 * 4 * 32
    assert adapter.forward * 16 == 4 * (2 * 32 * 32 * 4 + 2 * 32 * 32)  # B @ A, scaled, added


OVERRIDES = ["model.nEmbd=8", "model.nHead=2", "train.numSteps=7", "train.batchSize=2", "progress=none"]


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("the cat eats\nthe dog sleeps\n" * 5)
    return ["data=text", "data.path=words.txt", "data.valFraction=0", *OVERRIDES]


def said(capsys, *arguments):
    status = main(["summary", *arguments])
    out, error = capsys.readouterr()
    return status, out, error


def row(out, first):
    return next(line.split() for line in out.splitlines() if line.split()[:1] == [first])


@pytest.mark.slow
def test_the_verb_prints_each_matrix_and_trains_nothing(capsys, corpus, tmp_path):
    status, out, error = said(capsys, *corpus)
    assert (status, error) == (0, "")
    assert row(out, "tokenEmbedding")[1:3] == ["6×8", "48"]  # five words and the document mark
    assert row(out, "hidden")[1:3] == ["32×8", "256"]
    assert row(out, "total")[1:3] == ["992", "100.0%"]
    assert "2 × 16 tokens" in out and "in 7 steps" in out
    assert {path.name for path in tmp_path.iterdir()} == {"words.txt"}


@pytest.mark.slow
def test_a_second_config_stands_beside_the_first(capsys, corpus):
    status, out, _ = said(capsys, *corpus, "versus=model.nLayer=2 model/mlp=swiglu")
    assert status == 0
    assert row(out, "model.nLayer")[1:] == ["1", "2"]
    assert row(out, "model.mlp.name")[1:] == ["mlp", "swiglu"]
    assert row(out, "total")[1:4] == ["992", "1,792", "+80.6%"]
    status, out, _ = said(capsys, *corpus, "versus=seed=0")
    assert status == 0 and "The configs are the same." in out


def test_a_second_config_with_an_experiment_is_one_of_its_own():
    first = ["+experiment=book", "seed=3"]
    assert split([*first, "versus=model.nEmbd=64"]) == (first, [*first, "model.nEmbd=64"])
    assert split([*first, "versus=+experiment=tiny 'description=a b'"]) == (
        first,
        ["+experiment=tiny", "description=a b"],
    )
    assert split(first) == (first, None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model.nEmbd=7"], ["nHead must divide nEmbd"]),
        (["model.nEmb=7"], ["model.nEmbd"]),
        (["versus="], ["versus must name overrides"]),
        (["versus=model.nLayer=2", "versus=model.nLayer=3"], ["versus can be given once"]),
        (["versus='model.nLayer=2"], ["versus must be overrides as you would type them"]),
        (["versus=model.nEmbd=7"], ["nHead must divide nEmbd"]),
        (["versus=model.nLayer"], ["model.nLayer"]),
        (["-m"], ["one config", "sweep"]),
        (["model.nLayer=1,2"], ["model.nLayer"]),
        (["resume=latest"], ["resume"]),
        (["train.batchSize=0"], ["train.batchSize must be at least 1"]),
        (["data.path=nosuch.txt"], ["nosuch.txt"]),
        (["latest"], ["latest"]),
        (["--config-name=x"], ["summary takes no --config-name"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_mistakes_are_told(capsys, corpus, arguments, words):
    status, out, error = said(capsys, *corpus, *arguments)
    assert (status, out) == (2, "")
    assert error.startswith("gptlab: ") and all(word in error for word in words)


@pytest.mark.slow
def test_layers_that_are_alike_are_one_row_and_frozen_ones_say_so():
    gpt = make_gpt({**SMALL, "nLayer": 40})
    summary = summarize(gpt, OpTable({}, {}), SGD(), frozen=frozenset({"tokenEmbedding"}))
    console = Console(width=80, color_system=None)
    with console.capture() as captured:
        console.print(summary_table(summary))
    lines = captured.get().splitlines()
    assert len(lines) < 40 and max(map(len, lines)) <= 80
    assert "layers.1 to layers.39" in captured.get()
    assert "frozen" in next(line for line in lines if "tokenEmbedding" in line)


def test_numbers_are_short():
    assert [si(x) for x in (0, 3, 999, 1000, 12345, 1.234e9, 5e15, 5e24)] == (
        ["0", "3", "999", "1 k", "12.3 k", "1.23 G", "5 P", "5e+09 P"]
    )
    assert [size(x) for x in (0, 64, 253184)] == ["0", "64 B", "253.2 kB"]
    assert [change(*pair) for pair in ((1, 1), (0, 5), (5, 0), (10, 11), (10, 5), (2, 9))] == (
        ["=", "new", "gone", "+10.0%", "×0.5", "×4.5"]
    )
    assert merged(["a", "c", "d"], ["a", "b", "d", "e"]) == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("engine", ["scalar", "xla"])
def test_a_model_draws_itself(engine):
    model = gptlab.create_model(vocabSize=27, engine=engine)
    html = model._repr_html_()
    assert "4,192" in html and "layers.0.attention" in html and "64 × 16" in html
    assert html.count("<tr>") == html.count("</tr>") and "<script" not in html


def test_a_config_that_cannot_be_read_names_the_verb():
    with pytest.raises(UserError, match="given once"):
        split(["versus=a=1", "versus=b=2"])
