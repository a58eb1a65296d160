from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from isoflop.errors import UserError
from isoflop.fits.bootstrap import (
    accuracy_interval,
    common_problems,
    difference_interval,
    known_interval,
    percentile_interval,
    problem_weights,
    subset_means,
    with_measurement,
)


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
    assert 0.039 < low < 0.05 < high < 0.061
    one, other = accuracy_interval(first, weights), accuracy_interval(second, weights)
    assert other.high > one.low  # unpaired, the same difference drowns


@pytest.mark.parametrize(("right", "low", "high"), [(0, 0.0, 0.0227), (1, 0.0, 0.0307), (199, 0.9693, 1.0)])
def test_intervals_near_the_ends_are_those_of_agresti_and_coull(right, low, high):
    credits = (np.arange(200) < right).astype(float)
    interval = accuracy_interval(credits, problem_weights(200, 400, seed=0))
    assert interval == pytest.approx((low, high), abs=2e-4)


def test_more_right_answers_never_lower_an_interval():
    weights = problem_weights(60, 500, seed=1)
    intervals = [accuracy_interval((np.arange(60) < right).astype(float), weights) for right in range(61)]
    for before, after in pairwise(intervals):
        assert before.low <= after.low + 1e-9
        assert before.high <= after.high + 1e-9


def test_a_sliver_of_credit_is_no_certainty():
    weights = problem_weights(200, 500, seed=0)
    none = accuracy_interval(np.zeros(200), weights)
    sliver = accuracy_interval(np.r_[1 / 64, np.zeros(199)], weights)
    assert sliver.high == pytest.approx(none.high, rel=0.02)


@pytest.mark.parametrize("truth", [0.03, 0.09, 0.5, 0.94])
def test_intervals_cover_binary_credits(truth):
    generator = np.random.default_rng(5)
    weights = problem_weights(40, 400, seed=2)
    covered = 0
    for _ in range(500):
        low, high = accuracy_interval((generator.random(40) < truth).astype(float), weights)
        covered += low <= truth <= high
    assert covered / 500 >= 0.93


@pytest.mark.parametrize(
    ("better", "worse", "clear"), [(4, 0, False), (0, 0, False), (9, 0, True), (20, 4, True)]
)
def test_a_difference_needs_more_than_a_few_problems(better, worse, clear):
    first, second = np.zeros((2, 200))
    first[:better] = 1.0
    second[better : better + worse] = 1.0
    low, high = difference_interval(first, second, problem_weights(200, 1000, seed=0))
    assert (low > 0) == clear
    assert high > (better - worse) / 200


def test_one_problem_says_nothing_about_others():
    weights = problem_weights(1, 10, seed=0)
    assert accuracy_interval(np.array([0.3]), weights) == (0.0, 1.0)
    assert difference_interval(np.array([0.3]), np.array([0.1]), weights) == (-1.0, 1.0)


def test_percentiles_allow_infinite_draws():
    samples = np.array([*range(1, 95), *[np.inf] * 6], dtype=float)
    assert percentile_interval(samples, confidence=0.9) == (6.0, np.inf)


def test_means_over_a_subset_are_those_of_its_own_problems():
    weights = np.array([[0.25, 0.25, 0.5, 0.0], [0.0, 0.0, 0.5, 0.5]])
    drawn = with_measurement(weights)
    assert np.array_equal(drawn, [[0.25] * 4, *weights])
    values, members = (
        np.array([[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 1.0]]),
        np.array([1, 1, 0, 0], dtype=bool),
    )
    means = subset_means(values, drawn, members)
    assert means == pytest.approx(np.array([[0.5, 0.5, np.nan], [0.5, 0.5, np.nan]]), nan_ok=True)
    assert known_interval(means[0]) == (0.5, 0.5)
    assert known_interval(np.array([-np.inf, np.nan, 1.0])) == (-np.inf, 1.0)


def test_common_problems_are_those_of_all_tables_of_a_data_set() -> None:
    tables = [pd.DataFrame({"problem_id": list(names), "credit": 0.0}) for names in ("abc", "bcd", "x")]
    found = common_problems(["d", "d", "e"], tables)
    assert [table["problem_id"].tolist() for table in found] == [["b", "c"], ["b", "c"], ["x"]]
    with pytest.raises(UserError, match="problems: none of d is in all pools"):
        common_problems(["d", "d"], [tables[0], tables[2]])
