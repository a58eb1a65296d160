"""What the report says of coverage: of counts where sizes cross, and what the first samples predict."""

from collections.abc import Iterator
from itertools import groupby

import pandas as pd

from isoflop.claims.coverage import ALL, CROSSES, OK
from isoflop.estimate import Estimate, scientific
from isoflop.fits.interpolation import budget_bought
from isoflop.report.html_table import Cell, HtmlTable
from isoflop.report.lookup import Tables, curve, drawn, headline_strategy, of_strategy
from isoflop.report.spec import ReportSpec, cost_column, cost_label, cost_traits

WHAT_IT_IS = (
    "Coverage is the share of problems with a right answer among so many samples. Nobody has that answer in "
    "practice without a verifier that finds it: nothing here is an accuracy."
)
NO_TEXTS = (
    "This study has counts of right samples, without their texts: there are none to show, and nothing is "
    "known of how they end."
)


_OUTCOMES = ("crosses", "larger_from_first", "smaller_to_end", "level_at_end")


def coverage_sentences(tables: Tables, spec: ReportSpec, dataset: str) -> Iterator[str]:
    """What coverage is, and what it is with the most samples of each policy; then the best sizes."""
    yield WHAT_IT_IS
    strategy = headline_strategy(tables.curves, spec)
    told = []
    for policy in spec.policies:
        line = curve(tables.curves, dataset, policy, strategy)
        if len(line):
            told.append(f"{policy} {_coverage(line.iloc[-1])} with {int(line['budget'].iloc[-1]):,}")
    yield f"Coverage with the most samples: {'; '.join(told)}."
    yield from _best_sizes(tables, spec, dataset)


def coverage_findings(tables: Tables, spec: ReportSpec, dataset: str) -> Iterator[str]:
    """Where sizes cross, what was predicted, and which counts may be too high."""
    if tables.coverage is None:
        return
    unit = cost_traits(spec).unit
    crossed = tables.coverage.crossings
    assert crossed is not None  # of counts
    crossed = _of(crossed, dataset)
    crossed = crossed[(crossed["outcome"] == CROSSES) & (crossed["cost_model"] == spec.headline.cost_model)]
    crossed = crossed[crossed["flops_low"].notna() & crossed["flops_high"].notna()]
    if len(crossed):
        listed = "; ".join(
            f"{row['small']} and {row['large']} at {_range(row)} {unit}, about {row['small_samples']:,.0f} "
            f"samples of the one and {row['large_samples']:,.0f} of the other"
            for _, row in crossed.iterrows()
        )
        yield f"Curves cross, the larger size being ahead from there on, each interval its own: {listed}."
    told = _last_forecasts(tables.coverage.forecast, dataset)
    told = told[told["status"] == OK]
    if len(told):
        first = int(told["fitted_to"].iloc[0])
        missed = "; ".join(
            f"{'the mean of all' if row['policy'] == ALL else row['policy']} "
            f"{_estimate(row, 'missed').in_points} at {int(row['budget']):,}"
            for _, row in told.iterrows()
        )
        yield (
            f"Predicted from the first {first} samples of each problem by log coverage = -a k^-b, coverage "
            f"is missed by, in points, each interval its own: {missed}."
        )
    yield from _with_pretraining(tables, spec, dataset)
    unequal = [name for name in spec.policies if name in tables.coverage.unequal]
    if unequal:
        yield (
            f"Problems of {', '.join(unequal)} have different numbers of samples. Where sampling went on "
            "until something was right, coverage is too high."
        )


def _best_sizes(tables: Tables, spec: ReportSpec, dataset: str) -> Iterator[str]:
    """Which size has the highest coverage at equal compute, a sentence per family of several."""
    cost, strategy = cost_column(spec), headline_strategy(tables.curves, spec)
    unit = cost_traits(spec).unit
    for family, policies in spec.sizes.items():
        here = of_strategy(tables.draws, dataset, None, strategy)
        best = drawn(here[here["policy"].isin(policies)], "optimal_size", cost)
        if len(policies) < 2 or best.empty:
            continue
        told = []
        runs = [
            (name, list(rows)) for name, rows in groupby(best.to_dict("records"), lambda row: row["policy"])
        ]
        for name, rows in runs:
            until = float(rows[-1]["x"])
            line = curve(tables.curves, dataset, str(name), strategy)
            samples = budget_bought(until, line[cost], line["budget"])
            told.append(f"{name} up to {scientific(until)} {unit} ({samples:,.0f} of its samples)")
        of = "" if len(spec.sizes) == 1 else f" of {family}"
        yield (
            f"The size{of} with the highest coverage at equal compute ({cost_label(spec)}), as measured: "
            f"{', then '.join(told)}, where the comparison ends."
        )


