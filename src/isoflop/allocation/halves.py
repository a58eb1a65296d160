"""Halves of a pool: one tells how hard a problem is while the other is measured, and the other way round.

What bins a problem must not be what is measured in the bins: a bin of problems that were lucky in a pool
holds strategies that were lucky in the same pool. Halves alternate, candidate by candidate, so that a pool
whose candidates come in some order is cut into two of one kind. Of chains whole chains alternate.
"""

import numpy as np

from isoflop.arrays import Bools, Ints

# Column `half` of the tables of credits and difficulty.
WHOLE = 0
HALVES = (1, 2)


def halved(sizes: Ints, half: int, first: Bools | None = None) -> Bools:
    """Which candidates are in a half: 1 has the even positions in each problem's pool (from 0), 2 the odd.

    Parameters
    ----------
    sizes
        Candidates per problem, [problems].
    half
        1 or 2.
    first
        The first answers of chains, at the head of their chains, [candidates]; all candidates if left out.

    Returns
    -------
    [candidates].
    """
    heads = np.ones(int(sizes.sum()), dtype=np.bool_) if first is None else first
    before = np.cumsum(heads) - 1
    # The places of a problem's chains are counted from its own first one.
    position = before - np.repeat(before[np.cumsum(sizes) - sizes], sizes)
    members: Bools = position % 2 == half - 1
    return members


def halved_chains(rows: Ints, members: Bools) -> Ints:
    """The chains of a half, as many for every problem.

    Parameters
    ----------
    rows
        The chains' candidates, [problems, P, S].
    members
        Of the half, [candidates].

    Returns
    -------
    Rows of candidates, [problems, P, S]; P is 0 where a problem has none.
    """
    within = members[rows[:, :, 0]]
    count = int(within.sum(axis=1).min())
    indices = np.argsort(~within, axis=1, kind="stable")[:, :count]
    chosen: Ints = np.take_along_axis(rows, indices[:, :, None], axis=1)
    return chosen
