"""The graph of a training step: its nodes are counted as they are, and a number's way through it is true."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from gptlab.autograd.op import op
from gptlab.autograd.ops import OpTable
from gptlab.autograd.value import topological_order
from gptlab.cli import main
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.scalar_arithmetic import as_values
from gptlab.errors import UserError
from gptlab.graph.census import bytes_of_graph, census_of_step
from gptlab.graph.labels import Labels, labelled_session
from gptlab.graph.number import central_difference, place_in_weight, traced_number
from gptlab.graph.report import check_of, in_order
from gptlab.graph.step import Step
from gptlab.model.adapted import Adapted
from gptlab.model.adapter import LoRA
from gptlab.optim.optimizers import SGD
from gptlab.plugins.loading import load_plugins
from tests.models import SMALL, make_gpt

T, E, H, V, L = 5, SMALL["nEmbd"], SMALL["nHead"], SMALL["vocabSize"], SMALL["nLayer"]
DOCUMENT = np.array([10, 3, 1, 4, 1, 10])  # T predictions
SEEN = H * T * (T + 1) // 2  # pairs of positions that attend to each other, over all heads
FUSED = pytest.mark.parametrize("fuse", [True, False], ids=["fused", "unfused"])


def counted(definition, documents, fuse=True, ops=None, alike=False):
    labels = Labels()
    session = labelled_session(definition, SGD(), ops or OpTable(), fuse, labels)
    weights = {n: as_values(a) for n, a in definition.initial_weights(0).items()}
    return census_of_step(session, labels, weights, documents, alike)


def whole(definition, documents, fuse=True, ops=None):
    """The batch's loss as training has it, and the weights in it."""
    session = ScalarEngine(fuse=fuse).session(definition, SGD(), ops or OpTable())
    weights = {n: as_values(a) for n, a in definition.initial_weights(0).items()}
    lengths = np.array([len(document) - 1 for document in documents])
    tokens = np.zeros((len(documents), max(lengths) + 1), dtype=int)
    for row, document in zip(tokens, documents, strict=True):
        row[: len(document)] = document
    return session.batch_loss(weights, tokens, lengths), weights, tokens, lengths


@FUSED
def test_a_batch_is_counted_as_the_graph_that_training_builds(fuse) -> None:
    definition = make_gpt()
    documents = [DOCUMENT, DOCUMENT[:3], DOCUMENT[:4]]
    loss, weights, _, _ = whole(definition, documents, fuse)
    order = topological_order(loss)
    census = counted(definition, documents, fuse)
    assert {o: census.of(op=o) for o in census.ops} == Counter(value.op for value in order)
    assert census.edges == sum(len(value.children) for value in order)
    leaves = {child for value in order for child in value.children if not child.children}
    params = {value for array in weights.values() for value in array.flat}
    assert census.parameters == len(leaves & params)
    assert census.constants == len(leaves - params)
    depths = {}
    for value in order:
        depths[value] = 1 + max((depths.get(child, 0) for child in value.children), default=0)
    assert census.depth == depths[loss]


def test_each_part_has_the_nodes_that_its_formula_says() -> None:
    census = counted(make_gpt(), [DOCUMENT])
    assert census.of("embeddings") == census.of("embeddings", "add") == T * E
    assert census.of("layers.0.mlp", "dot") == T * 5 * E
    assert census.of("layers.0.mlp", "relu") == T * 4 * E
    assert census.of("layers.1.attention", "exp") == SEEN
    # query, key, value, output; the scores that are seen; what the shares are summed up to
    assert census.of("layers.1.attention", "dot") == 4 * T * E + SEEN + T * E
    assert census.of("layers.0") == census.of("layers.0", "add") == 2 * T * E
    assert census.of("output") == census.of("output", "dot") == T * V
    assert census.of("loss", "log") == T
    # x², its mean, + eps, ** -½, x times it
    assert census.of("embeddingNorm") == T * (2 * E + 4)
    parts = {"embeddings", "embeddingNorm", "output", "loss"}
    for i in range(L):
        parts |= {f"layers.{i}{p}" for p in ("", ".attentionNorm", ".attention", ".mlpNorm", ".mlp")}
    assert {part for part, _ in census.nodes} == parts


