"""Choosing tokens: the right distribution, one stream per request, and close calls reported."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from isoflop.engines.registry import GenerationRequest
from isoflop.engines.token_sampling import (
    ROUNDING_PER_TOKEN,
    Draws,
    choose,
    filtered,
    settle_logprob,
    uniforms,
)

PLAIN = GenerationRequest("", 0, 1)


def draws_of(*requests: GenerationRequest) -> Draws:
    return Draws.of(requests, torch.float64, torch.device("cpu"))


def draw(logits: list[float], draws: int, temperature: float = 1.0, top_p: float = 1.0) -> np.ndarray:
    uniform = torch.from_numpy(uniforms(np.arange(draws, dtype=np.uint64), np.zeros(draws, dtype=np.uint64)))
    rows = torch.tensor(logits, dtype=torch.float64).expand(draws, -1)
    same = draws_of(replace(PLAIN, temperature=temperature, top_p=top_p))
    choice = choose(rows, uniform, same[torch.zeros(draws, dtype=torch.long)], 1e-6)
    return np.bincount(choice.tokens.numpy(), minlength=len(logits))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_follow_the_softmax(temperature: float) -> None:
    logits = [1.0, -0.5, 0.3, 2.0]
    counts = draw(logits, 20_000, temperature)
    expected = torch.softmax(torch.tensor(logits, dtype=torch.float64) / temperature, -1).numpy()
    assert chisquare(counts, expected * counts.sum()).pvalue > 1e-4


def test_nucleus_keeps_the_smallest_sufficient_set() -> None:
    logits = np.log([0.5, 0.3, 0.15, 0.05]).tolist()
    counts = draw(logits, 8_000, top_p=0.7)
    assert counts[2] == counts[3] == 0
    assert chisquare(counts[:2], np.array([0.625, 0.375]) * 8_000).pvalue > 1e-4


def test_streams_are_uniform_and_distinct() -> None:
    seeds = np.repeat(np.arange(200, dtype=np.uint64), 50)
    positions = np.tile(np.arange(50, dtype=np.uint64), 200)
    values = uniforms(seeds, positions)
    assert kstest(values, "uniform").pvalue > 1e-4
    assert len(np.unique(values)) == len(values)
    assert np.array_equal(uniforms(seeds[7:9], positions[7:9]), values[7:9])


def test_greedy_takes_the_largest_and_reports_near_ties() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0], [2.0, 2.0 + 1e-7, 0.0]], dtype=torch.float64)
    choice = choose(logits, torch.tensor([0.99, 0.0]), draws_of(*[replace(PLAIN, temperature=0.0)] * 2), 1e-5)
    assert choice.tokens.tolist() == [1, 1]
    assert choice.close.tolist() == [False, True]
    assert choice.logprobs[0] == pytest.approx(float(torch.log_softmax(logits[0], -1)[1]))


def test_a_choice_that_rounding_could_change_is_close() -> None:
    probabilities = torch.tensor([0.25, 0.25, 0.5], dtype=torch.float64)
    logits = probabilities.log().expand(4, -1)
    uniform = torch.tensor([0.25 - 1e-7, 0.25 + 1e-7, 0.4, 0.75], dtype=torch.float64)
    choice = choose(logits, uniform, draws_of(*[PLAIN] * 4), 1e-5)
    assert choice.tokens.tolist() == [0, 1, 1, 2]
    assert choice.close.tolist() == [True, True, False, False]


def test_perturbing_logits_changes_only_close_rows() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(4000, 50, generator=generator, dtype=torch.float64) * 3
    noise = torch.randn(4000, 50, generator=generator, dtype=torch.float64) * 1e-6
    uniform = torch.rand(4000, generator=generator, dtype=torch.float64)
    drawing = draws_of(
        *(
            replace(
                PLAIN,
                temperature=0.0 if row % 4 == 0 else 0.7 if row % 5 == 0 else 1.0,
                top_p=0.9 if row % 2 == 0 else 1.0,
                top_k=(0, 5, 20)[row % 3],
                min_p=0.05 if row % 7 < 3 else 0.0,
            )
            for row in range(4000)
        )
    )
    first = choose(logits, uniform, drawing, 1e-5)
    second = choose(logits + noise, uniform, drawing, 1e-5)
    settled = ~(first.close | second.close)
    assert torch.equal(first.tokens[settled], second.tokens[settled])
    assert settled.float().mean() > 0.95


# Weights that are powers of two: sums and products are exact in float64, and ties are ties.
WEIGHTS = st.lists(st.integers(0, 6), min_size=1, max_size=8)
FILTERS = st.tuples(
    st.integers(0, 9),
    st.sampled_from([Fraction(0), Fraction(1, 8), Fraction(1, 4), Fraction(1, 2), Fraction(1)]),
    st.sampled_from([Fraction(1, 8), Fraction(1, 4), Fraction(1, 2), Fraction(3, 4), Fraction(1)]),
)


def kept_by_hand(powers: list[int], top_k: int, min_p: Fraction, top_p: Fraction) -> dict[int, Fraction]:
    """What may be drawn and how often: every filter by its definition, on what the one before has left."""
    left = {token: Fraction(2**power) for token, power in enumerate(powers)}
    largest = max(left.values())
    left = {token: weight for token, weight in left.items() if weight >= min_p * largest}
    if top_k:
        kth = sorted(left.values(), reverse=True)[:top_k][-1]
        left = {token: weight for token, weight in left.items() if weight >= kth}
    nucleus: dict[int, Fraction] = {}
    for token in sorted(left, key=lambda token: (-left[token], token)):
        if sum(nucleus.values()) < top_p * sum(left.values()):
            nucleus[token] = left[token]
    return {token: weight / sum(nucleus.values()) for token, weight in nucleus.items()}


@given(WEIGHTS, FILTERS)
def test_filters_keep_what_their_definitions_say_ties_included(
    powers: list[int], filters: tuple[int, Fraction, Fraction]
) -> None:
    top_k, min_p, top_p = filters
    expected = kept_by_hand(powers, top_k, min_p, top_p)
    request = replace(PLAIN, top_k=top_k, min_p=float(min_p), top_p=float(top_p))
    weights = 2.0 ** torch.tensor([powers], dtype=torch.float64)
    left, close = filtered(weights, draws_of(request), 0.0, torch.zeros(1, dtype=torch.float64))
    assert not close
    assert left[0].nonzero().flatten().tolist() == sorted(expected)
    assert left[0].tolist() == pytest.approx([float(expected.get(one, 0)) for one in range(len(powers))])


@given(WEIGHTS, FILTERS, st.floats(0, 1, exclude_max=True))
def test_a_tie_that_rounding_could_break_is_close(
    powers: list[int], filters: tuple[int, Fraction, Fraction], uniform: float
) -> None:
    """Logits moved a little: the token is the same, or the row was close."""
    top_k, min_p, top_p = filters
    request = replace(PLAIN, top_k=top_k, min_p=float(min_p), top_p=float(top_p))
    logits = torch.tensor([powers], dtype=torch.float64) * np.log(2.0)
    noise = torch.tensor([[(-1) ** token * 1e-7 * (token % 3) for token in range(len(powers))]])
    target = torch.tensor([uniform], dtype=torch.float64)
    exact = choose(logits, target, draws_of(request), 1e-5)
    moved = choose(logits + noise, target, draws_of(request), 1e-5)
    assert bool(exact.close) or exact.tokens.tolist() == moved.tokens.tolist()


def test_rows_of_one_batch_have_filters_of_their_own() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64).log()
    requests = [
        PLAIN,
        replace(PLAIN, top_k=2),
        replace(PLAIN, min_p=0.25),
        replace(PLAIN, top_k=3, top_p=0.8),
        replace(PLAIN, temperature=0.0, top_k=1),
        replace(PLAIN, top_k=9),
    ]
    choice = choose(logits.expand(6, -1), torch.full((6,), 0.999), draws_of(*requests), 1e-9)
    # Of 0.5, 0.3 and 0.15, 0.8 is reached by the first two: 0.5 + 0.3 is 0.84 of what top_k left.
    assert choice.tokens.tolist() == [3, 1, 2, 1, 0, 3]


@given(st.floats(-3e3, 0.0), st.integers(1, 5000), st.floats(-1.0, 1.0))
def test_a_log_probability_that_is_not_doubtful_stays_on_its_point(
    logprob: float, tokens: int, shift: float
) -> None:
    settled, doubtful = settle_logprob(logprob, tokens)
    moved = settle_logprob(logprob + 0.99 * shift * tokens * ROUNDING_PER_TOKEN, tokens)[0]
    assert doubtful or moved == settled
    assert abs(settled - logprob) <= 2.0**-12 * max(tokens, 8)
    assert settle_logprob(settled, tokens) == (settled, False)
    # Tables hold log-probabilities in float32.
    assert float(np.float32(settled)) == settled


def test_few_log_probabilities_are_doubtful() -> None:
    values = np.random.default_rng(0).uniform(-100.0, 0.0, 20_000)
    for tokens in (1, 8, 9, 64, 65, 1000):
        assert np.mean([settle_logprob(value, tokens)[1] for value in values]) < 0.04
