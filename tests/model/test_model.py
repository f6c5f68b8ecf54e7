"""The model: its counts and shapes, what may flow where, and the numbers it starts from."""

import math

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.autograd.value import Value, topological_order
from gptlab.engines.context import Context, NoPast, causal_context
from gptlab.engines.engine import Batches
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.scalar_arithmetic import ScalarArithmetic, as_values, data_of
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.model.component import Part
from gptlab.model.gpt import part_of, settle_sizes
from gptlab.model.model import Model
from gptlab.optim.optimizers import SGD
from tests.models import BOOK, NAMES, SMALL, make_gpt


def make_model(gpt, engine, seed=0):
    session = engine.session(gpt, SGD(), OpTable())
    weights = gpt.initial_weights(seed)
    return Model(gpt, session, session.init(weights, SGD().init(weights)))


@pytest.mark.parametrize(("sizes", "count"), [(BOOK, 63_296), (NAMES, 4_192)], ids=["book", "names"])
def test_parameter_counts(sizes, count):
    gpt = make_gpt(sizes)
    assert sum(matrix.count for matrix in gpt.matrices()) == count
    assert len(make_model(gpt, XlaEngine()).params) == count


def test_weights_are_named_ordered_and_shaped_as_the_design_says():
    shapes = {name: weight.shape for name, weight in make_gpt(BOOK).declared_weights().items()}
    E, V = 32, 597
    expected = {"tokenEmbedding": (V, E), "positionEmbedding": (16, E), "output": (V, E)}
    for i in range(2):
        expected |= {f"layers.{i}.attention.{name}": (E, E) for name in ("query", "key", "value", "output")}
        expected |= {f"layers.{i}.mlp.hidden": (4 * E, E), f"layers.{i}.mlp.output": (E, 4 * E)}
    assert list(shapes.items()) == list(expected.items())


@pytest.mark.parametrize("engine", [ScalarEngine(), XlaEngine("float64")], ids=["scalar", "xla"])
def test_params_are_the_entries_of_weights_in_order(engine):
    gpt = make_gpt()
    model = make_model(gpt, engine)
    initial = np.concatenate([array.ravel() for array in gpt.initial_weights(0).values()])
    assert [float(p.data if isinstance(p, Value) else p) for p in model.params] == initial.tolist()


def test_params_of_the_scalar_engine_are_the_very_values_of_weights_also_after_training():
    gpt = make_gpt()
    model = make_model(gpt, ScalarEngine())
    E = gpt.sizes.nEmbd
    start = (2 * gpt.sizes.vocabSize + gpt.sizes.blockSize) * E  # of layers.0.attention.query

    def check():
        assert all(isinstance(p, Value) for p in model.params)
        assert model.params[0] is model.weights.tokenEmbedding[0, 0]
        assert model.params[start + 3 * E + 5] is model.weights.layers[0].attention.query[3, 5]
        assert model.params[-1] is model.weights.layers[1].mlp.output[-1, -1]

    check()
    before = model.params[start].data
    loss = model.loss([10, 1, 2, 10])
    loss.backward()
    assert model.params[start].grad != 0
    model.state, _ = model.session.train(model.state, batches_of([[10, 1, 2, 10]]), np.array([0.1]))
    check()
    assert model.params[start].data != before


def batches_of(rows):
    return Batches(
        np.array([rows], dtype=np.int32), np.array([[len(row) - 1 for row in rows]], dtype=np.int32)
    )


def test_initial_weights_are_normal_with_the_given_deviation_and_seeded():
    gpt = make_gpt(BOOK)
    numbers = np.concatenate([a.ravel() for a in gpt.initial_weights(0).values()])
    assert numbers.std() == pytest.approx(0.08, rel=0.01)
    assert abs(numbers.mean()) < 4 * 0.08 / math.sqrt(len(numbers))
    again = np.concatenate([a.ravel() for a in gpt.initial_weights(0).values()])
    other = np.concatenate([a.ravel() for a in gpt.initial_weights(1).values()])
    assert (numbers == again).all()
    assert not (numbers == other).any()


CHANGED = {
    "nope": {"position": "none"},
    "swiglu": {"mlp": "swiglu"},
    "layernorm": {"norm": ("layernorm", {"scale": True})},
    "grouped-queries": {"attention": ("causal", {"nKVHead": 1})},
    "tied": {"tieEmbeddings": True},
    "final-norm": {"finalNorm": True, "norm": ("rmsnorm", {"scale": True})},
    "biases": {"sizes": {**SMALL, "bias": True}},
}


