"""Accuracy at budget k from a pool of n candidates, in closed form: pass@k and best-of-k.

Both are the expectation over all subsets of k candidates of one problem's pool, drawn without replacement,
so they are unbiased for k fresh samples at every k <= n and do not depend on sample order. Voting has no
closed form in general; see `isoflop.selection.voting`.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from isoflop.arrays import Bools, Floats, Ints

# Sums of the same weights in another order differ by less than this share, distinct ones almost never.
TIE = 1e-12
# Problems evaluated together: bounds memory.
_ROWS = 64


@lru_cache(maxsize=256)
def missing_probability(pool: int, budgets: tuple[int, ...]) -> Floats:
    """C(a, k) / C(pool, k) for every a: the chance that a k-subset lies within a given `a` candidates.

    Parameters
    ----------
    pool
        Number of candidates n.
    budgets
        Sizes of subsets k.

    Returns
    -------
    Probabilities, [budgets, pool + 1], by the second index a = 0 ... pool. Read-only, for the array is
    shared.

    Raises
    ------
    ValueError
        For a budget outside 1 ... pool.
    """
    if min(budgets) < 1 or max(budgets) > pool:
        raise ValueError(f"budgets {budgets} do not fit a pool of {pool} candidates")
    sizes = np.arange(1, pool + 1, dtype=np.float64)
    budget = np.asarray(budgets, dtype=np.float64)[:, None]
    # C(a - 1, k) = C(a, k) (a - k) / a, from a = pool downwards.
    steps = np.maximum(sizes - budget, 0.0) / sizes
    table = np.ones((len(budgets), pool + 1))
    table[:, :-1] = np.cumprod(steps[:, ::-1], axis=1)[:, ::-1]
    table.flags.writeable = False
    return table


def pass_at_k(correct: Bools, budgets: Sequence[int]) -> Floats:
    """pass@k: the share of k-subsets with at least one correct candidate.

    Parameters
    ----------
    correct
        Whether each candidate of one problem is right, [candidates].
    budgets
        Sizes of subsets k.

    Returns
    -------
    Shares in [0, 1], [budgets].

    Raises
    ------
    ValueError
        For a budget outside 1 ... n.

    Notes
    -----
    1 - C(n - c, k) / C(n, k) for c correct candidates of n.

    References
    ----------
    Chen et al. 2021, Evaluating Large Language Models Trained on Code, Equation 1.
    doi:10.48550/arXiv.2107.03374
    """
    table = missing_probability(correct.size, tuple(budgets))
    result: Floats = 1.0 - table[:, correct.size - int(np.count_nonzero(correct))]
    return result


def coverage_of_counts(samples: Ints, correct: Ints, budgets: Sequence[int]) -> Floats:
    """pass@k of problems of which only the number of samples and of right ones is known.

    Parameters
    ----------
    samples, correct
        n and c of every problem, [problems].
    budgets
        Numbers k of samples, none above any n.

    Returns
    -------
    1 - C(n - c, k) / C(n, k), exact, [budgets, problems].

    Raises
    ------
    ValueError
        For a budget outside 1 ... n.

    References
    ----------
    Chen et al. 2021, Evaluating Large Language Models Trained on Code, Eq. 1. doi:10.48550/arXiv.2107.03374
    """
    found = np.empty((len(budgets), samples.size))
    for pool in np.unique(samples).tolist():
        same = samples == pool
        found[:, same] = 1.0 - missing_probability(pool, tuple(budgets))[:, pool - correct[same]]
    return found


def best_of_k(scores: Floats, credit: NDArray[np.generic], budgets: Sequence[int]) -> Floats:
    """Best-of-k: the expected credit of the highest-scored candidate of a random k-subset.

    Parameters
    ----------
    scores
        Of the candidates of one problem, [candidates], or of problems with as many, [problems, candidates].
    credit
        Their correctness, of the shape of `scores`.
    budgets
        Sizes of subsets k.

    Returns
    -------
    Credits in [0, 1], [budgets] or [problems, budgets].

    Raises
    ------
    ValueError
        For a budget outside 1 ... n.

    Notes
    -----
    sum_g (C(e_g, k) - C(s_g, k)) / C(n, k) credit_g over groups g of equal scores, from low to high, with s_g
    candidates below a group and e_g up to its end. Candidates tied at the top share: a tied group contributes
    the mean correctness of its members, which by symmetry is that of the members in the subset. What a
    problem gets does not depend on the others, to the last bit.
    """
    if scores.ndim == 1:
        one: Floats = best_of_k(scores[None], credit[None], budgets)[0]
        return one
    problems, pool = scores.shape
    table = missing_probability(pool, tuple(budgets))
    # The second key makes rounding independent of sample order within a tied group.
    order = np.lexsort((credit, scores))
    ranked = np.take_along_axis(scores, order, axis=1)
    credits = np.take_along_axis(credit, order, axis=1).astype(np.float64)
    first = np.ones((problems, pool), dtype=np.bool_)
    first[:, 1:] = np.diff(ranked) > TIE * np.abs(ranked[:, 1:])
    starts = np.flatnonzero(first)
    sizes = np.diff(starts, append=first.size)
    mean_credit = np.add.reduceat(credits.ravel(), starts) / sizes
    begin = starts % pool
    groups = first.sum(axis=1)
    offsets = np.cumsum(groups) - groups
    result = np.empty((problems, len(budgets)))
    # Problems with as many groups together: sums over as many terms are rounded alike.
    for count, rows in of_one_size(groups.tolist()):
        for part in range(0, len(rows), _ROWS):
            chosen = rows[part : part + _ROWS]
            members = offsets[chosen][:, None] + np.arange(count)
            starting = begin[members]
            top_is_group = table[:, starting + sizes[members]] - table[:, starting]
            result[chosen] = (top_is_group * mean_credit[members]).sum(axis=2).T
    return np.clip(result, 0.0, 1.0)


def of_one_size(sizes: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """What can be computed together: the pools of each size.

    Parameters
    ----------
    sizes
        [pools].

    Yields
    ------
    Each size, rising, and the pools that have it.
    """
    members: dict[int, list[int]] = {}
    for row, size in enumerate(sizes):
        members.setdefault(size, []).append(row)
    yield from sorted(members.items())
