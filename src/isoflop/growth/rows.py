"""Which rows of a table are known, and in what order known and new ones make the table. Nothing is read here.

A row goes by a key: the digest of its problem, and which of the problem's rows it is. Two rows of one key in
tables of one identity (isoflop.growth.identity) are the same. What a former table says of its rows becomes
keys, None for a row that would be another one today.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

Key = tuple[str | int, ...]

_STOP = "stop"


class Place(NamedTuple):
    """Where a known row is: the number of its table, and of its row there."""

    table: int
    row: int


def row_problems(problem_ids: Sequence[str], digests: Sequence[str]) -> list[str] | None:
    """The problem's digest of every row.

    Parameters
    ----------
    problem_ids
        The problem of every row, [rows]; those of one problem follow one another.
    digests
        One per problem, in their order, [problems].

    Returns
    -------
    Digests, [rows]; None where there are not as many problems as digests.
    """
    found: list[str] = []
    place, last = -1, None
    for problem_id in problem_ids:
        if problem_id != last:
            place, last = place + 1, problem_id
        if place >= len(digests):
            return None
        found.append(digests[place])
    return found if place + 1 == len(digests) else None


def sample_keys(
    problems: Sequence[str],
    candidates: Sequence[int],
    finishes: Sequence[str],
    tokens: Sequence[int],
    limits: tuple[int | None, int | None],
) -> list[Key | None]:
    """Keys of independent samples: problem and number.

    Parameters
    ----------
    problems, candidates, finishes, tokens
        Of every row, [rows].
    limits
        Most tokens of a sample, in the former table and now. Under another limit a sample is the same if it
        had ended by itself, and within both.

    Returns
    -------
    Keys, [rows].
    """
    return [
        (problem, candidate) if _same(finish, count, limits) else None
        for problem, candidate, finish, count in zip(problems, candidates, finishes, tokens, strict=True)
    ]


def chain_keys(
    problems: Sequence[str],
    runs: Sequence[int],
    places: Sequence[int],
    finishes: Sequence[str],
    tokens: Sequence[int],
    limits: tuple[int | None, int | None],
) -> list[Key | None]:
    """Keys of answers in chains: problem, chain and place in it.

    What follows an answer has seen it: so an answer is the same if it is as `sample_keys` says and so are all
    before it in its chain. `runs` and `places` are those of every row, [rows], the places of a chain counted
    from 1 without gaps; the rest is as there.
    """
    keys: list[Key | None] = []
    chain: tuple[str, int] | None = None
    good = 0
    for problem, run, place, finish, count in zip(problems, runs, places, finishes, tokens, strict=True):
        if (problem, run) != chain:
            chain, good = (problem, run), 0
        same = place == good + 1 and _same(finish, count, limits)
        good += same
        keys.append((problem, run, place) if same else None)
    return keys


def _same(finish: str, tokens: int, limits: tuple[int | None, int | None]) -> bool:
    """Whether a text is what it would be under the present limit."""
    before, now = limits
    return before == now or (finish == _STOP and now is not None and tokens <= now)


def locate(wanted: Iterable[Key], tables: Iterable[Mapping[Key, int]]) -> dict[Key, Place]:
    """The place of every wanted row that some table has, the first such table; no more tables are asked than
    it takes.
    """
    missing, places = set(wanted), dict[Key, Place]()
    if not missing:
        return places
    for number, rows in enumerate(tables):
        found = missing & rows.keys()
        places |= {key: Place(number, rows[key]) for key in found}
        missing -= found
        if not missing:
            break
    return places


def order(wanted: Sequence[Key], known: Sequence[Key], made: Sequence[Key]) -> list[int]:
    """For every wanted row its number among the known rows and, after them, the new ones.

    Raises KeyError where a row is neither.
    """
    number = {key: place for place, key in enumerate((*known, *made))}
    return [number[key] for key in wanted]
