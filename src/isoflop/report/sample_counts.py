"""How the solutions of every pool end: with an answer, without one, unfinished, undecided, too long.

A solution without a recognised answer counts as wrong, and so does one whose answer could not be compared
within the limits. Where the model ended it itself, its answer may be in a form that the extraction does not
know, so its share bounds what accuracy may understate.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from isoflop.estimate import Estimate, percent
from isoflop.report.html_table import Cell, HtmlTable

# A share of solutions above this is told in a sentence.
WORTH_TELLING = 0.02
_KEYS = ("dataset", "policy", "generator")
_ESTIMATED = ("no_answer", "unfinished", "finished_no_answer", "undecided")
_UNKNOWN = Estimate(math.nan, math.nan, math.nan)
# Columns where any pool's files have grades of their own.
_PUBLISHED = ("imported", "compared", "only_here", "only_there", "answers_unknown")


@dataclass(frozen=True)
class PoolCounts:
    """One table of candidates, of a policy by a generator: shares are of its candidates, in [0, 1].

    `unfinished`: cut off at the token limit, or left by a search; NaN where nobody knows, as for imported
    files that do not say. `finished_no_answer`: without a recognised answer and not known to be unfinished.
    `undecided`: with an answer that could not be compared with the reference within the limits.
    `too_long`: for the verifier that could read the fewest. `tokens`: generated, mean; `tokens_estimated`:
    whether that rests on an estimate. `thinking_tokens`: how many of them are thoughts, mean; NaN where that
    was not counted for every candidate. `problems`: with any candidates. `published`: how the files' own
    grades compare with ours; None where they have none.
    """

    dataset: str
    policy: str
    generator: str
    candidates: int
    no_answer: Estimate
    unfinished: Estimate
    finished_no_answer: Estimate
    undecided: Estimate
    too_long: float
    tokens: float
    tokens_estimated: bool
    thinking_tokens: float = math.nan
    problems: int = 0
    published: "PublishedGrades | None" = None


@dataclass(frozen=True)
class PublishedGrades:
    """Grades that files carry beside ours. `imported`: whether they are those that count.

    `compared`: solutions whose answer is known; `only_here`, `only_there`: how many of them are right by our
    grader alone, and by the files alone. `answers_unknown`: solutions that the files call right without
    saying what was answered.
    """

    imported: bool
    compared: int
    only_here: int
    only_there: int
    answers_unknown: int

    @property
    def differ(self) -> int:
        """How many of those compared are graded otherwise."""
        return self.only_here + self.only_there


def share_of(hits: NDArray[np.integer], sizes: NDArray[np.integer], level: float = 0.95) -> Estimate:
    """A share of candidates with its interval, the problems being a sample: answers to one are alike.

    Parameters
    ----------
    hits, sizes
        Of every problem, shape [problems]: candidates that are meant, candidates.
    level
        Of the interval.

    Returns
    -------
    Estimate
        The share, and Wilson's interval for as many independent candidates as would vary as much as the
        problems do (linearised ratio, Kish's design effect), at most those there are. Where the share is 0
        or 1, which tells nothing of how problems vary, for one candidate a problem.

    References
    ----------
    Wilson 1927, doi:10.1080/01621459.1927.10502953; Dean and Pagano 2015, doi:10.1093/jssam/smv024, compare
    intervals of shares in clusters.
    """
    total, problems = int(sizes.sum()), sizes.size
    share = float(hits.sum()) / total
    effective = float(problems)
    if problems > 1 and 0 < share < 1:
        spread = float(np.sum((hits - share * sizes) ** 2)) * problems / (problems - 1) / total**2
        effective = min(total, share * (1 - share) / spread) if spread > 0 else total
    z2 = float(stats.norm.ppf((1 + level) / 2)) ** 2
    middle = (share + z2 / (2 * effective)) / (1 + z2 / effective)
    half = math.sqrt(z2 * (share * (1 - share) + z2 / (4 * effective)) / effective) / (1 + z2 / effective)
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half))


def counted(
    key: tuple[str, str, str],
    *,
    problems: NDArray[np.int64],
    finished: NDArray[np.bool_],
    answered: NDArray[np.bool_],
    undecided: NDArray[np.int64] | None,
    tokens: NDArray[np.int64],
    too_long: int,
    tokens_estimated: bool,
    imported: bool = False,
    thinking: NDArray[np.float64] | None = None,
    published: PublishedGrades | None = None,
) -> PoolCounts:
    """The counts of a pool; arrays are [candidates], which are at least one.

    `problems`: numbers of the candidates' problems, from 0. `undecided`: of every problem, how many
    candidates are; None where the table does not say. `thinking`: how many of each candidate's tokens are
    thoughts, NaN where nobody counted. Where an `imported` pool marks no candidate as unfinished, its files
    did not say; nor what was answered where they call solutions right without an answer.
    """
    sizes = np.bincount(problems)

    def share(meant: NDArray[np.bool_]) -> Estimate:
        return share_of(np.bincount(problems[meant], minlength=sizes.size), sizes)

    unknown = imported and bool(finished.all())
    unanswered = published is not None and published.answers_unknown > 0
    return PoolCounts(
        *key,
        candidates=tokens.size,
        no_answer=_UNKNOWN if unanswered else share(~answered),
        unfinished=_UNKNOWN if unknown else share(~finished),
        finished_no_answer=_UNKNOWN if unanswered else share(finished & ~answered),
        undecided=_UNKNOWN if undecided is None else share_of(undecided, sizes),
        too_long=too_long / tokens.size,
        tokens=float(tokens.mean()),
        tokens_estimated=tokens_estimated,
        thinking_tokens=math.nan if thinking is None else float(thinking.mean()),
        problems=sizes.size,
        published=published,
    )


def coverage_sentences(pools: Sequence[PoolCounts], dataset: str, studied: int) -> Iterator[str]:
    """Where pools have other problems: how many each has, and how many accuracies are over (`studied`)."""
    own = [pool for pool in pools if pool.dataset == dataset and pool.problems]
    if any(pool.problems != studied for pool in own):
        told = ", ".join(f"{pool.policy} ({pool.generator}) {pool.problems:,}" for pool in own)
        yield f"Accuracies are over the {studied:,} problems that all pools have. By pool: {told}."


def samples_csv(pools: Sequence[PoolCounts], experiment: str) -> str:
    """`tables/samples.csv`: a row per pool, shares to six decimals; empty where nobody knows."""
    graded = _PUBLISHED if any(pool.published is not None for pool in pools) else ()
    rows = pd.DataFrame(
        [
            {
                "experiment": experiment,
                **{name: getattr(pool, name) for name in (*_KEYS, "candidates")},
                **dict(cell for name in _ESTIMATED for cell in _columns(name, getattr(pool, name))),
                "too_long": f"{pool.too_long:.6f}",
                "tokens": f"{pool.tokens:.6g}",
                "thinking_tokens": _text(pool.thinking_tokens, "{:.6g}", ""),
                "tokens_estimated": str(pool.tokens_estimated).lower(),
                **{f"published_{name}": _lower(getattr(pool.published, name, "")) for name in graded},
            }
            for pool in pools
        ],
        columns=[
            "experiment",
            *_KEYS,
            "candidates",
            *(name + ending for name in _ESTIMATED for ending in ("", "_low", "_high")),
            "too_long",
            "tokens",
            "thinking_tokens",
            "tokens_estimated",
            *(f"published_{name}" for name in graded),
        ],
    )
    return rows.to_csv(index=False, lineterminator="\n")


def _lower(value: object) -> str:
    return str(value).lower()


def unread_sentences(pools: Sequence[PoolCounts], dataset: str) -> Iterator[str]:
    """What accuracies on a data set do not tell, where it is about more than `WORTH_TELLING` of a pool."""
    of_dataset = [pool for pool in pools if pool.dataset == dataset]
    if unrecognised := _told(of_dataset, "finished_no_answer"):
        yield (
            f"Solutions that end without a recognised answer: {unrecognised}. They count as wrong, and "
            "nobody can tell from the accuracy whether the model or the extraction failed."
        )
    if unfinished := _told(of_dataset, "unfinished"):
        yield (
            f"Unfinished solutions, cut off at the token limit or left by a search: {unfinished}. They count "
            "as wrong unless they had stated their answer."
        )
    if undecided := _told(of_dataset, "undecided"):
        yield (
            f"Solutions whose answer could not be compared within the limits: {undecided}. They count as "
            "wrong."
        )
    if too_long := _told(of_dataset, "too_long"):
        yield (f"Solutions too long for the verifier: {too_long}. They take no part in its selections.")
    yield from _published_sentences(of_dataset)


def _published_sentences(pools: Sequence[PoolCounts]) -> Iterator[str]:
    """How the files' own grades compare with ours."""
    graded = [(pool, pool.published) for pool in pools if pool.published is not None]
    compared = sum(one.compared for _, one in graded)
    if compared:
        differ = sum(one.differ for _, one in graded)
        here, there = (sum(getattr(one, name) for _, one in graded) for name in ("only_here", "only_there"))
        yield (
            f"Of {compared:,} solutions that the files grade too, {differ:,} "
            f"({percent(differ / compared, 2)}%) are graded otherwise here: "
            f"{here:,} right here alone, {there:,} right by the files alone."
        )
    imported = [f"{pool.policy} ({pool.generator})" for pool, one in graded if one.imported]
    if imported:
        yield f"What is right is what the files say of {', '.join(imported)}."
    unknown = [f"{pool.policy} ({pool.generator})" for pool, one in graded if one.answers_unknown]
    if unknown:
        yield (
            f"The files do not say what was answered by {', '.join(unknown)}, only what was right: their "
            "solutions are counted (pass@k), not voted on."
        )


def _told(pools: Sequence[PoolCounts], name: str) -> str:
    return "; ".join(
        f"{pool.policy} ({pool.generator}) {_in_percent(share)} of {pool.candidates:,}"
        for pool in pools
        if _value(share := getattr(pool, name)) > WORTH_TELLING
    )


def _value(share: Estimate | float) -> float:
    return share.value if isinstance(share, Estimate) else share


def _in_percent(share: Estimate | float) -> str:
    return share.in_percent if isinstance(share, Estimate) else f"{percent(share)}%"


def _columns(name: str, share: Estimate) -> Iterator[tuple[str, str]]:
    """A share and its interval, as cells of a CSV."""
    for ending, value in (("", share.value), ("_low", share.low), ("_high", share.high)):
        yield f"{name}{ending}", "" if math.isnan(value) else f"{value:.6f}"


def counts_table(pools: Sequence[PoolCounts]) -> HtmlTable:
    """A row per pool; the name of the only data set is in no column."""
    several = len({pool.dataset for pool in pools}) > 1
    # A column for models that think.
    thinking = any(pool.thinking_tokens > 0 for pool in pools)
    rows = []
    for pool in pools:
        cells = [Cell(pool.dataset)] * several
        cells += [Cell(pool.policy), Cell(pool.generator), Cell(f"{pool.candidates:,}")]
        for name in (*_ESTIMATED, "too_long"):
            share = getattr(pool, name)
            text = "–" if math.isnan(_value(share)) else _in_percent(share)
            cells.append(Cell(text, bold=_value(share) > WORTH_TELLING))
        cells.append(Cell(f"{pool.tokens:.0f}"))
        cells += [Cell(_text(pool.thinking_tokens, "{:.0f}", "–"))] * thinking
        rows.append(cells)
    header = [
        *["Data"] * several, "Model", "Generator", "Solutions", "No answer", "Unfinished", "Ended, no answer",
        "Undecided", "Too long", "Tokens", *["Thinking"] * thinking,
    ]  # fmt: skip
    estimated = ", estimated" * any(pool.tokens_estimated for pool in pools)
    note = (
        "Solutions without a recognised answer count as wrong. Of those that the model ended itself, nobody "
        "can tell from the accuracy whether the model or the extraction failed. Unfinished: cut off at the "
        "token limit, or left by a search. Undecided: not compared within the limits, which counts as wrong. "
        f"Too long: for the verifier. Intervals: 95%, over problems. Bold: more than {WORTH_TELLING:.0%}. "
        f"Tokens: generated for a solution, mean{estimated}. "
        + "Thinking: how many of them are thoughts, mean. " * thinking
        + ("–: not known." if thinking else "–: imported files do not say.")
    )
    return HtmlTable("How solutions end", note, header, rows, text_columns=2 + several)


def _text(number: float, form: str, unknown: str) -> str:
    return unknown if math.isnan(number) else form.format(number)
