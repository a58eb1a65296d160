"""Intervals by bootstrap over problems, paired across strategies.

One matrix of problem weights serves every strategy, model and budget on the same problems, so a difference
of two accuracies has an interval too, and common luck with the problems cancels in it. Each subset of
problems (a level) is bootstrapped on its own problems, with weights of its own: no replicate can be without a
problem of the subset.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from isoflop.arrays import Floats
from isoflop.errors import UserError
from isoflop.seeds import derive_seed


class Interval(NamedTuple):
    """A two-sided confidence interval; both ends are attainable values.

    Attributes
    ----------
    low, high
        Its ends.
    """

    low: float
    high: float


def problem_weights(problem_count: int, draws: int, seed: int, subset: str = "all") -> Floats:
    """Bootstrap weights: how often each problem is drawn, over the number of problems.

    Parameters
    ----------
    problem_count
        Number of problems, at least 1.
    draws
        Number of bootstrap replicates, at least 1.
    seed
        The experiment's.
    subset
        Name of the subset of problems (`all`, or a level), which is resampled on its own.

    Returns
    -------
    Weights, [draws, problem_count]; rows sum to 1, so `weights @ credits` is the accuracy of each replicate.

    Raises
    ------
    ValueError
        Without problems or replicates.

    Notes
    -----
    Fixed by the arguments alone: pass the same seed, and the problems in the same order, for everything that
    is compared.

    References
    ----------
    Efron 1979, Bootstrap Methods: Another Look at the Jackknife. doi:10.1214/aos/1176344552
    """
    if problem_count < 1 or draws < 1:
        raise ValueError(f"a bootstrap needs a problem and a replicate, not {problem_count} and {draws}")
    generator = np.random.default_rng(derive_seed("bootstrap", seed, subset))
    counts = generator.multinomial(problem_count, np.full(problem_count, 1.0 / problem_count), size=draws)
    weights: Floats = counts / problem_count
    return weights


def dataset_weights(dataset: str, problems: int, draws: int, seed: int, subset: str = "all") -> Floats:
    """The bootstrap weights of a data set in the experiment of some seed.

    Parameters
    ----------
    dataset
        Its name.
    problems
        How many it has.
    draws
        Bootstrap replicates.
    seed
        The experiment's.
    subset
        `all`, or a level.

    Returns
    -------
    Weights, [draws, problems]; rows sum to 1.
    """
    return problem_weights(problems, draws, derive_seed("fit", seed, dataset), subset)


def common_problems(datasets: Sequence[str], tables: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Tables of credits, each with the problems that all tables of its data set have.

    Parameters
    ----------
    datasets
        The data set of each table.
    tables
        Columns of `isoflop.tables.CREDITS`.

    Raises
    ------
    UserError
        No problem of a data set is in all its tables.
    """
    shared: dict[str, set[str]] = {}
    for dataset, table in zip(datasets, tables, strict=True):
        own = set(table["problem_id"])
        shared[dataset] = shared.get(dataset, own) & own
    for dataset, problems in shared.items():
        if not problems:
            raise UserError(f"problems: none of {dataset} is in all pools; leave out those with few problems")
    return [
        table[table["problem_id"].isin(shared[dataset])]
        for dataset, table in zip(datasets, tables, strict=True)
    ]


@dataclass
class Resampling:
    """The bootstrap weights of every data set and subset, drawn once and shared by all that is compared.

    Attributes
    ----------
    draws
        Bootstrap replicates.
    seed
        The experiment's.
    levels
        Of every data set's problems, [problems]; -1 where one has none.
    """

    draws: int
    seed: int
    levels: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    _problems: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    _weights: dict[tuple[str, str], Floats] = field(default_factory=dict)

    def check(self, dataset: str, problems: list[str], source: str) -> None:
        """Refuse a table if its problems differ from those of the data set's first table.

        Parameters
        ----------
        dataset
            Its name.
        problems
            Identifiers, sorted.
        source
            What the error names: the file.

        Raises
        ------
        UserError
            Where they differ.
        """
        first_source, first = self._problems.setdefault(dataset, (source, problems))
        if problems != first:
            differing = sorted(set(problems) ^ set(first))
            raise UserError(
                f"{source}: its problems differ from those of {first_source} in {len(differing)} identifiers "
                f"(first: {differing[0]}); `problems: common` in the config takes those that all have"
            )

    def problems(self, dataset: str) -> list[str]:
        """The identifiers of a data set's problems, in the order of all credits.

        Parameters
        ----------
        dataset
            Its name; one of its tables was checked.
        """
        return self._problems[dataset][1]

    def weights(self, dataset: str, subset: str, problem_count: int) -> Floats:
        """The bootstrap weights of a subset.

        Parameters
        ----------
        dataset, subset
            Their names.
        problem_count
            Problems of the subset.

        Returns
        -------
        Weights, [draws, problem_count].
        """
        key = (dataset, subset)
        if key not in self._weights:
            self._weights[key] = dataset_weights(dataset, problem_count, self.draws, self.seed, subset)
        return self._weights[key]


def with_measurement(weights: Floats) -> Floats:
    """The weights with those of the measurement, all equal, before them.

    Parameters
    ----------
    weights
        [draws, problems].

    Returns
    -------
    [1 + draws, problems].
    """
    count = weights.shape[1]
    return np.vstack([np.full((1, count), 1.0 / count), weights])