def test_unfused_counts_a_node_an_operation() -> None:
    census = counted(make_gpt(), [DOCUMENT], fuse=False)
    assert census.of("output", "mul") == T * V * E
    assert census.of("output", "add") == T * V * (E - 1)
    assert not {"dot", "sum", "sub", "div"} & set(census.ops)


def test_what_fused_nodes_stand_for_is_about_the_unfused_count() -> None:
    definition = make_gpt()
    assert counted(definition, [DOCUMENT]).unfused == pytest.approx(
        counted(definition, [DOCUMENT], fuse=False).total, rel=0.01
    )


@pytest.mark.slow
def test_documents_of_one_length_may_stand_for_each_other() -> None:
    documents = [DOCUMENT, DOCUMENT[::-1].copy(), DOCUMENT[:4]]
    one, other = (counted(make_gpt(), documents, fuse=False, alike=alike) for alike in (True, False))
    assert (one.nodes, one.edges, one.depth, one.constants) == (
        other.nodes,
        other.edges,
        other.depth,
        other.constants,
    )


REGISTRY = load_plugins().registry
CHANGES = {
    "layernorm": {"norm": "layernorm", "finalNorm": True},
    "rope": {"position": "rope"},
    "swiglu": {"mlp": "swiglu"},
    "tied": {"tieEmbeddings": True},
    "parallelblock": {"block": REGISTRY.get("block", "parallelblock")()},
    "moe": {"mlp": REGISTRY.get("mlp", "moe")()},
    "alibi": {"position": REGISTRY.get("position", "alibi")()},
    "canon": {"attention": REGISTRY.get("attention", "canon")()},
    "sliding": {"attention": REGISTRY.get("attention", "sliding")()},
    "mingru": {"attention": REGISTRY.get("attention", "mingru")()},
    "qknorm": {"attention": REGISTRY.get("attention", "qknorm")()},
    "retnet": {"attention": REGISTRY.get("attention", "retnet")()},
    "differential": {"attention": REGISTRY.get("attention", "differential")()},
    "valueresidual": {"attention": REGISTRY.get("attention", "valueresidual")()},
    "valueembedding": {"attention": REGISTRY.get("attention", "valueembedding")()},
    "dyt": {"norm": REGISTRY.get("norm", "dyt")()},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
@FUSED
def test_every_component_is_counted(changes, fuse) -> None:
    definition = make_gpt(**changes)
    census = counted(definition, [DOCUMENT], fuse)
    loss, *_ = whole(definition, [DOCUMENT], fuse)
    assert census.total == len(topological_order(loss))
    for part in ("layers.1.attention", "layers.1.mlp", "output", "loss"):
        assert census.of(part) > 0
    assert in_order([part for part, _ in census.nodes])[-1] == "loss"


def test_swapped_ops_and_adapters_are_counted_where_they_are_made() -> None:
    ops = OpTable({"mul": REGISTRY.get("op", "logmul")})
    census = counted(make_gpt(), [DOCUMENT], ops=ops)
    assert census.of("output", "logmul") == T * V * E and census.of(op="dot") == 0
    adapted = Adapted(make_gpt(), LoRA(rank=2))
    census = counted(adapted, [DOCUMENT])
    assert census.of("adapter", "dot") == 2 * L * E * E  # B A, of query and value
    assert {p for p, _ in census.nodes} - {"adapter"} == {p for p, _ in counted(make_gpt(), [DOCUMENT]).nodes}


@pytest.mark.slow
def test_memory_is_that_of_the_graph() -> None:
    definition = make_gpt()
    sizes = {}
    for fuse in (True, False):
        session = ScalarEngine(fuse=fuse).session(definition, SGD(), OpTable())
        weights = {n: as_values(a) for n, a in definition.initial_weights(0).items()}
        sizes[fuse] = bytes_of_graph(session, weights, DOCUMENT) / counted(definition, [DOCUMENT], fuse).total
    # a Node is 80 bytes with its header, its number 24, and its children and local gradients are kept
    assert 110 < sizes[True] < 400 and 110 < sizes[False] < 400


def step_of(definition, documents, fuse=True, ops=None):
    _, _, tokens, lengths = whole(definition, documents, fuse, ops)
    weights = definition.initial_weights(0)
    return Step(definition, ops or OpTable(), fuse, weights, tokens, lengths, tokenizer=None)


def traced(definition, name, indices, fuse=True, ops=None, documents=(DOCUMENT, DOCUMENT[:4])):
    return traced_number(step_of(definition, documents, fuse, ops), name, indices)


NUMBERS = {
    "layers.0.attention.query": (3, 5),
    "layers.1.mlp.output": (7, 30),
    "output": (4, 2),
    "positionEmbedding": (0, 7),
    "tokenEmbedding": (1, 0),
}


@pytest.mark.parametrize("name", NUMBERS)
@FUSED
def test_a_number_is_followed_to_the_loss(name, fuse) -> None:
    trace = traced(make_gpt(), name, NUMBERS[name], fuse)
    assert trace.gradient == pytest.approx(sum(use.brings for use in trace.uses), rel=1e-12)
    assert trace.gradient == pytest.approx(trace.difference, rel=1e-6, abs=1e-10)
    assert "they agree" in check_of(trace, [])
    assert trace.heaviest[-1].node.grad == 1.0 and trace.heaviest[-1].node.data == trace.loss
    assert abs(trace.heaviest[0].brings) == max(abs(use.brings) for use in trace.uses)
    for before, use in zip(trace.heaviest, trace.heaviest[1:], strict=False):
        assert before.node in use.node.children
    part = {"tokenEmbedding": "embeddings", "positionEmbedding": "embeddings"}.get(
        name, name.rpartition(".")[0]
    )
    assert {use.part for use in trace.uses} == {part or "output"}
    assert 0 < sum(trace.reached.values()) <= sum(trace.nodes.values())


def test_what_depends_on_a_number_is_what_comes_after_it() -> None:
    trace = traced(make_gpt(), "layers.1.attention.query", (3, 5), documents=[DOCUMENT])
    assert len(trace.uses) == T  # one a position
    assert trace.reached["layers.0.mlp"] == trace.reached["layers.1.attentionNorm"] == 0
    assert trace.reached["layers.1.mlp"] == trace.nodes["layers.1.mlp"]
    # The first position attends to itself alone: its share of 1 depends on the number, if not its value.
    assert 0 < trace.reached["layers.1.attention"] < trace.nodes["layers.1.attention"]


def test_a_number_that_is_not_used_has_no_gradient() -> None:
    trace = traced(make_gpt(), "tokenEmbedding", (7, 0))
    assert (trace.uses, trace.gradient, trace.difference) == ([], 0.0, 0.0)


@pytest.mark.slow
def test_a_gradient_that_is_wrong_is_seen() -> None:
    @op
    def wrong(xp, a, b):
        return a * b, (b, 1.001 * a)

    trace = traced(make_gpt(), "output", (4, 2), ops=OpTable({"mul": wrong}))
    assert "they differ" in check_of(trace, [])
    assert "wrong is registered with a gradient that is not the derivative" in check_of(trace, ["wrong"])


def test_the_difference_leaves_the_weights_alone() -> None:
    step = step_of(make_gpt(), [DOCUMENT])
    before = step.weights["output"][4, 2]
    session = ScalarEngine().session(make_gpt(), SGD(), OpTable())
    central_difference(session, step, "output", (4, 2), 1e-5)
    assert step.weights["output"][4, 2] == before


SHAPES = {"output": (11, 8), "layers.0.attention.query": (8, 8), "norm.scale": (8,)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("outputs[1,2]", "Try output"),
        ("output", "output is 11 x 8. Try param=output[5,4]"),
        ("output[1]", "output is 11 x 8"),
        ("output[1,2,3]", "output is 11 x 8"),
        ("output[-1,0]", "counted from 0"),
        ("output[1,a]", "counted from 0"),
        ("output[11,0]", "the last number is output[10,7]"),
        ("[1,2]", "there is none named ''"),
        ("", "there is none named ''"),
        ("output[²,0]", "counted from 0"),
    ],
)
def test_a_number_that_there_is_not(text, said) -> None:
    with pytest.raises(UserError) as error:
        place_in_weight(text, SHAPES)
    assert said in str(error.value)


