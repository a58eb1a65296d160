"""How often verdicts err on planted worlds: what was said of each study against what is true of its world.

A statement's truth follows from its parts on `World.truth`, where every part has its true value: "for all" is
true where every part is above minus the margin, and truly contradicted where some part is below 0; "on
average" by the mean of the parts; "there is" where some part is above 0, contradicted where none is. A true
value of 0 speaks for neither side, so every decided verdict about it is false.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from isoflop.verdicts import (
    CONTRADICTED,
    MIXED,
    NOT_TESTED,
    SUPPORTED,
    UNDECIDED,
    Claim,
    ClaimJudged,
    Part,
    Statement,
    StatementJudged,
)

# True values nearer to 0 than this are 0: a hundredth of a point.
TRUE_ZERO = 1e-4


class Rate(NamedTuple):
    """A share of studies with its 95% interval (Wilson 1927)."""

    share: float
    low: float
    high: float


def rate(hits: int, trials: int, confidence: float = 0.95) -> Rate:
    """`hits` of `trials`; NaN of none."""
    if not trials:
        return Rate(np.nan, np.nan, np.nan)
    z = float(ndtri(0.5 + confidence / 2.0))
    share = hits / trials
    middle = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2)) / (1 + z**2 / trials)
    return Rate(share, max(0.0, float(middle - half)), min(1.0, float(middle + half)))


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


def score_claim(tally: Tally, judged: ClaimJudged, truth: Claim) -> None:
    """Add a claim's verdict; `truth`: the same claim made from the world's truth."""
    true = {one.text: one for one in truth.statements}
    pairs = [(one, true[one.statement.text]) for one in judged.statements]
    covered = [hit for said, known in pairs for hit in coverage(said.statement, known)]
    tally.add(judged.verdict, claim_is_false(judged, pairs), sum(covered), len(covered))


def claim_is_false(judged: ClaimJudged, pairs: Sequence[tuple[StatementJudged, Statement]]) -> bool:
    """Whether a decided claim is not true: some statement that it rests on is not."""
    wrong = [statement_is_false(said, known) for said, known in pairs]
    if judged.verdict == CONTRADICTED:
        against = [no for (said, _), no in zip(pairs, wrong, strict=True) if said.verdict == CONTRADICTED]
        return all(against)
    return any(wrong)


def statement_is_false(said: StatementJudged, truth: Statement) -> bool:
    """Whether a decided statement is not true; an undecided one is never false."""
    values = np.array([part.value for part in truth.parts])
    above, below = values > TRUE_ZERO, values < -TRUE_ZERO
    if truth.quantifier == "for all":
        holds, fails = bool(np.all(values > TRUE_ZERO - truth.margin)), bool(below.any())
        if truth.margin:
            holds = bool(np.all(values >= -truth.margin))
    elif truth.quantifier == "there is":
        holds, fails = bool(above.any()), bool(below.all())
    else:
        assert truth.primary is not None  # "on average" has one
        holds, fails = truth.primary.value > TRUE_ZERO, truth.primary.value < -TRUE_ZERO
    both = (above.any() or holds) and (below.any() or fails)
    return not {SUPPORTED: holds, CONTRADICTED: fails, MIXED: both}.get(said.verdict, True)


def coverage(said: Statement, truth: Statement) -> list[bool]:
    """Whether the intervals of each part alone, and of the mean, hold the true values."""
    known = {part.name: part for part in truth.parts}
    pairs = [(part, known[part.name]) for part in said.parts if part.name in known]
    if said.primary is not None and truth.primary is not None and len(said.parts) > 1:
        pairs.append((said.primary, truth.primary))
    return [holds(part, true) for part, true in pairs]


def holds(part: Part, truth: Part) -> bool:
    """Whether a part's own interval holds its true value; of several elements, whether all do."""
    return all(
        element.interval.low - TRUE_ZERO <= true.value <= element.interval.high + TRUE_ZERO
        for element, true in zip(part.elements, truth.elements, strict=True)
    )
