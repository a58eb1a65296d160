"""Which rows are known and how tables are put together, against worlds in which all is computed."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.growth.rows import Key, Place, chain_keys, locate, order, row_problems, sample_keys
from isoflop.seeds import derive_seed

Text = tuple[str, int, int]
LIMITS = st.integers(1, 12)


def written(limit: int, *given: object) -> Text:
    """What a policy writes: how it ends, how long it is, and a number for its content."""
    seed = derive_seed(*map(repr, given))
    length = seed % 13 + 1
    return ("stop", length, seed) if length <= limit else ("length", limit, seed)


def chain(limit: int, problem: str, run: int, length: int) -> list[Text]:
    """Answers of which each follows from all before it."""
    answers: list[Text] = []
    for place in range(1, length + 1):
        answers.append(written(limit, problem, run, place, answers))
    return answers


@given(st.integers(1, 4), st.integers(1, 6), LIMITS, LIMITS)
def test_a_sample_is_known_if_it_is_the_same(problems: int, samples: int, before: int, now: int) -> None:
    rows = [(f"p{problem}", number) for problem in range(problems) for number in range(samples)]
    former, present = ([written(limit, *row) for row in rows] for limit in (before, now))
    keys = sample_keys(
        [problem for problem, _ in rows],
        [number for _, number in rows],
        [finish for finish, _, _ in former],
        [tokens for _, tokens, _ in former],
        (before, now),
    )
    same = [one == other for one, other in zip(former, present, strict=True)]
    assert keys == [row if known else None for row, known in zip(rows, same, strict=True)]


@given(st.integers(1, 3), st.lists(st.integers(1, 5), min_size=1, max_size=3), LIMITS, LIMITS)
def test_an_answer_is_known_if_it_and_all_before_it_are_the_same(
    problems: int, lengths: Sequence[int], before: int, now: int
) -> None:
    rows: list[Key] = []
    former, same = list[Text](), list[bool]()
    for problem in range(problems):
        for run, length in enumerate(lengths):
            old, new = (chain(limit, f"p{problem}", run, length) for limit in (before, now))
            rows += [(f"p{problem}", run, place) for place in range(1, length + 1)]
            former += old
            same += [old[:place] == new[:place] for place in range(1, length + 1)]
    keys = chain_keys(
        [str(row[0]) for row in rows],
        [int(row[1]) for row in rows],
        [int(row[2]) for row in rows],
        [finish for finish, _, _ in former],
        [tokens for _, tokens, _ in former],
        (before, now),
    )
    assert keys == [row if known else None for row, known in zip(rows, same, strict=True)]


def test_a_chain_with_a_gap_ends_at_it() -> None:
    keys = chain_keys(["p"] * 3, [0] * 3, [1, 3, 4], ["stop"] * 3, [2] * 3, (5, 5))
    assert keys == [("p", 0, 1), None, None]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 3)), max_size=5))
def test_every_row_has_the_digest_of_its_problem(groups: Sequence[tuple[str, int]]) -> None:
    groups = [one for one, _ in zip(groups, range(9), strict=False)]
    if any(one[0] == other[0] for one, other in pairwise(groups)):
        return
    ids = [name for name, count in groups for _ in range(count)]
    digests = [f"digest of {name} at {place}" for place, (name, _) in enumerate(groups)]
    expected = [digest for digest, (_, count) in zip(digests, groups, strict=True) for _ in range(count)]
    assert row_problems(ids, digests) == expected
    assert row_problems(ids, [*digests, "one more"]) is None
    assert not digests or row_problems(ids, digests[:-1]) is None


KEYS = st.tuples(st.sampled_from(["p", "q"]), st.integers(0, 3))


@given(st.lists(KEYS, max_size=9), st.lists(st.lists(KEYS, unique=True, max_size=5), max_size=4))
def test_known_and_new_rows_make_the_table_that_is_wanted(wanted: list[Key], tables: list[list[Key]]) -> None:
    asked: list[int] = []

    def rows(number: int) -> dict[Key, int]:
        asked.append(number)
        return {key: row for row, key in enumerate(tables[number])}

    places = locate(wanted, map(rows, range(len(tables))))
    for key in wanted:
        holding = [number for number, table in enumerate(tables) if key in table]
        assert places.get(key) == (Place(holding[0], tables[holding[0]].index(key)) if holding else None), (
            "in the first table that has it"
        )
    assert places.keys() <= set(wanted)
    needed = [1 + place.table for place in places.values()]
    most = len(tables) if set(wanted) - places.keys() else max(needed, default=0)
    assert asked == list(range(most)), "no more tables are asked than it takes"
    known = [key for key in wanted if key in places]
    made = [key for key in dict.fromkeys(wanted) if key not in places]
    assert [(*known, *made)[place] for place in order(wanted, known, made)] == wanted


def test_a_row_that_nobody_made_is_an_error() -> None:
    with pytest.raises(KeyError):
        order([("p", 0), ("p", 1)], [("p", 0)], [])
