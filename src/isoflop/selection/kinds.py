"""The two kinds of selectors: by the best score, and by the most votes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isoflop.arrays import Floats
from isoflop.selection.ballots import Ballot, limit_bounds, make_ballot, whole_pool_vote
from isoflop.selection.best_of_k import best_of_k
from isoflop.selection.chain_votes import best_of_chains, hierarchical_vote
from isoflop.selection.registry import Answers, Chains, Limit, Selector
from isoflop.selection.voting import vote_credits


@dataclass(frozen=True, kw_only=True)
class BestScore(Selector):
    """The answer of the candidate with the highest score; ties share. Exact everywhere."""

    def over_samples(
        self, pools: Sequence[Answers], budgets: Sequence[int], draws: int, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """See `Selector`."""
        credit = np.array([_best(pool, budgets) for pool in pools])
        return credit, np.zeros_like(credit)

    def over_pool(self, pool: Answers) -> float:
        """See `Selector`."""
        return float(_best(pool, (pool.correct.size,))[0])

    def over_chains(
        self, chains: Chains, parallel: Sequence[int], draws: int, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """See `Selector`: the highest score of any chain."""
        scores, credit = best_of_chains(chains)
        return best_of_k(scores, credit, parallel), np.zeros(len(parallel))


def _best(pool: Answers, budgets: Sequence[int]) -> Floats:
    assert pool.scores is not None
    return best_of_k(pool.scores, pool.correct, budgets)


@dataclass(frozen=True, kw_only=True)
class Vote(Selector):
    """The answer with the largest sum of weights, which are the scores; ties share.

    Attributes
    ----------
    votes
        Always true.
    """

    votes: bool = True

    def over_samples(
        self, pools: Sequence[Answers], budgets: Sequence[int], draws: int, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """See `Selector`."""
        return vote_credits([_ballot(pool) for pool in pools], budgets, draws, rng)

    def over_pool(self, pool: Answers) -> float:
        """See `Selector`."""
        return whole_pool_vote(_ballot(pool))

    def over_chains(
        self, chains: Chains, parallel: Sequence[int], draws: int, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """See `Selector`: a vote within every chain, then one of the chains (Snell et al. 2024)."""
        return hierarchical_vote(chains, parallel, draws, rng)

    def limit(self, pool: Answers) -> Limit:
        """See `Selector`: the vote of the whole pool, and what it may be where the pool leaves it open."""
        ballot = _ballot(pool)
        return Limit(whole_pool_vote(ballot), *limit_bounds(ballot))


def _ballot(pool: Answers) -> Ballot:
    return make_ballot(pool.answer_class, pool.correct, pool.scores)
