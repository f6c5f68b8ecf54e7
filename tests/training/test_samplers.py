"""Samplers: each by its definition, what they are told, both engines alike, and what is not asked for costs nothing."""

from dataclasses import dataclass

import jax
import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.engines.xla_compiled import Target
from gptlab.engines.xla_programs import generate_program
from gptlab.errors import UserError
from gptlab.optim.optimizers import SGD
from gptlab.training.choosing import choose_from_all
from gptlab.training.generation import Sampling
from gptlab.training.samplers import MinP, Sampler, Standard, chooser_of
from tests.models import SMALL, make_gpt

ENGINES = [ScalarEngine(), XlaEngine("float64")]
BLOCK, BOS = SMALL["blockSize"], SMALL["vocabSize"] - 1


def drawn(engine, how, prompt=(BOS,), n=6, initStd=0.3):
    gpt = make_gpt(initStd=initStd)
    session = engine.session(gpt, SGD(), OpTable())
    state = session.init(gpt.initial_weights(0), {})
    uniforms = np.random.default_rng(1).random((n, BLOCK))
    choose, settings = how.choice()
    found = session.generate(state, choose, np.array(prompt, dtype=np.int32), uniforms, settings).tolist()
    return [row[: row.index(BOS)] if BOS in row else row for row in found]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 1.0])
def test_min_p_is_its_definition(share):
    generator = np.random.default_rng(0)
    for _ in range(50):
        logits, uniform, temperature = (
            generator.normal(size=9) * 2,
            generator.random(),
            generator.random() + 0.3,
        )
        choose, settings = chooser_of(MinP(share), temperature)
        shares = np.exp(logits / temperature)
        shares[shares < share * shares.max()] = 0
        expected = int(np.sum(np.cumsum(shares) / shares.sum() <= uniform))
        assert int(choose(np, logits, uniform, **settings)) == expected


def test_the_standard_choice_is_that_of_before():
    assert Sampling().choice() == (choose_from_all, {"temperature": 0.8})
    assert Sampling(topK=3).choice()[1] == {"temperature": 0.8, "topK": 3, "topP": 1.0}


def test_any_sampler_takes_the_likeliest_at_temperature_0():
    choose, settings = chooser_of(Least(), 0.0)
    assert choose(np, np.array([0.0, 3.0, 1.0]), 0.9, np.zeros(3), **settings) == 1


@dataclass(frozen=True)
class Least(Sampler):
    """The token that is there least often; of those the first."""

    def choose(self, xp, logits, uniform, seen):
        return xp.argmin(seen)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: type(engine).__name__)
def test_what_is_seen_is_the_sample_so_far_with_its_prompt_and_without_bos(engine):
    how = Sampling(sampler=Least())
    assert drawn(engine, how, n=2) == [[0, 1, 2, 3, 4, 5]] * 2
    assert drawn(engine, how, (BOS, 1, 0), n=2) == [[1, 0, 2, 3, 4, 5]] * 2
    assert drawn(engine, how, (0, 3), n=2) == [[3, 1, 2, 4, 5, 6]] * 2  # begins with a token of its own


@dataclass(frozen=True)
class Fresh(Sampler):
    """By probabilities, each seen token `less` likely for each time."""

    less: float = 1.0

    def choose(self, xp, logits, uniform, seen):
        return self.draw(xp, logits - self.less * seen, uniform)


HOW = {
    "minp": Sampling(sampler=MinP(0.2), temperature=1.5),
    "seen": Sampling(sampler=Fresh(2.0)),
    "penalty": Sampling(repetitionPenalty=1.3),
    "penalty-top-k": Sampling(repetitionPenalty=1.3, topK=4),
    "penalty-greedy": Sampling(repetitionPenalty=1.3, temperature=0.0),
    "penalty-minp": Sampling(repetitionPenalty=1.3, sampler=MinP(0.1)),
    "penalty-seen": Sampling(repetitionPenalty=1.3, sampler=Fresh()),
}


@pytest.mark.parametrize("how", HOW.values(), ids=HOW.keys())
def test_both_engines_draw_the_same_tokens(how):
    one, other = (drawn(engine, how, (BOS, 2)) for engine in ENGINES)
    assert one == other
    assert len({tuple(row) for row in one}) > 1 or how.temperature == 0


def test_the_penalty_is_of_what_is_seen_and_works_on_both_sides_of_0():
    choose, settings = Sampling(repetitionPenalty=2.0, temperature=0.0).choice()

    def likeliest(*logits, seen):
        return int(choose(np, np.array(logits), 0.5, np.array(seen), **settings))

    assert likeliest(3.0, 2.0, 1.0, seen=[1, 0, 0]) == 1
    assert likeliest(3.0, 2.0, 1.0, seen=[1, 1, 0]) == 0  # 1.5, 1, 1
    assert likeliest(-1.0, -1.5, -9.0, seen=[3, 0, 0]) == 1  # -2, however often
    assert likeliest(3.0, 2.0, 1.0, seen=[0, 0, 0]) == 0


def test_a_penalty_keeps_greedy_samples_from_going_round():
    plain = drawn(ScalarEngine(), Sampling(temperature=0.0), n=1, initStd=0.5)[0]
    penalized = drawn(ScalarEngine(), Sampling(temperature=0.0, repetitionPenalty=1e9), n=1, initStd=0.5)[0]
    assert len(set(plain)) < len(plain)
    assert len(set(penalized)) == len(penalized)


def test_values_of_float_fields_share_a_program():
    assert chooser_of(MinP(0.1), 1.0)[0] == chooser_of(MinP(0.4), 0.5)[0]
    assert hash(chooser_of(MinP(0.1), 1.0)[0]) == hash(chooser_of(MinP(0.4), 0.5)[0])


@pytest.mark.slow
def test_what_is_seen_is_counted_for_who_asks_alone():
    counted = [
        str(program_of(how)).count("tensor<6x11xi32>")
        for how in (Sampling(), Sampling(sampler=MinP()), HOW["seen"])
    ]
    assert counted[0] == counted[1] < counted[2]  # the samples themselves have that shape, too


def program_of(how):
    """What jax makes of the generation of six samples."""
    choose, settings = how.choice()
    gpt = make_gpt()
    session = XlaEngine().session(gpt, SGD(), OpTable())
    program = generate_program(gpt, choose, session.arithmetic, Target())
    shapes = {name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in gpt.shapes.items()}
    prompt, uniforms = np.zeros(BLOCK, np.int32), np.zeros((6, BLOCK), np.float32)
    return program.lower(shapes, prompt, np.int32(1), uniforms, settings).as_text()


def test_top_k_with_another_sampler_is_refused():
    with pytest.raises(
        UserError, match=r"topK and topP are for sampler=standard: got topK=3 topP=1\.0 with MinP"
    ):
        Sampling(topK=3, sampler=MinP())
    assert Sampling(topK=3, sampler=Standard()).choice()[1]["topK"] == 3


@pytest.mark.parametrize("penalty", [0.0, -1.0, float("nan"), float("inf")])
def test_a_penalty_out_of_range_is_refused(penalty):
    with pytest.raises(UserError, match="repetitionPenalty must be"):
        Sampling(repetitionPenalty=penalty)
