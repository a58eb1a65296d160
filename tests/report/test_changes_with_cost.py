"""The sentence about verdicts that change with the cost."""

import pandas as pd
import pytest

from isoflop.report.html_claims import changes_with_cost

ANY, SOME = "any", [("wu2024", "supported"), ("total", "contradicted"), ("tokens", "supported")]


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ({3: SOME}, "Verdicts that change with the cost: claim 3 (supported under wu2024 and under tokens; "
                    "contradicted under total)."),
        ({3: SOME, 4: [("total", "mixed"), ("seconds", "undecided")]},
         "Verdicts that change with the cost: claim 3 (supported under wu2024 and under tokens; contradicted "
         "under total), claim 4 (mixed under total; undecided under seconds)."),
        ({1: [("wu2024", "supported"), ("total", "supported")]}, "No verdict changes with the cost."),
        # What was not tested under one cost says nothing of a change.
        ({1: [("wu2024", "supported"), ("total", "not tested")]}, ""),
        ({1: [(ANY, "supported")]}, ""),
    ],
)  # fmt: skip
def test_the_sentence_names_claims_verdicts_and_costs(
    verdicts: dict[int, list[tuple[str, str]]], said: str
) -> None:
    rows = [
        {"claim": str(number), "row": row, "cost_model": cost, "verdict": verdict}
        for number, found in verdicts.items()
        for cost, verdict in found
        for row in ("claim", "statement")
    ]
    assert changes_with_cost(pd.DataFrame(rows)) == said
