"""Counts of right samples: what a row says, and what is refused, by file and row."""

from collections.abc import Mapping
from typing import Any

import pytest

from isoflop.data.columns import Layout, Reading, laid_out
from isoflop.data.counts import CountedPool, ProblemCount, check_problems, pool_counts, whole_number
from isoflop.data.format import count_format
from isoflop.errors import UserError

COLUMNS = {"problem": "Problem Idx", "samples": "Num. Samples Total", "correct": "Num. Samples Correct"}
ROW = {"Problem Idx": 82, "Num. Samples Total": 10000, "Num. Samples Correct": 122.0, "Score": 0.0122}


def read(*rows: Mapping[str, Any], columns: Mapping[str, str] = COLUMNS) -> list[ProblemCount]:
    placed = ((f"a.parquet, row {number}", row) for number, row in enumerate(rows, start=1))
    format_ = count_format("counts")
    layout = Layout(columns=columns, ignore=("*",))
    return list(format_.read(laid_out(placed, format_, layout, Reading())))


def counts(*triples: tuple[str, int, int], name: str = "a.csv") -> tuple[str, list[ProblemCount]]:
    return name, [
        ProblemCount(f"{name}, line {number}", *triple) for number, triple in enumerate(triples, start=2)
    ]


def pool(*triples: tuple[str, int, int], name: str = "a.csv", at_least: int = 1) -> CountedPool:
    return pool_counts([counts(*triples, name=name)], at_least)


def test_a_row_is_read_by_the_columns_that_the_config_names() -> None:
    assert read(ROW) == [ProblemCount("a.parquet, row 1", "82", 10000, 122)]


def test_a_row_may_have_the_formats_own_names_and_more() -> None:
    row = {"problem": "p1", "samples": "16", "correct": "3.0", "tokens": "210.5", "level": "Level 3"}
    assert read(row, columns={}) == [ProblemCount("a.parquet, row 1", "p1", 16, 3, 210.5, 3)]


