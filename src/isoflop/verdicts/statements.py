"""Statements and their parts, which isoflop.verdicts.judge judges: statistics with joint bootstrap
replicates, and how wide their intervals are, each alone and all together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtri

from isoflop.arrays import Bools, Floats
from isoflop.fits.bootstrap import Interval, known_interval, mean_difference_interval, subset_means
from isoflop.fits.evidence import Evidence

Quantifier = Literal["for all", "on average", "there is"]
# A statistic about some of the problems needs as many: hardly a replicate is then without any of them.
FEWEST_PROBLEMS = 20


@dataclass(frozen=True)
class Element:
    """A statistic with its bootstrap: `draws`, [1 + draws], what was measured first.

    `error`: standard error. `interval`: its own, at the level of the evidence; both as wide near certainty as
    `isoflop.fits.bootstrap.difference_interval`.
    """

    draws: Floats
    error: float
    interval: Interval

    @property
    def value(self) -> float:
        """What was measured."""
        return float(self.draws[0])

    def within(self, critical: float) -> Interval:
        """The interval of so many standard errors either way."""
        return Interval(self.value - critical * self.error, self.value + critical * self.error)


@dataclass(frozen=True)
class Part:
    """One part of a statement; with several elements all of them must be positive, so the least counts.

    `note` is printed beside the numbers.
    """

    name: str
    statistic: str
    elements: tuple[Element, ...]
    note: str = ""

    @property
    def value(self) -> float:
        """The least of the elements."""
        return min(element.value for element in self.elements)

    def alone(self, level: float) -> Interval:
        """Its own interval. Of several elements, the lower end is the least one's (an intersection-union
        test), the upper end follows from intervals that hold jointly at `level`.
        """
        low = min(element.interval.low for element in self.elements)
        if len(self.elements) > 1:
            return Interval(low, self.within(critical_value(self.elements, level)).high)
        return Interval(low, self.elements[0].interval.high)

    def within(self, critical: float) -> Interval:
        """The interval that follows from those of so many standard errors of its elements."""
        each = [element.within(critical) for element in self.elements]
        return Interval(min(interval.low for interval in each), min(interval.high for interval in each))


def mean_element(values: Floats, evidence: Evidence) -> Element:
    """The mean over problems of `values`, [problems], each in [-1, 1]."""
    draws = evidence.drawn @ values
    interval = mean_difference_interval(values, draws[1:], evidence.level)
    return Element(draws, max(float(draws[1:].std()), float(widened_error(values))), interval)


def subset_element(values: Floats, evidence: Evidence, plus: Bools, minus: Bools) -> Element:
    """The mean of `values` over the problems of `plus` minus that over those of `minus`.

    Each subset has at least FEWEST_PROBLEMS problems.
    """
    draws = subset_means(values, evidence.drawn, plus) - subset_means(values, evidence.drawn, minus)
    draws = np.where(np.isnan(draws), draws[0], draws)
    error = float(np.hypot(widened_error(values[plus]), widened_error(values[minus])))
    error = max(error, float(draws[1:].std()))
    low, high = known_interval(draws[1:], evidence.level)
    half = normal_width(evidence.level) * error
    return Element(
        draws, error, Interval(min(low, float(draws[0]) - half), max(high, float(draws[0]) + half))
    )


def mean_part(name: str, statistic: str, values: Floats, evidence: Evidence, note: str = "") -> Part:
    """A part of one mean over problems."""
    return Part(name, statistic, (mean_element(values, evidence),), note)


def widened_error(values: Floats) -> Floats:
    """Standard errors of means over the last axis with half a problem at -1, half at 1 and one at 0 added.

    Agresti and Min 2005: where all differences are equal, a bootstrap would claim certainty.
    """
    count = values.shape[-1] + 2.0
    mean = values.sum(axis=-1) / count
    square = (np.einsum("...p,...p->...", values, values) + 1.0) / count
    errors: Floats = np.sqrt((square - mean**2) / count)
    return errors


def critical_value(elements: Sequence[Element], level: float) -> float:
    """How many standard errors the intervals of all `elements` need to hold jointly at `level` (max-T).

    No fewer than a single one needs by the normal distribution.
    """
    draws = np.array([element.draws for element in elements])
    errors = np.array([element.error for element in elements])
    deviations = np.abs(draws[:, 1:] - draws[:, :1]) / errors[:, None]
    joint = float(np.quantile(deviations.max(axis=0), level, method="higher"))
    return max(joint, normal_width(level))


@dataclass(frozen=True)
class Statement:
    """What parts say together.

    `primary`: their mean, for `on average` only. `margin`: by how much a part may be below 0, for `for all`.
    `lower_bound`: parts are measured at less than what they stand for, so one below 0 decides nothing.
    `untested`: parts that the statement is about too and that could not be measured.
    """

    text: str
    quantifier: Quantifier
    parts: tuple[Part, ...]
    primary: Part | None = None
    margin: float = 0.0
    lower_bound: bool = False
    untested: tuple[str, ...] = ()


def on_average(
    text: str,
    statistic: str,
    values: Mapping[str, Floats],
    evidence: Evidence,
    notes: Mapping[str, str] | None = None,
) -> Statement:
    """A statement about the mean of parts. `values`: vectors of problems by the parts' names."""
    parts = tuple(
        mean_part(name, statistic, vector, evidence, (notes or {}).get(name, ""))
        for name, vector in values.items()
    )
    primary = mean_part(_mean_name(len(parts)), statistic, np.mean(list(values.values()), axis=0), evidence)
    return Statement(text, "on average", parts, primary)


def mean_of_parts(text: str, parts: Sequence[Part], level: float) -> Statement:
    """A statement about the mean of parts that are no plain means over problems.

    Of parts of several elements each, the means of the elements must all be positive.
    """
    columns = zip(*(part.elements for part in parts), strict=True)
    elements = tuple(_mean_element(column, level) for column in columns)
    primary = Part(_mean_name(len(parts)), parts[0].statistic, elements)
    return Statement(text, "on average", tuple(parts), primary)


def _mean_element(elements: Sequence[Element], level: float) -> Element:
    draws = np.mean([element.draws for element in elements], axis=0)
    # Each one's own widening, as if all were one.
    wider = max(float(draws[1:].std()), min(element.error for element in elements) / np.sqrt(len(elements)))
    low, high = known_interval(draws[1:], level)
    half = normal_width(level) * wider
    return Element(
        draws, wider, Interval(min(low, float(draws[0]) - half), max(high, float(draws[0]) + half))
    )


def _mean_name(parts: int) -> str:
    return "the only part" if parts == 1 else f"mean of {parts} parts"


def normal_width(level: float) -> float:
    """How many standard errors a normal interval of coverage `level` takes either way."""
    return float(ndtri(0.5 + level / 2))
