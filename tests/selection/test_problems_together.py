"""Many problems at once: what a problem gets is what it gets alone, to the last bit, and what is true."""

from collections.abc import Sequence
from fractions import Fraction
from math import comb
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoflop.arrays import Floats
from isoflop.registries import SELECTORS
from isoflop.selection.ballots import Ballot, make_ballot, make_ballots, whole_pool_vote, whole_pool_votes
from isoflop.selection.best_of_k import best_of_k
from isoflop.selection.kinds import Vote
from isoflop.selection.limits import vote_limits
from isoflop.selection.majority import majority_exact
from isoflop.selection.registry import Answers, Limit, Selector, selector
from isoflop.selection.voting import vote_credits, votes_of_problems

unhurried = settings(deadline=None)

# Eighths, so that ties are common; pools of different sizes, some of them alike.
weights = st.integers(0, 8).map(lambda eighths: eighths / 8)
candidates = st.lists(st.tuples(st.integers(-1, 4), st.booleans(), weights), min_size=3, max_size=12)
problems = st.lists(candidates, min_size=1, max_size=8)


def answers(pool: list[tuple[int, bool, float]]) -> Answers:
    classes, right, scores = (np.array(column) for column in zip(*pool, strict=True))
    return Answers(classes, right & (classes >= 0), scores.astype(np.float64))


def equal(first: Any, second: Any) -> bool:
    return bool(np.array_equal(np.asarray(first), np.asarray(second)))


@unhurried
@given(problems, st.sampled_from(SELECTORS.names))
def test_every_selector_gives_a_problem_what_it_gives_it_alone(
    drawn: list[list[tuple[int, bool, float]]], name: str
) -> None:
    chosen = selector(name)
    pools = [answers(pool) for pool in drawn]
    if chosen.reads is None:
        pools = [pool._replace(scores=None) for pool in pools]
    of_problem = [[pool, pool] for pool in pools]
    together = chosen.over_problems(of_problem, (1, 2, 3), 8, np.random.default_rng)
    alone = [
        chosen.over_samples(both, (1, 2, 3), 8, np.random.default_rng(number))
        for number, both in enumerate(of_problem)
    ]
    assert equal(together, [[one[part] for one in alone] for part in (0, 1)])
    if chosen.votes:
        assert chosen.limits(pools) == [chosen.limit(pool) for pool in pools]


@unhurried
@given(problems)
def test_a_selector_of_another_package_need_not_know_of_problems_together(
    drawn: list[list[tuple[int, bool, float]]],
) -> None:
    chosen, pools = selector("weighted"), [[answers(pool)] for pool in drawn]
    ours = chosen.over_problems(pools, (1, 3), 8, np.random.default_rng)
    theirs = Selector.over_problems(chosen, pools, (1, 3), 8, np.random.default_rng)
    assert equal(ours, theirs)


def test_what_a_subclass_says_of_one_problem_holds_for_many() -> None:
    class Certain(Vote):
        def over_samples(
            self, pools: Sequence[Answers], budgets: Sequence[int], draws: int, rng: np.random.Generator
        ) -> tuple[Floats, Floats]:
            return np.ones((len(pools), len(budgets))), np.zeros((len(pools), len(budgets)))

        def limit(self, pool: Answers) -> Limit:
            return Limit(1.0, 1.0, 1.0)

    chosen, wrong = Certain(name="certain", label="certain", short="c"), answers([(0, False, 1.0)] * 3)
    credit, _ = chosen.over_problems([[wrong], [wrong]], (1, 2), 8, np.random.default_rng)
    assert credit.shape == (2, 1, 2)
    assert credit.all()
    assert chosen.limits([wrong]) == [Limit(1.0, 1.0, 1.0)]