def test_an_identifier_of_a_table_with_gaps_is_no_fraction() -> None:
    assert read(ROW | {"Problem Idx": 82.0})[0].problem == "82"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"Num. Samples Correct": 1.5}, "column 'correct' is 1.5; a whole number from 0 on is"),
        ({"Num. Samples Correct": -1}, "column 'correct' is -1; a whole number"),
        ({"Num. Samples Correct": float("nan")}, "column 'correct' is nan; a whole number"),
        ({"Num. Samples Correct": None}, "column 'correct' is None; a whole number"),
        ({"Num. Samples Correct": True}, "column 'correct' is True; a whole number"),
        ({"Num. Samples Total": "1e9"}, "column 'samples' is '1e9'; a whole number"),
        ({"Num. Samples Total": 2**40}, "column 'samples' is 1099511627776; a whole number"),
        ({"Num. Samples Total": "9" * 5000}, "column 'samples' is '999"),
        ({"Num. Samples Total": 0, "Num. Samples Correct": 0}, "0 samples; leave the row out"),
        ({"Problem Idx": None}, "column 'problem' is None; a problem's identifier is needed"),
        ({"Problem Idx": " "}, "column 'problem' is ' '; a problem's identifier is needed"),
    ],
    ids=str,
)
def test_what_is_no_count_is_refused_by_row_and_column(change: Mapping[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        read(ROW, ROW | change)
    assert str(caught.value).startswith(f"a.parquet, row 2: {said}")


def test_a_missing_column_is_named_with_those_that_there_are() -> None:
    with pytest.raises(
        UserError, match=r"columns.correct is 'c', but there is no 'c'; the row has problem, sam"
    ):
        read({"problem": 1, "samples": 2, "correct": 1}, columns={"correct": "c"})


@pytest.mark.parametrize("tokens", [0, -3, "many", None, float("nan"), 10**400])
def test_tokens_are_above_0(tokens: object) -> None:
    with pytest.raises(
        UserError, match=r"row 1: column 'tokens' is .*; a number of tokens above 0 is needed"
    ):
        read({"problem": 1, "samples": 2, "correct": 1, "tokens": tokens}, columns={})


def test_whole_numbers_as_files_write_them() -> None:
    assert [whole_number(value, "c", "row 1") for value in (3, 3.0, "3", " 3 ", "3.0", 0)] == [
        3,
        3,
        3,
        3,
        3,
        0,
    ]


def test_a_pool_knows_whether_all_problems_have_as_many_samples() -> None:
    assert pool(("a", 8, 0), ("b", 8, 8)).equal
    unequal = pool(("a", 8, 0), ("b", 6, 2))
    assert (unequal.equal, unequal.least) == (False, 6)


@pytest.mark.parametrize(
    ("triples", "said"),
    [
        ((("a", 8, 9),), "a.csv, line 2: 9 right ones of 8 samples; are columns swapped?"),
        (
            (("a", 8, 1), ("b", 8, 1), ("a", 8, 1)),
            "a.csv, line 4: problem 'a' is counted in a.csv, line 2 too",
        ),
        ((("a", 8, 1), ("b", 3, 1)), "a.csv, line 3: problem 'b' has 3 samples, fewer than `at_least`, 4"),
        ((), "a.csv: no row of this policy; do the values of `where` stand in the file?"),
    ],
    ids=["more right than there are", "twice", "too few", "none"],
)
def test_a_pool_refuses(triples: tuple[tuple[str, int, int], ...], said: str) -> None:
    with pytest.raises(UserError) as caught:
        pool(*triples, at_least=4)
    assert str(caught.value).startswith(said)


def test_a_problem_in_two_files_is_counted_once_only() -> None:
    files = [counts(("a", 8, 1)), counts(("a", 8, 1), name="b.csv")]
    with pytest.raises(UserError, match=r"b.csv, line 2: problem 'a' is counted in a.csv, line 2 too"):
        pool_counts(files, 1)


def test_all_policies_are_counted_on_the_same_problems() -> None:
    both = pool(("a", 8, 1), ("b", 8, 1))
    check_problems({"p": both, "q": pool(("b", 8, 1), ("a", 8, 1))}, None)
    with pytest.raises(
        UserError, match=r"^q.csv: policy q has no counts of 1 problems that policy p has \(first: 'a'\)"
    ):
        check_problems({"p": both, "q": pool(("b", 8, 1), name="q.csv")}, None)
    more = pool(("a", 8, 1), ("b", 8, 1), ("c", 8, 1), name="q.csv")
    with pytest.raises(
        UserError, match=r"^q.csv, line 4: problem 'c' of policy q is not among the problems that"
    ):
        check_problems({"p": both, "q": more}, None)


def test_a_data_sets_problems_are_all_counted_in_its_order() -> None:
    both = pool(("a", 8, 1), ("b", 8, 1))
    check_problems({"p": both}, ["b", "a"])
    with pytest.raises(
        UserError, match=r"^a.csv: policy p has no counts of 1 problems that the data set has"
    ):
        check_problems({"p": both}, ["b", "a", "z"])
    with pytest.raises(
        UserError, match=r"^a.csv, line 2: problem 'a' of policy p is not among the problems that the"
    ):
        check_problems({"p": both}, ["b"])


def test_problems_in_common_may_be_all_that_is_asked_for() -> None:
    pools = {"p": pool(("a", 8, 1), ("b", 8, 1)), "q": pool(("b", 8, 1), ("c", 8, 1), name="q.csv")}
    check_problems(pools, None, common=True)
    check_problems(pools, ["a", "b", "c"], common=True)
    with pytest.raises(
        UserError, match="problem 'c' of policy q is not among the problems that the data set has"
    ):
        check_problems(pools, ["a", "b"], common=True)


def test_columns_that_nobody_reads_are_named_where_one_may_be_missing() -> None:
    format_ = count_format("counts")
    rows = laid_out([("a.parquet, row 1", ROW)], format_, Layout(columns=COLUMNS), Reading())
    with pytest.raises(UserError, match="columns that format counts does not know: Score"):
        list(format_.read(rows))
