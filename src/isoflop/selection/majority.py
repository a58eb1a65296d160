"""Majority voting at budget k, exact: the expectation over all k-subsets of pools of n candidates.

All pools of one size are counted together, a number of votes at a time, so that their products of polynomials
are a few operations on large arrays. What a pool gets does not depend on the others, to the last bit.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from isoflop.arrays import Floats, Ints
from isoflop.selection.ballots import Ballot, whole_pool_votes
from isoflop.selection.best_of_k import of_one_size

# Binomial coefficients of larger pools overflow a float.
_LARGEST_POOL = 1000
# Coefficients multiplied together: they stay in the processor's cache.
_BLOCK = 32_768


def majority_exact(ballots: Sequence[Ballot], budgets: Sequence[int]) -> Floats:
    """Majority voting, exact for all budgets at once.

    Parameters
    ----------
    ballots
        Of any problems, with equal weights.
    budgets
        Numbers of candidates k, within 1 ... n of every ballot.

    Returns
    -------
    Credits in [0, 1], [ballots, budgets].

    Notes
    -----
    Of all k-subsets, those where class i has v votes, t others have v too and none has more are counted by
    the coefficient of x^(k-v) y^t in

        C(c_i, v) (1 + x)^(no answer) prod_{j != i} (sum_{u<v} C(c_j, u) x^u + y C(c_j, v) x^v)

    and credit class i with 1 / (t + 1) = integral of y^t over [0, 1], which Gauss-Legendre nodes give to
    rounding. All terms are positive, so nothing cancels.
    """
    credits = np.zeros((len(ballots), len(budgets)))
    for size, rows in of_one_size([ballot.size for ballot in ballots]):
        alike = [ballots[row] for row in rows]
        # The whole pool is one subset; leaving it out halves the degree when budgets are powers of two.
        top = max((budget for budget in budgets if budget < size), default=1)
        shares = _shares(alike, size, top)
        for column, budget in enumerate(budgets):
            credits[rows, column] = shares[:, budget] if budget < size else whole_pool_votes(alike)
    return credits


def operations(ballot: Ballot, top: int) -> float:
    """Bound on the multiply-adds of `majority_exact`.

    Parameters
    ----------
    ballot
        Of one problem.
    top
        The largest budget.

    Returns
    -------
    A number; infinite where its numbers would overflow.
    """
    if ballot.size > _LARGEST_POOL:
        return math.inf
    counts = np.bincount(ballot.label, minlength=ballot.classes + 1)[1:]
    return float(np.minimum.outer(counts[ballot.losing :], counts).sum()) * float(top + 1) ** 2


def _shares(ballots: Sequence[Ballot], size: int, top: int) -> Floats:
    """Credits of pools of one size at every budget 0 ... `top`, [ballots, top + 1]."""
    binomials = _binomials(size, top)
    own, others, credit, of = [], [], [], []
    for row, ballot in enumerate(ballots):
        counts = np.bincount(ballot.label, minlength=ballot.classes + 1)[1:]
        for winner in range(ballot.losing, ballot.classes):
            own.append(int(counts[winner]))
            others.append(np.sort(np.delete(counts, winner))[::-1])
            credit.append(ballot.class_credit[winner + 1])
            of.append(row)
    total = np.zeros((len(ballots), top + 1))
    if own:
        rivals = np.zeros((len(own), max(1, *(other.size for other in others))), dtype=np.int64)
        for row, other in enumerate(others):
            rivals[row, : other.size] = other
        np.add.at(total, of, np.array(credit)[:, None] * _ways(np.array(own), rivals, size, top))
    shares: Floats = np.clip(total / binomials[size], 0.0, 1.0)
    return shares


def _ways(own: Ints, rivals: Ints, size: int, top: int) -> Floats:
    """Weighted numbers of k-subsets that a class wins, k = 0 ... `top`, [classes, top + 1].

    `own`: sizes of the winning classes, [classes]; `rivals`: those of the others of their pools of `size`,
    falling, with zeros after them, [classes, most rivals]. A subset in which t others have as many votes
    counts 1 / (t + 1).
    """
    binomials = _binomials(size, top)
    ways = np.zeros((own.size, top + 1))
    # Those that can have the most votes first: who can have `votes` is a prefix.
    order = np.argsort(-own, kind="stable")
    own, rivals = own[order], rivals[order]
    for votes in range(1, min(int(own[0]), top) + 1):
        able = int(np.count_nonzero(own >= votes))
        above = rivals[:able] >= votes
        rest = size - own[:able] - (rivals[:able] * above).sum(axis=1)
        number, degree = above.sum(axis=1), top - votes
        outvoted = binomials[rest, : degree + 1]
        for nodes, rows in _by_nodes(number, degree // votes):
            outvoted[rows] = _outvoted(outvoted[rows], rivals[rows], number[rows], votes, nodes, binomials)
        ways[:able, votes:] += binomials[own[:able], votes][:, None] * outvoted
    result = np.empty_like(ways)
    result[order] = ways
    return result


def _by_nodes(number: Ints, most_tied: int) -> list[tuple[int, Ints]]:
    """Rows with rivals by how many nodes their integrals need, those with the most rivals first."""
    contested = np.flatnonzero(number)
    contested = contested[np.argsort(-number[contested], kind="stable")]
    needed = np.array([_unit_quadrature(min(one, most_tied))[0].size for one in number[contested].tolist()])
    return [(count, contested[needed == count]) for count in np.unique(needed).tolist()]


def _outvoted(base: Floats, rivals: Ints, number: Ints, votes: int, nodes: int, binomials: Floats) -> Floats:
    """`base` times the ways of all rivals to have at most `votes`, [rows, degree + 1].

    `base`: ways of those that cannot have more, [rows, degree + 1]; `rivals`: sizes of classes, falling, the
    first `number` of a row at least `votes`, rows with the most of them first.
    """
    points, point_weights = _rule(nodes)
    length = base.shape[1]
    result = np.empty_like(base)
    block = max(1, _BLOCK // (nodes * length))
    for start in range(0, len(base), block):
        part = slice(start, start + block)
        ways = np.repeat(base[part, None, :], nodes, axis=1)
        product, term = np.empty_like(ways), np.empty_like(ways)
        for rank in range(int(number[start])):
            rows = int(np.count_nonzero(number[part] > rank))
            before, after, scratch = ways[:rows], product[:rows], term[:rows]
            kernels = binomials[rivals[part][:rows, rank], : votes + 1][:, :, None, None]
            # The product with the polynomial, cut at the degree.
            after[:] = before
            for power in range(min(votes - 1, length - 1), 0, -1):
                shifted = scratch[:, :, power:]
                np.multiply(kernels[:, power], before[:, :, : length - power], out=shifted)
                after[:, :, power:] += shifted
            if votes < length:
                # y times the term of exactly `votes`.
                tied = scratch[:, :, votes:]
                np.multiply(kernels[:, votes], before[:, :, : length - votes], out=tied)
                tied *= points[:, None]
                after[:, :, votes:] += tied
            ways[:rows] = after
        result[part] = point_weights @ ways
    return result


@lru_cache(maxsize=8)
def _binomials(size: int, top: int) -> Floats:
    """C(a, k) for a = 0 ... size and k = 0 ... top, shape [size + 1, top + 1]."""
    table = np.zeros((size + 1, top + 1))
    table[:, 0] = 1.0
    for row in range(1, size + 1):
        table[row, 1:] = table[row - 1, 1:] + table[row - 1, :-1]
    return table


@lru_cache(maxsize=1024)
def _unit_quadrature(degree: int) -> tuple[Floats, Floats]:
    """Nodes and weights on [0, 1], as few as give the integrals of 1, y ... y^degree to rounding."""
    powers = np.arange(degree + 1)
    count = 0
    while True:
        count += 1
        nodes, weights = _rule(count)
        error = np.abs(weights @ nodes[:, None] ** powers - 1.0 / (powers + 1.0)).max()
        if error < 1e-14 or 2 * count - 1 >= degree:
            return nodes, weights


@lru_cache(maxsize=1024)
def _rule(count: int) -> tuple[Floats, Floats]:
    """`count` Gauss-Legendre nodes on [0, 1] and their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return (nodes + 1.0) / 2.0, weights / 2.0
