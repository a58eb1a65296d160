"""Difficulty, compute-optimal choice and exchange in the report (Snell et al. 2024)."""

from collections.abc import Iterable

import pandas as pd

from isoflop.allocation.options import GENERATIONS
from isoflop.allocation.tables import ALL, STUDY, last_choices
from isoflop.estimate import Estimate, scientific
from isoflop.registries import COST_MODELS
from isoflop.report.figures.allocation import KIND_LABELS
from isoflop.report.html_claims import claims_table, evidence_table, several
from isoflop.report.html_table import Cell, HtmlTable
from isoflop.report.lookup import Choice
from isoflop.report.spec import ReportSpec
from isoflop.verdicts.judge import ANY

_CLAIMS_TITLE = "Claims of Snell et al. 2024 on these models"
# Factors beyond this are told as such: nobody spends a hundred thousand times less.
_MOST = 1e5


def claim_tables(choice: Choice, spec: ReportSpec) -> list[tuple[HtmlTable, HtmlTable]]:
    """For each data set the verdicts, and the evidence."""
    costs = {
        cost: COST_MODELS[cost].label if cost in COST_MODELS else cost
        for cost in choice.claims["cost_model"].unique()
        if cost != ANY
    }
    return [
        (
            claims_table(choice.claims, dataset, several(_CLAIMS_TITLE, dataset, spec.datasets), costs),
            evidence_table(choice.claims, dataset),
        )
        for dataset in spec.datasets
        if (choice.claims["dataset"] == dataset).any()
    ]


def choice_tables(choice: Choice, spec: ReportSpec) -> list[HtmlTable]:
    """The choice at every number of samples, what was chosen per bin, and the exchange; those with rows."""
    tables = [_chosen_table(choice.compute_optimal), _bins_table(choice.compute_optimal)]
    tables.append(_exchange_table(choice.exchange))
    return [table for table in tables if table.rows]


def _chosen_table(table: pd.DataFrame) -> HtmlTable:
    """The last budget with a choice of every policy and family, a row per difficulty."""
    rows = []
    of_knee = (table["axis"] == GENERATIONS) & (table["bin"] == ALL)
    of_knee &= table["knee"].astype(str).str.lower() == "true"
    knees = table[of_knee].set_index([*STUDY, "difficulty"])
    for keys, group in last_choices(table).groupby(list(STUDY), sort=False):
        for _, row in group.iterrows():
            rows.append(
                [
                    *map(Cell, map(str, keys)),
                    Cell(KIND_LABELS[str(row["difficulty"])]),
                    Cell(f"{row['budget']:g}"),
                    Cell(f"{100 * row['baseline_accuracy']:.1f}"),
                    Cell(_estimate(row, "accuracy", "ci_low", "ci_high").in_percent),
                    Cell(_estimate(row, "gain", "gain_low", "gain_high").in_points),
                    Cell(_factor(knees.loc[(*keys, row["difficulty"])], "saved")),
                    Cell(_factor(knees.loc[(*keys, row["difficulty"])], "saved_charged")),
                ]
            )
    note = (
        "The best strategy per bin of difficulty, chosen on other problems than it is measured on, against "
        "the baseline at equal numbers of samples. Bins are told by other samples than those measured: where "
        "one pool does both, one half tells while the other is measured, both ways. Compute saved: how many "
        "times fewer samples come within a point of the baseline's best; the last column counts the "
        "samples that told difficulty too."
    )
    header = [
        "Data", "Family", "Model", "Chosen", "Samples", "Baseline", "Choice", "Gain (points)", "Saved",
        "Saved, charged",
    ]  # fmt: skip
    return HtmlTable("Compute-optimal choice", note, header, rows, text_columns=4)


