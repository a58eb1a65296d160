"""The estimators against brute force: every k-subset listed, credit in exact fractions."""

from collections import defaultdict
from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoflop.registries import STEP_AGGREGATIONS
from isoflop.selection.aggregation import aggregate_steps
from isoflop.selection.ballots import Ballot, make_ballot, whole_pool_vote
from isoflop.selection.best_of_k import best_of_k, pass_at_k
from isoflop.selection.limits import vote_limits
from isoflop.selection.majority import majority_exact
from isoflop.selection.voting import _monte_carlo, vote_credits

# A busy machine must not fail a property.
unhurried = settings(deadline=None)

# A candidate: class, correct, score in eighths (so that ties are exact and common).
Candidate = tuple[int, bool, Fraction]

# As graders give it: the members of a class are right or wrong together.
consistent = st.tuples(
    st.lists(st.booleans(), min_size=5, max_size=5),
    st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 8)), min_size=1, max_size=9),
).map(
    lambda drawn: [(label, label >= 0 and drawn[0][label], Fraction(score, 8)) for label, score in drawn[1]]
)
# Nothing between candidates of a class is assumed.
mixed = st.lists(
    st.tuples(st.integers(-1, 3), st.booleans(), st.integers(0, 8)).map(
        lambda c: (c[0], c[1] and c[0] >= 0, Fraction(c[2], 8))
    ),
    min_size=1,
    max_size=8,
)
pools = st.one_of(consistent, mixed)


