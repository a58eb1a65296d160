"""The figures of a study: all of them by name, and error by strategy, voting, levels and saturation.

Every function takes the published tables and the specification and returns a finished `Figure`; nothing is
read or written here. Data sets are facets (rows), or panels where a figure has one panel each. Bands and
bars are the intervals of the tables.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter

from isoflop.report.figures import style as fs
from isoflop.report.figures.allocation import (
    accuracy_by_bin_figure,
    choice_gain_figure,
    compute_optimal_figure,
    exchange_curves_figure,
    exchange_figure,
)
from isoflop.report.figures.coverage import (
    coverage_by_size,
    coverage_forecast,
    coverage_pretraining,
)
from isoflop.report.figures.panels import (
    bars,
    error_band,
    error_bars,
    fit_handle,
    fit_line,
    flops_label,
    handle,
    message,
    policy_label,
    policy_panels,
)
from isoflop.report.figures.revisions import (
    revision_chain,
    revision_ratio,
    revision_ratio_by_bin,
    revision_sequential,
    revision_verifiers,
)
from isoflop.report.figures.search import (
    search_by_level,
    search_by_size,
    search_easy_hard,
    search_generations,
    search_methods,
    search_voting,
)
from isoflop.report.figures.sizes import error_by_size, optimal_size
from isoflop.report.figures.thinking import thinking_figure
from isoflop.report.figures.verifiers import calibration, verifiers
from isoflop.report.lookup import (
    Tables,
    curve,
    drawn,
    existing,
    greedy_generators,
    headline_strategy,
    largest_common_budget,
    levels,
    of_strategy,
    strategies,
)
from isoflop.report.spec import ReportSpec, cost_column
from isoflop.strategy import NONE, Strategy


def draw_all(
    tables: Tables, spec: ReportSpec, names: Sequence[str] | None = None
) -> Iterable[tuple[str, Figure]]:
    """Every figure of the study by name, one at a time; only those of these `names`."""
    functions: dict[str, Callable[[Tables, ReportSpec], Figure]] = {
        "error_by_size": error_by_size,
        "error_by_strategy": error_by_strategy,
        "optimal_size": optimal_size,
        "coverage_by_size": coverage_by_size,
        "coverage_forecast": coverage_forecast,
        "coverage_pretraining": coverage_pretraining,
        "majority_weighted": majority_weighted,
        "accuracy_by_level": accuracy_by_level,
        "saturation": saturation,
        "search_methods": search_methods,
        "search_by_size": search_by_size,
        "search_generations": search_generations,
        "search_voting": search_voting,
        "search_by_level": search_by_level,
        "search_easy_hard": search_easy_hard,
        "verifiers": verifiers,
        "thinking": thinking_figure,
    }
    if (revised := tables.revised) is not None:
        functions |= {
            "revision_chain": lambda *_: revision_chain(revised.rates),
            "revision_sequential": lambda _, spec: revision_sequential(revised.curves, spec),
            "revision_ratio": lambda _, spec: revision_ratio(revised.curves, spec),
            "revision_verifiers": lambda _, spec: revision_verifiers(revised.curves, spec),
        }
    if (choice := tables.choice) is not None:
        functions |= {
            "compute_optimal": lambda *_: compute_optimal_figure(choice.compute_optimal),
            "choice_gain": lambda *_: choice_gain_figure(choice.compute_optimal),
            "accuracy_by_bin": lambda *_: accuracy_by_bin_figure(choice.by_difficulty),
            "exchange": lambda *_: exchange_figure(choice.exchange),
            "exchange_curves": lambda *_: exchange_curves_figure(choice.exchange_curves, choice.exchange),
            "revision_ratio_by_bin": lambda _, spec: revision_ratio_by_bin(choice.by_difficulty, spec),
        }
    if (verified := tables.verified) is not None:
        functions["calibration"] = lambda _, spec: calibration(verified.calibration, spec)
    for name in spec.figures if names is None else names:
        if name not in functions:
            continue  # drawn from trees, or where there is no such table
        with fs.style():
            figure = functions[name](tables, spec)
        yield name, figure


def error_by_strategy(tables: Tables, spec: ReportSpec) -> Figure:
    """Error against FLOPs by strategy, a panel per policy (Wu et al. 2024, Figures 4 to 7)."""
    cost = cost_column(spec)
    shown = [
        strategy
        for strategy in strategies(tables.curves, spec)
        if strategy.verifier in _headline_verifiers(spec) and strategy.generator not in spec.searches
    ]
    figure, panels = policy_panels(tables, spec, flops_label(spec), "error (%)")
    for axes, dataset, policy in panels:
        fs.flops_axis(axes)
        for strategy in shown:
            line = curve(tables.curves, dataset, policy, strategy)
            if strategy.selector == NONE:
                error_bars(axes, line, cost, fs.selector_style(NONE))
            else:
                error_band(axes, line, cost, _strategy_style(strategy, tables, spec), joined=True)
    handles = _strategy_handles(shown, tables, spec)
    fs.legend_above(figure, handles)
    return figure


def majority_weighted(tables: Tables, spec: ReportSpec) -> Figure:
    """Majority against weighted voting by budget, a panel per policy (Wu et al. 2024, Figures 9 to 12).

    Between greedy (a level line) and pass@k, the oracle that no selector can pass.
    """
    shown = _existing(tables, spec, ("pass", "weighted", "majority"))
    if not shown:
        return message("This experiment has no voting to compare.")
    figure, panels = policy_panels(tables, spec, "samples per problem", "accuracy (%)")
    budgets = _budgets(tables, spec)
    for axes, dataset, policy in panels:
        for strategy in shown:
            line = curve(tables.curves, dataset, policy, strategy)
            _accuracy_band(axes, line, fs.selector_style(strategy.selector))
        for generator in greedy_generators(tables.curves, spec):
            line = curve(tables.curves, dataset, policy, Strategy(generator, NONE))
            for _, point in line.iterrows():
                axes.axhspan(point["ci_low"], point["ci_high"], color="black", alpha=0.07, linewidth=0)
                axes.axhline(point["accuracy"], color="black", linestyle=(0, (7, 2)), linewidth=0.8)
        fs.samples_axis(axes, budgets, 5)
    order = sorted(shown, key=lambda s: ("majority", "weighted", "pass").index(s.selector))
    handles = [handle(fs.selector_style(s.selector), s.name) for s in order]
    if greedy_generators(tables.curves, spec):
        handles.append(Line2D([], [], color="black", linestyle=(0, (7, 2)), linewidth=0.8, label="greedy"))
    fs.legend_above(figure, handles)
    return figure


def accuracy_by_level(tables: Tables, spec: ReportSpec) -> Figure:
    """Accuracy by difficulty level at one sample and at the largest common budget (Wu et al. 2024, Figure 8).

    A data set without levels has no row; where none has levels the figure says so.
    """
    strategy = headline_strategy(tables.curves, spec)
    styles = fs.policy_styles(spec.policies)
    most = largest_common_budget(tables.curves, spec)
    datasets = [name for name in spec.datasets if levels(tables.curves, name)]
    if not datasets:
        return message("The problems of this experiment have no difficulty levels.")
    first = int(tables.curves.loc[tables.curves["selector"] == strategy.selector, "budget"].min())
    budgets = sorted({first, most})
    figure, grid = fs.new_figure(
        fs.TEXT_WIDTH, 2.1 * len(datasets) + 0.45, len(datasets), len(budgets), sharey="row"
    )
    for row, dataset in enumerate(datasets):
        names = levels(tables.curves, dataset)
        for axes, budget in zip(grid[row], budgets, strict=True):
            for index, policy in enumerate(spec.policies):
                shift = _step(0.13, spec) * (index - (len(spec.policies) - 1) / 2)
                positions, points = [], []
                for place, level in enumerate(names):
                    line = curve(tables.curves, dataset, policy, strategy, level)
                    line = line[line["budget"] == budget]
                    if not line.empty:
                        positions.append(place + shift)
                        points.append(line.iloc[0])
                if points:
                    bars(axes, np.array(positions), pd.DataFrame(points), styles[policy])
            axes.xaxis.set_major_locator(FixedLocator(list(range(len(names)))))
            axes.set_xticklabels(names)
            axes.set_xlabel("difficulty level")
            fs.percent_axis(axes, "")
            axes.set_ylim(-0.03, 1.03)
            what = "1 sample" if budget == 1 else f"{budget} samples, {strategy.name}"
            axes.set_title(f"{dataset}: {what}" if len(spec.datasets) > 1 else what, loc="left")
        grid[row][0].set_ylabel("accuracy (%)")
    handles = [handle(styles[p], policy_label(tables, p)) for p in spec.policies]
    fs.legend_above(figure, handles)
    return figure


def saturation(tables: Tables, spec: ReportSpec) -> Figure:
    """Accuracy by samples beside its limit for infinitely many (Wu et al. 2024, Theorems 1 and 2).

    Points with intervals are measured, dashes the fitted exponential approach; the mark at the infinity sign
    is the limit that the pool of samples fixes without a fit, with its interval.
    """
    shown = _existing(tables, spec, ("majority", "weighted"))
    if not shown:
        return message("This experiment has no voting, whose accuracy would have a limit.")
    styles = fs.policy_styles(spec.policies)
    budgets = _budgets(tables, spec)
    infinity = max(budgets) * 4.0
    figure, grid = fs.new_figure(
        fs.TEXT_WIDTH, 2.4 * len(spec.datasets) + 0.45, len(spec.datasets), len(shown), sharey="row"
    )
    for row, dataset in enumerate(spec.datasets):
        for axes, strategy in zip(grid[row], shown, strict=True):
            for index, policy in enumerate(spec.policies):
                line = curve(tables.curves, dataset, policy, strategy)
                look = styles[policy]
                # A little apart, so that the intervals of two sizes do not hide one another.
                apart = index - (len(spec.policies) - 1) / 2
                bars(axes, line["budget"].to_numpy(float) * 2 ** (_step(0.1, spec) * apart), line, look)
                rows = of_strategy(tables.draws, dataset, policy, strategy)
                fit_line(axes, drawn(rows, "fit", "samples", "exponential_saturation"), look)
                ends = rows[rows["kind"] == "limit"].rename(
                    columns={"y": "accuracy", "low": "ci_low", "high": "ci_high"}
                )
                bars(axes, np.full(len(ends), infinity * 2 ** (_step(0.32, spec) * apart)), ends, look)
            axes.axvline(max(budgets) * 1.7, color="#bbbbbb", linewidth=0.6, linestyle=(0, (1, 2)))
            fs.samples_axis(axes, budgets, 6)
            ticks = [*axes.xaxis.get_major_locator()(), infinity]
            axes.xaxis.set_major_locator(FixedLocator(ticks))
            axes.xaxis.set_major_formatter(FuncFormatter(_budget_or_infinity(infinity)))
            axes.set_xlim(min(budgets) / 1.4, infinity * 2.2)
            axes.set_xlabel("samples per problem")
            fs.percent_axis(axes, "")
            title = f"{dataset}: {strategy.name}" if len(spec.datasets) > 1 else strategy.name
            axes.set_title(title, loc="left")
        grid[row][0].set_ylabel("accuracy (%)")
    handles = [handle(styles[p], policy_label(tables, p), line=False) for p in spec.policies]
    handles += fit_handle(figure)
    fs.legend_above(figure, handles)
    return figure


def _step(most: float, spec: ReportSpec) -> float:
    """How far marks of neighbouring sizes are set apart: `most` for up to four sizes, then less."""
    return most * min(1.0, 4 / len(spec.policies))


def _budget_or_infinity(infinity: float) -> Callable[[float, int], str]:
    return lambda value, _: "$\\infty$" if value >= infinity else f"{value:.0f}"


def _accuracy_band(axes: Axes, line: pd.DataFrame, look: fs.LineStyle) -> None:
    axes.fill_between(
        line["budget"], line["ci_low"], line["ci_high"], color=look.color, alpha=fs.BAND, linewidth=0
    )
    axes.plot(line["budget"], line["accuracy"], **look.plot())


def _headline_verifiers(spec: ReportSpec) -> set[str]:
    return {NONE, *spec.verifiers[:1]}


def _strategy_style(strategy: Strategy, tables: Tables, spec: ReportSpec) -> fs.LineStyle:
    """The selector's colour; a second generator has its own markers and dash."""
    look = fs.selector_style(strategy.selector)
    order = [s.generator for s in strategies(tables.curves, spec) if s.selector != NONE]
    index = list(dict.fromkeys(order)).index(strategy.generator)
    if index == 0:
        return look
    return fs.LineStyle(look.color, ("D", "P", "*", "<")[(index - 1) % 4], (0, (1, 1)))


def _strategy_handles(shown: Sequence[Strategy], tables: Tables, spec: ReportSpec) -> list[Line2D]:
    several = len({s.generator for s in shown if s.selector != NONE}) > 1
    handles = []
    for strategy in shown:
        if strategy.selector == NONE:
            handles.append(handle(fs.selector_style(NONE), strategy.generator, line=False))
        else:
            label = f"{strategy.generator}, {strategy.name}" if several else strategy.name
            handles.append(handle(_strategy_style(strategy, tables, spec), label))
    return handles


def _existing(tables: Tables, spec: ReportSpec, selectors: Sequence[str]) -> list[Strategy]:
    strategies = [existing(tables.curves, spec, selector) for selector in selectors]
    return [strategy for strategy in strategies if strategy is not None]


def _budgets(tables: Tables, spec: ReportSpec) -> list[int]:
    rows = tables.curves[tables.curves["selector"] != NONE]
    return sorted({int(budget) for budget in rows["budget"]})