def test_a_number_is_read() -> None:
    assert place_in_weight(" norm.scale [ 7 ] ", SHAPES) == ("norm.scale", (7,))
    assert place_in_weight("output[10, 7]", SHAPES) == ("output", (10, 7))


FEW = ["model.nEmbd=8", "model.nHead=2", "tracking=none", "data.valFraction=0.5"]


@pytest.mark.slow
def test_the_command_counts_and_follows(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "poems.txt").write_text("the cat sat\nthe dog ate the log\n" * 5)
    data = ["data=text", "data.path=poems.txt", *FEW]
    assert main(["graph", *data, "text=the cat ate"]) == 0
    said = capsys.readouterr().out
    assert "1 document, 4 positions: 'the cat ate'" in said
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines() if line.strip()}
    # vocabulary: 6 words and BOS; 4 positions: 28 dots, of 8 products and 7 sums each
    assert rows["output"] == ["28", "28", rows["output"][2], f"{28 * 15}"]
    assert list(tmp_path.iterdir()) == [tmp_path / "poems.txt"], "counting writes nothing"
    assert main(["graph", *data, "text=the cat ate", "param=output[3,5]", "output=way.svg"]) == 0
    said = capsys.readouterr().out
    assert "they agree" in said and "picture of that way: way.svg" in said
    way = (tmp_path / "way.svg").read_text()
    assert ">output[3,5]<" in way and ">loss<" in way and way.startswith("<svg")
    assert main(["graph", *data, "text=the cat", "param=tokenEmbedding[2,0]"]) == 0
    assert "does not use it" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["parm=3"], "Did you mean param"),
        (["param=outptu[1,2]"], "Try output"),
        (["param=output[1,2]", "output=way.png"], "ends in .svg"),
        (["text="], "text must not be empty"),
        (["text=the unicorn"], "'unicorn' is not in the vocabulary"),
        (["text=" + "the " * 17], "at most blockSize=16"),
        (["resume=latest"], "leave out resume="),
        (["initFrom=latest"], "there is none"),
        (["seed=1,2", "-m"], "only training can sweep"),
        (["model.nEmbd=1024"], "at most 2,000,000 parameters"),
        (["model.nEmbd=300", "model.nHead=2", "ops.mul=maximum"], "at most 4,000,000 nodes"),
        (["model.nEmbd=9", "model.nHead=2"], "nHead must divide nEmbd"),
        (["model/norm=nosuch"], "no norm is named"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None,
)
def test_the_commands_mistakes(arguments, said, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "poems.txt").write_text("the cat sat\nthe dog ate the log\n" * 5)
    data = ["data=text", "data.path=poems.txt", "data.valFraction=0.5", "tracking=none"]
    assert main(["graph", *data, *arguments]) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["poems.txt"]


@pytest.mark.slow
def test_a_trained_model_can_be_looked_at(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    few = ["train.numSteps=20", "train.evalEvery=0", "samples.n=0", "engine=scalar", *FEW]
    (tmp_path / "poems.txt").write_text("the cat sat\nthe dog ate the log\n" * 5)
    assert main(["data=text", "data.path=poems.txt", *few]) == 0
    capsys.readouterr()
    for more in ([], ["model/adapter=lora"]):
        arguments = [
            "data=text",
            "data.path=poems.txt",
            "data.valFraction=0.5",
            "tracking=none",
            "initFrom=latest",
            *more,
        ]
        assert main(["graph", *arguments]) == 0, capsys.readouterr().err
        assert ("adapter" in capsys.readouterr().out) == bool(more)
        assert main(["graph", *arguments, "param=layers.0.attention.query[3,5]"]) == 0
        assert "they agree" in capsys.readouterr().out
