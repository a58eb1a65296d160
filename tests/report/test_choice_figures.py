"""Figures of choice and exchange: what they show is what the tables say."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text

from isoflop.report.figures.allocation import (
    accuracy_by_bin_figure,
    choice_gain_figure,
    compute_optimal_figure,
    exchange_curves_figure,
    exchange_figure,
)

BINS = ("1", "2", "3")
RATIOS = (0.16, 0.79, 22.0)


def by_difficulty(pairs: list[tuple[str, str, str, int]]) -> pd.DataFrame:
    """Rows of policy, family, strategy, and how many samples one of its budget counts as."""
    return pd.DataFrame(
        [
            {
                "dataset": "math", "policy": policy, "family": family, "strategy": strategy,
                "samples": samples * counts, "difficulty": "oracle", "bin": bin, "accuracy": 0.5,
                "ci_low": 0.4, "ci_high": 0.6,
            }
            for policy, family, strategy, counts in pairs
            for samples in (2, 4)
            for bin in ("1", "2")
        ]
    )  # fmt: skip


def compute_optimal(baselines: tuple[str, ...] = ("sampling",)) -> pd.DataFrame:
    rows = []
    for place, baseline in enumerate(baselines):
        for kind, more in (("none", 0.01), ("predicted", 0.02), ("oracle", 0.03)):
            for axis, scale in (("generations", 1), ("flops_total", 1000)):
                for budget in (1, 2, 4, 8, 16, 32):
                    for name in ("all", *BINS):
                        gain = more * np.log2(budget) - 0.02 + 0.001 * place
                        rows.append(
                            {
                                "dataset": "math", "policy": "small", "family": f"family{place}",
                                "baseline": baseline, "axis": axis, "difficulty": kind, "bin": name,
                                "budget": budget * scale, "knee": "true" if budget == 8 else "false",
                                "options": 1 if budget == 1 else 3, "accuracy": 0.5 + gain,
                                "ci_low": 0.45 + gain, "ci_high": 0.55 + gain, "baseline_accuracy": 0.5,
                                "gain": gain, "gain_low": gain - 0.02, "gain_high": gain + 0.03,
                            }
                        )  # fmt: skip
    return pd.DataFrame(rows)


def exchange(costs: tuple[str, ...] = ("wu2024", "total")) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "dataset": "math", "small": "small", "large": "large", "family": "search", "cost_model": cost,
                "difficulty": kind, "told_by": "both", "ratio": ratio, "flops_matched": 1e4 / ratio,
                "measured_enough": "false" if ratio == 0.16 else "true", "bin": name,
                "large_accuracy": round(0.9 - 0.2 * place, 4),
                "difference": round(0.1 - 0.1 * place - 0.01 * ratio, 4),
                "difference_low": round(0.05 - 0.1 * place - 0.01 * ratio, 4),
                "difference_high": round(0.2 - 0.1 * place - 0.01 * ratio, 4),
            }
            for cost in costs
            for kind in ("oracle", "predicted")
            for ratio in RATIOS
            for place, name in enumerate(("all", *BINS))
        ]
    )  # fmt: skip


def pair_curves() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "dataset": "math", "small": "small", "large": "large", "family": "search", "cost_model": cost,
                "difficulty": "oracle", "told_by": "both", "bin": name, "budget": budget,
                "accuracy": round(0.2 + 0.01 * np.log(budget) / (place + 1) + more, 4),
                "ci_low": 0.1, "ci_high": 0.9,
            }
            for cost, more in (("wu2024", 0.0), ("total", 0.05))
            for place, name in enumerate(BINS)
            for budget in (100.0, 1000.0, 10000.0)
        ]
    )  # fmt: skip


def text(figure: Figure) -> str:
    return " ".join(one.get_text() for one in figure.findobj(Text))


def legend(figure: Figure) -> list[str]:
    return [one.get_text() for one in figure.legends[0].get_texts()]


def bars(axes: Axes) -> list[BarContainer]:
    return [group for group in axes.containers if isinstance(group, BarContainer)]


def bar_heights(axes: Axes) -> list[list[float]]:
    """The heights of every group of bars."""
    return [pytest.approx([bar.get_height() for bar in group.patches]) for group in bars(axes)]


def bar_ends(axes: Axes) -> list[tuple[float, float]]:
    """The ends of all intervals on the bars."""
    segments = [
        segment
        for group in axes.containers
        if isinstance(group, ErrorbarContainer)
        for segment in group.lines[2][0].get_segments()
    ]
    return [(round(float(low), 6), round(float(high), 6)) for (_, low), (_, high) in segments]


def intervals(rows: pd.DataFrame, name: str) -> list[tuple[float, float]]:
    ends = rows[[f"{name}_low", f"{name}_high"]].round(6).to_numpy(float)
    return [(float(low), float(high)) for low, high in ends]


def test_a_policy_has_panels_for_its_own_families_alone() -> None:
    pairs = [("small", "search", "beam", 1), ("reviser", "ratios", "revisions/2", 1)]
    figure = accuracy_by_bin_figure(by_difficulty(pairs))
    shown = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in shown] == ["small", "reviser"]
    assert [axes.get_ylabel().split("\n")[0] for axes in shown] == ["search", "ratios"]


def test_the_legend_names_what_is_drawn() -> None:
    """A lookahead search counts as other numbers of samples than all others."""
    rows = by_difficulty(
        [("small", "search", name, n) for name, n in (("sampling", 1), ("beam", 1), ("ahead", 3))]
    )
    assert legend(accuracy_by_bin_figure(rows)) == ["sampling (each at 2, 4 samples)", "beam"]


def test_gains_are_bars_where_there_is_something_to_choose() -> None:
    table = compute_optimal()
    figure = choice_gain_figure(table)
    [axes] = figure.axes
    own = table.query("axis == 'generations' and bin == 'all' and options > 1")
    wanted = [own.loc[own["difficulty"] == kind, "gain"].tolist() for kind in ("oracle", "predicted")]
    assert bar_heights(axes) == wanted
    ends = own[own["difficulty"] != "none"].sort_values(["difficulty", "budget"])
    assert bar_ends(axes) == intervals(ends, "gain")
    assert axes.get_ylabel() == "gain over sampling (points)"
    several = choice_gain_figure(compute_optimal(("sampling", "revisions/1")))
    assert [axes.get_ylabel().split("\n")[1] for axes in several.axes] == [
        "sampling", "parallel samples (revisions/1)",
    ]  # fmt: skip
    assert "chooses nothing by difficulty" in text(choice_gain_figure(table[table["difficulty"] == "none"]))


def test_the_baselines_knee_is_marked() -> None:
    figure = compute_optimal_figure(compute_optimal())
    [axes] = figure.axes
    upright = {float(line.get_xdata()[0]) for line in axes.lines if len(set(line.get_xdata())) == 1}
    assert upright == {8.0}
    assert legend(figure)[-1] == "knee of the baseline"


def test_the_exchange_is_bars_by_bin_for_every_r_and_cost() -> None:
    table = exchange()
    figure = exchange_figure(table)
    assert [axes.get_ylabel().split("\n")[0] for axes in figure.axes] == ["wu2024", "total"]
    for axes, cost in zip(figure.axes, ("wu2024", "total"), strict=True):
        own = table[(table["cost_model"] == cost) & (table["difficulty"] == "oracle")]
        wanted = [own.loc[own["ratio"] == ratio, "difference"].tolist() for ratio in RATIOS]
        assert bar_heights(axes) == wanted
        assert bar_ends(axes) == intervals(own, "difference")
        assert [label.get_text() for label in axes.get_xticklabels()] == ["all", *BINS]
        hatched = [bar.get_hatch() is not None for group in bars(axes) for bar in group.patches]
        assert hatched == [True] * 4 + [False] * 8
    assert legend(figure) == ["R = 0.16", "R = 0.79", "R = 22", "measured up to less"]
    enough = exchange_figure(table.assign(measured_enough="true"))
    assert legend(enough) == ["R = 0.16", "R = 0.79", "R = 22"]
    assert "compares no models" in text(exchange_figure(table.iloc[:0]))


def test_stars_are_the_larger_model_at_what_every_r_lets_the_small_one_spend() -> None:
    table, curves = exchange(), pair_curves()
    figure = exchange_curves_figure(curves, table)
    for axes, cost in zip(figure.axes, ("wu2024", "total"), strict=True):
        drawn = [line for line in axes.lines if line.get_marker() not in {"None", "*"}]
        for name, line in zip(BINS, drawn, strict=True):
            own = curves[(curves["cost_model"] == cost) & (curves["bin"] == name)]
            assert line.get_xdata().tolist() == own["budget"].tolist()
            assert line.get_ydata().tolist() == own["accuracy"].tolist()
        stars = [line for line in axes.lines if line.get_marker() == "*"]
        for name, line in zip(BINS, stars, strict=True):
            own = table[
                (table["cost_model"] == cost) & (table["bin"] == name) & (table["difficulty"] == "oracle")
            ]
            assert line.get_ydata().tolist() == own["large_accuracy"].tolist()
            # A little apart, so that stars of one height are all seen.
            assert np.abs(np.log(line.get_xdata() / own["flops_matched"])).max() < 0.15
        upright = [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "None"]
        assert upright == [1e4 / ratio for ratio in RATIOS]
    assert legend(figure) == [
        "bin 1 (easiest)", "bin 2", "bin 3", "larger model, greedy", "R = 0.16", "R = 0.79", "R = 22",
    ]  # fmt: skip
    whole = table[table["bin"] == "all"]
    assert "by difficulty" in text(exchange_curves_figure(curves, whole))
