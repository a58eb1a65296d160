"""Majority and weighted voting at budget k: the expectation over all k-subsets of a pool of n candidates.

Majority is exact (`majority_exact`; pools beyond a thousand candidates are sampled). Weighted voting is exact
where there is a closed form or few subsets, else a Monte Carlo over random k-subsets with its standard
error (`vote_credits`). What one vote is: `isoflop.selection.ballots`.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy.ndimage import convolve1d

from isoflop.arrays import Floats, Ints
from isoflop.selection.ballots import Ballot, subset_credits, whole_pool_vote
from isoflop.selection.best_of_k import best_of_k, missing_probability

# Beyond these the Monte Carlo is faster: subsets listed one by one, and multiply-adds of the exact majority.
MOST_SUBSETS = 4096
_MOST_OPERATIONS = 4e8
# Binomial coefficients of larger pools overflow a float.
_LARGEST_EXACT_POOL = 1000
# Draws evaluated together: their sums by class stay in the processor's cache.
_CHUNK = 512


def vote_credits(
    ballots: Sequence[Ballot], budgets: Sequence[int], draws: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Voting at each budget, for ballots of one pool that differ in their weights (all equal: majority).

    Parameters
    ----------
    ballots
        Of one problem's pool of n candidates.
    budgets
        Numbers of candidates k, rising within 1 ... n.
    draws
        Random subsets where the credit has no closed form, at least 2.
    rng
        Where they come from; the ballots share them, so that comparisons between them are paired.

    Returns
    -------
    Credits and their standard errors, each [ballots, budgets]; the error is 0 where the credit is exact.

    Raises
    ------
    ValueError
        For budgets that do not rise or lie outside 1 ... n.

    References
    ----------
    Wang et al. 2023, Self-Consistency Improves Chain of Thought Reasoning in Language Models.
    doi:10.48550/arXiv.2203.11171
    Wu et al. 2024, Inference Scaling Laws, section 3. doi:10.48550/arXiv.2408.00724
    """
    rising = all(low < high for low, high in pairwise(budgets))
    if not rising or budgets[0] < 1 or budgets[-1] > ballots[0].size:
        raise ValueError(f"budgets {tuple(budgets)} must rise within a pool of {ballots[0].size} candidates")
    credit, error = np.zeros((2, len(ballots), len(budgets)))
    known = [_exact(ballot, budgets) for ballot in ballots]
    for row, exact in enumerate(known):
        credit[row] = [exact.get(budget, 0.0) for budget in budgets]
    rows = [row for row, exact in enumerate(known) if not exact.keys() >= set(budgets)]
    if rows:
        # A ballot is exact at all budgets, or at those that the size of the pool alone decides.
        columns = [column for column, budget in enumerate(budgets) if budget not in known[rows[0]]]
        sampled = [budgets[column] for column in columns]
        cells = np.ix_(rows, columns)
        credit[cells], error[cells] = _monte_carlo([ballots[row] for row in rows], sampled, draws, rng)
    return credit, error


def draws_needed(problem_count: int, standard_error: float = 0.0008) -> int:
    """Monte Carlo subsets per problem that hold the error of the mean over problems below `standard_error`.

    Parameters
    ----------
    problem_count
        Problems that the mean is over.
    standard_error
        Of the mean, as a fraction.

    Returns
    -------
    A number of subsets, at least 256.

    Notes
    -----
    0.25 / (standard_error^2 problem_count): in the worst case the credit of a subset is a fair coin on every
    problem.
    """
    return max(256, math.ceil(0.25 / (standard_error**2 * problem_count)))


def _exact(ballot: Ballot, budgets: Sequence[int]) -> dict[int, float]:
    """The budgets at which the vote is known exactly, with its credit there."""
    pool = ballot.size
    if ballot.losing == ballot.classes:
        return dict.fromkeys(budgets, 0.0)
    voters = int(np.count_nonzero(ballot.label))
    if ballot.classes == 1:
        nobody = missing_probability(pool, tuple(budgets))[:, pool - voters]
        return dict(zip(budgets, (float(ballot.class_credit[1]) * (1.0 - nobody)).tolist(), strict=True))
    weights = ballot.weight[pool - voters :]
    if weights.min() == weights.max() > 0 and _operations(ballot, max(budgets)) <= _MOST_OPERATIONS:
        return dict(zip(budgets, majority_exact(ballot, budgets).tolist(), strict=True))
    known: dict[int, float] = {}
    # One or two candidates: the heavier vote decides, as in best-of-k; who has no vote comes last.
    small = [budget for budget in budgets if budget <= 2]
    if small:
        heaviest = np.where(ballot.label > 0, ballot.weight, -1.0)
        known.update(
            zip(small, best_of_k(heaviest, ballot.class_credit[ballot.label], small).tolist(), strict=True)
        )
    for budget in budgets:
        if budget == pool:
            known[budget] = whole_pool_vote(ballot)
        elif budget not in known and math.comb(pool, budget) <= MOST_SUBSETS:
            known[budget] = float(subset_credits(ballot, all_subsets(pool, budget), (budget,)).mean())
    return known


