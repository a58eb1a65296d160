"""The papers' figures and tables on invented results: what is plotted is what the tables say."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from synthetic_results import GENERATIONS, Shape, write_results

from isoflop.fits.bootstrap import accuracy_interval, problem_weights
from isoflop.report.figures.curves import draw_all
from isoflop.report.figures.search import pooled_levels
from isoflop.report.figures.sizes import entry_prices, size_changes, size_panels
from isoflop.report.lookup import Tables, curve, headline_strategy, of_generator
from isoflop.report.paper_tables import table3, table3_markdown
from isoflop.report.spec import ReportSpec
from isoflop.stages.shared.study_tables import read_tables
from isoflop.strategy import Strategy

COST = "flops_total"
FAMILIES = {"policy-0.1M": "tiny", "policy-0.3M": "tiny"}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tables, ReportSpec]:
    folder = tmp_path_factory.mktemp("results")
    spec = write_results(folder, Shape(problems=60, families=FAMILIES))
    return folder, read_tables(folder, spec), spec


@pytest.fixture(scope="module")
def figures(study: tuple[Path, Tables, ReportSpec]) -> dict[str, Figure]:
    _, tables, spec = study
    return dict(draw_all(tables, spec))


Points = list[tuple[float, float]]


def lines(axes: Axes, drawstyle: str = "default") -> list[Points]:
    """The points of all lines that have any, those of error bars' marks among them."""
    found = [
        [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]
        for line in axes.lines
        if line.get_drawstyle() == drawstyle and line.get_marker() not in {"|", "_"}
    ]
    return [line for line in found if line]


def points(line: pd.DataFrame, *, factor: float | None = None) -> Points:
    """Error over cost of rows of curves, or accuracy over `factor` times the budget."""
    if factor is not None:
        return list(zip(line["budget"] * factor, line["accuracy"], strict=True))
    return list(zip(line[COST], 1 - line["accuracy"], strict=True))


def titled(figure: Figure) -> dict[str, Axes]:
    return {axes.get_title(loc="left"): axes for axes in figure.axes if axes.axison}


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_sizes_are_compared_inside_a_family(study: tuple[Path, Tables, ReportSpec]) -> None:
    _, tables, spec = study
    found = [(one.family, one.policies) for one in size_panels(tables, spec)]
    assert found == [("tiny", ("policy-0.1M", "policy-0.3M")), ("all", ("policy-0.9M", "policy-2.7M"))]
    # A family of one is shown where no other has several, and is compared with none.
    alone = spec.model_copy(update={"policies": ("policy-0.1M", "policy-0.9M")})
    assert [one.policies for one in size_panels(tables, alone)] == [("policy-0.1M",), ("policy-0.9M",)]
    assert not {"optimal_size", "search_by_size"} & set(alone.figures)
    assert {"optimal_size", "search_by_size"} <= set(spec.figures)


def test_the_frontier_is_the_least_error_of_all_that_is_drawn_greedy_answers_too(
    study: tuple[Path, Tables, ReportSpec], figures: dict[str, Figure]
) -> None:
    _, tables, spec = study
    strategy = headline_strategy(tables.curves, spec)
    panels = titled(figures["error_by_size"])
    for one in size_panels(tables, spec):
        measured = [
            point
            for policy in one.policies
            for how in (strategy, Strategy("greedy", "none"))
            for point in points(curve(tables.curves, one.dataset, policy, how))
        ]
        marks = [point for line in lines(panels[one.family]) for point in line]
        assert set(measured) <= set(marks)
        [steps] = lines(panels[one.family], "steps-post")
        # Curves have six digits, draws all.
        steps = [min(measured, key=lambda point: abs(point[0] - x) / x + abs(point[1] - y)) for x, y in steps]
        [exact] = lines(panels[one.family], "steps-post")
        assert np.allclose(steps, exact, rtol=1e-5, atol=1e-6)
        assert any(point in steps for point in points(curve(tables.curves, one.dataset, one.policies[0],
                                                            Strategy("greedy", "none"))))  # fmt: skip
        for cost, error in measured:
            affordable = [y for x, y in steps if x <= cost]
            assert min(affordable) <= error
            assert affordable[-1] == min(affordable)
    assert "greedy" in legend(figures["error_by_size"])


