"""How well scores tell right candidates from wrong ones: AUC over all of them, and within each problem."""

import numpy as np

from isoflop.arrays import Bools, Floats, Ints

# Numbers in flight: 32 MiB.
_BLOCK = 2**22


def drawn_aucs(scores: Floats, right: Bools, problem: Ints, counts: Floats) -> Floats:
    """The chance that a random right candidate scores above a random wrong one, in every replicate.

    Parameters
    ----------
    scores
        Comparable between problems, [candidates].
    right
        [candidates].
    problem
        The number of each candidate's problem, from 0, [candidates].
    counts
        How often each problem is drawn, whole numbers, [draws, problems].

    Returns
    -------
    [draws]; nan where a replicate has no right or no wrong candidate.

    Notes
    -----
    Ties count half. A pair counts as often as both of its candidates are drawn. All sums are of whole
    numbers, so no order of adding changes them.

    References
    ----------
    Hanley and McNeil 1982, The meaning and use of the area under a receiver operating characteristic (ROC)
    curve. doi:10.1148/radiology.143.1.7063747
    """
    order = np.argsort(scores, kind="stable")
    rising, hit, owner = scores[order], right[order], problem[order]
    wrong = rising[~hit]
    below = np.searchsorted(wrong, rising[hit], side="left")
    not_above = np.searchsorted(wrong, rising[hit], side="right")
    drawn = np.empty(counts.shape[0])
    step = max(1, _BLOCK // max(1, scores.size))
    for start in range(0, drawn.size, step):
        times = np.ascontiguousarray(counts[start : start + step].T)
        passed = np.zeros((wrong.size + 1, times.shape[1]))
        np.cumsum(times[owner[~hit]], axis=0, out=passed[1:])
        rights = times[owner[hit]]
        won = (rights * (passed[below] + passed[not_above])).sum(axis=0)
        with np.errstate(invalid="ignore"):
            drawn[start : start + step] = won / (2.0 * rights.sum(axis=0) * passed[-1])
    return drawn


def problem_aucs(scores: Floats, right: Bools, problem: Ints, problems: int) -> Floats:
    """The same chance among the candidates of each problem.

    Parameters
    ----------
    scores
        Comparable within a problem, [candidates].
    right
        [candidates].
    problem
        The number of each candidate's problem, from 0, [candidates].
    problems
        How many there are.

    Returns
    -------
    [problems]; nan where one has no right or no wrong candidate.
    """
    order = np.lexsort((scores, problem))
    rising, hit, owner = scores[order], right[order], problem[order]
    differs = (rising[1:] != rising[:-1]) | (owner[1:] != owner[:-1])
    tied = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(differs)])[: rising.size]
    sizes = np.bincount(tied)
    # Ranks from 1 through all problems; the tied share their middle one.
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2.0)[tied]
    candidates = np.bincount(owner, minlength=problems)
    rights = np.bincount(owner[hit], minlength=problems)
    before = np.cumsum(candidates) - candidates
    ranked = np.bincount(owner[hit], weights=ranks[hit], minlength=problems) - rights * before
    with np.errstate(invalid="ignore"):
        aucs: Floats = (ranked - rights * (rights + 1) / 2.0) / (rights * (candidates - rights))
    return aucs