def _monte_carlo(
    ballots: Sequence[Ballot], budgets: Sequence[int], draws: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Mean credit over random subsets and its standard error, shape [ballots, budgets].

    One random order of the pool serves all budgets and ballots: its first k candidates are a uniform
    k-subset for every k. `budgets` must rise.
    """
    total, squares = np.zeros((2, len(ballots), len(budgets)))
    for start in range(0, draws, _CHUNK):
        drawn = random_orders(ballots[0].size, budgets[-1], min(_CHUNK, draws - start), rng)
        for row, ballot in enumerate(ballots):
            credits = subset_credits(ballot, drawn, budgets)
            total[row] += credits.sum(axis=1)
            squares[row] += (credits**2).sum(axis=1)
    mean = total / draws
    variance = np.maximum(squares / draws - mean**2, 0.0) * draws / (draws - 1)
    return mean, np.sqrt(variance / draws)


def majority_exact(ballot: Ballot, budgets: Sequence[int]) -> Floats:
    """Majority voting, exact for all budgets at once.

    Parameters
    ----------
    ballot
        Of one problem's pool of n candidates, with equal weights.
    budgets
        Numbers of candidates k, in 1 ... n.

    Returns
    -------
    Credits in [0, 1], [budgets].

    Notes
    -----
    Of all k-subsets, those where class i has v votes, t others have v too and none has more are counted by
    the coefficient of x^(k-v) y^t in

        C(c_i, v) (1 + x)^(no answer) prod_{j != i} (sum_{u<v} C(c_j, u) x^u + y C(c_j, v) x^v)

    and credit class i with 1 / (t + 1) = integral of y^t over [0, 1], which Gauss-Legendre nodes give to
    rounding. All terms are positive, so nothing cancels.
    """
    counts = np.bincount(ballot.label, minlength=ballot.classes + 1)
    # The whole pool is one subset; leaving it out halves the degree when budgets are powers of two.
    top = max((budget for budget in budgets if budget < ballot.size), default=1)
    binomials = _binomials(ballot.size, top)
    total = np.zeros(top + 1)
    for winner in range(ballot.losing + 1, ballot.classes + 1):
        others = np.sort(np.delete(counts[1:], winner - 1))[::-1]
        ways = np.zeros(top + 1)
        for votes in range(1, min(int(counts[winner]), top) + 1):
            rest = int(ballot.size - counts[winner])
            outvoted = _outvoted(others, rest, votes, top - votes, binomials)
            ways[votes:] += binomials[counts[winner], votes] * outvoted
        total += ballot.class_credit[winner] * ways
    credits = np.clip(total / binomials[ballot.size], 0.0, 1.0)
    return np.array([credits[k] if k < ballot.size else whole_pool_vote(ballot) for k in budgets])


def _outvoted(others: Ints, rest: int, votes: int, degree: int, binomials: Floats) -> Floats:
    """Weighted number of ways to draw 0 ... `degree` of the `rest` candidates, no other class above `votes`.

    `others`: sizes of the other classes, falling. A way in which t of them have exactly `votes` counts
    1 / (t + 1). Returns shape [degree + 1].
    """
    rivals = others[: np.count_nonzero(others >= votes)]
    base: Floats = binomials[rest - int(rivals.sum()), : degree + 1]
    if rivals.size == 0:
        return base
    nodes, node_weights = _unit_quadrature(min(rivals.size, degree // votes))
    ways = np.tile(base, (nodes.size, 1))
    for rival in rivals.tolist():
        # By rows: y times the term of exactly `votes`, shifted into place.
        tied = nodes[:, None] * (binomials[rival, votes] * ways[:, : max(degree + 1 - votes, 0)])
        if votes > 1:
            # The product with the polynomial, cut at `degree`; the origin aligns its constant term.
            ways = convolve1d(ways, binomials[rival, :votes], axis=1, mode="constant", origin=-(votes // 2))
        ways[:, votes:] += tied
    result: Floats = node_weights @ ways
    return result


def _operations(ballot: Ballot, top: int) -> float:
    """Bound on the multiply-adds of `majority_exact`; infinite where its numbers would overflow."""
    if ballot.size > _LARGEST_EXACT_POOL:
        return math.inf
    counts = np.bincount(ballot.label, minlength=ballot.classes + 1)[1:]
    return float(np.minimum.outer(counts[ballot.losing :], counts).sum()) * float(top + 1) ** 2


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
        nodes, weights = np.polynomial.legendre.leggauss(count)
        nodes, weights = (nodes + 1.0) / 2.0, weights / 2.0
        error = np.abs(weights @ nodes[:, None] ** powers - 1.0 / (powers + 1.0)).max()
        if error < 1e-14 or 2 * count - 1 >= degree:
            return nodes, weights


@lru_cache(maxsize=16)
def all_subsets(pool: int, budget: int) -> Ints:
    """Every subset of some size.

    Parameters
    ----------
    pool
        Number of candidates n.
    budget
        Candidates in a subset.

    Returns
    -------
    Candidates from 0, [budget, subsets].
    """
    masks = np.zeros((1, pool), dtype=bool)
    for chosen in range(budget):
        # Extend each subset by every candidate after its last one.
        last = np.where(masks.any(axis=1), pool - 1 - np.argmax(masks[:, ::-1], axis=1), -1)
        row, column = np.nonzero(np.arange(pool) > last[:, None])
        masks = masks[row]
        masks[np.arange(row.size), column] = True
        masks = masks[pool - column - 1 >= budget - chosen - 1]
    return np.nonzero(masks)[1].reshape(-1, budget).T.copy()


def random_orders(pool: int, length: int, draws: int, rng: np.random.Generator) -> Ints:
    """The first candidates of random orders of a pool.

    Parameters
    ----------
    pool
        Number of candidates n.
    length
        How many of each order are needed.
    draws
        Number of orders.
    rng
        Where they come from.

    Returns
    -------
    Candidates from 0, [length, draws].
    """
    # Fisher-Yates, one position of all draws at a time.
    remaining = pool - np.arange(length)[:, None]
    swaps = np.arange(length)[:, None] + (rng.random((length, draws)) * remaining).astype(np.int64)
    orders, columns = np.repeat(np.arange(pool)[:, None], draws, axis=1), np.arange(draws)
    for position in range(length):
        taken = orders[swaps[position], columns]
        orders[swaps[position], columns] = orders[position]
        orders[position] = taken
    return orders[:length]
