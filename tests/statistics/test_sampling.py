"""What the choice of held-out documents leaves in a loss: held against losses that other choices give."""

import numpy as np
import pytest

from gptlab.statistics.sampling import adjusted, sampled

RNG = np.random.default_rng


def corpus(rng: np.random.Generator, count: int = 20_000) -> dict[str, np.ndarray]:
    """Distinct documents: how often each comes, its predictions, what it costs the source, and a model."""
    times = rng.zipf(2.5, count).clip(max=20)
    tokens = rng.integers(3, 12, count)
    source = tokens * rng.gamma(8, 0.2, count) + 3.0 * (times == 1)  # what comes once is harder
    nats = 1.2 * source + rng.normal(0, 1.0, count) * np.sqrt(tokens)
    return {"times": times, "tokens": tokens, "source": source, "nats": nats}


def drawn(of: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    """These documents with all their repetitions, shuffled."""
    every = RNG(0).permutation(np.repeat(rows, of["times"][rows]))
    return {
        "keys": every.astype(np.uint64),
        **{name: of[name][every] for name in ("tokens", "source", "nats")},
    }


def test_of_documents_of_one_length_that_come_once_it_is_the_textbook_s_error() -> None:
    nats = RNG(0).normal(20, 3, 50)
    found = sampled(nats, np.full(50, 10), np.arange(50))
    assert found.mean == pytest.approx(nats.mean() / 10)
    assert found.error == pytest.approx(nats.std(ddof=1) / 50**0.5 / 10)


def test_the_errors_are_those_that_other_choices_show() -> None:
    whole = corpus(RNG(1))
    all_tokens = (whole["tokens"] * whole["times"]).sum()
    truth = (whole["nats"] * whole["times"]).sum() / all_tokens
    rate = float((whole["source"] * whole["times"]).sum() / all_tokens)
    plain, better = [], []
    for seed in range(300):
        some = drawn(whole, RNG([2, seed]).choice(20_000, 400, replace=False))
        plain.append(sampled(some["nats"], some["tokens"], some["keys"]))
        better.append(adjusted(some["nats"], some["tokens"], some["keys"], some["source"], rate))
    for found in (plain, better):
        means, errors = np.array([(f.mean, f.error) for f in found]).T
        assert means.std(ddof=1) == pytest.approx(errors.mean(), rel=0.12)
        covered = np.abs(means - truth) < 1.96 * errors
        assert 0.91 < covered.mean() < 0.98
    assert np.mean([f.error for f in better]) < 0.7 * np.mean([f.error for f in plain])


def test_repetitions_are_no_new_documents() -> None:
    """As if each repetition were a draw of its own, the error would come out too small."""
    some = drawn(corpus(RNG(1)), np.arange(400))
    by_row = sampled(some["nats"], some["tokens"], np.arange(len(some["nats"])))
    assert by_row.error < 0.8 * sampled(some["nats"], some["tokens"], some["keys"]).error


def test_what_does_not_go_along_with_the_source_stays_as_it_is() -> None:
    rng = RNG(3)
    nats, tokens, source = rng.normal(20, 3, 500), np.full(500, 10), rng.normal(15, 3, 500)
    plain = sampled(nats, tokens, np.arange(500))
    found = adjusted(nats, tokens, np.arange(500), source, source.mean() / 10)
    assert found.mean == pytest.approx(plain.mean) and found.error == pytest.approx(plain.error, rel=0.02)


def test_one_document_tells_nothing_of_others() -> None:
    with pytest.raises(ValueError, match="more than 1 different documents are needed: got 1"):
        sampled(np.ones(3), np.ones(3), np.zeros(3))