def subset_means(values: Floats, weights: Floats, members: NDArray[np.bool_]) -> Floats:
    """Weighted means over some of the problems.

    Parameters
    ----------
    values
        [..., problems].
    weights
        [draws, problems].
    members
        Which problems count, [problems].

    Returns
    -------
    [..., draws]; nan where a replicate has none of the problems.
    """
    part = weights[:, members]
    with np.errstate(invalid="ignore"):
        means: Floats = values[..., members] @ part.T / part.sum(axis=1)
    return means


def accuracy_interval(credits: Floats, weights: Floats, confidence: float = 0.95) -> Interval:
    """Interval of the mean credit over problems: spans bootstrap percentiles and a score interval.

    Parameters
    ----------
    credits
        In [0, 1], [problems].
    weights
        From `problem_weights`, [draws, problems].
    confidence
        In (0, 1).

    Returns
    -------
    Both ends in [0, 1]; a single problem says nothing about others: [0, 1].

    Notes
    -----
    The bootstrap knows no other credits than those seen: near an accuracy of 0 or 1 its intervals are too
    short, and where all credits are equal they claim certainty. So z^2 / 2 problems with credit 0 and as
    many with 1 are added, the variance is taken over all, and the interval reaches at least that far.

    References
    ----------
    Agresti and Coull 1998, Approximate Is Better than "Exact" for Interval Estimation of Binomial
    Proportions. doi:10.1080/00031305.1998.10480550
    """
    pseudo = float(ndtri(0.5 + confidence / 2.0)) ** 2
    return _interval(credits, weights @ credits, confidence, (0.0, 1.0), pseudo / 2.0, pseudo)


def difference_interval(first: Floats, second: Floats, weights: Floats, confidence: float = 0.95) -> Interval:
    """Interval of mean(first) - mean(second), paired by problem, made as in `accuracy_interval`.

    Parameters
    ----------
    first, second
        Credits of the same problems in the same order, in [0, 1], [problems].
    weights
        From `problem_weights`, [draws, problems].
    confidence
        In (0, 1).

    Returns
    -------
    Both ends in [-1, 1]; a single problem gives [-1, 1].

    Notes
    -----
    The problems added are two: half of one at -1, half of one at 1, and one where both agree.

    References
    ----------
    Agresti and Min 2005, Simple improved confidence intervals for comparing matched proportions.
    doi:10.1002/sim.1781
    """
    difference = first - second
    return mean_difference_interval(difference, weights @ difference, confidence)


def mean_difference_interval(difference: Floats, draws: Floats, confidence: float = 0.95) -> Interval:
    """`difference_interval` where the replicates of the mean are known already.

    Parameters
    ----------
    difference
        In [-1, 1], [problems].
    draws
        The mean in every replicate, [draws].
    confidence
        In (0, 1).

    Returns
    -------
    Both ends in [-1, 1].
    """
    return _interval(difference, draws, confidence, (-1.0, 1.0), 0.5, 2.0)


def percentile_interval(samples: Floats, confidence: float = 0.95) -> Interval:
    """The central interval of bootstrap replicates.

    Parameters
    ----------
    samples
        [draws]; infinite ones are allowed.
    confidence
        In (0, 1).

    Returns
    -------
    Two of the replicates; nan where any of them is.
    """
    tail = (1.0 - confidence) / 2.0
    indices = np.rint(np.array([tail, 1.0 - tail]) * (samples.size - 1)).astype(np.int64)
    if np.isnan(samples).any():
        return Interval(float("nan"), float("nan"))
    low, high = np.partition(samples, indices)[indices]
    return Interval(float(low), float(high))


def known_interval(samples: Floats, confidence: float = 0.95) -> Interval:
    """`percentile_interval` of the replicates that are numbers: one may be without any of what is measured.

    Parameters
    ----------
    samples
        [draws]; nan where there is no number.
    confidence
        In (0, 1).

    Returns
    -------
    Two of the replicates.
    """
    return percentile_interval(samples[~np.isnan(samples)], confidence)


def share_interval(value: float, samples: Floats, problems: int, confidence: float = 0.95) -> Interval:
    """`known_interval` of a share, wider where its replicates know no other.

    Parameters
    ----------
    value
        As measured, in [0, 1].
    samples
        [draws]; nan where a replicate has nothing that it is a share of.
    problems
        How many it is about, at least 1.
    confidence
        In (0, 1).

    Returns
    -------
    Of a share of 0 or 1, the interval of so many problems with one answer each; of one problem [0, 1].
    """
    if value in (0.0, 1.0) or problems == 1:
        alike = np.full(problems, value)
        return accuracy_interval(alike, np.full((1, problems), 1.0 / problems), confidence)
    return known_interval(samples, confidence)


def _interval(
    values: Floats,
    samples: Floats,
    confidence: float,
    ends: tuple[float, float],
    at_each_end: float,
    added: float,
) -> Interval:
    """Percentiles of `samples`, widened as if `added` more problems were known, some at both `ends`."""
    floor, ceiling = ends
    if values.size == 1:
        return Interval(floor, ceiling)
    count = values.size + added
    mean = (values.sum() + at_each_end * (floor + ceiling)) / count
    square = ((values**2).sum() + at_each_end * (floor**2 + ceiling**2)) / count
    half = float(ndtri(0.5 + confidence / 2.0) * np.sqrt((square - mean**2) / count))
    low, high = percentile_interval(samples, confidence)
    return Interval(max(min(low, float(mean) - half), floor), min(max(high, float(mean) + half), ceiling))
