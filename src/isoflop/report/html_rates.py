"""Rates that no curve shows, in the report: what becomes of answers along chains of revisions (Snell et al.
2024, section 6.1), and how well verifiers tell right solutions from wrong ones.
"""

import math

import pandas as pd

from isoflop.estimate import Estimate
from isoflop.fits.revision_rates import BROKEN, FIXED, PASS
from isoflop.report.html_table import Cell, HtmlTable
from isoflop.report.spec import ReportSpec

_NAMES = {"dataset": "Data", "generator": "Chains", "policy": "Model"}


def rates_table(rates: pd.DataFrame) -> HtmlTable:
    """A row per place of the chains and one for all revisions. `rates`: revisions.csv, names as text."""
    rows = []
    # What is the same in every row is in no column: the table would be wider than a page.
    named = [name for name in _NAMES if name == "policy" or rates[name].nunique() > 1]
    for keys, part in rates.groupby(named, sort=False):
        for place, at_place in part.groupby("place", sort=False):
            by_measure = {str(row["measure"]): row for _, row in at_place.iterrows()}
            cells = [*map(str, keys), str(place)]
            for measure in (PASS, BROKEN, FIXED):
                row = by_measure.get(measure)
                cells.append("–" if row is None else _share(row))
            rows.append([Cell(text, bold=place == "all") for text in cells])
    note = (
        "Pass@1 is the share of right answers among those at a place. What a revision does is at the place "
        "it was written for: the share of right answers before it that it turns wrong, of wrong ones that "
        "it corrects. After each share, of how many answers."
    )
    header = [_NAMES[name] for name in named]
    header += ["Place", "pass@1", "Correct to incorrect", "Incorrect to correct"]
    return HtmlTable("Right and wrong answers along the chains", note, header, rows, text_columns=len(named))


def verifiers_table(verifiers: pd.DataFrame, spec: ReportSpec) -> HtmlTable:
    """A row per model, generator, verifier and step aggregation. `verifiers`: verifiers.csv, names as text.

    The headline's step aggregation is in bold.
    """
    shown = verifiers[verifiers["policy"].isin(spec.policies)]
    names = _NAMES | {"generator": "Generator"}
    named = [name for name in names if name == "policy" or shown[name].nunique() > 1]
    rows = []
    for _, row in shown.iterrows():
        verifier, how = str(row["verifier"]), str(row["step_aggregation"])
        cells = [*(str(row[name]) for name in named), verifier, how]
        cells += [_chance(row, "auc"), _chance(row, "auc_within")]
        cells[-1] += f" of {int(row['mixed_problems']):,}"
        cells += [_number(row["brier"]), _number(row["brier_base_rate"]), _chance(row, "brier_gain")]
        cells += [_number(row["calibration_error"]), _number(row["calibration_error_by_chance"])]
        rows.append([Cell(text, bold=how == spec.aggregation(verifier)) for text in cells])
    note = (
        "AUC is how often a right solution scores above a wrong one, both drawn at random, ties counting "
        "half: where its interval holds 0.5, this study does not show that the verifier tells them apart. "
        "Within problems: the mean over the problems that have both, after it how many; picking one of "
        "several answers lives on it. Brier: the mean squared difference between score and outcome (1 for "
        "right), beside that of always saying the share of right solutions, and by how much it is less. "
        "Calibration error: the mean distance between score and share of right solutions, in bins of scores, "
        "beside what chance leaves of it where every score is exactly the chance to be right. Each interval "
        "is its own. –: not determined, or scores that are no chances. Bold: the headline's step aggregation."
    )
    header = [*(names[name] for name in named), "Verifier", "Steps", "AUC", "AUC within problems", "Brier"]
    header += ["Of the base rate", "Less by", "Calibration error", "By chance"]
    title = "How well the verifiers tell right from wrong"
    return HtmlTable(title, note, header, rows, text_columns=len(named) + 2)


def _chance(row: pd.Series, name: str) -> str:
    found = Estimate(*(float(row[f"{name}{end}"]) for end in ("", "_low", "_high")))
    if not found.known:
        return "–"
    if math.isnan(found.low):
        return _number(found.value)
    return f"{_number(found.value)} ({_number(found.low)} to {_number(found.high)})"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}".replace("-", "−")


def _share(row: pd.Series) -> str:
    share = Estimate(*(float(row[name]) for name in ("value", "ci_low", "ci_high")))
    return f"{share.in_percent} of {int(row['answers']):,}"
