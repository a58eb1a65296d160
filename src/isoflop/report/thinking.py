"""What the report says of thinking longer against voting more: a sentence and a table."""

from collections.abc import Iterator

import pandas as pd

from isoflop.estimate import Estimate
from isoflop.fits.differences import THINKING, THINKING_ONCE
from isoflop.report.html_table import Cell, HtmlTable
from isoflop.report.lookup import Tables
from isoflop.report.spec import ReportSpec, cost_traits


def thinking_sentences(tables: Tables, spec: ReportSpec, dataset: str) -> Iterator[str]:
    """One answer of every model that thinks longer, against votes over shorter thoughts at equal cost."""
    unit = cost_traits(spec).unit
    equal, _ = _compared(tables, spec, dataset)
    told = [
        f"{_policy(row['left'])} over {float(row['right_budget']):.2g} of {_policy(row['right'])} "
        f"{_points(row)}"
        for _, row in equal.iterrows()
    ]
    if told:
        yield (
            f"One answer that was thought about longer against votes over shorter thoughts, at equal {unit}, "
            f"in points, each interval its own: {'; '.join(told)}."
        )


def _compared(tables: Tables, spec: ReportSpec, dataset: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of differences.csv: one answer of longer thoughts at equal cost, and against the most votes."""
    paired, selector = tables.differences, f"/{spec.headline.selector}/"
    own = paired[
        (paired["dataset"] == dataset)
        & (paired["budget"].astype(str) == "1")
        & paired["left"].str.contains(selector, regex=False)
    ]
    equal = own[(own["comparison"] == THINKING) & (own["cost_model"] == spec.headline.cost_model)]
    return equal, own[own["comparison"] == THINKING_ONCE]


def thinking_table(tables: Tables, spec: ReportSpec, dataset: str) -> HtmlTable:
    """One answer of a model that thinks longer, against votes of the same that thinks less.

    At equal cost of the headline, and against the most votes there are; empty where nothing thinks.
    """
    cost = spec.headline.cost_model
    rows = [
        [
            Cell(_policy(row["left"])),
            Cell(_policy(row["right"])),
            Cell(f"{float(row['right_budget']):.3g}"),
            Cell(_ratio(row, cost)),
            Cell(_points(row)),
        ]
        for _, row in pd.concat(_compared(tables, spec, dataset)).iterrows()
    ]
    unit = cost_traits(spec).unit
    header = ["One answer of", "Against votes of", "Votes", f"{unit}, ratio", "Difference (points)"]
    note = (
        "Accuracy of one answer that was thought about longer, minus that of votes over shorter thoughts: "
        f"at equal {unit}, and against all votes there are, whatever they cost. Votes in between are read "
        "off those measured, linear in the logarithm of the cost. Each interval is its own, paired over the "
        "problems. More answers of the longer thoughts, and other costs, are in tables/differences.csv."
    )
    return HtmlTable(f"{dataset}: thinking longer or voting more", note, header, rows, text_columns=2)


def _policy(label: object) -> str:
    return str(label).partition("/")[0]


def _ratio(row: pd.Series, cost: str) -> str:
    """What the longer thought costs, over what the votes cost."""
    value = pd.to_numeric(row.get(f"cost_ratio_{cost}", ""), errors="coerce")
    return "–" if pd.isna(value) else f"{float(value):.2g}"


def _points(row: pd.Series) -> str:
    return Estimate(float(row["difference"]), float(row["ci_low"]), float(row["ci_high"])).in_points