def _with_pretraining(tables: Tables, spec: ReportSpec, dataset: str) -> Iterator[str]:
    """Which model is best at equal sums of pretraining and samples, a sentence per number of problems."""
    if tables.coverage is None or tables.coverage.pretraining is None:
        return
    table = _of(tables.coverage.pretraining, dataset)
    table = table[table["cost_model"] == spec.headline.cost_model]
    for problems, rows in table.groupby("problems", sort=True):
        told = []
        for name, run in groupby(rows.to_dict("records"), lambda row: row["policy"]):
            *_, last = run
            told.append(
                f"{name} up to {scientific(float(last['flops']))} FLOPs ({float(last['coverage']):.0%}, "
                f"{float(last['inference_share']):.0%} of them after pretraining)"
            )
        yield (
            f"With pretraining (6 N D) counted, and {scientific(float(str(problems)))} problems asked, the "
            f"highest measured coverage is that of {'; then '.join(told)}."
        )


def forecast_table(tables: Tables, spec: ReportSpec, dataset: str) -> HtmlTable:
    """A row per policy and generator: coverage with its most samples, as predicted and as measured."""
    rows = []
    told = pd.DataFrame() if tables.coverage is None else _last_forecasts(tables.coverage.forecast, dataset)
    for _, row in told.iterrows():
        texts = [
            "mean of all" if row["policy"] == ALL else str(row["policy"]),
            str(row["generator"]),
            f"{int(row['fitted_to']):,}",
            f"{int(row['budget']):,}",
            _estimate(row, "predicted").in_percent if row["status"] == OK else f"{row['status']}",
            _estimate(row, "measured").in_percent,
            _estimate(row, "missed").in_points if row["status"] == OK else "–",
        ]
        rows.append([Cell(text) for text in texts])
    header = ["Model", "Samples of", "Known", "Samples", "Predicted", "Measured", "Missed (points)"]
    note = (
        "A power law of log coverage, fitted to the first samples of every problem, against coverage with "
        "all of them. Intervals hold the luck of the problems and of which samples came first; one above or "
        "below 0 says that the law does not extrapolate. Undetermined: often none of the first samples is "
        "right. Every budget is in tables/coverage_forecast.csv."
    )
    return HtmlTable(f"{dataset}: coverage predicted", note, header, rows)


def crossings_table(tables: Tables, spec: ReportSpec, dataset: str) -> HtmlTable:
    """A row per two sizes of a family, under the headline's cost model."""
    rows = []
    if tables.coverage is not None and tables.coverage.crossings is not None:
        found = _of(tables.coverage.crossings, dataset)
        for _, row in found[found["cost_model"] == spec.headline.cost_model].iterrows():
            crosses = row["outcome"] == CROSSES
            texts = [
                str(row["small"]),
                str(row["large"]),
                str(row["outcome"]),
                _range(row) if crosses else "–",
                *(f"{row[name]:,.0f}" if crosses else "–" for name in ("small_samples", "large_samples")),
                *(f"{row[name]:.0%}" for name in _OUTCOMES),
            ]
            rows.append([Cell(text) for text in texts])
    header = [
        "Smaller", "Larger", "Ahead", f"{cost_traits(spec).unit} (interval)", "Samples of the smaller",
        "of the larger", "Cross", "Larger from its first", "Smaller to the end", "Neither in the end",
    ]  # fmt: skip
    note = (
        "At equal compute, within what both were sampled: where the larger size gets ahead for good. The "
        "last four columns are shares of the bootstrap's replicates; where too many of them do not cross, "
        "an end of the interval is open."
    )
    return HtmlTable(f"{dataset}: where two sizes cross", note, header, rows, text_columns=3, folded=True)


def _range(row: pd.Series) -> str:
    low, high = (
        ("?" if pd.isna(row[name]) else scientific(float(row[name]))) for name in ("flops_low", "flops_high")
    )
    return f"{scientific(float(row['flops']))} ({low} to {high})"


def _of(table: pd.DataFrame, dataset: str) -> pd.DataFrame:
    return table[table["dataset"] == dataset]


def _last_forecasts(table: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Of every policy and generator the forecast of its largest budget."""
    ordered = _of(table, dataset).sort_values("budget", kind="stable")
    return ordered.groupby(["generator", "policy"], sort=False).tail(1)


def _estimate(row: pd.Series, name: str) -> Estimate:
    return Estimate(float(row[name]), float(row[f"{name}_low"]), float(row[f"{name}_high"]))


def _coverage(row: pd.Series) -> str:
    return Estimate(float(row["accuracy"]), float(row["ci_low"]), float(row["ci_high"])).in_percent
