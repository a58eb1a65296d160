"""Counts of samples and right ones per problem, without texts: joined to the problems, checked.

Coverage (pass@k) needs no more than these two numbers (isoflop.selection.best_of_k).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from isoflop.errors import UserError


@dataclass(frozen=True)
class ProblemCount:
    """What a row says of one problem.

    `place`: where it stands, for messages. `problem`: its identifier. `samples`, `correct`: how many samples
    it has, and how many of them are right. `tokens`: generated per sample, mean; None where the file does not
    say. `level`: its difficulty; None where the file does not say.
    """

    place: str
    problem: str
    samples: int
    correct: int
    tokens: float | None = None
    level: int | None = None


class CountedPool(NamedTuple):
    """One policy's counts, one per problem; `equal`: whether all problems have as many samples."""

    counts: Mapping[str, ProblemCount]
    equal: bool

    @property
    def least(self) -> int:
        """The number of samples that every problem has at least."""
        return min(one.samples for one in self.counts.values())


def whole_number(value: object, column: str, place: str) -> int:
    """A count: a whole number of at least 0, as itself, as text or as a float such as 43.0.

    Raises UserError naming the row for anything else, and for a number too large to be a count.
    """
    if isinstance(value, str):
        text = value.strip()
        number = float(text) if text.removesuffix(".0").isdecimal() and len(text) < 20 else math.nan
    elif isinstance(value, bool) or not isinstance(value, int | float):
        number = math.nan
    else:
        number = float(value) if abs(value) < 2**53 else math.nan
    if not (number >= 0 and number == int(number) and number < 2**31):
        raise UserError(f"{place}: column '{column}' is {value!r:.40}; a whole number from 0 on is needed")
    return int(number)


def pool_counts(files: Iterable[tuple[str, Iterable[ProblemCount]]], at_least: int) -> CountedPool:
    """All counts of one policy.

    Parameters
    ----------
    files
        Name and counts of each.
    at_least
        Samples that every problem must have.

    Returns
    -------
    The counts by problem, in the files' order.

    Raises
    ------
    UserError
        Naming the file and row: more right ones than samples, a problem twice, too few samples, and a file
        that holds none.
    """
    found: dict[str, ProblemCount] = {}
    for name, rows in files:
        before = len(found)
        for one in rows:
            if one.correct > one.samples:
                raise UserError(
                    f"{one.place}: {one.correct} right ones of {one.samples} samples; are columns swapped?"
                )
            if one.problem in found:
                raise UserError(
                    f"{one.place}: problem '{one.problem}' is counted in {found[one.problem].place} too; "
                    "keep one row per problem and policy with `where` (one model, one number k)"
                )
            if one.samples < at_least:
                raise UserError(
                    f"{one.place}: problem '{one.problem}' has {one.samples} samples, fewer than `at_least`, "
                    f"{at_least}; lower that, or leave the policy out"
                )
            found[one.problem] = one
        if len(found) == before:
            raise UserError(f"{name}: no row of this policy; do the values of `where` stand in the file?")
    return CountedPool(found, len({one.samples for one in found.values()}) == 1)


def check_problems(
    pools: Mapping[str, CountedPool], known: Sequence[str] | None, *, common: bool = False
) -> None:
    """Refuse policies that are counted on different problems.

    Parameters
    ----------
    pools
        By policy; at least one.
    known
        The data set's problems; None where only the counts name them.
    common
        Whether curves are over the problems in common anyway, so that policies may have others too.

    Raises
    ------
    UserError
        Naming the policy and its file: a problem that it lacks, or that only it has, or that the data set
        does not have.
    """
    if common and known is None:
        return
    first = next(iter(pools))
    wanted = list(pools[first].counts) if known is None else list(known)
    by_whom = f"policy {first} has" if known is None else "the data set has"
    for policy, pool in pools.items():
        lacking = [name for name in wanted if name not in pool.counts]
        if lacking and not common:
            place = next(iter(pool.counts.values())).place.rpartition(",")[0]
            raise UserError(
                f"{place}: policy {policy} has no counts of {len(lacking)} problems that {by_whom} "
                f"(first: '{lacking[0]}'); coverage is compared on the same problems"
            )
        extra = set(pool.counts) - set(wanted)
        if extra:
            one = next(one for name, one in pool.counts.items() if name in extra)
            raise UserError(
                f"{one.place}: problem '{one.problem}' of policy {policy} is not among the problems that "
                f"{by_whom}; coverage is compared on the same problems"
            )
