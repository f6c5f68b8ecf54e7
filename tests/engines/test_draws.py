"""What is drawn by counter: jax's own numbers, spread evenly, and the same wherever a position is computed."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry_2x32

from gptlab.engines.context import Context, causal_context
from gptlab.engines.draws import Draws, key_of, threefry
from gptlab.engines.xla_draws import mix
from gptlab.errors import UserError

# Documents of 3, 2 and 1 positions in one row, the second of the step first.
DOCUMENTS = np.array([1, 1, 1, 0, 0, 2], dtype=np.int32)
POSITIONS = np.array([0, 1, 2, 0, 1, 0], dtype=np.int32)


def drawing(documents=0, *, seed=3, step=7) -> Draws:
    return Draws(np, threefry, key_of(seed), step, documents)


def context(draws: Draws | None, positions=POSITIONS, layer: int | None = 0) -> Context:
    pairs = np.ones((len(positions), len(positions)), dtype=bool)
    return Context(positions, positions, pairs, layer=layer, draws=draws)


def test_it_is_the_threefry_of_jax() -> None:
    key, counter = np.array([5, 0xDEADBEEF], np.uint32), np.arange(10, dtype=np.uint32)
    ours = threefry((key[:1], key[1:]), (counter[:5], counter[5:]))
    np.testing.assert_array_equal(np.concatenate(ours), threefry_2x32(jnp.array(key), jnp.array(counter)))
    np.testing.assert_array_equal(mix((key[:1], key[1:]), (counter[:5], counter[5:])), ours)


@pytest.mark.parametrize("shape", [(6,), (6, 1), (6, 5), (6, 2, 3)], ids=str)
@pytest.mark.parametrize("each", ["position", "document"])
def test_a_document_draws_in_a_shared_row_what_it_draws_alone(shape, each) -> None:
    together = context(drawing(DOCUMENTS)).uniform(shape, each)
    assert together.shape == shape
    for document in range(3):
        here = document == DOCUMENTS
        alone = context(drawing(document), POSITIONS[here]).uniform((int(here.sum()), *shape[1:]), each)
        np.testing.assert_array_equal(together[here], alone)
        if each == "document":
            assert (alone == alone[0]).all()


def test_every_part_of_the_key_counts() -> None:
    def drawn(seed=3, step=7, document=0, layer: int | None = 0, before=0):
        here = context(drawing(document, seed=seed, step=step), np.arange(6), layer)
        for _ in range(before):
            here.uniform((6,))
        return here.uniform((6, 4))

    other = [{"seed": 4}, {"step": 8}, {"document": 1}, {"layer": 1}, {"layer": None}, {"before": 1}]
    found = [drawn(), *(drawn(**change) for change in other)]
    assert len(np.unique(np.concatenate(found))) == 7 * 24
    np.testing.assert_array_equal(drawn(), drawn())


def test_they_are_spread_evenly_and_apart() -> None:
    many = drawing().uniform(1, np.arange(1000), (100,))
    assert many.min() >= 0 and many.max() < 1
    assert abs(many.mean() - 0.5) < 0.003 and abs(many.var() - 1 / 12) < 0.001
    for along in (many[1:] * many[:-1], many[:, 1:] * many[:, :-1]):
        assert abs(along.mean() - 0.25) < 0.003


def test_a_pair_of_positions_draws_alike_in_a_shared_row_and_in_a_block_of_it() -> None:
    for heads in (1, 2, 3):
        whole = drawing(DOCUMENTS).of_pairs(1, heads, POSITIONS, POSITIONS)
        assert whole.shape == (heads, 6, 6) and len(np.unique(whole[:, :3, :3])) == heads * 9
        alone = drawing(1).of_pairs(1, heads, np.arange(3), np.arange(3))
        np.testing.assert_array_equal(whole[:, :3, :3], alone)
        block = drawing(DOCUMENTS).of_rows(slice(2, 5)).of_pairs(1, heads, POSITIONS[2:5], POSITIONS)
        np.testing.assert_array_equal(block, whole[:, 2:5])


def test_a_forward_pass_begins_to_count_anew() -> None:
    draws = drawing()
    assert [draws.site(0), draws.site(0), draws.site(1)] == [1 << 16 | 1, 1 << 16 | 2, 2 << 16 | 1]
    assert draws.begun().site(0) == 1 << 16 | 1


def test_nothing_is_drawn_in_an_evaluation() -> None:
    assert not causal_context(6).training
    with pytest.raises(UserError, match=r"in training steps only.*Ask context\.training"):
        causal_context(6).uniform((6,))


@pytest.mark.parametrize("shape", [(), (5,), (1, 6)], ids=str)
def test_a_shape_begins_with_the_positions(shape) -> None:
    with pytest.raises(UserError, match=r"begins with T: got .* for 6 positions"):
        context(drawing()).uniform(shape)
