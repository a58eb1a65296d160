"""Majority and weighted voting at budget k: the expectation over all k-subsets of a pool of n candidates.

Majority is exact (`isoflop.selection.majority`; pools beyond a thousand candidates are sampled). Weighted
voting is exact where there is a closed form or few subsets, else a Monte Carlo over random k-subsets with its
standard error. What one vote is: `isoflop.selection.ballots`.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

from isoflop.arrays import Floats, Ints
from isoflop.selection.ballots import Ballot, paired_credits, subset_credits, whole_pool_votes
from isoflop.selection.best_of_k import best_of_k, missing_probability, of_one_size
from isoflop.selection.majority import majority_exact, operations

# Beyond these the Monte Carlo is faster: subsets listed one by one, and multiply-adds of the exact majority.
MOST_SUBSETS = 4096
_MOST_OPERATIONS = 4e8
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
    credit, error = votes_of_problems([ballots], budgets, draws, lambda _: rng)
    return credit[0], error[0]


def votes_of_problems(
    problems: Sequence[Sequence[Ballot]],
    budgets: Sequence[int],
    draws: int,
    stream: Callable[[int], np.random.Generator],
) -> tuple[Floats, Floats]:
    """`vote_credits` of many problems, what is exact of all of them together.

    Parameters
    ----------
    problems
        Of every problem its ballots, as many of each.
    budgets
        Numbers of candidates k, rising, none above any pool.
    draws
        Random subsets of a problem where the credit has no closed form, at least 2.
    stream
        Where those of a problem come from, by its number.

    Returns
    -------
    Credits and their standard errors, each [problems, ballots, budgets].

    Raises
    ------
    ValueError
        For budgets that do not rise or lie outside 1 ... n.
    """
    smallest = min(ballots[0].size for ballots in problems)
    rising = all(low < high for low, high in pairwise(budgets))
    if not rising or budgets[0] < 1 or budgets[-1] > smallest:
        raise ValueError(f"budgets {tuple(budgets)} must rise within a pool of {smallest} candidates")
    exact = _exact([ballot for ballots in problems for ballot in ballots], budgets)
    credit = exact.reshape(len(problems), -1, len(budgets))
    error = np.zeros(credit.shape)
    unknown = np.isnan(credit)
    for problem in np.flatnonzero(unknown.any(axis=(1, 2))).tolist():
        # A ballot is exact at all budgets, or at those that the size of the pool alone decides.
        rows, columns = (np.flatnonzero(unknown[problem].any(axis=axis)) for axis in (1, 0))
        drawn = _monte_carlo(
            [problems[problem][row] for row in rows.tolist()],
            [budgets[column] for column in columns.tolist()],
            draws,
            stream(problem),
        )
        cells = np.ix_(rows, columns)
        credit[problem][cells], error[problem][cells] = drawn
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


def _exact(ballots: Sequence[Ballot], budgets: Sequence[int]) -> Floats:
    """Votes where they are known exactly, nan elsewhere, [ballots, budgets]."""
    credit = np.full((len(ballots), len(budgets)), np.nan)
    equal, others = [], []
    for row, ballot in enumerate(ballots):
        voters = int(np.count_nonzero(ballot.label))
        weights = ballot.weight[ballot.size - voters :]
        if ballot.losing == ballot.classes:
            credit[row] = 0.0
        elif ballot.classes == 1:
            nobody = missing_probability(ballot.size, tuple(budgets))[:, ballot.size - voters]
            credit[row] = ballot.class_credit[1] * (1.0 - nobody)
        elif weights.min() == weights.max() > 0 and operations(ballot, budgets[-1]) <= _MOST_OPERATIONS:
            equal.append(row)
        else:
            others.append(row)
    if equal:
        credit[equal] = majority_exact([ballots[row] for row in equal], budgets)
    for size, places in of_one_size([ballots[row].size for row in others]):
        rows = [others[place] for place in places]
        credit[rows] = _of_unequal_weights([ballots[row] for row in rows], size, budgets)
    return credit


def _of_unequal_weights(ballots: Sequence[Ballot], pool: int, budgets: Sequence[int]) -> Floats:
    """As `_exact`, of pools of one size: at budgets of 1, 2 and all candidates, and where subsets are few."""
    credit = np.full((len(ballots), len(budgets)), np.nan)
    # One or two candidates: the heavier vote decides, as in best-of-k; who has no vote comes last.
    small = [budget for budget in budgets if budget <= 2]
    if small:
        heaviest = np.stack([np.where(one.label > 0, one.weight, -1.0) for one in ballots])
        right = np.stack([one.class_credit[one.label] for one in ballots])
        credit[:, : len(small)] = best_of_k(heaviest, right, small)
    for column, budget in enumerate(budgets):
        if budget == pool:
            credit[:, column] = whole_pool_votes(ballots)
        elif budget > 2 and math.comb(pool, budget) <= MOST_SUBSETS:
            subsets = all_subsets(pool, budget)
            credit[:, column] = [subset_credits(one, subsets, (budget,)).mean() for one in ballots]
    return credit


def _monte_carlo(
    ballots: Sequence[Ballot], budgets: Sequence[int], draws: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Mean credit over random subsets and its standard error, shape [ballots, budgets].

    One random order of the pool serves all budgets and ballots: its first k candidates are a uniform
    k-subset for every k. `budgets` must rise.
    """
    total, squares = np.zeros((2, len(ballots), len(budgets)))
    alike = _alike(ballots)
    for start in range(0, draws, _CHUNK):
        drawn = random_orders(ballots[0].size, budgets[-1], min(_CHUNK, draws - start), rng)
        for rows in alike:
            credits = paired_credits([ballots[row] for row in rows], drawn, budgets)
            total[rows] += credits.sum(axis=2)
            squares[rows] += (credits**2).sum(axis=2)
    mean = total / draws
    variance = np.maximum(squares / draws - mean**2, 0.0) * draws / (draws - 1)
    return mean, np.sqrt(variance / draws)


def _alike(ballots: Sequence[Ballot]) -> list[list[int]]:
    """The ballots that differ in their weights alone, together."""
    groups: dict[tuple[bytes, bytes], list[int]] = {}
    for row, ballot in enumerate(ballots):
        groups.setdefault((ballot.label.tobytes(), ballot.class_credit.tobytes()), []).append(row)
    return list(groups.values())


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
    position = np.arange(length)[:, None]
    swaps = position + (rng.random((length, draws)) * (pool - position)).astype(np.int64)
    cells = swaps * draws + np.arange(draws)
    small = np.int16 if pool <= np.iinfo(np.int16).max else np.int64
    orders = np.repeat(np.arange(pool, dtype=small)[:, None], draws, axis=1)
    flat = orders.reshape(-1)
    for chosen, place in zip(cells, orders, strict=False):
        taken = flat.take(chosen)
        flat[chosen] = place
        place[:] = taken
    return orders[:length].astype(np.int64)
