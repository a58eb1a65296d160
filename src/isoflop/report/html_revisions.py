"""What becomes of answers along chains of revisions, in the report (Snell et al. 2024, section 6.1)."""

import pandas as pd

from isoflop.estimate import Estimate
from isoflop.fits.revision_rates import BROKEN, FIXED, PASS
from isoflop.report.html_table import Cell, HtmlTable

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


def _share(row: pd.Series) -> str:
    share = Estimate(*(float(row[name]) for name in ("value", "ci_low", "ci_high")))
    return f"{share.in_percent} of {int(row['answers']):,}"
