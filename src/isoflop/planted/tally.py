"""How often something was said, and how often falsely, with exact intervals."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from isoflop.verdicts.judge import NOT_TESTED, UNDECIDED


class Rate(NamedTuple):
    """A share of studies with its 95% interval (Wilson 1927)."""

    share: float
    low: float
    high: float


def rate(hits: int, trials: int, confidence: float = 0.95) -> Rate:
    """`hits` of `trials`; NaN of none."""
    if not trials:
        return Rate(np.nan, np.nan, np.nan)
    interval = binomtest(hits, trials).proportion_ci(confidence, "wilson")
    return Rate(hits / trials, float(interval.low), float(interval.high))


@dataclass
class Tally:
    """What was said of one sentence in one world, and whether it was true.

    `studies`: that said anything, "undecided" included. `false`, `right`: decided verdicts that are not true
    and that are. `covered` of `intervals`: intervals of parts and means that hold the true value.
    """

    studies: int = 0
    said: dict[str, int] = field(default_factory=dict)
    false: int = 0
    right: int = 0
    covered: int = 0
    intervals: int = 0

    def add(self, verdict: str, false: bool, covered: int = 0, intervals: int = 0) -> None:
        """One study's verdict."""
        self.studies += 1
        self.said[verdict] = self.said.get(verdict, 0) + 1
        decided = verdict not in (UNDECIDED, NOT_TESTED)
        self.false += decided and false
        self.right += decided and not false
        self.covered += covered
        self.intervals += intervals

    def merge(self, other: "Tally") -> None:
        """Add another's studies."""
        self.studies += other.studies
        for verdict, count in other.said.items():
            self.said[verdict] = self.said.get(verdict, 0) + count
        self.false += other.false
        self.right += other.right
        self.covered += other.covered
        self.intervals += other.intervals
