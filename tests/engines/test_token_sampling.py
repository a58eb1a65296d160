"""Choosing tokens: the right distribution, one stream per request, and close calls reported."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest

from isoflop.engines.token_sampling import choose, uniforms


def draw(logits: list[float], draws: int, temperature: float = 1.0, top_p: float = 1.0) -> np.ndarray:
    uniform = torch.from_numpy(uniforms(np.arange(draws, dtype=np.uint64), np.zeros(draws, dtype=np.uint64)))
    rows = torch.tensor(logits, dtype=torch.float64).expand(draws, -1)
    choice = choose(rows, uniform, torch.full((draws,), temperature), torch.full((draws,), top_p), 1e-6)
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
    choice = choose(logits, torch.tensor([0.99, 0.0]), torch.zeros(2), torch.ones(2), 1e-5)
    assert choice.tokens.tolist() == [1, 1]
    assert choice.close.tolist() == [False, True]
    assert choice.logprobs[0] == pytest.approx(float(torch.log_softmax(logits[0], -1)[1]))


def test_a_choice_that_rounding_could_change_is_close() -> None:
    probabilities = torch.tensor([0.25, 0.25, 0.5], dtype=torch.float64)
    logits = probabilities.log().expand(4, -1)
    uniform = torch.tensor([0.25 - 1e-7, 0.25 + 1e-7, 0.4, 0.75], dtype=torch.float64)
    choice = choose(logits, uniform, torch.ones(4), torch.ones(4), 1e-5)
    assert choice.tokens.tolist() == [0, 1, 1, 2]
    assert choice.close.tolist() == [True, True, False, False]


def test_perturbing_logits_changes_only_close_rows() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(4000, 50, generator=generator, dtype=torch.float64) * 3
    noise = torch.randn(4000, 50, generator=generator, dtype=torch.float64) * 1e-6
    uniform = torch.rand(4000, generator=generator, dtype=torch.float64)
    temperature = torch.where(torch.arange(4000) % 4 == 0, 0.0, 1.0)
    top_p = torch.where(torch.arange(4000) % 2 == 0, 0.9, 1.0)
    first = choose(logits, uniform, temperature, top_p, 1e-5)
    second = choose(logits + noise, uniform, temperature, top_p, 1e-5)
    settled = ~(first.close | second.close)
    assert torch.equal(first.tokens[settled], second.tokens[settled])
    assert settled.float().mean() > 0.95
