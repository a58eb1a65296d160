"""The forecast beside what was measured, of work and of intervals (tables/plan.csv), and of seconds
(times/plan.csv), each as a table for people too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isoflop.config.planning import Planning
from isoflop.estimate import scientific
from isoflop.fits.bootstrap import difference_interval
from isoflop.fits.evidence import Evidence
from isoflop.forecast.comparisons import Comparison, Picked
from isoflop.forecast.half_widths import expected
from isoflop.forecast.work import Job, StudyWork
from isoflop.report.html_table import Cell, HtmlTable
from isoflop.strategy import Strategy

COUNTED = ("read", "written", "judged", "flops")
SECONDS = "seconds"
QUANTITIES = (*COUNTED, SECONDS)
COLUMNS = ("experiment", "stage", "policy", "generator", "quantity", "planned", "measured", "ratio")
_STAGES = ("sample", "revise", "search", "score")


@dataclass(frozen=True)
class Compared:
    """A job as planned, and what it took by quantity (`QUANTITIES`); None where there is no ledger."""

    planned: Job
    measured: Mapping[str, float] | None


@dataclass(frozen=True)
class IntervalCompared:
    """A comparison with its half-width as planned and as measured."""

    comparison: Comparison
    planned: float
    measured: float


def intervals_compared(work: StudyWork, evidence: Mapping[str, Evidence]) -> list[IntervalCompared]:
    """Half-widths of the comparisons that were made. `evidence`: by data set."""
    compared = []
    for comparison in work.comparisons:
        measured = evidence[comparison.dataset]
        left, right = picked_credits(measured, comparison.left), picked_credits(measured, comparison.right)
        if left is not None and right is not None:
            low, high = difference_interval(left, right, measured.weights, measured.level)
            planned = expected(comparison, work.planning, measured.count, measured.level)
            compared.append(IntervalCompared(comparison, planned.half_width, (high - low) / 2))
    return compared


def picked_credits(evidence: Evidence, pick: Picked) -> NDArray[np.float64] | None:
    """The credits of one side of a comparison, [problems]; None where it was not measured."""
    series = evidence.get(
        pick.policy, Strategy(pick.generator, pick.selector, pick.verifier, pick.step_aggregation)
    )
    return None if series is None else series.at_budget(pick.budget)


def _parts(jobs: Sequence[Compared]) -> Iterator[tuple[tuple[str, str, str], list[Compared]]]:
    """Jobs with a ledger by stage, policy and generator; then each stage whole, under `all`."""
    for stage in _STAGES:
        of_stage = [job for job in jobs if job.planned.stage == stage and job.measured is not None]
        for key in dict.fromkeys((job.planned.policy, job.planned.generator) for job in of_stage):
            yield (
                (stage, *key),
                [job for job in of_stage if (job.planned.policy, job.planned.generator) == key],
            )
        if of_stage:
            yield (stage, "all", "all"), of_stage


def _sums(jobs: Sequence[Compared], quantity: str) -> tuple[float, float]:
    planned = sum(float(getattr(job.planned, quantity)) for job in jobs)
    return planned, sum(job.measured[quantity] for job in jobs if job.measured is not None)


def plan_csv(jobs: Sequence[Compared], experiment: str, intervals: Sequence[IntervalCompared] = ()) -> str:
    """tables/plan.csv: one row per part and quantity, those that are neither planned nor measured left out.

    Tokens `read` are the policy's prompts, `judged` the verifier's; FLOPs are those of cost model `total`.
    Then one row per comparison, of stage `interval`: the `half_width` of its interval. Six significant
    digits; an empty ratio is not determined.
    """
    return _csv(
        [
            *_rows(jobs, experiment, COUNTED),
            *_interval_rows(intervals, experiment),
        ]
    )


def seconds_csv(jobs: Sequence[Compared], experiment: str) -> str:
    """times/plan.csv: the columns of tables/plan.csv, of seconds of the work on the clock."""
    return _csv(_rows(jobs, experiment, (SECONDS,)))


Row = tuple[str, ...]


def _rows(jobs: Sequence[Compared], experiment: str, quantities: Sequence[str]) -> list[Row]:
    return [
        (experiment, *key, quantity, *_rounded(*_sums(part, quantity)))
        for key, part in _parts(jobs)
        for quantity in quantities
        if any(_sums(part, quantity))
    ]


def _interval_rows(intervals: Sequence[IntervalCompared], experiment: str) -> list[Row]:
    return [
        (experiment, "interval", policy, pair, "half_width", *_rounded(interval.planned, interval.measured))
        for interval in intervals
        for policy, pair in [_pair(interval.comparison)]
    ]


def _csv(rows: Sequence[Row]) -> str:
    return pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(index=False, lineterminator="\n")


def _rounded(planned: float, measured: float) -> tuple[str, str, str]:
    ratio = f"{measured / planned:.6g}" if planned else ""
    return f"{planned:.6g}", f"{measured:.6g}", ratio


def _pair(comparison: Comparison) -> tuple[str, str]:
    """The policy, and what is compared on which data set."""
    left, right = comparison.left, comparison.right
    other = right.name if right.policy == left.policy else f"{right.policy}, {right.name}"
    return left.policy, f"{comparison.dataset}: {left.name} - {other}"


def intervals_table(intervals: Sequence[IntervalCompared]) -> HtmlTable:
    """The report's table of intervals: half-widths by data set and question."""
    groups: dict[tuple[str, str], list[IntervalCompared]] = {}
    for interval in intervals:
        groups.setdefault((interval.comparison.dataset, interval.comparison.question), []).append(interval)
    rows = []
    for key, group in groups.items():
        planned, measured = (
            median(getattr(interval, name) for interval in group) for name in ("planned", "measured")
        )
        ratios = sorted(interval.measured / interval.planned for interval in group if interval.planned)
        cells = [*key, str(len(group)), f"{100 * planned:.1f}", f"{100 * measured:.1f}"]
        cells.append(f"{ratios[0]:.2f} to {ratios[-1]:.2f}" if ratios else "–")
        rows.append([Cell(text) for text in cells])
    header = ["Data set", "Question", "Comparisons", "Half-width, planned", "measured", "ratios"]
    note = (
        "Half-widths of intervals of paired differences, in points, medians: what make plan expected of the "
        "config's accuracies (planning.accuracy), and what was measured. One by one: tables/plan.csv."
    )
    return HtmlTable("Intervals, plan and measurement", note, header, rows, text_columns=2)


