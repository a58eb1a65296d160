"""The two kinds of selectors: by the best score, and by the most votes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from isoflop.arrays import Floats
from isoflop.selection.ballots import Ballot, make_ballot, make_ballots, whole_pool_vote
from isoflop.selection.best_of_k import best_of_k, of_one_size
from isoflop.selection.chain_votes import best_of_chains, hierarchical_vote
from isoflop.selection.limits import vote_limits
from isoflop.selection.registry import Answers, Chains, JointSelector, Limit
from isoflop.selection.voting import votes_of_problems


@dataclass(frozen=True, kw_only=True)
class BestScore(JointSelector):
    """The answer of the candidate with the highest score; ties share. Exact everywhere."""

    def over_problems(
        self,
        problems: Sequence[Sequence[Answers]],
        budgets: Sequence[int],
        draws: int,
        stream: Callable[[int], np.random.Generator],
    ) -> tuple[Floats, Floats]:
        """See `Selector`: all pools of a size at once."""
        flat = [pool for pools in problems for pool in pools]
        credit = np.empty((len(flat), len(budgets)))
        for _, rows in of_one_size([pool.correct.size for pool in flat]):
            scores = np.stack([_scores(flat[row]) for row in rows])
            credit[rows] = best_of_k(scores, np.stack([flat[row].correct for row in rows]), budgets)
        shaped = credit.reshape(len(problems), -1, len(budgets))
        return shaped, np.zeros_like(shaped)

    def over_pool(self, pool: Answers) -> float:
        """See `Selector`."""
        return float(best_of_k(_scores(pool), pool.correct, (pool.correct.size,))[0])

    def over_chains(
        self, chains: Chains, parallel: Sequence[int], draws: int, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """See `Selector`: the highest score of any chain."""
        scores, credit = best_of_chains(chains)
        return best_of_k(scores, credit, parallel), np.zeros(len(parallel))


def _scores(pool: Answers) -> Floats:
    assert pool.scores is not None
    return pool.scores


@dataclass(frozen=True, kw_only=True)
class Vote(JointSelector):
    """The answer with the largest sum of weights, which are the scores; ties share.

    Attributes
    ----------
    votes
        Always true.
    """

    votes: bool = True

    def over_problems(
        self,
        problems: Sequence[Sequence[Answers]],
        budgets: Sequence[int],
        draws: int,
        stream: Callable[[int], np.random.Generator],
    ) -> tuple[Floats, Floats]:
        """See `Selector`: what is exact of all problems at once."""
        ballots = _ballots([pool for pools in problems for pool in pools])
        count = len(ballots) // len(problems)
        apart = [ballots[start : start + count] for start in range(0, len(ballots), count)]
        return votes_of_problems(apart, budgets, draws, stream)

    def over_pool(self, pool: Answers) -> float:
        """See `Selector`."""
        return whole_pool_vote(make_ballot(*pool))

    def over_chains(
        self, chains: Chains, parallel: Sequence[int], draws: int, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """See `Selector`: a vote within every chain, then one of the chains (Snell et al. 2024)."""
        return hierarchical_vote(chains, parallel, draws, rng)

    def limit(self, pool: Answers) -> Limit:
        """See `Selector`: the vote of the whole pool, and what it may be where the pool leaves it open."""
        return self.limits([pool])[0]

    def limits(self, pools: Sequence[Answers]) -> list[Limit]:
        """See `Selector`."""
        return [Limit(*found) for found in vote_limits(_ballots(pools)).T.tolist()]


def _ballots(pools: Sequence[Answers]) -> list[Ballot]:
    """The ballots of pools, those of a size made together."""
    made: dict[int, Ballot] = {}
    for _, rows in of_one_size([pool.answer_class.size for pool in pools]):
        answers, correct, weights = zip(*(pools[row] for row in rows), strict=True)
        weight = None if weights[0] is None else np.stack(weights)
        made |= zip(rows, make_ballots(np.stack(answers), np.stack(correct), weight), strict=True)
    return [made[row] for row in range(len(pools))]
