"""Tables in the layout of Wu et al. 2024: Table 4, every model and strategy at one budget; Tables 1 and 3.

Rows of Table 4 are policy by strategy (greedy, then sampling with MV, BoN, WV), columns the number of
samples, and for each data set the FLOPs per problem and the accuracy. Beyond the paper each accuracy has
its interval.
The CSV holds fractions; Markdown and LaTeX show percentages, the best of each policy in bold.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from isoflop.estimate import percent, scientific
from isoflop.report.html_table import pipe_table
from isoflop.report.lookup import (
    curve,
    headline_strategy,
    of_generator,
    sampled_generators,
    shown_budget,
    strategies,
)
from isoflop.report.spec import ReportSpec, cost_column, is_estimated
from isoflop.strategy import NONE, Strategy, needs_verifier

# Rows of Table 3 that are compared.
PASS_RATES_BY = ("model", "samples")
_LATEX = str.maketrans(
    {mark: f"\\{mark}" for mark in "&%$#_{}"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
    }
)
_MARKDOWN = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]<>|#"})


def table4(curves: pd.DataFrame, spec: ReportSpec) -> pd.DataFrame:
    """The table as data: model, strategy, samples, then flops, accuracy, ci_low, ci_high per data set.

    Strategies with several samples are shown at the largest budget that all policies have, a search without
    that budget at its own largest; greedy at 1.
    A strategy that a data set lacks has empty cells there, and a row without any cell is left out.
    Accuracies are fractions in [0, 1], cost per problem under the headline's cost model.
    Where that rests on estimated token counts, a last column says so.
    Raises UserError where the policies share no budget.
    """
    cost = cost_column(spec)
    names = _strategy_names(curves, spec)
    budgets = {name: shown_budget(curves, spec, name) for name in sampled_generators(curves, spec)}
    rows: list[dict[str, object]] = []
    for policy in spec.policies:
        for strategy, name in names.items():
            samples = 1 if strategy.selector == NONE else budgets[strategy.generator]
            row = _table_row(curves, spec, policy, strategy, samples, name, cost)
            if row:
                rows.append(row)
    columns = _table_columns(spec)
    if is_estimated(spec):
        columns.append("flops_estimated")
        rows = [row | {"flops_estimated": True} for row in rows]
    return pd.DataFrame(rows, columns=columns)


def table1(curves: pd.DataFrame, spec: ReportSpec) -> pd.DataFrame:
    """Search at a lower budget against sampling at its largest, under the headline's selector, as `table4`.

    The layout of Wu et al. 2024, Table 1. Of every search the smallest budget that reaches sampling's
    accuracy on the first data set, its largest where none does. Empty without both.
    """
    chosen = headline_strategy(curves, spec)
    cost = cost_column(spec)
    rows: list[dict[str, object]] = []
    for policy in spec.policies if chosen.generator not in spec.searches else ():
        sampled = curve(curves, spec.datasets[0], policy, chosen)
        if sampled.empty:
            continue
        target = sampled.iloc[-1]
        picked = [(chosen, int(target["budget"]))]
        for generator in spec.search_names:
            strategy = of_generator(chosen, generator)
            line = curve(curves, spec.datasets[0], policy, strategy)
            if not line.empty:
                enough = line[line["accuracy"] >= target["accuracy"]]
                picked.append((strategy, int((enough if len(enough) else line.tail(1))["budget"].iloc[0])))
        rows += [_table_row(curves, spec, policy, *pick, pick[0].short, cost) for pick in picked]
    return pd.DataFrame(rows, columns=_table_columns(spec))


def table3(curves: pd.DataFrame, spec: ReportSpec) -> pd.DataFrame:
    """Pass rates of programs, sampling against REBASE, a row per number of samples, as `table4`.

    The layout of Wu et al. 2024, Table 3: the data sets whose answers are programs, the share of problems of
    which any sample passes the tests, at every budget that a REBASE search has; sampling, where it has that
    budget, is before it. Empty where there is no such search of programs.
    """
    cost = cost_column(spec)
    only = spec.model_copy(update={"datasets": spec.program_datasets})
    rows: list[dict[str, object]] = []
    tree = [name for name in spec.search_names if spec.searches[name] == "rebase"]
    oracle = curves[curves["dataset"].isin(spec.program_datasets) & (curves["selector"] == "pass")]
    for policy in spec.policies:
        lines = oracle[(oracle["policy"] == policy) & (oracle["subset"] == "all")]
        for budget in sorted({int(value) for value in lines.loc[lines["generator"].isin(tree), "budget"]}):
            for name in [*(name for name in spec.generators if name not in spec.searches), *tree]:
                row = _table_row(curves, only, policy, Strategy(name, "pass"), budget, name, cost)
                if row:
                    rows.append(row)
    return pd.DataFrame(rows, columns=_table_columns(only))


def _table_row(
    curves: pd.DataFrame,
    spec: ReportSpec,
    policy: str,
    strategy: Strategy,
    samples: int,
    name: str,
    cost: str,
) -> dict[str, object]:
    """A row of a table; without cells where no data set has it."""
    cells: dict[str, object] = {}
    for dataset in spec.datasets:
        line = curve(curves, dataset, policy, strategy)
        line = line[line["budget"] == samples]
        if line.empty:
            continue
        point = line.iloc[0]
        cells[f"{dataset}_flops"] = float(point[cost])
        for column in ("accuracy", "ci_low", "ci_high"):
            cells[f"{dataset}_{column}"] = float(point[column])
    return {"model": policy, "strategy": name, "samples": samples, **cells} if cells else {}


def _table_columns(spec: ReportSpec) -> list[str]:
    figures = [f"{d}_{c}" for d in spec.datasets for c in ("flops", "accuracy", "ci_low", "ci_high")]
    return ["model", "strategy", "samples", *figures]


def _strategy_names(curves: pd.DataFrame, spec: ReportSpec) -> dict[Strategy, str]:
    """The strategies by name; the verifier is part of the name only where there are several."""
    several = len(spec.verifiers) > 1
    return {
        s: f"{s.short} ({s.verifier})" if several and needs_verifier(s.selector) else s.short
        for s in strategies(curves, spec, oracle=spec.covers)
    }


def best_cells(
    table: pd.DataFrame, datasets: Sequence[str], by: Sequence[str] = ("model",)
) -> set[tuple[int, str]]:
    """(row position, data set) of the best accuracy of each policy; equal as printed is equally best.

    `by`: the columns whose values tell apart the rows that are compared.
    """
    best: set[tuple[int, str]] = set()
    shown = table.reset_index(drop=True)
    for dataset in datasets:
        rounded = (100.0 * shown[f"{dataset}_accuracy"]).round(1)
        top = rounded.groupby([shown[name] for name in by], sort=False).transform("max")
        best |= {(int(row), dataset) for row in shown.index[(rounded == top) & rounded.notna()]}
    return best


def table4_markdown(
    table: pd.DataFrame,
    datasets: Sequence[str],
    *,
    measure: str = "Accuracy",
    by: Sequence[str] = ("model",),
    unit: str = "FLOPs",
) -> str:
    """The table for a README: percentages with their interval, the best of each policy in bold. `unit`: of
    what is counted.
    """
    header = ["Model", "Strategy", "Samples"]
    flops = f"{unit} (estimated)" if "flops_estimated" in table else unit
    for dataset in datasets:
        header += [f"{flops} {markdown_escape(dataset)}", f"{measure} {markdown_escape(dataset)} (%)"]
    return pipe_table(header, _cells(table, datasets, MARKDOWN, by), text_columns=2)


def table3_markdown(table: pd.DataFrame, datasets: Sequence[str], unit: str = "FLOPs") -> str:
    """The pass rates as `table4_markdown`, the better of sampling and REBASE at each number in bold."""
    return table4_markdown(table, datasets, measure="Pass rate", by=PASS_RATES_BY, unit=unit)


def table4_latex(
    table: pd.DataFrame,
    datasets: Sequence[str],
    caption: str,
    label: str,
    unit: str = "FLOPs",
    *,
    measure: str = "Accuracy",
) -> str:
    """The table for a paper, with booktabs; needs `\\usepackage{booktabs}`. `unit`: of what is counted."""
    columns = "llr" + "rr" * len(datasets)
    groups = " & ".join(rf"\multicolumn{{2}}{{c}}{{{latex_escape(dataset)}}}" for dataset in datasets)
    rules = " ".join(rf"\cmidrule(lr){{{4 + 2 * i}-{5 + 2 * i}}}" for i in range(len(datasets)))
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex_escape(caption)}}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        rf"Model & Strategy & Samples & {groups} \\",
        rules,
        " &  & " + rf" & {unit} & {measure} (\%)" * len(datasets) + r" \\",
        r"\midrule",
    ]
    previous = None
    for cells in _cells(table, datasets, LATEX):
        if previous not in {None, cells[0]}:
            lines.append(r"\addlinespace")
        previous = cells[0]
        lines.append(" & ".join(cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Markup:
    """How one format writes text, the best cell, a count of FLOPs and a missing value or a range."""

    escape: Callable[[str], str]
    bold: Callable[[str], str]
    flops: Callable[[float], str]
    dash: str
    space: str


def _cells(
    table: pd.DataFrame, datasets: Sequence[str], markup: Markup, by: Sequence[str] = ("model",)
) -> list[list[str]]:
    """The printed cells of each row."""
    best = best_cells(table, datasets, by)
    printed = []
    for row, (_, line) in enumerate(table.iterrows()):
        cells = [
            markup.escape(str(line["model"])),
            markup.escape(str(line["strategy"])),
            str(line["samples"]),
        ]
        for dataset in datasets:
            if pd.isna(line[f"{dataset}_accuracy"]):
                cells += [markup.dash, markup.dash]
                continue
            accuracy = percent(line[f"{dataset}_accuracy"])
            if (row, dataset) in best:
                accuracy = markup.bold(accuracy)
            low, high = percent(line[f"{dataset}_ci_low"]), percent(line[f"{dataset}_ci_high"])
            cells.append(markup.flops(line[f"{dataset}_flops"]))
            cells.append(f"{accuracy}{markup.space}({low}{markup.dash}{high})")
        printed.append(cells)
    return printed


def _latex_flops(value: float) -> str:
    mantissa, _, exponent = scientific(value).partition("e")
    return rf"${mantissa} \times 10^{{{exponent}}}$" if exponent else mantissa


def latex_escape(text: str) -> str:
    """`text` with every character that LaTeX would act on made printable."""
    return text.translate(_LATEX)


def markdown_escape(text: str) -> str:
    """`text` with every character that Markdown would act on escaped."""
    return text.translate(_MARKDOWN)


MARKDOWN = Markup(markdown_escape, lambda text: f"**{text}**", scientific, "–", " ")
LATEX = Markup(latex_escape, lambda text: rf"\textbf{{{text}}}", _latex_flops, "--", "~")
