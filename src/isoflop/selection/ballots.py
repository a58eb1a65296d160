"""One vote: a problem's pool as a ballot, and the credit of the vote of the whole pool or of subsets of it.

Rules, the same everywhere: every voter adds its weight (1 for majority, its verifier score for weighted
voting) to its class of equivalent answers; a candidate without an answer does not vote; classes tied at the
top share the credit; a subset without a vote has credit 0. A class's credit is the mean correctness of its
members.

Pools are brought into a canonical order first, so no result depends on the order of samples or the numbering
of classes, to the last bit.

The limit k -> infinity (Wu et al. 2024, Theorems 1 and 2) is the answer of largest probability (majority) or
of largest probability times reward (weighted). Its plug-in estimate from the pool is the vote of the whole
pool; where the pool leaves the vote open, `limit_bounds` says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from isoflop.arrays import Bools, Floats, Ints
from isoflop.selection.best_of_k import TIE
from isoflop.strategy import NO_ANSWER

# Whether a vote is open is judged by this many pools, and below this share either way.
_POOLS = 400
_OPEN = 0.025


@dataclass(frozen=True)
class Ballot:
    """A pool in canonical order.

    Attributes
    ----------
    label
        0 for no vote, else the class 1 ... m, [candidates].
    weight
        Of the votes, at least 0, [candidates].
    class_credit
        Rising from class 1 to m; entry 0 is 0, [m + 1].
    losing
        How many of the classes have no credit; they come first.
    """

    label: Ints
    weight: Floats
    class_credit: Floats
    losing: int

    @property
    def size(self) -> int:
        """Candidates in the pool."""
        return self.label.size

    @property
    def classes(self) -> int:
        """Distinct answers in the pool."""
        return self.class_credit.size - 1


def make_ballot(answer_class: Ints, correct: Bools, weight: Floats | None = None) -> Ballot:
    """The pool of one problem in canonical order, for weighted voting or (without `weight`) for majority.

    Parameters
    ----------
    answer_class
        Numbers of equivalent answers from 0; -1 is no answer, [candidates].
    correct
        Whether each candidate is right, [candidates].
    weight
        Of the votes, finite and at least 0, [candidates]; None where each has one vote.

    Raises
    ------
    ValueError
        For a negative or non-finite weight, a class below -1, or a correct non-answer.

    Notes
    -----
    Candidates are sorted by the credit, size and weights of their class, then by their own weight: what is
    left to chance are candidates and classes that are interchangeable.
    """
    weights = np.ones(answer_class.size) if weight is None else weight + 0.0
    if not np.all(np.isfinite(weights) & (weights >= 0)):
        raise ValueError("weights of votes must be finite and at least 0")
    votes = answer_class != NO_ANSWER
    if np.any(answer_class < NO_ANSWER) or np.any(correct & ~votes):
        raise ValueError("answer classes start at 0; -1 is no answer, which is never correct")
    order = np.lexsort((weights, answer_class))
    order = order[np.count_nonzero(~votes) :]
    labels, ranked, right = answer_class[order], weights[order], correct[order]
    starts = np.flatnonzero(np.diff(labels, prepend=NO_ANSWER))
    sizes = np.diff(starts, append=labels.size)
    credits = np.add.reduceat(right.astype(np.float64), starts) / sizes if starts.size else np.zeros(0)
    keyed = sorted(
        (credit, size, ranked[start : start + size].tobytes(), start)
        for credit, size, start in zip(credits.tolist(), sizes.tolist(), starts.tolist(), strict=True)
    )
    without = answer_class.size - labels.size
    class_sizes = [without, *(size for _, size, _, _ in keyed)]
    class_credit = np.array([0.0, *(credit for credit, _, _, _ in keyed)])
    return Ballot(
        label=np.repeat(np.arange(len(class_sizes)), class_sizes),
        weight=np.concatenate([np.zeros(without), *(ranked[at : at + size] for _, size, _, at in keyed)]),
        class_credit=class_credit,
        losing=int(np.count_nonzero(class_credit[1:] == 0)),
    )


def whole_pool_vote(ballot: Ballot) -> float:
    """Credit of the vote of the whole pool: budget n, and the estimate of the limit k -> infinity.

    Parameters
    ----------
    ballot
        Of one problem.

    Returns
    -------
    A credit in [0, 1].

    References
    ----------
    Wu et al. 2024, Inference Scaling Laws, Theorems 1 and 2. doi:10.48550/arXiv.2408.00724
    """
    everyone = np.arange(ballot.size)[:, None]
    return float(subset_credits(ballot, everyone, (ballot.size,))[0, 0])


def limit_bounds(ballot: Ballot) -> tuple[float, float]:
    """The limit k -> infinity if every vote that the pool leaves open goes wrong, and if it goes right.

    Parameters
    ----------
    ballot
        Of one problem.

    Returns
    -------
    Two credits, each 0 or 1.

    Notes
    -----
    A vote is open if pools resampled from this one, with replacement, are sometimes right and sometimes not:
    right in more than 2.5% and in less than 97.5% of them.
    """
    right = float(subset_credits(ballot, _resamples(ballot.size), (ballot.size,)).mean())
    return float(right >= 1.0 - _OPEN), float(right > _OPEN)


@lru_cache(maxsize=8)
def _resamples(size: int) -> Ints:
    """Candidates of 400 pools of `size` resampled from such a pool, [size, pools]; always the same ones."""
    return np.random.default_rng(size).integers(0, size, size=(size, _POOLS))


def subset_credits(ballot: Ballot, drawn: Ints, budgets: Sequence[int]) -> Floats:
    """Credit of the vote among the first k drawn candidates, for each rising budget k and each draw.

    Parameters
    ----------
    ballot
        Of one problem.
    drawn
        Candidates of the ballot, [at least the last budget, draws].
    budgets
        Numbers of candidates k, rising.

    Returns
    -------
    Credits in [0, 1], [budgets, draws].
    """
    draws = drawn.shape[1]
    cells = (ballot.label * draws)[drawn] + np.arange(draws)
    weights = ballot.weight[drawn]
    sums, shape = np.zeros((ballot.classes + 1) * draws), (ballot.classes + 1, draws)
    # A class whose voters all weigh 0 is still voted for: the smallest of floats tells it from no vote.
    weightless = bool(np.any(ballot.weight[ballot.label > 0] == 0))
    result, before = np.zeros((len(budgets), draws)), 0
    for row, budget in enumerate(budgets):
        sums += np.bincount(cells[before:budget].ravel(), weights[before:budget].ravel(), sums.size)
        votes = sums
        if weightless:
            present = np.bincount(cells[:budget].ravel(), minlength=sums.size) > 0
            votes = np.maximum(sums, present * np.nextafter(0.0, 1.0))
        result[row] = _shared_credit(votes.reshape(shape)[1:], ballot)
        before = budget
    return result


def _shared_credit(votes: Floats, ballot: Ballot) -> Floats:
    """Mean credit of the classes tied at the top, shape [draws].

    `votes`: sums by class, shape [classes, draws]; 0 for a class not drawn.
    """
    credit, losing = ballot.class_credit[1:], ballot.losing
    result = np.zeros(votes.shape[1])
    best = votes[losing:].max(axis=0, initial=0.0)
    rival = votes[:losing].max(axis=0, initial=0.0)
    close = (best >= rival * (1.0 - TIE)) & (best > 0)
    if credit.size - losing == 1:
        clear = best > rival * (1.0 + TIE)
        result[clear] = credit[-1]
        close &= ~clear
    contested = votes[:, close]
    tied = contested >= contested.max(axis=0, initial=0.0) * (1.0 - TIE)
    result[close] = (credit[:, None] * tied).sum(axis=0) / tied.sum(axis=0)
    return result
