"""How hard a problem is for one policy: quantile bins of what its samples say (Snell et al. 2024, 3.2).

Oracle difficulty is the share of samples that are right (pass@1); predicted difficulty is the mean score
that a verifier gives to the samples, which needs no reference answer. Both are a policy's own: another policy
finds other problems hard.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from isoflop.arrays import Bools, Floats, Ints
from isoflop.errors import UserError
from isoflop.registries import cost_columns
from isoflop.tables import DIFFICULTY, verified, with_columns


def pass_rates(correct: Bools, sizes: Ints) -> Floats:
    """The share of right samples of each problem: oracle difficulty.

    Parameters
    ----------
    correct
        Problem by problem, [candidates].
    sizes
        Candidates per problem, at least 1 each, [problems].

    Returns
    -------
    Shares in [0, 1], [problems].

    References
    ----------
    Snell et al. 2024, Scaling LLM Test-Time Compute Optimally, section 3.2. doi:10.48550/arXiv.2408.03314
    """
    return _means(correct.astype(np.float64), sizes)


def mean_scores(scores: Floats, sizes: Ints, *, whole: bool = True) -> Floats:
    """The mean score of each problem's samples: predicted difficulty.

    Parameters
    ----------
    scores
        One per solution, [candidates]; nan for one that was too long to be scored, which is left out.
    sizes
        Candidates per problem, [problems].
    whole
        Whether every problem must have a score; if not, one without counts as the median problem.

    Returns
    -------
    [problems].

    Raises
    ------
    UserError
        For a problem without a score, if all must have one.

    References
    ----------
    Snell et al. 2024, Scaling LLM Test-Time Compute Optimally, section 3.2. doi:10.48550/arXiv.2408.03314
    """
    known = np.isfinite(scores)
    counts = _sums(known.astype(np.float64), sizes)
    if not counts.all():
        if not whole and counts.any():
            means = _sums(np.where(known, scores, 0.0), sizes) / np.maximum(counts, 1.0)
            return np.where(counts > 0, means, np.median(means[counts > 0]))
        raise UserError(
            f"problem {int(np.argmin(counts))} has no scored sample, so its difficulty cannot be predicted; "
            "use a verifier that takes longer solutions"
        )
    return _sums(np.where(known, scores, 0.0), sizes) / counts


def quantile_bins(values: Floats, bins: int) -> Ints:
    """The quantile bin of each problem, 1 (the largest values: easiest) to the number of bins (hardest).

    Parameters
    ----------
    values
        Finite, [problems].
    bins
        How many, at least 1.

    Returns
    -------
    Bins, [problems].

    Raises
    ------
    ValueError
        For fewer than one bin or a value that is not finite.

    Notes
    -----
    Problems of one value are in one bin, that of their middle rank: what a pool cannot tell apart is not told
    apart by the order of the problems. Where all values differ, bins differ in size by one problem at most.

    References
    ----------
    Snell et al. 2024, Scaling LLM Test-Time Compute Optimally, section 3.2. doi:10.48550/arXiv.2408.03314
    """
    if bins < 1 or not np.all(np.isfinite(values)):
        raise ValueError("bins start at 1, and difficulties are finite")
    _, group, counts = np.unique(-values, return_inverse=True, return_counts=True)
    # Twice the number of problems before the middle of the group, in whole numbers: no rounding at an edge.
    doubled_middle = 2 * np.cumsum(counts) - counts
    result: Ints = (bins * doubled_middle // (2 * values.size)).astype(np.int64)[group] + 1
    return result


def join_singles(bins: Ints) -> Ints:
    """The bins with each of a single problem joined to the next harder one, the hardest to the next easier.

    Parameters
    ----------
    bins
        [problems].

    Returns
    -------
    [problems].

    Notes
    -----
    Choosing and measuring need a problem each, and a study should not end for want of one.
    """
    joined = bins.copy()
    names, counts = np.unique(joined, return_counts=True)
    while names.size > 1 and counts.min() == 1:
        single = int(np.argmin(counts))
        joined[joined == names[single]] = names[single + 1 if single + 1 < names.size else single - 1]
        names, counts = np.unique(joined, return_counts=True)
    return joined


def _means(values: Floats, sizes: Ints) -> Floats:
    return _sums(values, sizes) / sizes


def _sums(values: Floats, sizes: Ints) -> Floats:
    result: Floats = np.add.reduceat(values, np.cumsum(sizes) - sizes)
    return result


def difficulty_schema(costs: Sequence[str]) -> pa.Schema:
    """DIFFICULTY of a study with these cost models beyond those of every study.

    Parameters
    ----------
    costs
        Cost models beyond those of every study.
    """
    further = cost_columns(costs)
    return with_columns(DIFFICULTY, (*further, *map(verified, further)))
