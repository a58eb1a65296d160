"""Estimators on cases worked by hand, on large pools, and on bad input."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.errors import UserError
from isoflop.selection.aggregation import aggregate_steps
from isoflop.selection.ballots import make_ballot
from isoflop.selection.best_of_k import best_of_k, coverage_of_counts, missing_probability, pass_at_k
from isoflop.selection.limits import vote_limits
from isoflop.selection.majority import majority_exact
from isoflop.selection.voting import _monte_carlo, draws_needed, vote_credits

# name: classes, right class, weights, budget, majority, weighted
VOTES = {
    "a tie shares credit": ([0, 1], 0, [0.5, 0.5], 2, 1 / 2, 1 / 2),
    "three-way tie": ([0, 1, 2], 1, [0.25, 0.25, 0.25], 3, 1 / 3, 1 / 3),
    "the verifier overrules the majority": ([0, 0, 1], 1, [0.25, 0.25, 0.75], 3, 0, 1),
    "weights tie although counts do not": ([0, 0, 1], 1, [0.25, 0.25, 0.5], 3, 0, 1 / 2),
    "no answer never votes": ([-1, -1, -1, 0], 0, [0.9, 0.9, 0.9, 0.1], 4, 1, 1),
    "no vote, no credit": ([-1, -1, 0], 0, [0.9, 0.9, 0.1], 2, 2 / 3, 2 / 3),
    "nobody answered": ([-1, -1], 0, [0.5, 0.5], 1, 0, 0),
    "nobody is right": ([0, 1, 1], 2, [0.5, 0.5, 0.5], 2, 0, 0),
    "votes of weight zero still tie": ([0, 1], 0, [0.0, 0.0], 2, 1 / 2, 1 / 2),
    "weight zero loses to any weight": ([0, 0, 1], 1, [0.0, 0.0, 0.1], 3, 0, 1),
    # Sums that differ only by rounding: 0.1 + 0.2 against 0.3.
    "rounding does not break a tie": ([0, 0, 1], 0, [0.1, 0.2, 0.3], 3, 1, 1 / 2),
}


@pytest.mark.parametrize("name", VOTES)
def test_votes_worked_by_hand(name):
    classes, right, weights, budget, majority, weighted = VOTES[name]
    labels = np.array(classes)
    for weight, expected in ((None, majority), (np.array(weights), weighted)):
        ballot = make_ballot(labels, labels == right, weight)
        credit, error = vote_credits([ballot], [budget], 2, np.random.default_rng(0))
        assert credit[0, 0] == pytest.approx(expected, abs=1e-12)
        assert error[0, 0] == 0
    assert majority_exact([make_ballot(labels, labels == right)], [budget])[0] == pytest.approx(
        majority, abs=1e-12
    )


def pool(seed: int, size: int, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.choice(classes, size, p=generator.dirichlet(np.full(classes, 0.4))) - 1
    # The second most frequent answer is right: the selectors disagree, and none is sure.
    right = np.argsort(np.bincount(labels[labels >= 0], minlength=classes))[-2]
    return labels, labels == right, generator.integers(1, 200, size) / 256


@pytest.mark.parametrize("seed", range(6))
def test_exact_majority_and_monte_carlo_agree_on_a_large_pool(seed):
    labels, correct, _ = pool(seed, 256, 5 + 10 * seed)
    ballot, budgets = make_ballot(labels, correct), (2, 4, 8, 16, 32, 64, 128, 255)
    exact = majority_exact([ballot], budgets)[0]
    mean, error = _monte_carlo([ballot], budgets, 4000, np.random.default_rng(seed))
    assert np.all(np.abs(mean[0] - exact) <= 5 * error[0] + 10 / 4000)


def test_exact_majority_holds_to_the_last_pool_size_and_beyond_it_is_sampled():
    def credits(size: int) -> tuple[float, float]:
        labels = np.repeat([0, 1], [size // 2, size - size // 2])
        ballot = make_ballot(labels, labels == 0)
        credit, error = vote_credits([ballot], [size // 4 * 2 + 1], 512, np.random.default_rng(0))
        return float(credit[0, 0]), float(error[0, 0])

    # Two classes of equal size and an odd budget: a fair coin by symmetry.
    assert credits(1000) == (pytest.approx(0.5, abs=1e-12), 0)
    sampled, error = credits(1002)
    assert error > 0
    assert abs(sampled - 0.5) < 5 * error


@pytest.mark.parametrize("budget", [1, 2, 63, 64])
def test_weighted_voting_is_exact_at_both_ends_of_the_budgets(budget):
    labels, correct, weights = pool(3, 64, 6)
    ballot = make_ballot(labels, correct, weights)
    credit, error = vote_credits([ballot], [budget], 2, np.random.default_rng(0))
    mean, spread = _monte_carlo([ballot], (budget,), 20_000, np.random.default_rng(1))
    assert error[0, 0] == 0
    assert abs(mean[0, 0] - credit[0, 0]) <= 5 * spread[0, 0] + 1e-12


def test_large_pool_does_not_depend_on_the_order_of_samples():
    labels, correct, weights = pool(11, 128, 20)
    shuffled = np.random.default_rng(5).permutation(128)
    budgets = (1, 2, 4, 8, 16, 32, 64, 128)
    results = [
        vote_credits([make_ballot(*part)], budgets, 700, np.random.default_rng(9))
        for part in ((labels, correct, weights), (labels[shuffled], correct[shuffled], weights[shuffled]))
    ]
    assert results[0][1].any()
    for first, second in zip(*results, strict=True):
        assert np.array_equal(first, second)


def test_a_ballots_estimate_does_not_depend_on_its_company():
    labels, correct, weights = pool(12, 128, 20)
    alone, other = make_ballot(labels, correct, weights), make_ballot(labels, correct, weights[::-1].copy())
    equal = make_ballot(labels, correct)
    budgets = (1, 4, 16, 128)
    single = vote_credits([alone], budgets, 600, np.random.default_rng(9))[0][0]
    together = vote_credits([equal, other, alone], budgets, 600, np.random.default_rng(9))[0][2]
    assert np.array_equal(single, together)


def test_the_standard_error_is_the_spread_of_repeated_estimates():
    labels, correct, weights = pool(4, 64, 12)
    ballot, budgets = make_ballot(labels, correct, weights), (4, 16, 32)
    runs = [_monte_carlo([ballot], budgets, 700, np.random.default_rng(seed)) for seed in range(200)]
    means, errors = (np.array([run[part][0] for run in runs]) for part in (0, 1))
    assert means.std(axis=0) / errors.mean(axis=0) == pytest.approx(np.ones(3), abs=0.2)


def test_draws_hold_the_standard_error_of_the_worst_case():
    for problems in (10, 100, 500, 1319):
        assert np.sqrt(0.25 / draws_needed(problems) / problems) < 0.001


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([64], (1.0, 1.0)),
        ([0, 64], (0.0, 0.0)),
        ([50, 14], (1.0, 1.0)),
        ([14, 50], (0.0, 0.0)),
        ([34, 30], (0.0, 1.0)),
        ([30, 34], (0.0, 1.0)),
        ([15, 13, 12, 12, 12], (0.0, 1.0)),
    ],
)
def test_the_limit_of_a_close_vote_is_open(votes: list[int], expected: tuple[float, float]) -> None:
    """Class 0 is right; the pool has `votes` candidates of each class."""
    labels = np.repeat(np.arange(len(votes)), votes)
    for weight in (None, np.full(labels.size, 0.5)):
        assert tuple(vote_limits([make_ballot(labels, labels == 0, weight)])[1:, 0]) == expected


def test_a_pool_without_votes_has_the_limit_0() -> None:
    assert not vote_limits([make_ballot(np.full(8, -1), np.zeros(8, dtype=bool))]).any()


def test_best_of_k_and_pass_at_k_by_hand():
    scores, correct = np.array([0.9, 0.9, 0.1]), np.array([True, False, True])
    # Pairs: tie 1/2; right alone 1; wrong alone 0.
    assert best_of_k(scores, correct, [1, 2, 3]) == pytest.approx([2 / 3, 1 / 2, 1 / 2])
    assert pass_at_k(correct, [1, 2, 3]) == pytest.approx([2 / 3, 1, 1])


def test_pass_at_k_keeps_its_precision_in_large_pools():
    correct = np.arange(10_000) < 1
    assert pass_at_k(correct, [1, 5000, 10_000]) == pytest.approx([1e-4, 0.5, 1.0], rel=1e-9)


@pytest.mark.parametrize("budgets", [(0,), (4,), (1, 9)])
def test_budgets_outside_the_pool_are_refused(budgets):
    with pytest.raises(ValueError, match="pool of 3"):
        missing_probability(3, budgets)
    with pytest.raises(ValueError, match="pool of 3"):
        vote_credits(
            [make_ballot(np.zeros(3, dtype=int), np.zeros(3, dtype=bool))],
            budgets,
            2,
            np.random.default_rng(0),
        )


@pytest.mark.parametrize(
    ("classes", "correct", "weights", "message"),
    [
        ([0, 1], [True, False], [0.5, -0.1], "weights"),
        ([0, 1], [True, False], [0.5, np.nan], "weights"),
        ([0, -2], [True, False], [0.5, 0.5], "answer classes"),
        ([0, -1], [True, True], [0.5, 0.5], "never correct"),
    ],
)
def test_impossible_ballots_are_refused(classes, correct, weights, message):
    with pytest.raises(ValueError, match=message):
        make_ballot(np.array(classes), np.array(correct), np.array(weights))


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [("last", [0.25, 0.5, 1.0]), ("min", [0.25, 0.5, 0.125]), ("mean", [0.375, 0.5, 0.5625])],
)
def test_step_aggregation_of_ragged_scores(aggregation, expected):
    assert aggregate_steps([0.5, 0.25, 0.5, 0.125, 1.0], [2, 1, 2], [2, 1], aggregation).tolist() == expected


def test_a_product_over_many_steps_keeps_its_ratios():
    # 0.001^400 is 1e-1200: far below the smallest float.
    counts = [400, 401, 400, 1]
    scores = [0.001] * 400 + [0.001] * 401 + [0.001] * 399 + [0.0005] + [0.0]
    got = aggregate_steps(scores, counts, [3, 1], "product")
    assert got[:3] / got[0] == pytest.approx([1, 0.001, 0.5], rel=1e-10)
    assert got[3] == 0


def test_a_zero_does_not_set_the_scale_of_its_pool():
    got = aggregate_steps([0.0] + [1e-200] * 3 + [1e-200] * 3, [1, 3, 3], [3], "product")
    assert got[0] == 0
    assert got[1] == got[2] > 0


@pytest.mark.parametrize(
    ("scores", "counts", "sizes", "aggregation", "message"),
    [
        ([0.5], [1, 0], [2], "min", "candidate row 1 has no step scores"),
        ([0.5, 0.5], [1], [1], "min", "do not fit together"),
        ([0.5], [1], [2], "min", "do not fit together"),
        ([0.5, np.nan, 0.5], [1, 2], [2], "mean", "candidate row 1 has the step score nan"),
        ([0.5, -0.5], [1, 1], [2], "product", "candidate row 1 has the step score -0.5"),
        ([0.5], [1], [1], "median", "step aggregation 'median' is not allowed; did you mean 'mean'"),
    ],
)
def test_bad_step_scores_are_refused_by_row(scores, counts, sizes, aggregation, message):
    with pytest.raises(UserError, match=message):
        aggregate_steps(scores, counts, sizes, aggregation)


COUNTED = st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@given(st.lists(COUNTED, min_size=1, max_size=6), st.data())
def test_coverage_of_counts_is_that_of_all_subsets(
    counts: list[tuple[int, int]], data: st.DataObject
) -> None:
    samples, correct = (np.array(column) for column in zip(*counts, strict=True))
    most = int(samples.min())
    budgets = sorted(data.draw(st.sets(st.integers(1, most), min_size=1)))
    found = coverage_of_counts(samples, correct, budgets)
    for row, k in enumerate(budgets):
        exact = [1 - Fraction(comb(n - c, k), comb(n, k)) for n, c in counts]
        assert found[row] == pytest.approx([float(one) for one in exact], abs=1e-12)


def test_coverage_of_ten_thousand_samples_keeps_its_last_digits() -> None:
    samples, correct = np.array([10_000, 10_000, 10_000]), np.array([0, 1, 37])
    found = coverage_of_counts(samples, correct, [1, 100, 10_000])
    for row, k in enumerate((1, 100, 10_000)):
        exact = [1 - Fraction(comb(10_000 - c, k), comb(10_000, k)) for c in (0, 1, 37)]
        assert found[row] == pytest.approx([float(one) for one in exact], rel=1e-9)


def test_coverage_of_more_samples_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit a pool of 8"):
        coverage_of_counts(np.array([16, 8]), np.array([1, 1]), [9])
