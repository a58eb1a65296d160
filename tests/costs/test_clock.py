"""Tables of what a clock measured: seconds by subset, and of every job."""

import csv
import io

import numpy as np
import pandas as pd
import pytest

from isoflop.costs.clock import JobTime, Problems, by_stage, jobs_csv, seconds_csv, seconds_rows
from isoflop.errors import UserError

PROBLEMS = Problems(("a", "b", "c"), np.array([1, 2, 1]))
POOL = ("words", "small", "sampling")


def table() -> pd.DataFrame:
    """Seconds of a verifier and of none, at two budgets; one problem more than the curves have."""
    rows = [
        (problem, verifier, budget, budget * (place + (10 if verifier == "prm" else 0)))
        for verifier in ("none", "prm")
        for budget in (2, 1)
        for place, problem in enumerate("dcba")
    ]
    return pd.DataFrame(rows, columns=["problem_id", "verifier", "budget", "seconds"])


def test_seconds_are_means_over_the_problems_of_a_subset() -> None:
    rows = seconds_rows("study", POOL, table(), PROBLEMS, "s.parquet")
    found = {
        (row["verifier"], row["subset"], row["budget"]): row["seconds_per_problem"]
        for row in csv.DictReader(io.StringIO(seconds_csv(rows)))
    }
    # a, b and c took 3, 2 and 1 at budget 1, and 10 more with the verifier.
    expected = {
        (verifier, subset, str(budget)): str(budget * (more + 2))
        for verifier, more in (("none", 0), ("prm", 10))
        for subset in ("all", "1", "2")
        for budget in (1, 2)
    }
    assert found == expected


def test_what_nobody_measured_is_empty_and_what_is_missing_refused() -> None:
    unknown = table().assign(seconds=np.nan)
    rows = seconds_rows("study", POOL, unknown, Problems(("a", "b"), np.array([-1, -1])), "s.parquet")
    assert {row[-1] for row in rows} == {""}
    assert {row[5] for row in rows} == {"all"}
    with pytest.raises(UserError, match=r"s\.parquet: has no problem 'e'; delete it and run again"):
        seconds_rows("study", POOL, table(), Problems(("a", "e"), np.array([1, 1])), "s.parquet")


def test_jobs_are_told_in_their_order() -> None:
    jobs = [
        JobTime("sample", "words/small/s", 1.23456, tokens=10, ended="now", machines=("cores 2", "cores 4")),
        JobTime("replay", "words/small/i", None),
        JobTime("sample", "words/small/g", 2.0),
    ]
    first, second, _ = csv.DictReader(io.StringIO(jobs_csv(jobs, "study")))
    assert (first["seconds"], first["tokens"], first["machines"]) == ("1.235", "10", "cores 2; cores 4")
    assert (second["seconds"], second["tokens"], second["scoring_seconds"]) == ("", "", "")
    assert {stage: len(some) for stage, some in by_stage(jobs).items()} == {"sample": 2, "replay": 1}