def plan_table(jobs: Sequence[Compared]) -> HtmlTable:
    """Tokens and FLOPs, planned, measured, and their ratio."""
    note = (
        "What the config's assumptions (planning) say, beside the ledgers. A ratio far from 1 speaks of "
        "lengths. FLOPs are those of prompts, samples and verifier. By token kind: tables/plan.csv; seconds: "
        "times/plan.csv."
    )
    return _table("Plan and measurement", note, jobs, {"Tokens": COUNTED[:3], "FLOPs": COUNTED[3:]})


def seconds_table(jobs: Sequence[Compared], planning: Planning) -> HtmlTable:
    """Seconds, planned, measured, and their ratio."""
    note = (
        f"What the config's assumptions (planning) say for {planning.gpu}, beside what the clock measured, "
        "without the start of jobs. A ratio far from 1 speaks of the machine, which may be another than "
        "planned for."
    )
    return _table("Planned and measured seconds", note, jobs, {"Seconds": (SECONDS,)})


def _table(
    title: str, note: str, jobs: Sequence[Compared], columns: Mapping[str, Sequence[str]]
) -> HtmlTable:
    """Sums of quantities, by what they are called in the header: planned, measured, and their ratio."""
    rows = []
    for key, part in _parts(jobs):
        cells = [Cell(text) for text in key]
        for quantities in columns.values():
            sums = [_sums(part, quantity) for quantity in quantities]
            planned, measured = (sum(values) for values in zip(*sums, strict=True))
            cells += [Cell(scientific(planned)), Cell(scientific(measured))]
            cells.append(Cell(f"{measured / planned:.2g}" if planned else "–"))
        rows.append([Cell(cell.text, bold=key[1] == "all") for cell in cells])
    header = ["Stage", "Model", "Generator"]
    for name in columns:
        header += [f"{name}, planned", "measured", "ratio"]
    return HtmlTable(title, note, header, rows, text_columns=3)
