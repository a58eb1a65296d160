"""The claims of a paper in the report: a verdict under each cost model, and the evidence."""

from collections.abc import Sequence

import pandas as pd

from isoflop.report.html_table import Cell, HtmlTable
from isoflop.verdicts.judge import ANY, NOT_TESTED, UNDECIDED

HOW_DECIDED = (
    "A claim about every budget or model is contradicted if one is worse, all intervals widened together, "
    "and supported if each one's own interval shows it to be worse by no more than the margin. A claim about "
    "the average is decided by the mean over its parts, and mixed where single parts are decided against "
    "that; one about something that happens somewhere, by any part that shows it. How often verdicts are "
    "wrong in worlds whose truth is known: docs/design/verdicts.md."
)
_JOINT = (
    "Accuracies are fractions, and positive numbers speak for the claim. Intervals of parts hold jointly for "
    "all parts of a statement (max-T); that of a mean is its own. A part of a claim about all is supported "
    "by its own interval, which is narrower than the one shown."
)


def claims_table(
    claims: pd.DataFrame, dataset: str, title: str, costs: dict[str, str], note: str = ""
) -> HtmlTable:
    """A row per claim and cost model, every claim among them.

    `claims`: as `isoflop.verdicts.judge.claims_csv` has it. `costs`: what cost models are called here. The
    note says which verdicts change with the cost. The last column says what is missing, or how far an
    undecided claim is from a verdict.
    """
    of_dataset = claims[claims["dataset"] == dataset]
    rows: list[list[Cell]] = []
    for number, group in of_dataset.groupby("claim", sort=False):
        head = [Cell(str(number)), Cell(str(group["sentence"].iloc[0]))]
        for cost, of_cost in group.groupby("cost_model", sort=False):
            verdict = str(of_cost.loc[of_cost["row"] == "claim", "verdict"].iloc[0])
            about = _about(of_cost)
            said = [verdict_cell(verdict), Cell(about)]
            # What is missing is missing under every cost.
            if not head[0].text and verdict == NOT_TESTED and rows[-1][-1].text == about:
                continue
            name = "" if cost == ANY or verdict == NOT_TESTED else costs.get(str(cost), str(cost))
            rows.append([*head, Cell(name), *said])
            head = [Cell(""), Cell("")]
    header = ["", "Claim", "Compute counted", "Verdict", "In numbers"]
    text = " ".join(filter(None, (HOW_DECIDED, note, changes_with_cost(of_dataset))))
    return HtmlTable(title, text, header, rows, text_columns=len(header))


def changes_with_cost(claims: pd.DataFrame) -> str:
    """Which verdicts change with the cost, in a sentence; nothing where no claim was tested under two.

    `claims`: of one data set, as `isoflop.verdicts.judge.claims_csv` has it.
    """
    changing, compared = [], False
    for number, group in claims[claims["row"] == "claim"].groupby("claim", sort=False):
        tested = group[group["verdict"] != NOT_TESTED]
        compared |= len(tested) > 1
        if tested["verdict"].nunique() > 1:
            by_verdict = tested.groupby("verdict", sort=False)["cost_model"]
            verdicts = (f"{name} under {' and under '.join(under)}" for name, under in by_verdict)
            changing.append(f"{number} ({'; '.join(verdicts)})")
    if changing:
        return f"Verdicts that change with the cost: claim {', claim '.join(changing)}."
    return "No verdict changes with the cost." if compared else ""


def verdict_cell(verdict: str) -> Cell:
    """A verdict, which stands out where there is one."""
    return Cell(verdict, bold=verdict not in ("", UNDECIDED, NOT_TESTED))


def evidence_table(claims: pd.DataFrame, dataset: str) -> HtmlTable:
    """Every statement and part with its statistic."""
    rows = []
    for _, row in claims[(claims["dataset"] == dataset) & (claims["row"] != "claim")].iterrows():
        is_statement = row["row"] == "statement"
        cost = "" if row["cost_model"] == ANY else str(row["cost_model"])
        cells = [
            Cell(str(row["claim"])),
            Cell(
                f"{row['statement']} ({row['quantifier']})" if is_statement else str(row["part"]),
                bold=is_statement,
            ),
            Cell(_text(row["statistic"])),
            Cell(cost),
            Cell(_interval(row)),
            verdict_cell(str(row["verdict"])),
            Cell(_text(row["decided"]) if is_statement else ""),
            Cell(_text(row["note"])),
        ]
        rows.append(cells)
    header = ["", "Part", "Statistic", "Cost", "Value", "Verdict", "Decided", ""]
    return HtmlTable(
        "Evidence for and against the claims", _JOINT, header, rows, text_columns=len(header), folded=True
    )


def _about(group: pd.DataFrame) -> str:
    """What is missing, and every statement in numbers."""
    claim = group[group["row"] == "claim"].iloc[0]
    statements = group[group["row"] == "statement"]
    return "; ".join(
        filter(None, (*(_statement(row) for _, row in statements.iterrows()), _text(claim["note"])))
    )


def _statement(row: pd.Series) -> str:
    text = f"{row['statement']}: {row['verdict']}"
    number = _interval(row)
    if number:
        text += f", {number}"
    if _text(row["decided"]):
        decided = "decided, either way" if row["verdict"] == UNDECIDED else ""
        text += f" ({row['decided']} parts {decided}".rstrip() + ")"
    if _text(row["problems_to_decide"]):
        text += f"; about {int(row['problems_to_decide']):,} problems would decide an effect like this"
    return text


def _interval(row: pd.Series) -> str:
    if not _text(row["value"]):
        return ""
    value, low, high = (float(row[name]) for name in ("value", "ci_low", "ci_high"))
    return f"{value:.3g} ({low:.3g} to {high:.3g})"


def _text(value: object) -> str:
    return "" if pd.isna(value) else str(value)  # type: ignore[call-overload]


def several(title: str, dataset: str, datasets: Sequence[str]) -> str:
    """A title that names the data set where there are several."""
    return title if len(datasets) == 1 else f"{title}: {dataset}"
