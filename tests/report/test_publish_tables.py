"""Table 4, the headline sentences and the choice of samples, on small tables written out by hand."""

import math

import pandas as pd
import pytest

from isoflop.errors import UserError
from isoflop.estimate import Estimate, scientific, size_label
from isoflop.report.figures.sizes import regression_text
from isoflop.report.findings import difference, strategy_key
from isoflop.report.lookup import fitted, largest_common_budget
from isoflop.report.paper_tables import best_cells, latex_escape, table4, table4_latex, table4_markdown
from isoflop.report.samples import MOST_STEPS, Pool, choose_samples, readable
from isoflop.report.spec import Headline, ReportSpec
from isoflop.strategy import Strategy
from isoflop.tables import CURVES_COLUMNS


def row(policy: str, selector: str, budget: int, accuracy: float, flops: float) -> dict[str, object]:
    needs = selector in {"weighted", "best_of_n"}
    values = {
        "experiment": "e",
        "dataset": "d_1",
        "policy": policy,
        "policy_params": 1e6,
        "generator": "greedy" if selector == "none" else "sampling",
        "verifier": "prm" if needs else "none",
        "selector": selector,
        "step_aggregation": "min" if needs else "none",
        "subset": "all",
        "budget": budget,
        "problems": 10,
        "accuracy": accuracy,
        "ci_low": accuracy - 0.05,
        "ci_high": accuracy + 0.05,
        "tokens_per_problem": 1.0,
        "flops_wu2024": flops,
        "flops_kaplan": 2 * flops,
        "flops_total": 3 * flops,
        "seconds_per_problem": 1.0,
        "tokens_estimated": False,
    }
    return {name: values[name] for name in CURVES_COLUMNS}


def curves() -> pd.DataFrame:
    rows = [row("small", "none", 1, 0.20, 10), row("large", "none", 1, 0.60, 100)]
    for policy, base, flops in (("small", 0.2, 10), ("large", 0.55, 100)):
        for budget in (1, 2, 4):
            rows.append(row(policy, "majority", budget, base + 0.02 * budget, flops * budget))
            rows.append(row(policy, "weighted", budget, base + 0.03 * budget, flops * budget))
            rows.append(row(policy, "pass", budget, base + 0.08 * budget, flops * budget))
    rows.append(row("small", "majority", 8, 0.3, 80))
    return pd.DataFrame(rows)


def spec(**changes: object) -> ReportSpec:
    values: dict[str, object] = {
        "experiment": "e",
        "title": "t",
        "datasets": ("d_1",),
        "policies": ("small", "large"),
        "generators": ("greedy", "sampling"),
        "verifiers": ("prm",),
        "headline": Headline(selector="weighted", step_aggregation="min", cost_model="wu2024"),
        "level": 0.95,
        "config_yaml": "",
        "seed": 1,
        "code": "",
    }
    return ReportSpec.model_validate(values | changes)


def test_table4_is_at_the_largest_budget_that_all_policies_have() -> None:
    assert largest_common_budget(curves(), spec()) == 4
    table = table4(curves(), spec())
    assert list(table["strategy"]) == ["greedy", "sampling+mv", "sampling+wv"] * 2
    assert list(table["samples"]) == [1, 4, 4] * 2
    assert list(table["d_1_flops"]) == [10, 40, 40, 100, 400, 400]
    assert table["d_1_accuracy"].iloc[2] == pytest.approx(0.32)
    assert table["d_1_ci_low"].iloc[2] == pytest.approx(0.27)


def test_policies_without_a_common_budget_are_refused() -> None:
    table = curves()
    table = table[~((table["policy"] == "large") & (table["budget"] < 4))]
    table = table[~((table["policy"] == "small") & (table["budget"] == 4))]
    with pytest.raises(UserError, match="share no budget"):
        largest_common_budget(table, spec())


def test_the_best_of_each_policy_is_bold_and_a_tie_as_printed_is_both() -> None:
    table = table4(curves(), spec())
    assert best_cells(table, ["d_1"]) == {(2, "d_1"), (5, "d_1")}
    table.loc[1, "d_1_accuracy"] = 0.3199
    assert best_cells(table, ["d_1"]) == {(1, "d_1"), (2, "d_1"), (5, "d_1")}


def test_markdown_has_a_row_per_strategy_and_escapes() -> None:
    lines = table4_markdown(table4(curves(), spec()), ["d_1"]).splitlines()
    assert lines[0] == r"| Model | Strategy | Samples | FLOPs d\_1 | Accuracy d\_1 (%) |"
    assert lines[4] == "| small | sampling+wv | 4 | 40 | **32.0** (27.0–37.0) |"
    assert len(lines) == 8


def test_latex_uses_booktabs_and_escapes() -> None:
    text = table4_latex(table4(curves(), spec()), ["d_1"], "50% & more_", "tab:e")
    assert r"\caption{50\% \& more\_}" in text
    for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\cmidrule(lr){4-5}", r"\addlinespace"):
        assert text.count(rule) == 1
    assert r"small & sampling+wv & 4 & 40 & \textbf{32.0}~(27.0--37.0) \\" in text
    body = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {line.count("&") for line in body} == {4}