def _bins_table(table: pd.DataFrame) -> HtmlTable:
    """What was chosen in every oracle bin, at every number of samples."""
    rows = []
    choices = table[
        (table["axis"] == GENERATIONS) & (table["difficulty"] == "oracle") & (table["bin"] != ALL)
    ]
    for _, row in choices.iterrows():
        rows.append(
            [
                *(Cell(str(row[name])) for name in ("dataset", "family", "policy", "bin")),
                Cell(f"{row['budget']:g}"),
                Cell(str(row["chosen"])),
                Cell(_estimate(row, "accuracy", "ci_low", "ci_high").in_percent),
                Cell(_estimate(row, "gain", "gain_low", "gain_high").in_points),
            ]
        )
    note = "How often each strategy was chosen over the splits of the bin's problems. Bin 1 is the easiest."
    header = ["Data", "Family", "Model", "Bin", "Samples", "Chosen", "Accuracy", "Gain (points)"]
    return HtmlTable("What was chosen, by oracle bin", note, header, rows, text_columns=4, folded=True)


def _exchange_table(table: pd.DataFrame) -> HtmlTable:
    rows = []
    for _, row in table[table["difficulty"] == "oracle"].iterrows():
        short = "" if str(row["measured_enough"]).lower() == "true" else " (measured up to less)"
        rows.append(
            [
                *(Cell(str(row[name])) for name in ("dataset", "small", "large", "family")),
                Cell(COST_MODELS[str(row["cost_model"])].label),
                Cell(f"{row['ratio']:g}"),
                Cell(f"{row['multiplier']:.3g} × its answer{short}"),
                Cell(str(row["bin"])),
                Cell(f"{100 * row['small_accuracy']:.1f}"),
                Cell(f"{100 * row['large_accuracy']:.1f}"),
                Cell(_estimate(row, "difference", "difference_low", "difference_high").in_points),
            ]
        )
    note = (
        "The small model chooses compute-optimally within the compute that makes its total, training "
        "included, equal to that of the larger one, which answers greedily; 'Matched compute' is that "
        "compute as a multiple of its own greedy answer's. R is tokens of inference over tokens of "
        "pretraining. Bins are told by both models, or by the small one where the larger has no samples, and "
        "by no sample that is measured. Where the small model was measured up to less compute, what more "
        "would do is not known."
    )
    header = [
        "Data", "Small", "Large", "Family", "Cost", "R", "Matched compute", "Bin", "Small (%)", "Large (%)",
        "Difference (points)",
    ]  # fmt: skip
    return HtmlTable("Pretraining against test-time compute", note, header, rows, text_columns=5, folded=True)


def _estimate(row: pd.Series, *names: str) -> Estimate:
    return Estimate(*(float(row[name]) for name in names))


def _factor(row: pd.Series, name: str) -> str:
    values = [float(row[key]) for key in (name, f"{name}_low", f"{name}_high")]
    if not values[0]:
        return f"not reached (up to {_times(values[2])})" if values[2] else "not reached"
    low = "not reached" if not values[1] else _times(values[1])
    return f"{_times(values[0])} ({low} to {_times(values[2])})"


def _times(value: float) -> str:
    return f"{value:.2g}×" if value < _MOST else f"{scientific(value)}×"


def worth_telling(choice: Choice) -> Iterable[str]:
    """A sentence per data set and family: the gain of choosing by oracle and by predicted difficulty."""
    for (dataset, family), group in last_choices(choice.compute_optimal).groupby(
        ["dataset", "family"], sort=False
    ):
        parts: list[str] = []
        for kind in ("oracle", "predicted"):
            gains = [
                f"{row['policy']} {_estimate(row, 'gain', 'gain_low', 'gain_high').in_points}"
                for _, row in group[group["difficulty"] == kind].iterrows()
            ]
            if gains:
                label = KIND_LABELS[kind]
                parts.append(f"{label[0].upper() + label[1:] if parts else label} {'; '.join(gains)}")
        budgets = " or ".join(f"{budget:g}" for budget in dict.fromkeys(group["budget"]))
        if parts:
            yield (
                f"{dataset}: choosing among {family} at {budgets} samples minus {group['baseline'].iloc[0]} "
                f"for all, in points, telling difficulty not charged: {'. '.join(parts)}."
            )
