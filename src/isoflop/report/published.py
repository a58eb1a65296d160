"""Published numbers beside measured ones: accuracy with the difference and its interval, and the costs.

A published number has no interval and is taken as it stands, so the interval of the difference is the
measured one, shifted. What cannot be compared keeps its row and says why.
"""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import pandas as pd

from isoflop.errors import UserError
from isoflop.estimate import Estimate, percent, scientific
from isoflop.report.html_table import Cell, HtmlTable, pipe_table
from isoflop.report.lookup import curve
from isoflop.report.paper_tables import markdown_escape
from isoflop.report.spec import PublishedTables, ReportSpec
from isoflop.strategy import NONE, Strategy, needs_verifier, selector_order

COLUMNS = ("model", "dataset", "generator", "selector", "samples", "flops", "accuracy")
_NAMES = ("source", "model", "policy", "dataset", "strategy", "samples")
_NUMBERS = (
    "published_accuracy", "accuracy", "ci_low", "ci_high", "difference", "difference_low", "difference_high",
    "published_flops", "flops", "flops_ratio",
)  # fmt: skip


def read_published(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """The rows of one file of published numbers, checked; `source` is the file's name.

    Accuracies become fractions. Raises UserError naming the file and the row.
    """
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise UserError(f"{name}: has no column {', '.join(missing)}; needed are {', '.join(COLUMNS)}")
    rows = table.loc[:, list(COLUMNS)].copy()
    for column, low, high in (("samples", 1, None), ("flops", 0, None), ("accuracy", 0, 100)):
        rows[column] = pd.to_numeric(rows[column], errors="coerce")
        wrong = rows[column].isna() | (rows[column] < low)
        if high is not None:
            wrong |= rows[column] > high
        if column == "flops":
            wrong &= table[column].notna()  # a paper may give none
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise UserError(f"{name}, row {row + 1}: {column} cannot be '{table[column].iloc[row]}'")
    known = selector_order()
    unknown = ~rows["selector"].isin(known)
    if unknown.any():
        row = int(unknown.to_numpy().argmax())
        name_given = rows["selector"].iloc[row]
        raise UserError(f"{name}, row {row + 1}: selector {name_given!r} is not one of {', '.join(known)}")
    rows["accuracy"] /= 100.0
    rows.insert(0, "source", PurePath(name).stem)
    return rows


def compare(curves: pd.DataFrame, spec: ReportSpec, published: pd.DataFrame) -> pd.DataFrame:
    """Every published row with what was measured at the same number of samples.

    Columns: names, accuracies as fractions, `difference` (measured minus published) with its interval, FLOPs
    of `wu2024` and their ratio, and `note`: why there is nothing beside a number.
    """
    assert spec.published is not None
    records = [
        {name: published[name].iloc[row] for name in ("source", *COLUMNS)} for row in range(len(published))
    ]
    rows = [_compared(curves, spec, spec.published, row) for row in records]
    return pd.DataFrame(rows, columns=[*_NAMES, *_NUMBERS, "note"])


def _compared(
    curves: pd.DataFrame, spec: ReportSpec, mapped: PublishedTables, row: Mapping[str, Any]
) -> dict[str, object]:
    model, selector, samples = str(row["model"]), str(row["selector"]), int(row["samples"])
    policy = mapped.policies.get(model)
    dataset = mapped.datasets.get(str(row["dataset"]))
    generator = mapped.generators.get(str(row["generator"]))
    strategy = _strategy(spec, generator or str(row["generator"]), selector)
    known: dict[str, object] = {
        "source": row["source"],
        "model": model,
        "policy": policy,
        "dataset": dataset or row["dataset"],
        "strategy": strategy.short,
        "samples": samples,
        "published_accuracy": row["accuracy"],
        "published_flops": row["flops"],
    }
    if policy is None:
        return known | {"note": f"{model} is not in this study"}
    if dataset is None:
        return known | {"note": f"{row['dataset']} is not in this study"}
    if generator is None:
        return known | {"note": f"{row['generator']} is not in this study"}
    line = curve(curves, dataset, policy, strategy)
    if line.empty:
        return known | {"note": f"{strategy.short} was not measured for {policy} on {dataset}"}
    at_budget = line[line["budget"] == samples]
    if at_budget.empty:
        budgets = ", ".join(str(budget) for budget in line["budget"])
        return known | {"note": f"measured at {budgets} samples only"}
    point, value = at_budget.iloc[0], float(row["accuracy"])
    flops = float(point["flops_wu2024"])
    return known | {
        "accuracy": float(point["accuracy"]),
        "ci_low": float(point["ci_low"]),
        "ci_high": float(point["ci_high"]),
        "difference": float(point["accuracy"]) - value,
        "difference_low": float(point["ci_low"]) - value,
        "difference_high": float(point["ci_high"]) - value,
        "flops": flops,
        "flops_ratio": flops / float(row["flops"]) if pd.notna(row["flops"]) else None,
        "note": "",
    }


def _strategy(spec: ReportSpec, generator: str, selector: str) -> Strategy:
    """The study's strategy of this selector: the first verifier and the headline's step aggregation."""
    if not needs_verifier(selector):
        return Strategy(generator, selector)
    verifier = spec.verifiers[0] if spec.verifiers else NONE
    return Strategy(generator, selector, verifier, spec.headline.step_aggregation)


def published_csv(compared: pd.DataFrame) -> str:
    """The comparison as CSV: fractions to six decimals, FLOPs to six digits, empty where there is nothing."""
    shown = compared.copy()
    for column in _NUMBERS:
        plain = "flops" in column
        shown[column] = [
            "" if pd.isna(value) else f"{value:.6g}" if plain else f"{round(float(value), 6) + 0.0:.6f}"
            for value in compared[column]
        ]
    return str(shown.to_csv(index=False, lineterminator="\n"))


_HEADER = (
    "From", "Model", "Data", "Strategy", "Samples", "Published (%)", "Measured (%)", "Difference (points)",
    "Published FLOPs", "Measured FLOPs", "Ratio",
)  # fmt: skip


def published_markdown(compared: pd.DataFrame) -> str:
    """The comparison for a README."""
    rows = [[markdown_escape(cell) for cell in cells] for cells in _cells(compared)]
    return pipe_table(_HEADER, rows, text_columns=4)


def _cells(compared: pd.DataFrame) -> list[list[str]]:
    """The printed cells of each row; a note takes the place of what was not measured."""
    printed = []
    for row in compared.to_dict("records"):
        cells = [str(row[name]) for name in ("source", "model", "dataset", "strategy", "samples")]
        cells.append(percent(float(row["published_accuracy"])))
        if row["note"]:
            measured = [str(row["note"]), "–"]
        else:
            accuracy = Estimate(row["accuracy"], row["ci_low"], row["ci_high"])
            difference = Estimate(row["difference"], row["difference_low"], row["difference_high"])
            measured = [accuracy.in_percent, difference.in_points]
        flops = [row[name] for name in ("published_flops", "flops")]
        costs = ["–" if pd.isna(value) else scientific(value) for value in flops]
        ratio = "–" if pd.isna(row["flops_ratio"]) else f"{row['flops_ratio']:.2g}"
        printed.append([*cells, *measured, *costs, ratio])
    return printed


def published_html(compared: pd.DataFrame) -> HtmlTable:
    """The comparison in the report; a difference whose interval excludes 0 is bold."""
    rows = []
    for cells, (_, row) in zip(_cells(compared), compared.iterrows(), strict=True):
        apart = not row["note"] and (row["difference_low"] > 0 or row["difference_high"] < 0)
        rows.append([Cell(text, bold=bool(apart) and column == 7) for column, text in enumerate(cells)])
    note = (
        "Measured minus published accuracy at the same number of samples. A published number comes without "
        "an interval and is taken as exact, so this one holds the chance in the measurement alone: bold "
        "differences are beyond that, not beyond what both together leave open. Score-based strategies use "
        "the first verifier and the headline's step aggregation. FLOPs are 2 N × generated tokens per "
        "problem, without the verifier, as the paper counts them; Ratio is measured over published. What "
        "stands in the place of a measurement says why there is none."
    )
    return HtmlTable("Published and measured", note, list(_HEADER), rows, text_columns=4)
