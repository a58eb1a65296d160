"""What the report shows of verifiers: the table, and scores against shares of right solutions."""

import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from synthetic_results import VERIFIER, spec

from isoflop.report.figures import style
from isoflop.report.figures.verifiers import calibration
from isoflop.report.html_rates import verifiers_table
from isoflop.tables import VERIFIERS_COLUMNS

ABOUT = {
    "experiment": "x",
    "dataset": "d",
    "policy": "policy-0.9M",
    "generator": "sampling",
    "verifier": VERIFIER,
}
LAST, HEADLINE = "last", "min"


def verifiers() -> pd.DataFrame:
    """One row that is known, one of which nothing is."""
    told = dict(zip(VERIFIERS_COLUMNS[6:], [200, 1600, 3, 0.25, 0.8, 0.75, 0.85, 150], strict=False))
    told |= dict(zip(VERIFIERS_COLUMNS[14:], [0.6, 0.49, 0.7], strict=False))
    chances = {"brier": 0.15, "brier_base_rate": 0.1875, "brier_gain": -0.0375, "brier_gain_low": -0.05}
    chances |= {"brier_gain_high": -0.025, "calibration_error": 0.0625, "calibration_error_by_chance": 0.02}
    rows = [
        ABOUT | told | chances | {"step_aggregation": HEADLINE},
        ABOUT | {"step_aggregation": LAST, "mixed_problems": 0},
    ]
    return pd.DataFrame(rows, columns=list(VERIFIERS_COLUMNS))


def test_the_table_has_what_is_known_and_dashes() -> None:
    table = verifiers_table(verifiers(), spec())
    rows = [[cell.text for cell in row] for row in table.rows]
    assert rows[0] == [
        "policy-0.9M", VERIFIER, HEADLINE, "0.800 (0.750 to 0.850)", "0.600 (0.490 to 0.700) of 150", "0.150",
        "0.188", "−0.037 (−0.050 to −0.025)", "0.062", "0.020",
    ]  # fmt: skip
    assert rows[1] == ["policy-0.9M", VERIFIER, LAST, "–", "– of 0", *["–"] * 5]
    assert [row[0].bold for row in table.rows] == [True, False]
    assert len(table.header) == len(rows[0])
    both = verifiers_table(pd.concat([verifiers(), verifiers().assign(dataset="e")]), spec())
    assert (both.header[:2], both.text_columns) == (["Data", "Model"], 4)


def bins(**changes: str) -> pd.DataFrame:
    """Two bins under each step aggregation."""
    rows = [
        ABOUT
        | {"step_aggregation": how, "bin": str(number), "candidates": 50, "problems": 40}
        | {"mean_score": score, "share_right": score / 2, "ci_low": score / 3, "ci_high": score}
        for how, scores in ((LAST, (0.1, 0.2)), (HEADLINE, (0.4, 0.8)))
        for number, score in enumerate(scores, start=1)
    ]
    return pd.DataFrame(rows).assign(**changes)


def drawn(table: pd.DataFrame) -> Figure:
    with style.style():
        return calibration(table, spec())


def test_the_figure_shows_the_headlines_step_aggregation_beside_the_diagonal() -> None:
    figure = drawn(pd.concat([bins(), bins(generator="imported")]))
    [axes] = figure.axes
    lines = [list(zip(*line.get_data(), strict=True)) for line in axes.lines]
    assert lines[0] == [(0, 0), (1, 1)]
    assert lines.count([(0.4, 0.2), (0.8, 0.4)]) == 4, "of each generator a line and marks"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [f"{VERIFIER}, sampling", f"{VERIFIER}, imported", "calibrated"]


def test_axes_end_where_scores_of_a_weak_model_do() -> None:
    table = bins()
    for name in ("mean_score", "share_right", "ci_low", "ci_high"):
        table[name] /= 10
    [axes] = drawn(table).axes
    assert axes.get_xlim()[1] == axes.get_ylim()[1] == pytest.approx(0.08 * 1.1 * 1.03)


def test_without_chances_the_figure_says_so() -> None:
    figure = drawn(bins().iloc[:0])
    assert "between 0 and 1" in " ".join(text.get_text() for text in figure.findobj(Text))
