"""How solutions end: the shares of a pool, and what is said of them."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from isoflop.estimate import Estimate
from isoflop.report.sample_counts import (
    PoolCounts,
    PublishedGrades,
    counted,
    counts_table,
    samples_csv,
    share_of,
    unread_sentences,
)


def pool(dataset: str = "math", policy: str = "llama-1b", **ends: float) -> PoolCounts:
    names = ("no_answer", "unfinished", "finished_no_answer", "undecided")
    shares = {
        name: Estimate(share := ends.get(name, 0.0), max(0.0, share - 0.01), share + 0.02) for name in names
    }
    return PoolCounts(
        dataset,
        policy,
        "published",
        candidates=1500,
        **shares,
        too_long=ends.get("too_long", 0.0),
        tokens=250.4,
        tokens_estimated=False,
    )


def test_the_interval_of_independent_candidates_is_wilsons() -> None:
    found = share_of(np.array([1, 0, 0, 1] * 25), np.ones(100, dtype=int))
    wilson = binomtest(50, 100).proportion_ci(0.95, "wilson")
    assert found.value == 0.5
    assert found.low == pytest.approx(wilson.low, abs=2e-3)
    assert found.high == pytest.approx(wilson.high, abs=2e-3)


def test_a_problem_whose_candidates_are_all_alike_counts_once() -> None:
    once = share_of(np.array([1, 0, 0, 1] * 10), np.ones(40, dtype=int))
    many = share_of(np.array([50, 0, 0, 50] * 10), np.full(40, 50))
    assert (many.value, many.low, many.high) == pytest.approx((once.value, once.low, once.high), rel=1e-9)


def test_none_among_many_is_no_certainty() -> None:
    none, all_of_them = (share_of(np.full(20, hits), np.full(20, 8)) for hits in (0, 8))
    wilson = binomtest(0, 20).proportion_ci(0.95, "wilson")
    assert (none.value, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(wilson.high)
    assert (all_of_them.low, all_of_them.high) == (pytest.approx(1 - wilson.high), 1.0)


def test_intervals_hold_the_true_share_as_often_as_they_say() -> None:
    # Problems differ: their own rates are 0.02 or 0.3, so the truth is 0.16; at most 5% of intervals miss.
    rng = np.random.default_rng(3)
    missed = 0
    for _ in range(400):
        rates = rng.choice([0.02, 0.3], 50)
        found = share_of(rng.binomial(8, rates), np.full(50, 8))
        missed += not found.low <= 0.16 <= found.high
    assert missed / 400 < 0.08


def test_shares_are_of_all_candidates() -> None:
    # Finished and answered, cut off after its answer, cut off without one, ended without one.
    found = counted(
        ("math", "llama-1b", "published"),
        finished=np.array([True, False, False, True]),
        problems=np.array([0, 0, 1, 1]),
        answered=np.array([True, True, False, False]),
        undecided=np.array([1, 0]),
        tokens=np.array([10, 40, 40, 30]),
        too_long=1,
        tokens_estimated=True,
    )
    assert (found.candidates, found.tokens, found.tokens_estimated) == (4, 30.0, True)
    assert (found.no_answer.value, found.unfinished.value) == (0.5, 0.5)
    assert (found.finished_no_answer.value, found.too_long, found.undecided.value) == (0.25, 0.25, 0.25)


def test_imported_files_that_mark_no_solution_as_cut_do_not_say() -> None:
    ends = {
        "problems": np.array([0, 1]),
        "answered": np.array([True, False]),
        "undecided": None,
        "tokens": np.array([10, 20]),
        "too_long": 0,
        "tokens_estimated": True,
        "imported": True,
    }
    silent = counted(("math", "a", "b"), finished=np.array([True, True]), **ends)
    assert math.isnan(silent.unfinished.value)
    assert silent.finished_no_answer.value == 0.5
    assert (
        samples_csv([silent], "study").splitlines()[1]
        == "study,math,a,b,2,0.500000,0.054621,0.945379,,,,0.500000,0.054621,0.945379,,,,0.000000,15,,true"
    )
    assert [cell.text for cell in counts_table([silent]).rows[0][4:7:2]] == ["–", "–"]
    assert [text[:8] for text in unread_sentences([silent], "math")] == ["Solution"]
    marked = counted(("math", "a", "b"), finished=np.array([True, False]), **ends)
    assert marked.unfinished.value == 0.5


def test_the_table_has_a_row_per_pool_with_plain_columns() -> None:
    none, rest = ",0.000000,0.000000,0.020000", ",0.000000,250.4,,false"
    text = samples_csv([pool(no_answer=2 / 3), pool(policy="llama-3b")], "study")
    assert text.splitlines() == [
        "experiment,dataset,policy,generator,candidates,no_answer,no_answer_low,no_answer_high,"
        "unfinished,unfinished_low,unfinished_high,finished_no_answer,finished_no_answer_low,"
        "finished_no_answer_high,undecided,undecided_low,undecided_high,too_long,tokens,thinking_tokens,"
        "tokens_estimated",
        "study,math,llama-1b,published,1500,0.666667,0.656667,0.686667" + none * 3 + rest,
        "study,math,llama-3b,published,1500" + none * 4 + rest,
    ]


def test_thinking_tokens_are_told_where_all_of_them_are_known() -> None:
    ends = {"finished": np.array([True, True]), "answered": np.array([True, True]), "too_long": 0}
    ends |= {"tokens": np.array([1000, 400]), "tokens_estimated": False}
    ends |= {"problems": np.array([0, 1]), "undecided": None}
    thinks = counted(("math", "qwq", "sampling"), thinking=np.array([900.0, 250.0]), **ends)
    plain = counted(("math", "llama", "sampling"), thinking=np.array([0.0, 0.0]), **ends)
    unknown = counted(("math", "api", "published"), thinking=np.array([900.0, np.nan]), **ends)
    rows = samples_csv([thinks, plain, unknown], "study").splitlines()
    assert [row.split(",")[-3:] for row in rows] == [
        ["tokens", "thinking_tokens", "tokens_estimated"],
        ["700", "575", "false"],
        ["700", "0", "false"],
        ["700", "", "false"],
    ]
    table = counts_table([thinks, plain, unknown])
    assert table.header[-2:] == ["Tokens", "Thinking"]
    assert [[cell.text for cell in row[-2:]] for row in table.rows] == [
        ["700", "575"],
        ["700", "0"],
        ["700", "–"],
    ]
    # Where no model thinks there is nothing to tell.
    assert counts_table([plain, unknown]).header[-1] == "Tokens"


def test_a_share_above_two_percent_is_told_with_its_pool() -> None:
    pools = [
        pool(finished_no_answer=0.135, no_answer=0.135),
        pool(policy="llama-3b", finished_no_answer=0.02),
        pool(policy="other", dataset="gsm8k", finished_no_answer=0.5),
        pool(policy="tree", unfinished=0.65, undecided=0.04, too_long=0.03),
    ]
    assert list(unread_sentences(pools, "math")) == [
        "Solutions that end without a recognised answer: llama-1b (published) 13.5% (12.5–15.5) "
        "of 1,500. They count as wrong, and nobody can tell from the accuracy whether the model or the "
        "extraction failed.",
        "Unfinished solutions, cut off at the token limit or left by a search: tree (published) 65.0% "
        "(64.0–67.0) of 1,500. They count as wrong unless they had stated their answer.",
        "Solutions whose answer could not be compared within the limits: tree (published) 4.0% (3.0–6.0) of "
        "1,500. They count as wrong.",
        "Solutions too long for the verifier: tree (published) 3.0% of 1,500. They take no part in its "
        "selections.",
    ]
    assert list(unread_sentences([pool()], "math")) == []


def test_the_report_names_the_data_only_where_there_are_several() -> None:
    table = counts_table([pool(no_answer=0.135)])
    assert table.header[:3] == ["Model", "Generator", "Solutions"]
    assert [cell.text for cell in table.rows[0]] == [
        "llama-1b", "published", "1,500", "13.5% (12.5–15.5)", *["0.0% (0.0–2.0)"] * 3, "0.0%", "250",
    ]  # fmt: skip
    assert [cell.bold for cell in table.rows[0]] == [False] * 3 + [True] + [False] * 5
    both = counts_table([pool(), pool(dataset="gsm8k")])
    assert both.header[0] == "Data"
    assert both.text_columns == 3
    assert {len(row) for row in both.rows} == {len(both.header)}


def test_grades_of_files_are_compared_and_unknown_answers_are_told() -> None:
    ends = {
        "problems": np.array([0, 1]),
        "finished": np.array([True, True]),
        "undecided": None,
        "tokens": np.array([10, 20]),
        "too_long": 0,
        "tokens_estimated": False,
    }
    both = counted(
        ("math", "a", "b"),
        answered=np.array([True, True]),
        published=PublishedGrades(imported=False, compared=200, only_here=3, only_there=1, answers_unknown=0),
        **ends,
    )
    unknown = counted(
        ("math", "c", "d"),
        answered=np.array([False, True]),
        published=PublishedGrades(imported=True, compared=0, only_here=0, only_there=0, answers_unknown=1),
        **ends,
    )
    assert not unknown.no_answer.known
    said = " ".join(unread_sentences([both, unknown], "math"))
    assert (
        "Of 200 solutions that the files grade too, 4 (2.00%) are graded otherwise here: 3 right here" in said
    )
    assert "What is right is what the files say of c (d)." in said
    assert "do not say what was answered by c (d)" in said
    header, first, second, third = samples_csv([both, unknown, pool()], "study").splitlines()
    assert header.endswith(
        "published_imported,published_compared,published_only_here,published_only_there,"
        "published_answers_unknown"
    )
    assert first.endswith(",false,200,3,1,0")
    assert second.endswith(",true,0,0,0,1")
    assert third.endswith(",,,,,")