@pytest.mark.parametrize("changes", CHANGED.values(), ids=CHANGED.keys())
def test_models_that_differ_in_a_part_begin_alike_in_all_others(changes):
    one, other = make_gpt().initial_weights(5), make_gpt(**changes).initial_weights(5)
    shared = [name for name in one if name in other and one[name].shape == other[name].shape]
    assert len(shared) >= 5 and (len(shared) < len(one) or len(other) > len(one))
    for name in shared:
        np.testing.assert_array_equal(one[name], other[name])


def test_a_deeper_model_begins_as_the_shallow_one_with_more_layers():
    one = make_gpt().initial_weights(5)
    other = make_gpt({**SMALL, "nLayer": SMALL["nLayer"] + 2}).initial_weights(5)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_no_two_weights_begin_alike():
    weights = [array.ravel()[:4] for array in make_gpt().initial_weights(0).values()]
    assert len({tuple(first) for first in weights}) == len(weights)


def test_a_scale_starts_at_one():
    weights = make_gpt(norm=("rmsnorm", {"scale": True}), finalNorm=True).initial_weights(0)
    scales = [name for name in weights if name.endswith(".scale")]
    assert len(scales) == 1 + 2 * SMALL["nLayer"] + 1
    assert all((weights[name] == 1).all() for name in scales)


@pytest.mark.parametrize("sizes", [BOOK, NAMES], ids=["book", "names"])
def test_the_initial_loss_is_near_that_of_a_blind_guess(sizes):
    model = make_model(make_gpt(sizes), XlaEngine())
    bos = sizes["vocabSize"] - 1
    loss = model.loss([bos, *range(1, 8), bos])
    assert loss == pytest.approx(math.log(sizes["vocabSize"]), rel=0.1)


VARIANTS = {
    "standard": {},
    "rope": {"position": "rope"},
    "nope": {"position": "none"},
    "layernorm": {"norm": "layernorm"},
    "swiglu": {"mlp": "swiglu"},
    "grouped-queries": {"attention": ("causal", {"nKVHead": 1})},
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
def test_no_gradient_reaches_a_token_from_what_is_before_it(changes):
    gpt = make_gpt(**changes)
    arrays = ScalarArithmetic(OpTable())
    weights = {name: as_values(array) for name, array in gpt.initial_weights(0).items()}
    tensors = {name: Tensor(values, arrays) for name, values in weights.items()}
    tokens = np.array([3, 1, 4, 0, 5])  # all different, so that an embedding row belongs to one position
    logits = gpt.logits(tensors, tokens, causal_context(len(tokens))).data
    for t in range(len(tokens)):
        embedding = weights["tokenEmbedding"]
        for value in embedding.flat:
            value.grad = 0.0
        sum(logits[t], Value(0.0)).backward()
        reached = [any(value.grad != 0 for value in embedding[token]) for token in tokens]
        assert reached == [True] * (t + 1) + [False] * (len(tokens) - t - 1)


def test_documents_in_one_row_do_not_see_each_other():
    gpt, arrays = make_gpt(), ScalarArithmetic(OpTable())
    tensors = {n: Tensor(arrays.constant(a), arrays) for n, a in gpt.initial_weights(0).items()}
    first, second = [3, 1, 4], [0, 5]
    positions = np.array([0, 1, 2, 0, 1])
    same = np.array([0, 0, 0, 1, 1])
    mask = (same[:, None] == same) & (positions[:, None] >= positions)
    packed = gpt.logits(tensors, np.array(first + second), Context(positions, positions, mask, NoPast()))
    alone = [data_of(gpt.logits(tensors, np.array(d), causal_context(len(d))).data) for d in (first, second)]
    np.testing.assert_array_equal(data_of(packed.data), np.vstack(alone))


def test_rope_turns_keep_lengths_and_depend_on_distance_alone():
    gpt, arrays = make_gpt(position="rope"), ScalarArithmetic(OpTable())
    generator = np.random.default_rng(0)
    query, key = (Tensor(arrays.constant(generator.normal(size=(1, 2, 4))), arrays) for _ in range(2))

    def product(q_at, k_at):
        turned = [gpt.position.rotate(x, np.array([at]), gpt.sizes) for x, at in ((query, q_at), (key, k_at))]
        return data_of((turned[0] * turned[1]).sum(-1).data)

    np.testing.assert_allclose(product(3, 1), product(5, 3), rtol=1e-12)
    assert np.abs(product(3, 1) - product(3, 2)).max() > 1e-3
    turned = data_of(gpt.position.rotate(query, np.array([4]), gpt.sizes).data)
    np.testing.assert_allclose((turned**2).sum(-1), (data_of(query.data) ** 2).sum(-1), rtol=1e-12)


def test_tied_embeddings_drop_the_output_matrix():
    plain, tied = make_gpt(), make_gpt(tieEmbeddings=True)
    names = list(plain.declared_weights())
    assert [name for name in names if name != "output"] == list(tied.declared_weights())


def test_unfused_graphs_have_a_node_a_multiplication_and_addition():
    """One matrix product (1, K) @ (K, M): K products and K-1 sums an entry; one node when fused."""
    K, M = 5, 3
    for fuse, nodes in ((False, M * (K + K - 1)), (True, M)):
        arrays = ScalarArithmetic(OpTable(), fuse)
        x, w = (Tensor(as_values(np.ones(shape)), arrays) for shape in ((1, K), (K, M)))
        product = (x @ w).data
        assert len({node for entry in product.flat for node in topological_order(entry)}) == nodes


def test_parts_cover_every_weight():
    gpt = make_gpt(norm=("layernorm", {"scale": True}), finalNorm=True)
    parts = {name: part_of(name) for name in gpt.declared_weights()}
    assert set(parts.values()) == {"embeddings", "output", "norm", "attention", "mlp"}
    assert parts["output"] == "output"
    assert parts["layers.0.attention.output"] == "attention"
    assert parts["layers.1.mlpNorm.scale"] == parts["finalNorm.scale"] == "norm"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"nEmbd": 30, "nHead": 4},
            "nHead must divide nEmbd: got nEmbd=30, nHead=4. Try model.nHead=3 or model.nEmbd=32",
        ),
        ({"nLayer": 0}, "nLayer must be at least 1: got 0"),
        ({"nEmbd": -8}, "nEmbd must be at least 1: got -8"),
        ({"blockSize": 0}, "blockSize must be at least 1"),
        ({"headDim": 0}, "headDim must be at least 1"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_sizes_that_do_not_fit_are_refused(changes, says):
    with pytest.raises(UserError) as error:
        settle_sizes(**{**SMALL, **changes})
    assert says in str(error.value)


def test_a_head_may_be_wider_than_its_share():
    gpt = make_gpt({**SMALL, "nEmbd": 10, "nHead": 3, "headDim": 4})
    assert gpt.declared_weights()["layers.0.attention.query"].shape == (12, 10)
    assert make_model(gpt, XlaEngine()).logits([10, 1, 2]).shape == (3, 11)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"attention": ("causal", {"nKVHead": 3})}, "nKVHead must divide nHead"),
        ({"mlp": ("mlp", {"expansion": 0})}, "expansion must be at least 1"),
    ],
    ids=["nKVHead", "expansion"],
)
def test_components_refuse_what_does_not_fit(changes, says):
    with pytest.raises(UserError, match=says):
        make_gpt(**changes).declared_weights()


