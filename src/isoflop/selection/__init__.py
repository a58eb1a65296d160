"""Exact expectations of pass@k, best-of-n and votes over subsets of samples, trees and chains."""

from typing import TYPE_CHECKING

from isoflop._lazy import face

if TYPE_CHECKING:
    from isoflop.selection.accuracy import accuracy_at_k, credits_at_k
    from isoflop.selection.aggregation import aggregate_steps
    from isoflop.selection.ballots import Ballot, make_ballot
    from isoflop.selection.best_of_k import best_of_k, pass_at_k
    from isoflop.selection.kinds import BestScore, Vote
    from isoflop.selection.registry import Selector, selector
    from isoflop.selection.samples import SamplePool
    from isoflop.selection.voting import vote_credits

__all__ = [
    "Ballot",
    "BestScore",
    "SamplePool",
    "Selector",
    "Vote",
    "accuracy_at_k",
    "aggregate_steps",
    "best_of_k",
    "credits_at_k",
    "make_ballot",
    "pass_at_k",
    "selector",
    "vote_credits",
]

face(__name__)
