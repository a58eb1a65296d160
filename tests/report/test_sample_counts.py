"""How solutions end: the shares of a pool, and what is said of them."""

import math

import numpy as np

from isoflop.report.sample_counts import (
    PoolCounts,
    PublishedGrades,
    counted,
    counts_table,
    samples_csv,
    unread_sentences,
)


def pool(dataset: str = "math", policy: str = "llama-1b", **ends: float) -> PoolCounts:
    shares = dict.fromkeys(("no_answer", "unfinished", "finished_no_answer", "too_long"), 0.0) | ends
    return PoolCounts(
        dataset, policy, "published", candidates=1500, **shares, tokens=250.4, tokens_estimated=False
    )


def test_shares_are_of_all_candidates() -> None:
    # Finished and answered, cut off after its answer, cut off without one, ended without one.
    found = counted(
        ("math", "llama-1b", "published"),
        finished=np.array([True, False, False, True]),
        answered=np.array([True, True, False, False]),
        tokens=np.array([10, 40, 40, 30]),
        too_long=1,
        tokens_estimated=True,
    )
    assert (found.candidates, found.tokens, found.tokens_estimated) == (4, 30.0, True)
    assert (found.no_answer, found.unfinished) == (0.5, 0.5)
    assert (found.finished_no_answer, found.too_long) == (0.25, 0.25)


def test_imported_files_that_mark_no_solution_as_cut_do_not_say() -> None:
    ends = {
        "answered": np.array([True, False]),
        "tokens": np.array([10, 20]),
        "too_long": 0,
        "tokens_estimated": True,
        "imported": True,
    }
    silent = counted(("math", "a", "b"), finished=np.array([True, True]), **ends)
    assert math.isnan(silent.unfinished)
    assert silent.finished_no_answer == 0.5
    assert (
        samples_csv([silent], "study").splitlines()[1]
        == "study,math,a,b,2,0.500000,,0.500000,0.000000,15,,true"
    )
    assert counts_table([silent]).rows[0][4].text == "–"
    assert [text[:8] for text in unread_sentences([silent], "math")] == ["Solution"]
    marked = counted(("math", "a", "b"), finished=np.array([True, False]), **ends)
    assert marked.unfinished == 0.5


def test_the_table_has_a_row_per_pool_with_plain_columns() -> None:
    text = samples_csv([pool(no_answer=2 / 3), pool(policy="llama-3b")], "study")
    assert text.splitlines() == [
        "experiment,dataset,policy,generator,candidates,no_answer,unfinished,finished_no_answer,too_long,"
        "tokens,thinking_tokens,tokens_estimated",
        "study,math,llama-1b,published,1500,0.666667,0.000000,0.000000,0.000000,250.4,,false",
        "study,math,llama-3b,published,1500,0.000000,0.000000,0.000000,0.000000,250.4,,false",
    ]


def test_thinking_tokens_are_told_where_all_of_them_are_known() -> None:
    ends = {"finished": np.array([True, True]), "answered": np.array([True, True]), "too_long": 0}
    ends |= {"tokens": np.array([1000, 400]), "tokens_estimated": False}
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
        pool(policy="tree", unfinished=0.65, too_long=0.03),
    ]
    assert list(unread_sentences(pools, "math")) == [
        "Solutions that end without a recognised answer: llama-1b (published) 13.5% of 1,500. They count as "
        "wrong, and nobody can tell from the accuracy whether the model or the extraction failed.",
        "Unfinished solutions, cut off at the token limit or left by a search: tree (published) 65.0% of "
        "1,500. They count as wrong unless they had stated their answer.",
        "Solutions too long for the verifier: tree (published) 3.0% of 1,500. They take no part in its "
        "selections.",
    ]
    assert list(unread_sentences([pool()], "math")) == []


def test_the_report_names_the_data_only_where_there_are_several() -> None:
    table = counts_table([pool(no_answer=0.135)])
    assert table.header[:3] == ["Model", "Generator", "Solutions"]
    assert [cell.text for cell in table.rows[0]] == [
        "llama-1b", "published", "1,500", "13.5%", "0.0%", "0.0%", "0.0%", "250",
    ]  # fmt: skip
    assert [cell.bold for cell in table.rows[0]] == [False] * 3 + [True] + [False] * 4
    both = counts_table([pool(), pool(dataset="gsm8k")])
    assert both.header[0] == "Data"
    assert both.text_columns == 3
    assert {len(row) for row in both.rows} == {len(both.header)}


def test_grades_of_files_are_compared_and_unknown_answers_are_told() -> None:
    ends = {
        "finished": np.array([True, True]),
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
    assert math.isnan(unknown.no_answer)
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
