"""How a verdict is earned: parts with joint bootstrap replicates, quantifiers, family-wise control.

A **part** is one statement about one policy, pair or rival: a statistic that speaks for the claim where it is
positive, with bootstrap draws that are joint with those of all other parts (problems are drawn once for all).
A **statement** says which quantifier its parts have:

- *for all*: contradicted if some part is below 0 under family-wise control; supported if every part is
  above minus the margin (an intersection-union test, which needs no correction; Berger 1982). A part that is
  below 0 by less than the margin speaks for the statement, which is about the margin.
- *on average*: the mean over the parts decides, by its own interval; mixed where parts are decided, under
  family-wise control, against it or both ways.
- *there is*: supported if some part is above 0 under family-wise control; contradicted if every one is below.

Family-wise control is a single-step max-T (Westfall and Young 1993): with probability `level` no interval of
a statement's parts misses its truth. Parts share problems, so joint replicates make it sharper than
Bonferroni.

A **claim** is the conjunction of its statements: supported if all are, and all could be tested;
contradicted if some is and none is supported; mixed if some is supported and another contradicted, or one is
mixed. What one of k statements is contradicted by is tested at 1 - (1 - level) / k, so that k chances are no
better than one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pandas as pd

from isoflop.fits.bootstrap import Interval
from isoflop.fits.evidence import Evidence
from isoflop.fits.precision import problems_to_decide
from isoflop.verdicts.statements import Part, Quantifier, Statement, critical_value, normal_width

Verdict = Literal["supported", "contradicted", "mixed", "undecided", "not tested"]

SUPPORTED: Verdict = "supported"
CONTRADICTED: Verdict = "contradicted"
MIXED: Verdict = "mixed"
UNDECIDED: Verdict = "undecided"
NOT_TESTED: Verdict = "not tested"

ANY = "any"  # where no cost enters

# Sums in another order differ by less: what is 0 must not be decided by its last bit.
_ROUNDING = 1e-9

CLAIMS_COLUMNS = (
    "experiment", "claim", "sentence", "dataset", "cost_model", "row", "statement", "quantifier", "part",
    "statistic", "value", "ci_low", "ci_high", "interval", "verdict", "decided", "problems_to_decide", "note",
)  # fmt: skip


class PartJudged(NamedTuple):
    """A part with the interval that holds jointly with those of the statement's other parts."""

    part: Part
    interval: Interval
    verdict: Verdict


@dataclass(frozen=True)
class StatementJudged:
    """A statement with its verdict.

    `decided`: "2 of 4" parts that are decided the verdict's way (of undecided ones, that are decided at all).
    `half_width`, `needed`: of the interval that left it open, and the number of problems that would decide
    the effect seen; None where it is decided, or nothing was seen.
    """

    statement: Statement
    verdict: Verdict
    parts: tuple[PartJudged, ...]
    primary: PartJudged | None
    decided: str
    half_width: float | None = None
    needed: int | None = None


@dataclass(frozen=True)
class Claim:
    """A paper's sentence on one data set under one cost model; `missing` says why it, or some of it, is not
    tested.
    """

    number: int
    sentence: str
    dataset: str
    cost_model: str
    statements: tuple[Statement, ...] = ()
    missing: str = ""


class Partly(NamedTuple):
    """Some statements of a claim, and what is missing to test the others."""

    statements: tuple[Statement, ...]
    missing: str


# Statements of a claim, or what is missing to test it.
Found = tuple[Statement, ...] | Partly | str


@dataclass(frozen=True)
class ClaimJudged:
    """A claim with its verdict."""

    claim: Claim
    verdict: Verdict
    statements: tuple[StatementJudged, ...]


def judge_found(
    number: int, sentence: str, finding: Found, evidence: Evidence, cost_model: str
) -> ClaimJudged:
    """The verdict on a paper's sentence by what was found of it on one data set."""
    if isinstance(finding, str):
        finding = Partly((), finding)
    elif not isinstance(finding, Partly):
        finding = Partly(finding, "")
    statements, missing = finding
    claim = Claim(number, sentence, evidence.dataset, cost_model, statements, missing)
    return judge(claim, evidence.count, evidence.level)


def judge(claim: Claim, problems: int, level: float) -> ClaimJudged:
    """The verdict on a claim. `problems`: of its data set. `level`: of the intervals."""
    if not claim.statements:
        return ClaimJudged(claim, NOT_TESTED, ())
    stricter = 1.0 - (1.0 - level) / len(claim.statements)
    judged = tuple(judge_statement(statement, problems, level, stricter) for statement in claim.statements)
    verdicts = {statement.verdict for statement in judged}
    verdict = UNDECIDED
    if verdicts == {SUPPORTED}:
        # What was not tested may not hold.
        verdict = UNDECIDED if claim.missing else SUPPORTED
    elif MIXED in verdicts or {SUPPORTED, CONTRADICTED} <= verdicts:
        verdict = MIXED
    elif CONTRADICTED in verdicts:
        verdict = CONTRADICTED
    return ClaimJudged(claim, verdict, judged)


def judge_statement(
    statement: Statement, problems: int, level: float, stricter: float | None = None
) -> StatementJudged:
    """The verdict on a statement; contradicting it takes `stricter` coverage where that is given."""
    against = stricter or level
    elements = [element for part in statement.parts for element in part.elements]
    joint = critical_value(elements, level)
    harsh = joint if against == level else critical_value(elements, against)
    judged = []
    for part in statement.parts:
        interval = part.within(joint)
        ahead = interval.low > _ROUNDING
        if statement.quantifier == "for all":
            ahead = _no_worse(part, statement.margin, level)
        behind = not ahead and not statement.lower_bound and part.within(harsh).high < -_ROUNDING
        judged.append(PartJudged(part, interval, _one_way(ahead, behind)))
    return _JUDGES[statement.quantifier](statement, judged, problems, level, against)