def test_the_best_sizes_changes_and_prices_are_those_of_the_fits(
    study: tuple[Path, Tables, ReportSpec], figures: dict[str, Figure]
) -> None:
    _, tables, spec = study
    strategy = headline_strategy(tables.curves, spec)
    for one, axes in zip(size_panels(tables, spec), figures["optimal_size"].axes, strict=True):
        own = tables.draws.query(
            f"dataset == '{one.dataset}' and policy in {list(one.policies)} and cost_model == '{COST}' and "
            f"generator == '{strategy.generator}' and selector == '{strategy.selector}' and "
            f"step_aggregation == '{strategy.step_aggregation}'"
        )
        best, entry = own[own["kind"] == "optimal_size"], own[own["kind"] == "entry_price"]
        prices = list(zip(entry["x"], entry["y"], strict=True))
        drawn = lines(axes)
        # The table has ten digits.
        [dotted] = [line for line in drawn if np.allclose(line[: len(prices)], prices) and len(line) == 2]
        assert [size for _, size in dotted] == entry["y"].tolist()
        marks = {point for line in drawn for point in line}
        assert set(zip(best["x"], best["y"], strict=True)) <= marks
        changes = size_changes(best.sort_values("x"), entry_prices(tables, one, strategy, COST))
        assert set(zip(changes["cost"], changes["params"], strict=True)) <= marks
    assert {"price of one sample", "measured crossing", "change at a price"} <= set(
        legend(figures["optimal_size"])
    )


@pytest.mark.parametrize(
    ("sizes", "prices", "wanted"),
    [
        # The larger size is best as soon as it can be had, at 4.
        ([1, 1, 10, 10], {1: 1, 10: 4}, [(2 * np.sqrt(2), True)]),
        # It can be had at 2 and is best from 8 on.
        ([1, 1, 1, 10], {1: 1, 10: 2}, [(4 * np.sqrt(2), False)]),
        # Back and forth is one crossing, in the middle of all three.
        ([1, 10, 1, 10], {1: 1, 10: 1}, [(2 * np.sqrt(2), False)]),
        # One of each: 10 at its price, 100 later.
        ([1, 10, 10, 100], {1: 1, 10: 2, 100: 4}, [(np.sqrt(2), True), (4 * np.sqrt(2), False)]),
        ([1, 1, 1, 1], {1: 1, 10: 2}, []),
        ([], {1: 1, 10: 2}, []),
    ],
)
def test_a_change_at_a_price_is_no_crossing(
    sizes: list[float], prices: dict[float, float], wanted: list[tuple[float, bool]]
) -> None:
    best = pd.DataFrame({"x": [1.0, 2.0, 4.0, 8.0][: len(sizes)], "y": np.array(sizes, dtype=float)})
    entry = pd.DataFrame({"cost": map(float, prices.values()), "params": map(float, prices)})
    found = size_changes(best, entry)
    assert found["cost"].tolist() == pytest.approx([cost for cost, _ in wanted])
    assert found["at_price"].tolist() == [at_price for _, at_price in wanted]


def test_sizes_are_on_one_axis_with_every_generator_and_selector(
    study: tuple[Path, Tables, ReportSpec], figures: dict[str, Figure]
) -> None:
    _, tables, spec = study
    panels = titled(figures["search_by_size"])
    assert list(panels) == [
        f"{family}, {what}" for family in ("tiny", "all") for what in ("weighted voting", "best-of-n")
    ]
    for one in size_panels(tables, spec):
        for selector, name in (("weighted", "weighted voting"), ("best_of_n", "best-of-n")):
            drawn = lines(panels[f"{one.family}, {name}"])
            for policy in one.policies:
                assert points(curve(tables.curves, one.dataset, policy, Strategy("greedy", "none"))) in drawn
                for generator in ("sampling", "rebase", "mcts"):
                    how = of_generator(headline_strategy(tables.curves, spec, selector), generator)
                    assert points(curve(tables.curves, one.dataset, policy, how)) in drawn
    told = legend(figures["search_by_size"])
    assert told == [*spec.policies, "sampling", "rebase", "mcts", "greedy"]


def test_lookahead_counts_as_the_generations_that_it_makes(
    study: tuple[Path, Tables, ReportSpec], figures: dict[str, Figure]
) -> None:
    _, tables, spec = study
    chosen = headline_strategy(tables.curves, spec)
    for policy, axes in titled(figures["search_generations"]).items():
        drawn = lines(axes)
        for generator in ("sampling", "rebase", "mcts", "lookahead"):
            line = curve(tables.curves, spec.datasets[0], policy, of_generator(chosen, generator))
            assert points(line, factor=GENERATIONS.get(generator, 1)) in drawn
        majority = curve(tables.curves, spec.datasets[0], policy, Strategy("sampling", "majority"))
        assert points(majority, factor=1) in drawn


