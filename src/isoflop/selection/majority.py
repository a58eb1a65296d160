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
        columns = [column for column, budget in enumerate(budgets) if budget < size]
        if columns:
            wanted = np.array([budgets[column] for column in columns])
            credits[np.ix_(rows, columns)] = _shares(alike, size, wanted)
        for column in set(range(len(budgets))) - set(columns):
            credits[rows, column] = whole_pool_votes(alike)
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


def _shares(ballots: Sequence[Ballot], size: int, budgets: Ints) -> Floats:
    """Credits of pools of one size, [ballots, budgets]."""
    own, others, credit, of = [], [], [], []
    for row, ballot in enumerate(ballots):
        counts = np.bincount(ballot.label, minlength=ballot.classes + 1)[1:]
        for winner in range(ballot.losing, ballot.classes):
            own.append(int(counts[winner]))
            others.append(np.sort(np.delete(counts, winner))[::-1])
            credit.append(ballot.class_credit[winner + 1])
            of.append(row)
    total = np.zeros((len(ballots), budgets.size))
    if own:
        rivals = np.zeros((len(own), max(1, *(other.size for other in others))), dtype=np.int64)
        for row, other in enumerate(others):
            rivals[row, : other.size] = other
        np.add.at(total, of, np.array(credit)[:, None] * _ways(np.array(own), rivals, size, budgets))
    shares: Floats = np.clip(total / _binomials(size, int(budgets.max()))[size, budgets], 0.0, 1.0)
    return shares


def _ways(own: Ints, rivals: Ints, size: int, budgets: Ints) -> Floats:
    """Weighted numbers of k-subsets that a class wins, [classes, budgets].

    `own`: sizes of the winning classes, [classes]; `rivals`: those of the others of their pools of `size`,
    falling, with zeros after them, [classes, most rivals]. A subset in which t others have as many votes
    counts 1 / (t + 1).
    """
    top = int(budgets.max())
    binomials = _binomials(size, top)
    ways = np.zeros((own.size, budgets.size))
    # Those that can have the most votes first: who can have `votes` is a prefix.
    order = np.argsort(-own, kind="stable")
    own, rivals = own[order], rivals[order]
    for votes in range(1, min(int(own[0]), top) + 1):
        able = int(np.count_nonzero(own >= votes))
        above = rivals[:able] >= votes
        rest = size - own[:able] - (rivals[:able] * above).sum(axis=1)
        number, degree = above.sum(axis=1), top - votes
        reached = budgets >= votes
        degrees = budgets[reached] - votes
        outvoted = binomials[rest[:, None], degrees]
        for nodes, rows in _by_nodes(number, degree // votes):
            base = binomials[rest[rows], : degree + 1]
            outvoted[rows] = _outvoted(base, rivals[rows], number[rows], votes, nodes, degrees, binomials)
        ways[:able, reached] += binomials[own[:able], votes][:, None] * outvoted
    result = np.empty_like(ways)
    result[order] = ways
    return result


def _by_nodes(number: Ints, most_tied: int) -> list[tuple[int, Ints]]:
    """Rows with rivals by how many nodes their integrals need, those with the most rivals first."""
    contested = np.flatnonzero(number)
    contested = contested[np.argsort(-number[contested], kind="stable")]
    needed = np.array([_unit_quadrature(min(one, most_tied))[0].size for one in number[contested].tolist()])
    return [(count, contested[needed == count]) for count in np.unique(needed).tolist()]


def _outvoted(
    base: Floats, rivals: Ints, number: Ints, votes: int, nodes: int, degrees: Ints, binomials: Floats
) -> Floats:
    """`base` times the ways of all rivals to have at most `votes`, of some degrees, [rows, degrees].

    `base`: ways of those that cannot have more, [rows, all degrees]; `rivals`: sizes of classes, falling, the
    first `number` of a row at least `votes`, rows with the most of them first.
    """
    points, point_weights = _rule(nodes)
    result = np.empty((len(base), degrees.size))
    block = max(1, _BLOCK // (nodes * base.shape[1]))
    for start in range(0, len(base), block):
        part = slice(start, start + block)
        left, sizes = number[part], rivals[part]
        # Degrees come first, so that those that are asked for are whole runs of memory.
        ways = np.repeat(base[part].T, nodes, axis=1)
        ended = np.empty((degrees.size, left.size * nodes))
        for rank in range(int(left[0])):
            # Of the last rival nothing is needed but the degrees that are asked for.
            going, last = (int(np.count_nonzero(left > rank + more)) for more in (1, 0))
            terms = np.repeat(binomials[sizes[:last, rank], : votes + 1].T, nodes, axis=1)
            done, goes_on = slice(going * nodes, last * nodes), slice(0, going * nodes)
            if going < last:
                y = np.tile(points, last - going)
                ended[:, done] = _some(ways[:, done], terms[:, done], y, degrees)
            if going:
                ways = _all(ways[:, goes_on], terms[:, goes_on], np.tile(points, going))
        # Between all degrees, as if they had been computed: products of matrices round by their widths.
        values = np.zeros((left.size, nodes, base.shape[1]))
        values[:, :, degrees] = ended.reshape(degrees.size, -1, nodes).transpose(1, 2, 0)
        result[part] = (point_weights @ values)[:, degrees]
    return result


def _all(ways: Floats, terms: Floats, y: Floats) -> Floats:
    """Products with 1 + sum_u terms_u x^u, the last term times y, cut at the degree of the first factor.

    `ways`, `terms`: coefficients, [degrees, products]; `y`: [products].
    """
    length, votes = len(ways), len(terms) - 1
    product, scratch = ways.copy(), np.empty_like(ways)
    for power in range(min(votes, length) - 1, 0, -1):
        shifted = scratch[power:]
        np.multiply(terms[power], ways[: length - power], out=shifted)
        product[power:] += shifted
    product[votes:] += y * (terms[votes] * ways[: max(length - votes, 0)])
    return product


def _some(ways: Floats, terms: Floats, y: Floats, degrees: Ints) -> Floats:
    """`_all` of some rising degrees, [degrees, products]."""
    product, votes = ways[degrees], len(terms) - 1
    for power in range(min(votes - 1, int(degrees[-1])), 0, -1):
        first = int(np.searchsorted(degrees, power))
        product[first:] += terms[power] * ways[degrees[first:] - power]
    first = int(np.searchsorted(degrees, votes))
    product[first:] += y * (terms[votes] * ways[degrees[first:] - votes])
    return product


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
