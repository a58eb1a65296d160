import numpy as np
import pytest

from isoflop.bootstrap import accuracy_interval, difference_interval, percentile_interval, problem_weights


def test_weights_are_shares_and_fixed_by_the_arguments():
    weights = problem_weights(7, 50, seed=3)
    assert weights.shape == (50, 7)
    assert weights.sum(axis=1) == pytest.approx(np.ones(50))
    assert np.array_equal(weights * 7, np.round(weights * 7))
    assert np.array_equal(weights, problem_weights(7, 50, seed=3))
    assert not np.array_equal(weights, problem_weights(7, 50, seed=4))
    assert not np.array_equal(weights, problem_weights(7, 50, seed=3, subset="2"))


@pytest.mark.parametrize(("problems", "draws"), [(0, 10), (10, 0)])
def test_nothing_to_draw_is_refused(problems, draws):
    with pytest.raises(ValueError, match="a bootstrap needs"):
        problem_weights(problems, draws, seed=1)


def test_interval_has_the_width_of_the_standard_error():
    credits = (np.arange(400) % 4 == 0).astype(float)
    low, high = accuracy_interval(credits, problem_weights(400, 4000, seed=0))
    half = 1.96 * np.sqrt(0.25 * 0.75 / 400)
    assert (0.25 - low, high - 0.25) == pytest.approx((half, half), rel=0.1)


def test_intervals_cover_the_truth():
    generator = np.random.default_rng(1)
    weights = problem_weights(100, 400, seed=2)
    covered = 0
    for _ in range(300):
        low, high = accuracy_interval(generator.beta(0.6, 0.9, size=100), weights)
        covered += low <= 0.4 <= high
    assert 0.90 <= covered / 300 <= 0.99


def test_pairing_removes_what_the_strategies_share():
    generator = np.random.default_rng(0)
    first = generator.random(200)
    second = first - 0.05 + 0.01 * generator.standard_normal(200)
    weights = problem_weights(200, 500, seed=0)
    low, high = difference_interval(first, second, weights)
    assert 0.04 < low < 0.05 < high < 0.06
    one, other = accuracy_interval(first, weights), accuracy_interval(second, weights)
    assert other.high > one.low  # unpaired, the same difference drowns


@pytest.mark.parametrize(
    ("credit", "low", "high"), [(0.0, 0.0, 0.037), (1.0, 0.963, 1.0), (0.5, 0.4815, 0.5185)]
)
def test_credits_without_spread_do_not_claim_certainty(credit, low, high):
    interval = accuracy_interval(np.full(100, credit), problem_weights(100, 50, seed=0))
    assert interval == pytest.approx((low, high), abs=2e-4)


def test_equal_strategies_may_still_differ_elsewhere():
    credits = np.linspace(0, 1, 100)
    interval = difference_interval(credits, credits, problem_weights(100, 50, seed=0))
    assert interval == pytest.approx((-0.037, 0.037), abs=2e-4)


def test_one_problem_says_nothing_about_others():
    weights = problem_weights(1, 10, seed=0)
    assert accuracy_interval(np.array([0.3]), weights) == (0.0, 1.0)
    assert difference_interval(np.array([0.3]), np.array([0.1]), weights) == (-1.0, 1.0)


def test_percentiles_allow_infinite_draws():
    samples = np.array([*range(1, 95), *[np.inf] * 6], dtype=float)
    assert percentile_interval(samples, confidence=0.9) == (6.0, np.inf)
