"""How the solutions of every pool end: with an answer, without one, unfinished, too long for the verifier.

A solution without a recognised answer counts as wrong. Where the model ended it itself, its answer may be in
a form that the extraction does not know, so its share bounds what accuracy may understate.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isoflop.estimate import percent
from isoflop.report.html_table import Cell, HtmlTable

# A share of solutions above this is told in a sentence.
WORTH_TELLING = 0.02
_KEYS = ("dataset", "policy", "generator")
# Columns where any pool's files have grades of their own.
_PUBLISHED = ("imported", "compared", "only_here", "only_there", "answers_unknown")
_SHARES = ("no_answer", "unfinished", "finished_no_answer", "too_long")


@dataclass(frozen=True)
class PoolCounts:
    """One table of candidates, of a policy by a generator: shares are of its candidates, in [0, 1].

    `unfinished`: cut off at the token limit, or left by a search; NaN where nobody knows, as for imported
    files that do not say. `finished_no_answer`: without a recognised answer and not known to be unfinished.
    `too_long`: for the verifier that could read the fewest. `tokens`: generated, mean; `tokens_estimated`:
    whether that rests on an estimate. `thinking_tokens`: how many of them are thoughts, mean; NaN where that
    was not counted for every candidate. `problems`: with any candidates. `published`: how the files' own
    grades compare with ours; None where they have none.
    """

    dataset: str
    policy: str
    generator: str
    candidates: int
    no_answer: float
    unfinished: float
    finished_no_answer: float
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


def counted(
    key: tuple[str, str, str],
    *,
    finished: NDArray[np.bool_],
    answered: NDArray[np.bool_],
    tokens: NDArray[np.int64],
    too_long: int,
    tokens_estimated: bool,
    imported: bool = False,
    thinking: NDArray[np.float64] | None = None,
    problems: int = 0,
    published: PublishedGrades | None = None,
) -> PoolCounts:
    """The counts of a pool; arrays are [candidates], which are at least one.

    `thinking`: how many of each candidate's tokens are thoughts, NaN where nobody counted. Where an
    `imported` pool marks no candidate as unfinished, its files did not say; nor what was answered where they
    call solutions right without an answer.
    """
    unknown = imported and bool(finished.all())
    unanswered = published is not None and published.answers_unknown > 0
    return PoolCounts(
        *key,
        candidates=tokens.size,
        no_answer=math.nan if unanswered else float(np.mean(~answered)),
        unfinished=math.nan if unknown else float(np.mean(~finished)),
        finished_no_answer=math.nan if unanswered else float(np.mean(finished & ~answered)),
        too_long=too_long / tokens.size,
        tokens=float(tokens.mean()),
        tokens_estimated=tokens_estimated,
        thinking_tokens=math.nan if thinking is None else float(thinking.mean()),
        problems=problems,
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
                **{name: _text(getattr(pool, name), "{:.6f}", "") for name in _SHARES},
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
            *_SHARES,
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
        f"{pool.policy} ({pool.generator}) {percent(share)}% of {pool.candidates:,}"
        for pool in pools
        if (share := getattr(pool, name)) > WORTH_TELLING
    )


def counts_table(pools: Sequence[PoolCounts]) -> HtmlTable:
    """A row per pool; the name of the only data set is in no column."""
    several = len({pool.dataset for pool in pools}) > 1
    # A column for models that think.
    thinking = any(pool.thinking_tokens > 0 for pool in pools)
    rows = []
    for pool in pools:
        cells = [Cell(pool.dataset)] * several
        cells += [Cell(pool.policy), Cell(pool.generator), Cell(f"{pool.candidates:,}")]
        for name in _SHARES:
            share = getattr(pool, name)
            cells.append(Cell(_text(100 * share, "{:.1f}%", "–"), bold=share > WORTH_TELLING))
        cells.append(Cell(f"{pool.tokens:.0f}"))
        cells += [Cell(_text(pool.thinking_tokens, "{:.0f}", "–"))] * thinking
        rows.append(cells)
    header = [
        *["Data"] * several, "Model", "Generator", "Solutions", "No answer", "Unfinished", "Ended, no answer",
        "Too long", "Tokens", *["Thinking"] * thinking,
    ]  # fmt: skip
    estimated = ", estimated" * any(pool.tokens_estimated for pool in pools)
    note = (
        "Solutions without a recognised answer count as wrong. Of those that the model ended itself, nobody "
        "can tell from the accuracy whether the model or the extraction failed. Unfinished: cut off at the "
        f"token limit, or left by a search. Too long: for the verifier. Bold: more than {WORTH_TELLING:.0%}. "
        f"Tokens: generated for a solution, mean{estimated}. "
        + "Thinking: how many of them are thoughts, mean. " * thinking
        + ("–: not known." if thinking else "–: imported files do not say.")
    )
    return HtmlTable("How solutions end", note, header, rows, text_columns=2 + several)


def _text(share: float, form: str, unknown: str) -> str:
    return unknown if math.isnan(share) else form.format(share)
