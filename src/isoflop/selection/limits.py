"""The limit of votes, k -> infinity, as far as a pool tells.

It is the answer of largest probability (majority) or of largest probability times reward (weighted). Its
plug-in estimate from the pool is the vote of the whole pool; where the pool leaves the vote open, so do the
bounds.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array

from isoflop.arrays import Floats
from isoflop.selection.ballots import LEAST, Ballot, shared_credit, whole_pool_votes
from isoflop.selection.best_of_k import of_one_size

# Whether a vote is open is judged by this many pools, and below this share either way.
_POOLS = 400
_OPEN = 0.025
# Ballots counted together: their sums by class stay in the processor's cache.
_TOGETHER = 16


def vote_limits(ballots: Sequence[Ballot]) -> Floats:
    """The limit k -> infinity, and what it is if every vote that the pool leaves open goes wrong, or right.

    Parameters
    ----------
    ballots
        Of any problems.

    Returns
    -------
    The estimate in [0, 1] and its two bounds, each 0 or 1, [3, ballots].

    Notes
    -----
    A vote is open if pools resampled from this one, with replacement, are sometimes right and sometimes not:
    right in more than 2.5% and in less than 97.5% of them.

    References
    ----------
    Wu et al. 2024, Inference Scaling Laws, Theorems 1 and 2. doi:10.48550/arXiv.2408.00724
    """
    right = np.empty(len(ballots))
    for size, rows in of_one_size([ballot.size for ballot in ballots]):
        for start in range(0, len(rows), _TOGETHER):
            part = rows[start : start + _TOGETHER]
            right[part] = _right_in_resamples([ballots[row] for row in part], size)
    return np.stack([whole_pool_votes(ballots), right >= 1.0 - _OPEN, right > _OPEN])


def _right_in_resamples(ballots: Sequence[Ballot], size: int) -> list[float]:
    """The share of resampled pools whose vote is right, by ballot; all of one size."""
    counts = np.concatenate([np.bincount(one.label, minlength=one.class_credit.size) for one in ballots])
    members = np.tile(np.arange(size), len(ballots))
    ends = np.append(0, np.cumsum(counts))
    # A row adds up the weights of one class, each times how often a resampled pool has the candidate.
    weights = np.concatenate([one.weight for one in ballots])
    sums = csr_array((weights, members, ends), shape=(counts.size, size)) @ _resamples(size)
    if not weights[np.concatenate([one.label for one in ballots]) > 0].all():
        voters = csr_array((np.ones(weights.size), members, ends), shape=(counts.size, size))
        sums = np.maximum(sums, (voters @ _resamples(size) > 0) * LEAST)
    start, right = 0, []
    for ballot in ballots:
        end = start + ballot.class_credit.size
        right.append(float(shared_credit(sums[start + 1 : end], ballot).mean()))
        start = end
    return right


@lru_cache(maxsize=8)
def _resamples(size: int) -> Floats:
    """How often 400 resamples of a pool have each of its candidates, [size, pools]; always the same ones."""
    drawn = np.random.default_rng(size).integers(0, size, size=(size, _POOLS))
    counts = np.bincount((drawn * _POOLS + np.arange(_POOLS)).ravel(), minlength=size * _POOLS)
    return counts.reshape(size, _POOLS).astype(np.float64)
