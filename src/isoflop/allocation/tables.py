"""The tables of a study of choice: accuracy by difficulty, compute-optimal choice, exchange."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isoflop.allocation.choice import NO_DIFFICULTY, ChoiceCurve
from isoflop.allocation.elements import drawn_element
from isoflop.allocation.exchange_study import Exchanged
from isoflop.allocation.options import GENERATIONS
from isoflop.allocation.study import Studied
from isoflop.arrays import Floats
from isoflop.estimate import fraction, number
from isoflop.fits.bootstrap import accuracy_interval, known_interval
from isoflop.registries import CLAIM_COSTS, cost_columns

BY_DIFFICULTY = (
    "experiment", "dataset", "policy", "family", "strategy", "budget", "samples", "difficulty", "bin",
    "problems", "accuracy", "ci_low", "ci_high", "flops_wu2024", "flops_total",
)  # fmt: skip
COMPUTE_OPTIMAL = (
    "experiment", "dataset", "policy", "family", "baseline", "axis", "difficulty", "bin", "budget", "knee",
    "options", "spent",
    "accuracy", "ci_low", "ci_high", "baseline_accuracy", "gain", "gain_low", "gain_high", "saved",
    "saved_low", "saved_high", "saved_charged", "saved_charged_low", "saved_charged_high", "chosen",
)  # fmt: skip
EXCHANGE = (
    "experiment", "dataset", "small", "large", "family", "cost_model", "difficulty", "told_by", "ratio",
    "size_ratio", "multiplier", "flops_matched", "flops_spent", "flops_difficulty", "measured_enough", "bin",
    "problems", "small_accuracy", "large_accuracy", "difference", "difference_low", "difference_high",
)  # fmt: skip

ALL = "all"
# What names one study of choice in its tables.
STUDY = ("dataset", "family", "policy")


def by_difficulty(
    studied: Sequence[Studied], experiment: str, level: float, costs: Sequence[str] = ()
) -> pd.DataFrame:
    """Every option's accuracy in every bin of every difficulty; `samples` is what its budget counts as.

    Parameters
    ----------
    studied
        In the order of the table.
    experiment
        Its name.
    level
        Of intervals, in (0, 1).
    costs
        Cost models beyond those of every study.

    Notes
    -----
    Where a pool is halved, numbers are means of both ways, the ends of intervals too: as wide as one way's.
    """
    rows = []
    axes = cost_columns((*CLAIM_COSTS, *costs))
    for study in studied:
        for kind, bins in study.bins.items():
            if kind == NO_DIFFICULTY:
                continue
            samples = bins.options.costs[GENERATIONS].mean(axis=1)
            for name in bins.names:
                views = [(view, view.bins == name) for view in bins.views if (view.bins == name).any()]
                weights = [_within(study.weights, members) for _, members in views]
                count = np.mean([members.sum() for _, members in views])
                for option, member in enumerate(bins.options.members):
                    measured = []
                    for (view, members), weight in zip(views, weights, strict=True):
                        credit = view.options.credits[option, members]
                        paid = [view.options.costs[axis][option, members].mean() for axis in axes]
                        measured.append([credit.mean(), *accuracy_interval(credit, weight, level), *paid])
                    means = np.mean(measured, axis=0).tolist()
                    rows.append(
                        [
                            experiment, study.dataset, study.policy, study.family, member,
                            str(bins.options.budgets[option]), number(float(samples[option])), kind,
                            str(name), number(float(count)), *map(fraction, means[:3]), *map(number,
                            means[3:]),
                        ]
                    )  # fmt: skip
    further = (name for name in axes if name not in BY_DIFFICULTY)
    return pd.DataFrame(rows, columns=[*BY_DIFFICULTY, *further])


def compute_optimal(studied: Sequence[Studied], experiment: str, level: float) -> pd.DataFrame:
    """Choice against the baseline at every budget, for all problems and per bin.

    Parameters
    ----------
    studied
        In the order of the table.
    experiment
        Its name.
    level
        Of intervals, in (0, 1).

    Notes
    -----
    `saved` is for all problems only: the least compute at which the baseline has its accuracy at that budget
    over the least at which the choice has it, 0 where it does not reach it. In the row of the `knee`, the
    first budget at which the baseline is within a point of its best, it is that of coming within a point of
    that best.
    """
    rows = []
    for study in studied:
        for curve in study.curves.values():
            for index in range(curve.targets.size):
                for name, cells in _cells(curve, index, level):
                    rows.append(
                        [
                            experiment, study.dataset, study.policy, study.family, study.baseline, curve.axis,
                            curve.kind, name, number(float(curve.targets[index])),
                            "true" if index == curve.knee else "false",
                            str(int(curve.between[index])), number(float(curve.spent[index])), *cells,
                        ]
                    )  # fmt: skip
    return pd.DataFrame(rows, columns=list(COMPUTE_OPTIMAL))


def last_choices(table: pd.DataFrame) -> pd.DataFrame:
    """At equal numbers of samples and for all problems, the last budget of each policy that has a choice.

    Parameters
    ----------
    table
        Of `compute_optimal`, numbers as numbers.

    Notes
    -----
    Of the budgets that all ways of telling difficulty have: where a pool is halved, they end earlier.
    """
    rows = table[(table["axis"] == GENERATIONS) & (table["bin"] == ALL) & (table["options"] > 1)]
    keys = [rows[name] for name in STUDY]
    last = rows.groupby([*STUDY, "difficulty"])["budget"].transform("max").groupby(keys).transform("min")
    return rows[rows["budget"] == last]


def _cells(curve: ChoiceCurve, index: int, level: float) -> Iterator[tuple[str, list[str]]]:
    saved = [
        text
        for draws in (curve.saved[index], curve.saved_charged[index])
        for text in _numbers(np.exp(draws), level)
    ]
    yield (
        ALL,
        [
            *_compared(curve.accuracy[index], curve.baseline[index], len(curve.options.problems), level),
            *saved,
            curve.chosen(index),
        ],
    )
    if len(curve.names) < 2:
        return
    for row, name in enumerate(curve.names):
        yield (
            str(name),
            [
                *_compared(
                    curve.by_bin[row, index], curve.baseline_by_bin[row, index], curve.problems[row], level
                ),
                *[""] * len(saved),
                curve.chosen(index, name),
            ],
        )


def exchange(exchanged: Sequence[Exchanged], experiment: str, level: float) -> pd.DataFrame:
    """The small model's choice against the larger one's greedy answers at equal total compute.

    Parameters
    ----------
    exchanged
        In the order of the table.
    experiment
        Its name.
    level
        Of intervals, in (0, 1).
    """
    rows = []
    for pair in exchanged:
        gap = pair.small - pair.large
        low, high = drawn_element(gap, pair.problems, level).interval
        rows.append(
            [
                experiment, pair.dataset, pair.small_policy, pair.large_policy, pair.family, pair.cost_model,
                pair.kind, pair.told_by, number(pair.ratio), number(pair.size_ratio), number(pair.multiplier),
                number(pair.matched), number(pair.spent), number(pair.charge),
                "true" if pair.enough else "false", ALL if pair.bin == 0 else str(pair.bin),
                number(pair.problems),
                *map(fraction, (float(pair.small[0]), float(pair.large[0]), float(gap[0]), low, high)),
            ]
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(EXCHANGE))


def _compared(accuracy: Floats, baseline: Floats, problems: float, level: float) -> list[str]:
    gain = accuracy - baseline
    return [
        fraction(float(accuracy[0])),
        *map(fraction, known_interval(accuracy[1:], level)),
        fraction(float(baseline[0])),
        fraction(float(gain[0])),
        *map(fraction, drawn_element(gain, problems, level).interval),
    ]


def _numbers(draws: Floats, level: float) -> list[str]:
    return [number(float(draws[0])), *map(number, known_interval(draws[1:], level))]


def _within(weights: Floats, members: NDArray[np.bool_]) -> Floats:
    """Weights of some of the problems, rows summing to 1; draws without any of them are left out."""
    part = weights[:, members]
    mass = part.sum(axis=1, keepdims=True)
    result: Floats = part[mass[:, 0] > 0] / mass[mass[:, 0] > 0]
    return result