def test_an_odd_head_cannot_turn():
    gpt = make_gpt({**SMALL, "nEmbd": 6}, position="rope")
    with pytest.raises(UserError, match="headDim must be even"):
        gpt.declared_weights()


def test_a_weight_that_was_not_declared_is_asked_for_by_name():
    part = Part({"layers.0.mlp.hidden": None}, "layers.0.mlp")
    assert list(part) == ["hidden"]
    with pytest.raises(UserError, match=r"no weight of layers.0.mlp is named 'hiden'. Did you mean hidden"):
        part["hiden"]


def test_biases_stand_behind_their_matrices_start_at_zero_and_shift_what_these_give():
    sizes = {**SMALL, "bias": True}
    gpt = make_gpt(sizes, norm=("layernorm", {"scale": True}))
    names = [name.removeprefix("layers.0.") for name in gpt.shapes if name.startswith("layers.0.")]
    assert names[:4] == [
        "attentionNorm.scale",
        "attentionNorm.bias",
        "attention.query",
        "attention.queryBias",
    ]
    assert names[-4:] == ["mlp.hidden", "mlp.hiddenBias", "mlp.output", "mlp.outputBias"]
    assert not any(name.endswith("Bias") for name in make_gpt(sizes, mlp="none", attention="none").shapes)
    weights = gpt.initial_weights(0)
    biases = [name for name in weights if name.endswith(("Bias", ".bias"))]
    assert len(biases) == 2 * (2 + 4 + 2) + 1 and not any(weights[name].any() for name in biases)
    assert [name for name in gpt.shapes if name.endswith(".bias")] != []


def test_without_the_embedding_norm_the_first_layer_gets_the_embeddings_as_they_are():
    assert "embeddingNorm.scale" in make_gpt(norm=("rmsnorm", {"scale": True})).shapes
    assert (
        "embeddingNorm.scale" not in make_gpt(norm=("rmsnorm", {"scale": True}), embeddingNorm=False).shapes
    )