def test_easy_and_hard_are_the_levels_problems_pooled(
    study: tuple[Path, Tables, ReportSpec], figures: dict[str, Figure]
) -> None:
    folder, tables, spec = study
    chosen = headline_strategy(tables.curves, spec)
    panels = titled(figures["search_easy_hard"])
    for policy in spec.policies:
        for side in ("easy", "hard"):
            drawn = lines(panels[f"{policy}, {side}"])
            assert len(drawn) == 2
            for generator, line in zip(("sampling", "rebase"), drawn, strict=True):
                path = folder / "select" / spec.datasets[0] / policy / f"{generator}.parquet"
                rows = pq.read_table(path).to_pandas()
                rows = rows[
                    (rows["selector"] == chosen.selector)
                    & (rows["step_aggregation"] == chosen.step_aggregation)
                    & (rows["budget"] > 0)
                    & ((rows["level"] <= 2) == (side == "easy"))
                ]
                means = rows.groupby("budget")[["credit", COST]].mean()
                # Tables have six digits.
                assert [x for x, _ in line] == pytest.approx(means[COST].tolist(), rel=1e-5)
                assert [y for _, y in line] == pytest.approx((1 - means["credit"]).tolist(), abs=2e-6)


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.5, 0.95])
def test_pooled_intervals_are_those_of_a_bootstrap_of_the_pool(rate: float) -> None:
    """Two levels with 120 and 60 problems: as wide as the interval of all 180, but for their difference."""
    rng = np.random.default_rng(3)
    credits = [(rng.random(count) < rate).astype(float) for count in (120, 60)]
    rows = []
    for level, credit in zip("12", credits, strict=True):
        weights = problem_weights(credit.size, 4000, 1, level)
        low, high = accuracy_interval(credit, weights)
        rows.append(
            {
                "dataset": "d", "policy": "p", "generator": "sampling", "verifier": "none",
                "selector": "majority", "step_aggregation": "none", "subset": level, "budget": 4,
                "problems": credit.size, "accuracy": credit.mean(), "ci_low": low, "ci_high": high,
                COST: 10.0 * int(level),
            }
        )  # fmt: skip
    pooled = pooled_levels(pd.DataFrame(rows), "d", "p", Strategy("sampling", "majority"), ["1", "2"])
    both = np.concatenate(credits)
    low, high = accuracy_interval(both, problem_weights(both.size, 4000, 1))
    [row] = pooled.to_dict("records")
    assert row["problems"] == both.size
    assert row["accuracy"] == pytest.approx(both.mean())
    assert row[COST] == pytest.approx((120 * 10 + 60 * 20) / 180)
    assert 0.0 <= row["ci_low"] <= row["accuracy"] <= row["ci_high"] <= 1.0
    assert row["ci_high"] - row["ci_low"] == pytest.approx(high - low, rel=0.2)


def test_pass_rates_are_in_pairs_of_sampling_and_search(study: tuple[Path, Tables, ReportSpec]) -> None:
    _, tables, spec = study
    table = table3(tables.curves, spec)
    assert len(table) == 2 * 3 * len(spec.policies)
    assert table["strategy"].tolist() == ["sampling", "rebase"] * (len(table) // 2)
    assert table["samples"].tolist() == [4, 4, 16, 16, 64, 64] * len(spec.policies)
    for row in table.itertuples():
        line = curve(tables.curves, "wordproblems", str(row.model), Strategy(str(row.strategy), "pass"))
        own = line[line["budget"] == row.samples].iloc[0]
        assert row.wordproblems_accuracy == own["accuracy"]
        assert row.wordproblems_flops == own[COST]
    written = table3_markdown(table, spec.program_datasets)
    assert "Pass rate wordproblems (%)" in written
    body = written.splitlines()[2:]
    for first, second in list(pairwise(body))[::2]:
        assert "**" in first + second
    nothing = spec.model_copy(update={"searches": {"mcts": "mcts"}})
    assert table3(tables.curves, nothing).empty


def test_every_panel_says_what_it_is(figures: dict[str, Figure]) -> None:
    for name in ("error_by_size", "search_by_size", "search_easy_hard", "search_generations"):
        axes = [one for one in figures[name].axes if one.axison]
        assert all(one.get_title(loc="left") for one in axes), name
        assert len({one.get_title(loc="left") for one in axes}) == len(axes), name
