"""What a statement about several parts is worth: joint intervals, verdicts, factors of compute."""

from typing import TYPE_CHECKING

from isoflop._lazy import face

if TYPE_CHECKING:
    from isoflop.verdicts.factors import Factor, factor_saved
    from isoflop.verdicts.judge import Claim, ClaimJudged, judge
    from isoflop.verdicts.statements import Element, Part, Statement, mean_part, on_average

__all__ = [
    "Claim",
    "ClaimJudged",
    "Element",
    "Factor",
    "Part",
    "Statement",
    "factor_saved",
    "judge",
    "mean_part",
    "on_average",
]

face(__name__)