def arrays(pool: list[Candidate]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels = np.array([label for label, _, _ in pool], dtype=np.int64)
    return labels, np.array([c for _, c, _ in pool]), np.array([float(s) for _, _, s in pool])


def ballot_of(pool: list[Candidate], weighted: bool) -> Ballot:
    labels, correct, scores = arrays(pool)
    return make_ballot(labels, correct, scores if weighted else None)


def budgets_of(pool: list[Candidate]) -> list[int]:
    return list(range(1, len(pool) + 1))


def over_subsets(pool: list[Candidate], budget: int, credit) -> Fraction:
    subsets = list(combinations(range(len(pool)), budget))
    return sum((credit([pool[i] for i in subset]) for subset in subsets), Fraction(0)) / comb(
        len(pool), budget
    )


def brute_pass(pool: list[Candidate], budget: int) -> Fraction:
    return over_subsets(pool, budget, lambda chosen: Fraction(any(c for _, c, _ in chosen)))


def brute_best(pool: list[Candidate], budget: int) -> Fraction:
    def credit(chosen: list[Candidate]) -> Fraction:
        top = max(score for _, _, score in chosen)
        tied = [correct for _, correct, score in chosen if score == top]
        return Fraction(sum(tied), len(tied))

    return over_subsets(pool, budget, credit)


def brute_vote(pool: list[Candidate], budget: int, weighted: bool) -> Fraction:
    members = defaultdict(list)
    for label, correct, _ in pool:
        members[label].append(correct)

    def credit(chosen: list[Candidate]) -> Fraction:
        votes: dict[int, Fraction] = defaultdict(Fraction)
        for label, _, score in chosen:
            if label >= 0:
                votes[label] += score if weighted else 1
        if not votes:
            return Fraction(0)
        top = max(votes.values())
        tied = [Fraction(sum(members[c]), len(members[c])) for c, total in votes.items() if total == top]
        return sum(tied, Fraction(0)) / len(tied)

    return over_subsets(pool, budget, credit)


def generator() -> np.random.Generator:
    return np.random.default_rng(7)


@unhurried
@given(pools)
def test_pass_at_k_is_the_share_of_subsets_with_a_correct_candidate(pool):
    expected = [float(brute_pass(pool, k)) for k in budgets_of(pool)]
    assert pass_at_k(arrays(pool)[1], budgets_of(pool)) == pytest.approx(expected, abs=1e-12)


@unhurried
@given(pools)
def test_best_of_k_shares_ties(pool):
    _, correct, scores = arrays(pool)
    expected = [float(brute_best(pool, k)) for k in budgets_of(pool)]
    assert best_of_k(scores, correct, budgets_of(pool)) == pytest.approx(expected, abs=1e-12)


@unhurried
@given(pools)
def test_majority_is_exact(pool):
    expected = [float(brute_vote(pool, k, weighted=False)) for k in budgets_of(pool)]
    assert majority_exact([ballot_of(pool, False)], budgets_of(pool))[0] == pytest.approx(expected, abs=1e-12)


@unhurried
@given(pools)
def test_weighted_voting_is_exact_on_small_pools(pool):
    expected = [float(brute_vote(pool, k, weighted=True)) for k in budgets_of(pool)]
    credit, error = vote_credits([ballot_of(pool, True)], budgets_of(pool), 2, generator())
    assert credit[0] == pytest.approx(expected, abs=1e-12)
    assert not error.any()


@settings(max_examples=40, deadline=None)
@given(pools, st.booleans())
def test_monte_carlo_agrees_with_enumeration_within_its_error(pool, weighted):
    draws = 4000
    mean, error = _monte_carlo([ballot_of(pool, weighted)], tuple(budgets_of(pool)), draws, generator())
    for k, value, sigma in zip(budgets_of(pool), mean[0], error[0], strict=True):
        # Where every draw agrees the error is 0; the rule of three bounds what they can have missed.
        assert abs(value - float(brute_vote(pool, k, weighted))) <= 5 * sigma + 10 / draws


@unhurried
@given(pools, st.randoms(use_true_random=False), st.permutations(range(5)))
def test_no_estimate_depends_on_the_order_of_samples_or_the_names_of_classes(pool, random, names):
    shuffled = [(label if label < 0 else names[label], c, s) for label, c, s in pool]
    random.shuffle(shuffled)
    ks = budgets_of(pool)
    for weighted in (False, True):
        one, other = ballot_of(pool, weighted), ballot_of(shuffled, weighted)
        for first, second in (
            (majority_exact([one], ks)[0], majority_exact([other], ks)[0]),
            (
                _monte_carlo([one], tuple(ks), 50, generator()),
                _monte_carlo([other], tuple(ks), 50, generator()),
            ),
            (vote_limits([one]), vote_limits([other])),
        ):
            assert np.array_equal(first, second)
    (_, correct, scores), (_, other_correct, other_scores) = arrays(pool), arrays(shuffled)
    assert np.array_equal(best_of_k(scores, correct, ks), best_of_k(other_scores, other_correct, ks))


@unhurried
@given(pools)
def test_one_sample_gives_the_mean_correctness_whatever_selects(pool):
    _, correct, scores = arrays(pool)
    mean = pytest.approx(correct.mean(), abs=1e-12)
    assert pass_at_k(correct, [1])[0] == mean
    assert best_of_k(scores, correct, [1])[0] == mean
    assert majority_exact([ballot_of(pool, False)], [1])[0, 0] == mean
    assert vote_credits([ballot_of(pool, True)], [1], 2, generator())[0][0, 0] == mean


@unhurried
@given(pools)
def test_pass_at_k_bounds_every_selector_and_rises(pool):
    labels, correct, scores = arrays(pool)
    ks = budgets_of(pool)
    passed = pass_at_k(correct, ks)
    assert np.all(np.diff(passed) >= -1e-12)
    for credit in (
        best_of_k(scores, correct, ks),
        majority_exact([ballot_of(pool, False)], ks)[0],
        vote_credits([ballot_of(pool, True)], ks, 2, generator())[0][0],
    ):
        assert np.all((credit >= 0) & (credit <= 1))
        if all(len({c for label, c, _ in pool if label == name}) == 1 for name in set(labels)):
            assert np.all(credit <= passed + 1e-12)


@unhurried
@given(pools, st.integers(1, 8))
def test_equal_weights_make_a_weighted_vote_a_majority_vote(pool, eighths):
    equal = [(label, correct, Fraction(eighths, 8)) for label, correct, _ in pool]
    credit, _ = vote_credits([ballot_of(equal, True)], budgets_of(pool), 2, generator())
    majority = majority_exact([ballot_of(pool, False)], budgets_of(pool))[0]
    assert credit[0] == pytest.approx(majority, abs=1e-12)


@unhurried
@given(pools, st.booleans())
def test_the_whole_pool_votes_at_budget_n_and_in_the_limit(pool, weighted):
    vote = whole_pool_vote(ballot_of(pool, weighted))
    assert vote == pytest.approx(float(brute_vote(pool, len(pool), weighted)), abs=1e-12)


@unhurried
@given(
    st.lists(st.lists(st.integers(0, 16), min_size=1, max_size=6), min_size=1, max_size=8),
    st.sampled_from(STEP_AGGREGATIONS.names),
)
def test_step_aggregation_is_that_of_each_candidate_alone(candidates, aggregation):
    exact = []
    for steps in candidates:
        scores = [Fraction(step, 16) for step in steps]
        product = Fraction(1)
        for score in scores:
            product *= score
        exact.append(
            {
                "last": scores[-1],
                "min": min(scores),
                "mean": sum(scores, Fraction(0)) / len(scores),
                "product": product,
            }[aggregation]
        )
    flat = [step / 16 for steps in candidates for step in steps]
    got = aggregate_steps(flat, [len(steps) for steps in candidates], [len(candidates)], aggregation)
    # The product is relative to its pool: only ratios and order are defined.
    if aggregation == "product" and max(exact) > 0:
        assert got / got.max() == pytest.approx([float(value / max(exact)) for value in exact], rel=1e-12)
    else:
        assert got == pytest.approx([float(value) for value in exact], rel=1e-12)