@unhurried
@given(problems)
def test_ballots_made_together_are_those_made_alone(drawn: list[list[tuple[int, bool, float]]]) -> None:
    size = min(len(pool) for pool in drawn)
    pools = [answers(pool[:size]) for pool in drawn]
    classes, right, weight = (np.stack(column) for column in zip(*pools, strict=True))
    for made, alone in (
        (make_ballots(classes, right, weight), [make_ballot(*pool) for pool in pools]),
        (make_ballots(classes, right), [make_ballot(*pool[:2]) for pool in pools]),
    ):
        for one, other in zip(made, alone, strict=True):
            assert equal(one.label, other.label)
            assert equal(one.weight, other.weight)
            assert equal(one.class_credit, other.class_credit)
            assert one.losing == other.losing
        assert equal(whole_pool_votes(made), [whole_pool_vote(one) for one in made])
        assert equal(vote_limits(made), np.hstack([vote_limits([one]) for one in made]))


def big_pools(seed: int, count: int) -> list[Answers]:
    """Pools of 60 or 90 candidates with up to 30 answers, of which the second most frequent is right."""
    generator = np.random.default_rng(seed)
    made = []
    for number in range(count):
        classes = int(generator.integers(2, 30))
        labels = generator.choice(
            classes, 60 + 30 * (number % 2), p=generator.dirichlet(np.full(classes, 0.4))
        )
        right = np.argsort(np.bincount(labels, minlength=classes))[-2]
        made.append(Answers(labels - 1, (labels == right) & (labels > 0), generator.random(labels.size)))
    return made


def test_large_pools_too_get_what_they_get_alone() -> None:
    pools = big_pools(5, 24)
    budgets = (1, 2, 4, 8, 16, 32, 59)
    of_scores = [
        [make_ballot(*pool), make_ballot(pool.answer_class, pool.correct, pool.scores**2)] for pool in pools
    ]
    counted = [make_ballot(pool.answer_class, pool.correct) for pool in pools]
    together = votes_of_problems(of_scores, budgets, 600, np.random.default_rng)
    alone = [
        vote_credits(both, budgets, 600, np.random.default_rng(row)) for row, both in enumerate(of_scores)
    ]
    assert together[1].any()
    assert equal(together, [[one[part] for one in alone] for part in (0, 1)])
    assert equal(majority_exact(counted, budgets), [majority_exact([one], budgets)[0] for one in counted])
    alike = pools[::2]
    scores, right = np.stack([pool.scores for pool in alike]), np.stack([pool.correct for pool in alike])
    rows = [best_of_k(pool.scores, pool.correct, budgets) for pool in alike]
    assert equal(best_of_k(scores, right, budgets), rows)


def counted_votes(ballot: Ballot, budget: int) -> Fraction:
    """The credit of a majority of `budget` candidates, by counting subsets in whole numbers."""
    sizes = np.bincount(ballot.label, minlength=ballot.classes + 1).tolist()
    total = Fraction(0)
    for winner in range(1, ballot.classes + 1):
        for votes in range(1, min(sizes[winner], budget) + 1):
            # ways[t][d]: to draw d of the others, t of their classes with as many votes, none with more.
            ways = {0: [comb(sizes[0], d) for d in range(budget - votes + 1)]}
            for rival in (size for name, size in enumerate(sizes) if name not in (0, winner)):
                grown: dict[int, list[int]] = {}
                for tied, counts in ways.items():
                    for drawn in range(min(rival, votes) + 1):
                        into = grown.setdefault(tied + (drawn == votes), [0] * len(counts))
                        for d in range(len(counts) - drawn):
                            into[d + drawn] += comb(rival, drawn) * counts[d]
                ways = grown
            shared = sum((Fraction(counts[-1], tied + 1) for tied, counts in ways.items()), Fraction(0))
            total += Fraction(ballot.class_credit[winner]) * comb(sizes[winner], votes) * shared
    return total / comb(ballot.size, budget)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.lists(st.integers(-1, 5), min_size=14, max_size=24), min_size=1, max_size=3),
    st.integers(2, 13),
)
def test_majorities_of_larger_pools_are_counted_right(pools: list[list[int]], budget: int) -> None:
    ballots = [make_ballot(np.array(pool), np.isin(pool, (0, 3))) for pool in pools]
    expected = [float(counted_votes(ballot, budget)) for ballot in ballots]
    assert majority_exact(ballots, [budget])[:, 0] == pytest.approx(expected, abs=1e-12)
