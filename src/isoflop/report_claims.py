"""The claims of Wu et al. 2024 in the report: a verdict under each cost model, and the evidence."""

import math
from collections.abc import Sequence

from isoflop.claim_parts import ANY, UNDECIDED, Part, verdict
from isoflop.claims import CLAIMS, COST_MODELS
from isoflop.publishing import COST_LABELS, PublishSpec
from isoflop.report_tables import Cell, HtmlTable

_TITLE = "Claims of Wu et al. 2024 on these models"
HOW_DECIDED = (
    "A claim is supported where some part of it is and none is contradicted, by intervals that exclude 0."
)
_NOTE = (
    f"{HOW_DECIDED} Leaving the verifier out of the compute favours search, so every claim that is about "
    "compute is tested with and without it."
)


def claims_table(parts: Sequence[Part], spec: PublishSpec, dataset: str) -> HtmlTable:
    """A row per claim that this experiment can test."""
    rows = []
    for number, sentence in CLAIMS.items():
        own = [part for part in parts if (part.claim, part.dataset) == (number, dataset)]
        if not [part for part in own if part.statistic != "none"]:
            continue
        cells = [Cell(str(number)), Cell(sentence)]
        for cost in COST_MODELS:
            cells.append(verdict_cell(verdict(part for part in own if part.cost_model in {cost, ANY})))
        rows.append(cells)
    title = _TITLE if len(spec.datasets) == 1 else f"{_TITLE}: {dataset}"
    header = ["", "Claim", *(COST_LABELS[cost] for cost in COST_MODELS)]
    return HtmlTable(title, _NOTE, header, rows, text_columns=4)


def verdict_cell(found: str) -> Cell:
    """A verdict, which stands out where there is one."""
    return Cell(found, bold=found != UNDECIDED)


def evidence_table(parts: Sequence[Part], dataset: str) -> HtmlTable:
    """Every part with its statistic: positive ones speak for the claim."""
    rows = [
        [
            Cell(str(part.claim)),
            Cell(part.part),
            Cell(part.statistic),
            Cell("" if part.cost_model == ANY else part.cost_model),
            Cell(_estimate(part)),
            verdict_cell(part.verdict),
        ]
        for part in parts
        if part.dataset == dataset and part.statistic != "none"
    ]
    note = "Accuracies are fractions. Intervals are those of the bootstrap over problems."
    header = ["", "Part", "Statistic", "Cost", "Value", "Verdict"]
    return HtmlTable("Evidence for and against the claims", note, header, rows, text_columns=4, folded=True)


def _estimate(part: Part) -> str:
    if math.isnan(part.value):
        return part.note
    text = f"{part.value:.3g} ({part.low:.3g} to {part.high:.3g})"
    return (f"{text}; {part.note}" if part.note else text).replace("-inf", "none")