def _one_way(ahead: bool, behind: bool) -> Verdict:
    return SUPPORTED if ahead else CONTRADICTED if behind else UNDECIDED


def _no_worse(part: Part, margin: float, level: float) -> bool:
    return part.alone(level).low > (-margin if margin else _ROUNDING)


def _for_all(
    statement: Statement, parts: list[PartJudged], problems: int, level: float, against: float
) -> StatementJudged:
    if any(part.verdict == CONTRADICTED for part in parts):
        return StatementJudged(statement, CONTRADICTED, tuple(parts), None, _count(parts, CONTRADICTED))
    if all(part.verdict == SUPPORTED for part in parts):
        return StatementJudged(statement, SUPPORTED, tuple(parts), None, _count(parts, SUPPORTED))
    # What is open is the worst of those that are not yet supported.
    worst = min((part for part in parts if part.verdict != SUPPORTED), key=lambda part: part.part.value)
    return _open(statement, parts, None, worst, problems, statement.margin)


def _on_average(
    statement: Statement, parts: list[PartJudged], problems: int, level: float, against: float
) -> StatementJudged:
    assert statement.primary is not None  # on_average makes it
    primary = statement.primary
    interval = primary.alone(level)
    below = interval.high if against == level else primary.within(normal_width(against)).high
    side = _one_way(interval.low > _ROUNDING, below < -_ROUNDING and not statement.lower_bound)
    judged = PartJudged(primary, interval, side)
    ways = {part.verdict for part in (*parts, judged)} - {UNDECIDED}
    if len(ways) == 2:
        decided = f"{_count(parts, SUPPORTED)} for it, {_count(parts, CONTRADICTED)} against it"
        return StatementJudged(statement, MIXED, tuple(parts), judged, decided)
    if side != UNDECIDED:
        return StatementJudged(statement, side, tuple(parts), judged, _count(parts, side))
    return _open(statement, parts, judged, judged, problems, 0.0)


def _there_is(
    statement: Statement, parts: list[PartJudged], problems: int, level: float, against: float
) -> StatementJudged:
    verdicts = [part.verdict for part in parts]
    if SUPPORTED in verdicts:
        return StatementJudged(statement, SUPPORTED, tuple(parts), None, _count(parts, SUPPORTED))
    # One that could not be measured may be the one that there is.
    if not statement.untested and all(part.part.alone(level).high < -_ROUNDING for part in parts):
        decided = f"{len(parts)} of {len(parts)}"
        return StatementJudged(statement, CONTRADICTED, tuple(parts), None, decided)
    best = max(parts, key=lambda part: part.part.value)
    return _open(statement, parts, None, best, problems, 0.0)


_JUDGES: Mapping[Quantifier, Callable[[Statement, list[PartJudged], int, float, float], StatementJudged]] = {
    "for all": _for_all,
    "on average": _on_average,
    "there is": _there_is,
}


def _open(
    statement: Statement,
    parts: list[PartJudged],
    primary: PartJudged | None,
    about: PartJudged,
    problems: int,
    margin: float,
) -> StatementJudged:
    """Undecided: how wide the interval is that left it open, and what would decide the effect seen."""
    low, high = about.interval
    half, effect = (high - low) / 2, about.part.value + margin
    needed = problems_to_decide(problems, half, effect) if abs(effect) > _ROUNDING else None
    ways = [part for part in parts if part.verdict != UNDECIDED]
    decided = f"{len(ways)} of {len(parts)}"
    return StatementJudged(statement, UNDECIDED, tuple(parts), primary, decided, half, needed)


def _count(parts: Sequence[PartJudged], verdict: Verdict) -> str:
    return f"{sum(part.verdict == verdict for part in parts)} of {len(parts)}"


def claims_csv(judged: Iterable[ClaimJudged], experiment: str) -> pd.DataFrame:
    """The claims as a table: a row per claim, then one per statement, then one per part."""
    rows = []
    for claim_judged in judged:
        claim = claim_judged.claim
        head = [experiment, str(claim.number), claim.sentence, claim.dataset, claim.cost_model]
        rows.append([*head, "claim", *[""] * 8, claim_judged.verdict, "", "", claim.missing])
        for statement in claim_judged.statements:
            rows += [[*head, *row] for row in _statement_rows(statement)]
    return pd.DataFrame(rows, columns=list(CLAIMS_COLUMNS))


def _statement_rows(judged: StatementJudged) -> Iterable[list[str]]:
    statement = judged.statement
    named = [statement.text, statement.quantifier]
    notes = []
    if statement.margin != 0:
        notes.append(f"within a margin of {statement.margin:g}")
    if statement.untested:
        notes.append(f"not compared: {', '.join(statement.untested)}")
    if judged.half_width is not None:
        notes.append(f"half-width {judged.half_width:.3g}")
    needed = "" if judged.needed is None else str(judged.needed)
    end = [judged.verdict, judged.decided, needed, "; ".join(notes)]
    if judged.primary is None:
        yield ["statement", *named, "", "", "", "", "", "", *end]
    else:
        part, interval, _ = judged.primary
        yield ["statement", *named, part.name, part.statistic, *_numbers(part, interval), "its own", *end]
    for part, interval, verdict in judged.parts:
        numbers = _numbers(part, interval)
        yield ["part", *named, part.name, part.statistic, *numbers, "joint", verdict, "", "", part.note]


def _numbers(part: Part, interval: Interval) -> list[str]:
    return [f"{value + 0.0:.4g}" for value in (part.value, interval.low, interval.high)]
