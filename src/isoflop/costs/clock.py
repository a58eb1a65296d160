"""What a clock has measured, as tables: seconds per problem beside every curve, and seconds of every job.

No two runs agree on it, so it is in no table that a result rests on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from isoflop.arrays import Floats, Ints
from isoflop.errors import UserError
from isoflop.tables import subsets

SECONDS_COLUMNS = (
    "experiment", "dataset", "policy", "generator", "verifier", "subset", "budget", "seconds_per_problem",
)  # fmt: skip
JOBS_COLUMNS = (
    "experiment", "stage", "job", "seconds", "scoring_seconds", "driver_seconds", "tokens", "ended",
    "machines",
)  # fmt: skip


@dataclass(frozen=True)
class Problems:
    """The problems of a data set that a study's curves are of.

    Attributes
    ----------
    ids
        Their identifiers, [problems].
    levels
        [problems]; NO_LEVEL (isoflop.tables) where one has none.
    """

    ids: Sequence[str]
    levels: Ints


@dataclass(frozen=True)
class JobTime:
    """How long a job took.

    Attributes
    ----------
    stage
        Its stage.
    job
        What it made, by data set, policy and so on.
    seconds
        Of wall-clock time; None where nobody measured.
    scoring_seconds, driver_seconds
        Of a search, what the verifier and the trees took of them.
    tokens
        Charged, as ledgers count them; None where it has none.
    ended
        When it was done.
    machines
        Where it ran, in words, each once.
    """

    stage: str
    job: str
    seconds: float | None
    scoring_seconds: float | None = None
    driver_seconds: float | None = None
    tokens: int | None = None
    ended: str | None = None
    machines: tuple[str, ...] = ()


def seconds_rows(
    experiment: str, pool: Sequence[str], table: pd.DataFrame, problems: Problems, source: str
) -> list[tuple[str, ...]]:
    """Rows of `SECONDS_COLUMNS` of one pool: by verifier, subset, then budget.

    Parameters
    ----------
    experiment
        Its name.
    pool
        Data set, policy and generator, as curves have them.
    table
        Columns of `isoflop.tables.SECONDS`.
    problems
        Those that the curves are of.
    source
        What errors name: the file.

    Returns
    -------
    Rows, six significant digits; an empty cell where nobody measured.

    Raises
    ------
    UserError
        Where the table lacks one of the problems.
    """
    rows = []
    for verifier, of_verifier in table.groupby("verifier", sort=True):
        wide = of_verifier.pivot_table(
            index="budget", columns="problem_id", values="seconds", dropna=False, sort=True
        )
        missing = sorted(set(problems.ids) - set(wide.columns))
        if missing:
            raise UserError(f"{source}: has no problem {missing[0]!r}; delete it and run again")
        seconds: Floats = wide[list(problems.ids)].to_numpy(dtype=np.float64)
        for subset, members in subsets(problems.levels).items():
            for budget, mean in zip(wide.index, seconds[:, members].mean(axis=1), strict=True):
                told = "" if np.isnan(mean) else f"{mean:.6g}"
                rows.append((experiment, *pool, str(verifier), subset, str(budget), told))
    return rows


def seconds_csv(rows: Sequence[tuple[str, ...]]) -> str:
    """times/seconds.csv, joined to curves.csv by the columns that both have.

    Parameters
    ----------
    rows
        As `seconds_rows` gives them.
    """
    return _csv(SECONDS_COLUMNS, rows)


def jobs_csv(jobs: Sequence[JobTime], experiment: str) -> str:
    """times/jobs.csv: a row per job, to the millisecond.

    Parameters
    ----------
    jobs
        In the order of the table.
    experiment
        Its name.
    """
    rows = [
        (
            experiment,
            job.stage,
            job.job,
            *("" if value is None else f"{value:.3f}" for value in _measured(job)),
            "" if job.tokens is None else str(job.tokens),
            job.ended or "",
            "; ".join(job.machines),
        )
        for job in jobs
    ]
    return _csv(JOBS_COLUMNS, rows)


def by_stage(jobs: Sequence[JobTime]) -> Mapping[str, list[JobTime]]:
    """Jobs by stage, in their order.

    Parameters
    ----------
    jobs
        Of all stages.
    """
    grouped: dict[str, list[JobTime]] = {}
    for job in jobs:
        grouped.setdefault(job.stage, []).append(job)
    return grouped


def _measured(job: JobTime) -> tuple[float | None, ...]:
    return job.seconds, job.scoring_seconds, job.driver_seconds


def _csv(columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> str:
    return pd.DataFrame(rows, columns=list(columns)).to_csv(index=False, lineterminator="\n")
