"""Generation: the draw against its definition, the cache against the full forward pass, engine against engine."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.data.tokenizers import Vocabulary
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.optim.optimizers import SGD
from gptlab.training.choosing import choose, choose_from_all
from gptlab.training.generation import Sampling, generate
from tests.models import SMALL, make_gpt

ENGINES = {"xla": XlaEngine("float64"), "scalar": ScalarEngine()}
each_engine = pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES.keys())
WORDS = Vocabulary(["the", "cat", "dog", "runs", "to", "a", "big", "park", "and", "sleeps"], "word")
BLOCK = SMALL["blockSize"]


def session_of(engine, initStd=0.3, **changes):
    """A model whose random weights are large enough for texts to vary."""
    gpt = make_gpt(initStd=initStd, **changes)
    session = engine.session(gpt, SGD(), OpTable())
    return session, session.init(gpt.initial_weights(0), {})


def shares_by_definition(logits, temperature, topK, topP):
    """{token: probability}: temperature, then top-k, then the smallest set that reaches p; in plain Python."""
    tokens = sorted(range(len(logits)), key=lambda i: (-logits[i], i))
    if temperature == 0:
        return {tokens[0]: 1.0}
    weights = {i: math.exp((logits[i] - max(logits)) / temperature) for i in tokens}
    kept = tokens[:topK] if topK else tokens
    total = sum(weights[i] for i in kept)
    nucleus, reached = [], 0.0
    for i in kept:
        nucleus.append(i)
        reached += weights[i] / total
        if topP < 1 and reached >= topP:
            break
    total = sum(weights[i] for i in nucleus)
    return {i: weights[i] / total for i in nucleus}


def random_cases(count):
    generator = np.random.default_rng(0)
    for _ in range(count):
        yield (
            generator.normal(size=11) * generator.choice([0.1, 1.0, 5.0]),
            generator.random(),
            float(generator.choice([0.0, 0.3, 0.8, 1.0, 2.5])),
            int(generator.choice([0, 1, 3, 11, 50])),
            float(generator.choice([1e-9, 0.3, 0.9, 0.999, 1.0])),
        )


def test_a_draw_is_that_of_the_definition_in_numpy_and_in_jax():
    cases = list(random_cases(1000))
    found = [int(choose(np, *case)) for case in cases]
    with jax.enable_x64(True):
        compiled = jax.jit(jax.vmap(lambda *case: choose(jnp, *case)))
        in_jax = np.asarray(compiled(*(np.array(column) for column in zip(*cases, strict=True)))).tolist()
    expected = []
    for logits, uniform, *settings in cases:
        shares = shares_by_definition(logits.tolist(), *settings)
        reached = np.cumsum(list(shares.values()))
        expected.append(list(shares)[int(np.sum(reached[:-1] <= uniform))])
    assert found == expected
    assert in_jax == expected
    assert len(set(expected)) == 11


@pytest.mark.parametrize("size", [1, 2, 11, 25, 597])
def test_a_draw_from_all_is_the_inverse_of_the_running_sum(size):
    generator = np.random.default_rng(size)
    cases = [
        (generator.normal(size=size) * scale, generator.random(), temperature)
        for scale in (0.1, 5.0)
        for temperature in (0.0, 0.3, 1.0, 2.5)
        for _ in range(50)
    ]
    found = [int(choose_from_all(np, *case)) for case in cases]
    with jax.enable_x64(True):
        compiled = jax.jit(jax.vmap(lambda *case: choose_from_all(jnp, *case)))
        assert compiled(*(np.array(column) for column in zip(*cases, strict=True))).tolist() == found
    for token, (logits, uniform, temperature) in zip(found, cases, strict=True):
        reached = np.cumsum(np.exp((logits - logits.max()) / max(temperature, 1e-30)))
        wanted = int(np.sum(reached / reached[-1] <= uniform)) if temperature else int(np.argmax(logits))
        assert token == wanted


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("uniform", [0.0, 1e-45, 1.0])
def test_a_token_without_a_share_is_never_drawn_from_all(dtype, uniform):
    for likely in ([0], [7], [3, 4], [0, 24], [24], [5, 9]):
        logits = np.full(25, -1e4, dtype=dtype)
        logits[likely] = 0.0
        assert int(choose_from_all(np, logits, dtype(uniform), dtype(1.0))) in likely


SETTINGS = {
    "plain": (1.0, 0, 1.0),
    "cold": (0.3, 0, 1.0),
    "top-k": (1.0, 3, 1.0),
    "nucleus": (1.0, 0, 0.7),
    "top-k-then-nucleus": (0.8, 4, 0.7),
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_evenly_spread_numbers_draw_each_token_as_often_as_it_is_likely(settings):
    logits, count = np.random.default_rng(3).normal(size=8), 4000
    uniforms = (np.arange(count) + 0.5) / count
    drawn = np.bincount([int(choose(np, logits, u, *settings)) for u in uniforms], minlength=8)
    shares = shares_by_definition(logits.tolist(), *settings)
    for token in range(8):
        assert drawn[token] == pytest.approx(count * shares.get(token, 0.0), abs=1.0)


@pytest.mark.parametrize(
    ("topP", "survivors"), [(1e-12, 1), (0.25, 1), (0.5, 2), (0.500001, 3), (0.75, 3), (1.0, 4)], ids=str
)
def test_the_nucleus_is_the_smallest_set_that_reaches_p(topP, survivors):
    drawn = {int(choose(np, np.zeros(4), u, 1.0, 0, topP)) for u in np.linspace(0, 0.999, 50)}
    assert drawn == set(range(survivors))  # equally likely ones in the order of their ids


def test_equally_likely_tokens_keep_the_order_of_their_ids_in_a_vocabulary_of_any_size():
    logits = np.random.default_rng(0).integers(0, 3, 500).astype(float)
    uniforms = np.linspace(0, 0.999, 100)
    found = [int(choose(np, logits, u, 1.0, 300, 0.9)) for u in uniforms]
    with jax.enable_x64(True):
        compiled = jax.jit(jax.vmap(lambda u: choose(jnp, jnp.asarray(logits), u, 1.0, 300, 0.9)))
        assert compiled(uniforms).tolist() == found
    shares = shares_by_definition(logits.tolist(), 1.0, 300, 0.9)
    reached = np.cumsum(list(shares.values()))
    assert found == [list(shares)[int(np.sum(reached[:-1] <= u))] for u in uniforms]


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_the_largest_number_below_1_still_draws_a_token_that_survived(dtype):
    logits = np.array([0.0, 3.0, 1.0, -1.0], dtype=dtype)
    for topK, least in ((0, 3), (2, 2), (1, 1)):
        assert choose(np, logits, dtype(np.nextafter(1.0, 0.0)), dtype(1.0), topK, dtype(1.0)) == least


@pytest.mark.parametrize("temperature", [1e-3, 1e-30, 1e-38, 1e-310], ids=str)
def test_ever_colder_is_ever_closer_to_greedy(temperature):
    logits = np.array([0.0, 2.0, 9.0, 3.0, 8.5])
    assert {int(choose(np, logits, u, temperature, 0, 1.0)) for u in (0.0, 0.5, 0.999)} == {2}
    found = jax.jit(lambda u: choose(jnp, jnp.float32(logits), u, jnp.float32(temperature), 0, 1.0))
    assert {int(found(u)) for u in (0.0, 0.5, 0.999)} == {2}


HOW = {
    "plain": Sampling(n=6, temperature=1.0, seed=1),
    "prompt": Sampling(n=6, temperature=1.0, seed=1, prompt="the cat"),
    "top-k": Sampling(n=6, temperature=1.5, topK=4, seed=2),
    "nucleus": Sampling(n=6, temperature=1.5, topP=0.7, seed=3),
    "greedy": Sampling(n=6, temperature=0.0, seed=4),
}


@pytest.mark.parametrize("how", HOW.values(), ids=HOW.keys())
def test_both_engines_give_the_same_texts(how):
    one, other = (generate(*session_of(engine), WORDS, BLOCK, how) for engine in ENGINES.values())
    assert one == other
    assert len(one) == 6 and all(text.startswith(how.prompt) for text in one)
    assert len(set(one)) > 3 or how.temperature == 0


@each_engine
def test_greedy_takes_the_likeliest_token_each_time(engine):
    session, state = session_of(engine)
    texts = generate(session, state, WORDS, BLOCK, Sampling(n=3, temperature=0.0))
    assert texts == [texts[0]] * 3 and texts[0]
    tokens = [WORDS.bos, *WORDS.encode(texts[0]), WORDS.bos][: BLOCK + 1]
    likeliest = session.logits(state, np.array(tokens[:-1], dtype=np.int32)).argmax(axis=-1)
    assert likeliest.tolist() == tokens[1:]


@pytest.mark.slow
def test_texts_depend_on_the_seed_and_on_nothing_else():
    session, state = session_of(ENGINES["xla"])
    runs = [generate(session, state, WORDS, BLOCK, Sampling(n=8, seed=seed)) for seed in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]


CACHED = {
    "learned": {},
    "rope": {"position": "rope"},
    "none": {"position": "none"},
    "grouped-queries": {"attention": ("causal", {"nKVHead": 1}), "position": "rope"},
}


@each_engine
@pytest.mark.parametrize("changes", CACHED.values(), ids=CACHED.keys())
def test_the_cache_gives_the_logits_of_the_full_forward_pass(engine, changes):
    session, state = session_of(engine, **changes)
    seen = {}

    def keep(uniform, logits):
        seen[round(float(uniform) * BLOCK)] = np.array(logits)

    def spy(xp, logits, uniform, temperature, topK, topP):
        keep(uniform, logits) if xp is np else jax.debug.callback(keep, uniform, logits)
        return (uniform * BLOCK + 3).astype(xp.int32) if xp is jnp else int(uniform * BLOCK + 3)

    # The numbers name their positions, and the spy never draws BOS, so that all positions are computed.
    uniforms = np.arange(BLOCK)[None] / BLOCK
    settings = {"temperature": 1.0, "topK": 0, "topP": 1.0}
    prompt = np.array([WORDS.bos, 7], dtype=np.int32)
    sample = session.generate(state, spy, prompt, uniforms, settings)[0]
    jax.effects_barrier()
    tokens = np.concatenate([prompt[:1], sample[:-1]]).astype(np.int32)
    assert tokens[1] == 7
    full = session.logits(state, tokens)
    assert len(seen) >= BLOCK - 1
    for position, logits in seen.items():
        np.testing.assert_allclose(logits, full[position], rtol=1e-9, atol=1e-9, err_msg=str(position))


@pytest.mark.slow
def test_first_words_come_as_often_as_the_model_says():
    session, state = session_of(ENGINES["xla"])
    count, how = 3000, {"temperature": 1.2, "topP": 0.9}
    texts = generate(session, state, WORDS, BLOCK, Sampling(n=count, seed=5, **how))
    logits = session.logits(state, np.array([WORDS.bos], dtype=np.int32))[0]
    shares = shares_by_definition(logits.tolist(), topK=0, **how)
    firsts = [WORDS.encode(text)[0] if text else WORDS.bos for text in texts]
    drawn = np.bincount(firsts, minlength=11)
    assert set(np.flatnonzero(drawn)) <= set(shares)
    chi_square = sum((drawn[token] - count * share) ** 2 / (count * share) for token, share in shares.items())
    freedom = len(shares) - 1
    assert freedom >= 3
    assert chi_square < freedom + 5 * math.sqrt(2 * freedom)


@each_engine
def test_a_prompt_may_fill_the_block_but_for_one_word(engine):
    longest = " ".join(["cat"] * (BLOCK - 1))
    how = Sampling(n=2, prompt=f" {longest.upper()} ")
    texts = generate(*session_of(engine), WORDS, BLOCK, how)
    assert all(text == longest or text.rsplit(" ", 1)[0] == longest for text in texts)
    with pytest.raises(
        UserError, match=rf"the prompt must be shorter than blockSize={BLOCK} tokens: it has {BLOCK}"
    ):
        generate(*session_of(engine), WORDS, BLOCK, Sampling(prompt=f"{longest} cat"))


def test_a_prompt_word_outside_the_vocabulary_is_named():
    with pytest.raises(
        UserError, match=r"the word 'parks' is not in the vocabulary of 10 words\. Near it: park"
    ):
        generate(*session_of(ENGINES["scalar"]), WORDS, BLOCK, Sampling(prompt="the parks"))


REFUSED = [
    ("n", 0, "at least 1"),
    ("temperature", -1.0, "at least 0"),
    ("temperature", math.nan, "at least 0"),
    ("temperature", math.inf, "a finite number at least 0"),
    ("topK", -1, "at least 0"),
    ("topP", 0.0, "above 0 and at most 1"),
    ("topP", 1.1, "above 0 and at most 1"),
    ("topP", math.nan, "above 0 and at most 1"),
    ("seed", -1, "at least 0"),
]


@pytest.mark.parametrize(
    ("key", "value", "says"), REFUSED, ids=[f"{key}={value}" for key, value, _ in REFUSED]
)
def test_a_setting_out_of_range_is_refused_by_its_name(key, value, says):
    with pytest.raises(UserError, match=rf"^{key} must be .*{says}.*: got {value}\. Try {key}="):
        Sampling(**{key: value})