def test_a_strategy_that_a_data_set_lacks_is_a_dash() -> None:
    other = curves().query("selector == 'majority'").assign(dataset="b")
    both = pd.concat([curves(), other])
    table = table4(both, spec(datasets=("d_1", "b")))
    assert math.isnan(table["b_accuracy"].iloc[0])
    assert table4_markdown(table, ["d_1", "b"]).splitlines()[2].endswith("| – | – |")


@pytest.mark.parametrize(
    ("raw", "escaped"),
    [
        ("a_b", r"a\_b"),
        ("\\x{y}", r"\textbackslash{}x\{y\}"),
        ("~^#$", r"\textasciitilde{}\textasciicircum{}\#\$"),
    ],
)
def test_latex_escape(raw: str, escaped: str) -> None:
    assert latex_escape(raw) == escaped


def test_differences_are_looked_up_by_strategy_and_budget() -> None:
    strategy = Strategy("sampling", "weighted", "prm", "min")
    rows = pd.DataFrame(
        {
            "comparison": ["weighted - majority"] * 2,
            "left": [strategy_key("small", strategy)] * 2,
            "budget": [2, 4],
            "difference": [0.01, -0.02],
            "ci_low": [0.0, -0.03],
            "ci_high": [0.02, 0.01],
        }
    )
    found = difference(rows, "weighted - majority", "small", strategy, 4)
    assert found is not None
    assert found.in_points == "−2.0 (−3.0 to 1.0)"
    assert difference(rows, "weighted - majority", "large", strategy, 4) is None


def regression(status: str, value: float) -> pd.DataFrame:
    names = ["alpha", "beta"]
    return pd.DataFrame(
        {
            "parameter": names,
            "value": [value, value],
            "ci_low": [value - 0.1] * 2,
            "ci_high": [value + 0.1] * 2,
            "status": [status] * 2,
            "points": [40] * 2,
            "r_squared": [0.9] * 2,
            "note": [math.nan] * 2,
        }
    )


def test_the_regression_is_quoted_beside_wu_and_says_when_it_does_not_hold() -> None:
    text, drawn = regression_text(fitted(regression("ok", 1.25)))
    assert drawn
    assert "1.25 (1.15 to 1.35)" in text
    assert "1.19" in text
    assert "2.03" in text
    text, drawn = regression_text(fitted(regression("poor fit", 1.25)))
    assert drawn
    assert "no clear power law: poor fit" in text
    text, drawn = regression_text(fitted(regression("too few crossings", math.nan)))
    assert not drawn
    assert "not determined: too few crossings" in text
    assert not regression_text(None)[1]


@pytest.mark.parametrize(
    ("params", "label"),
    [(112_384, "0.11M"), (2_709_504, "2.7M"), (6.9e9, "6.9B"), (12_400_000, "12M"), (9_000, "9k")],
)
def test_size_label(params: float, label: str) -> None:
    assert size_label(params) == label


def test_numbers_are_printed_as_they_are_read() -> None:
    assert scientific(123_456) == "1.2e5"
    assert scientific(1.25e12, 3) == "1.25e12"
    assert scientific(9_999) == "9999"
    assert Estimate(0.5, math.nan, math.nan).text == "0.5"
    assert Estimate(math.nan, math.nan, math.nan).text == "not determined"


def pool(prompt: str, correct: list[bool], scores: list[list[float]]) -> Pool:
    steps = [[f"{prompt} {i} {j}" for j in range(len(row))] for i, row in enumerate(scores)]
    return Pool("p", 2, prompt, "5", steps, scores, ["5" if right else None for right in correct], correct)


def test_samples_are_what_they_are_called() -> None:
    pools = [
        pool("all right", [True, True], [[0.9], [0.8]]),
        pool("fooled", [False, True], [[0.9, 0.9], [0.8, 0.2]]),
        pool("right", [True, False], [[0.9, 0.8], [0.1, 0.1]]),
        pool("wrong", [True, False], [[0.9, 0.9, 0.9], [0.9, 0.8, 0.1]]),
    ]
    found = choose_samples(pools, "min")
    assert [sample.kind for sample in found] == ["right", "wrong", "verifier fooled", "passed over"]
    right, wrong, fooled, passed = found
    assert (right.prompt, right.correct) == ("right", True)
    assert [step.text for step in wrong.steps] == ["wrong 1 0", "wrong 1 1", "wrong 1 2"]
    assert wrong.answer == "none"
    assert (fooled.prompt, fooled.correct, passed.correct) == ("fooled", False, True)
    assert [step.score for step in passed.steps] == [0.8, 0.2]


def test_the_verifier_is_fooled_under_the_headlines_step_aggregation() -> None:
    scores = [[0.1, 0.95], [0.8, 0.8]]
    pools = [pool("x", [False, True], scores)]
    assert [s.kind for s in choose_samples(pools, "last")] == ["verifier fooled", "passed over"]
    assert [s.kind for s in choose_samples(pools, "min")] == ["right"]


def test_long_and_strange_text_is_cut_and_made_visible() -> None:
    assert readable("a" * 50, 10) == "a" * 9 + "…"
    assert readable("x\u202ey\x00z\n", 10) == "x\ufffdy\ufffdz"
    long = pool("long", [True, False], [[0.9] * 40, [0.1]])
    steps = choose_samples([long], "min")[0].steps
    assert len(steps) == MOST_STEPS + 1
    assert steps[-1].text == "… 16 more steps"
    assert steps[-1].score is None
