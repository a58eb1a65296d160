"""The figures of a study: error against compute, the optimal size, voting, levels and saturation.

Every function takes the published tables and the specification and returns a finished `Figure`; nothing is
read or written here. Data sets are facets (rows), or panels where a figure has one panel each. Bands and
bars are the intervals of the tables.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from isoflop import figure_style as fs
from isoflop.choice_figures import accuracy_by_bin_figure, compute_optimal_figure, exchange_figure
from isoflop.figure_parts import (
    bars,
    error_band,
    error_bars,
    flops_label,
    handle,
    message,
    parameters_of,
    policy_label,
    policy_panels,
)
from isoflop.publishing import (
    Fitted,
    PublishSpec,
    Tables,
    cost_column,
    curve,
    drawn,
    existing,
    fitted,
    greedy_generators,
    headline_strategy,
    largest_common_budget,
    levels,
    of_strategy,
    size_label,
    strategies,
)
from isoflop.revision_figures import (
    revision_chain,
    revision_ratio,
    revision_ratio_by_bin,
    revision_sequential,
    revision_verifiers,
)
from isoflop.search_figures import search_by_level, search_methods, search_voting
from isoflop.strategy import Strategy
from isoflop.verifier_figures import verifiers

# Wu et al. 2024, section 4.1: the regression of the compute-optimal size for Pythia on GSM8K.
WU_ALPHA = 1.19
WU_BETA = 2.03

_HOLDS: dict[str, Any] = {"color": fs.INK, "linewidth": 1.0}
_DOUBTFUL: dict[str, Any] = {"color": "#8a8a8a", "linewidth": 0.8, "linestyle": (0, (4, 2))}
_FITTED: dict[str, Any] = {"linestyle": (0, (3, 1.5)), "linewidth": 0.9, "label": "fit"}


def draw_all(tables: Tables, spec: PublishSpec) -> Iterable[tuple[str, Figure]]:
    """Every figure of the study by name, one at a time."""
    functions: dict[str, Callable[[Tables, PublishSpec], Figure]] = {
        "error_by_size": error_by_size,
        "error_by_strategy": error_by_strategy,
        "optimal_size": optimal_size,
        "majority_weighted": majority_weighted,
        "accuracy_by_level": accuracy_by_level,
        "saturation": saturation,
        "search_methods": search_methods,
        "search_voting": search_voting,
        "search_by_level": search_by_level,
        "verifiers": verifiers,
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
            "accuracy_by_bin": lambda *_: accuracy_by_bin_figure(choice.by_difficulty),
            "exchange": lambda *_: exchange_figure(choice.exchange),
            "revision_ratio_by_bin": lambda _, spec: revision_ratio_by_bin(choice.by_difficulty, spec),
        }
    for name in spec.figures:
        if name not in functions:
            continue  # drawn from trees, or where there is no such table
        with fs.style():
            figure = functions[name](tables, spec)
        yield name, figure


def error_by_size(tables: Tables, spec: PublishSpec) -> Figure:
    """Error against FLOPs by model size under the headline strategy (Wu et al. 2024, Figure 1 left).

    Dashed: of the fits that hold, the one with the largest Akaike weight. Grey, where there are several
    sizes: the frontier, the points that no cheaper one beats.
    """
    cost, strategy = cost_column(spec), headline_strategy(tables.curves, spec)
    styles = fs.policy_styles(spec.policies)
    panels = len(spec.datasets)
    columns = min(panels, 2)
    rows = -(-panels // columns)
    width = fs.COLUMN_WIDTH if columns == 1 else fs.TEXT_WIDTH
    figure, grid = fs.new_figure(width, 2.35 * rows + 0.6, rows, columns, sharey=False)
    for axes, dataset in _panels(grid, spec.datasets):
        measured = [curve(tables.curves, dataset, policy, strategy) for policy in spec.policies]
        best = drawn(of_strategy(tables.draws, dataset, None, strategy), "pareto", cost)
        if len(measured) > 1:
            axes.plot(best["x"], best["y"], color=fs.FRONTIER_COLOUR, linewidth=4.5, alpha=0.7, zorder=1)
        for policy, line in zip(spec.policies, measured, strict=True):
            error_band(axes, line, cost, styles[policy])
            _fit_line(axes, _best_fit(tables, dataset, policy, strategy, cost), styles[policy])
        _compute_axes(axes, spec, dataset)
    handles = [handle(styles[p], policy_label(tables, p), line=False) for p in spec.policies]
    handles += _fit_handle(figure)
    if len(spec.policies) > 1:
        handles.append(Line2D([], [], color=fs.FRONTIER_COLOUR, linewidth=4.5, alpha=0.7, label="frontier"))
    fs.legend_above(figure, handles)
    return figure


def error_by_strategy(tables: Tables, spec: PublishSpec) -> Figure:
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
            if strategy.selector == "none":
                error_bars(axes, line, cost, fs.SELECTOR_STYLES["none"])
            else:
                error_band(axes, line, cost, _strategy_style(strategy, tables, spec), joined=True)
    handles = _strategy_handles(shown, tables, spec)
    fs.legend_above(figure, handles)
    return figure


def optimal_size(tables: Tables, spec: PublishSpec) -> Figure:
    """The size with the lowest error at each compute budget (Wu et al. 2024, Figure 1 right).

    Points with the bootstrap interval of the best size; the line is log10 C = alpha log10 N + beta. Where the
    regression does not hold the figure says so, and dashes the line or draws none.
    """
    cost, strategy = cost_column(spec), headline_strategy(tables.curves, spec)
    styles = fs.policy_styles(spec.policies)
    panels = len(spec.datasets)
    columns = min(panels, 2)
    rows = -(-panels // columns)
    width = fs.COLUMN_WIDTH if columns == 1 else fs.TEXT_WIDTH
    figure, grid = fs.new_figure(width, 2.3 * rows + 0.65, rows, columns)
    sizes = [parameters_of(tables, policy) for policy in spec.policies]
    for axes, dataset in _panels(grid, spec.datasets):
        here = of_strategy(tables.draws, dataset, None, strategy)
        points = drawn(here, "optimal_size", cost)
        line = drawn(here, "optimal_size_fit", cost)
        if len(points):
            axes.fill_between(
                points["x"], points["low"], points["high"], step="mid", color="#dddddd", linewidth=0, zorder=0
            )
        else:
            axes.set_xlim(1.0, 10.0)  # a logarithmic axis of nothing cannot be drawn
        for policy in spec.policies:
            own = points[np.isclose(points["y"], parameters_of(tables, policy))]
            marks = styles[policy].plot() | {"linestyle": "none", "markersize": 2.6, "markeredgewidth": 0}
            axes.plot(own["x"], own["y"], **marks)
        rows_of_fit = of_strategy(tables.fits, dataset, "all", strategy)
        is_this = (rows_of_fit["fit"] == "optimal_size") & (rows_of_fit["cost_model"] == cost)
        fit = fitted(rows_of_fit[is_this])
        text, determined = regression_text(fit)
        if determined and len(line) > 1:
            axes.plot(
                line["x"], line["y"], **(_HOLDS if fit is not None and fit.status == "ok" else _DOUBTFUL)
            )
        axes.set_yscale("log")
        axes.set_ylim(min(sizes) / 2.2, max(sizes) * 2.2)
        axes.yaxis.set_major_locator(FixedLocator(_spread(sizes)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: size_label(value)))
        axes.set_ylabel("best size (parameters)")
        fs.flops_axis(axes)
        axes.set_xlabel(flops_label(spec))
        axes.set_title(f"{dataset}\n{text}" if panels > 1 else text, loc="left", fontsize=7)
    handles = [handle(styles[p], policy_label(tables, p), line=False) for p in spec.policies]
    handles.append(Line2D([], [], color="#dddddd", linewidth=6, label="interval of best size"))
    fs.legend_above(figure, handles)
    return figure


def _spread(sizes: Sequence[float]) -> list[float]:
    """The sizes to label on a logarithmic axis: from the largest down, leaving out what would touch."""
    least = (max(sizes) / min(sizes)) ** 0.07
    kept: list[float] = []
    for size in sorted(sizes, reverse=True):
        if not kept or kept[-1] >= size * least:
            kept.append(size)
    return kept


def regression_text(fit: Fitted | None) -> tuple[str, bool]:
    """What to say of the optimal-size regression `fit`, and whether it has a line to draw."""
    wu = f"Wu et al.: $\\alpha$ = {WU_ALPHA}, $\\beta$ = {WU_BETA}"
    if fit is None:
        return f"no regression of the size on compute\n{wu}", False
    names = ("alpha", "beta")
    if not all(name in fit.parameters and fit.parameters[name].known for name in names):
        return f"regression not determined: {fit.status}\n{wu}", False
    values = ", ".join(f"$\\{name}$ = {fit.parameters[name].text}" for name in names)
    verdict = "" if fit.status == "ok" else f"no clear power law: {fit.status}\n"
    return f"$\\log_{{10}} C = \\alpha\\,\\log_{{10}} N + \\beta$\n{verdict}{values}\n{wu}", True


def majority_weighted(tables: Tables, spec: PublishSpec) -> Figure:
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
            _accuracy_band(axes, line, fs.SELECTOR_STYLES[strategy.selector])
        for generator in greedy_generators(tables.curves, spec):
            line = curve(tables.curves, dataset, policy, Strategy(generator, "none"))
            for _, point in line.iterrows():
                axes.axhspan(point["ci_low"], point["ci_high"], color="black", alpha=0.07, linewidth=0)
                axes.axhline(point["accuracy"], color="black", linestyle=(0, (7, 2)), linewidth=0.8)
        fs.samples_axis(axes, budgets, 5)
    order = sorted(shown, key=lambda s: ("majority", "weighted", "pass").index(s.selector))
    handles = [handle(fs.SELECTOR_STYLES[s.selector], s.name) for s in order]
    if greedy_generators(tables.curves, spec):
        handles.append(Line2D([], [], color="black", linestyle=(0, (7, 2)), linewidth=0.8, label="greedy"))
    fs.legend_above(figure, handles)
    return figure


def accuracy_by_level(tables: Tables, spec: PublishSpec) -> Figure:
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
                places, points = [], []
                for place, level in enumerate(names):
                    line = curve(tables.curves, dataset, policy, strategy, level)
                    line = line[line["budget"] == budget]
                    if not line.empty:
                        places.append(place + shift)
                        points.append(line.iloc[0])
                if points:
                    bars(axes, np.array(places), pd.DataFrame(points), styles[policy])
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


def saturation(tables: Tables, spec: PublishSpec) -> Figure:
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
                own = of_strategy(tables.draws, dataset, policy, strategy)
                _fit_line(axes, drawn(own, "fit", "samples", "exponential_saturation"), look)
                ends = own[own["kind"] == "limit"].rename(
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
    handles += _fit_handle(figure)
    fs.legend_above(figure, handles)
    return figure


def _step(most: float, spec: PublishSpec) -> float:
    """How far marks of neighbouring sizes are set apart: `most` for up to four sizes, then less."""
    return most * min(1.0, 4 / len(spec.policies))


def _budget_or_infinity(infinity: float) -> Callable[[float, int], str]:
    return lambda value, _: "$\\infty$" if value >= infinity else f"{value:.0f}"


def _panels(grid: list[list[Axes]], datasets: Sequence[str]) -> list[tuple[Axes, str]]:
    """The first panels with their data set; the others are switched off."""
    flat = [axes for row in grid for axes in row]
    for axes in flat[len(datasets) :]:
        axes.set_axis_off()
    return list(zip(flat, datasets, strict=False))


def _compute_axes(axes: Axes, spec: PublishSpec, dataset: str) -> None:
    fs.flops_axis(axes)
    axes.set_xlabel(flops_label(spec))
    fs.percent_axis(axes, "error (%)")
    if len(spec.datasets) > 1 and dataset:
        axes.set_title(dataset, loc="left")


def _best_fit(tables: Tables, dataset: str, policy: str, strategy: Strategy, cost: str) -> pd.DataFrame:
    """The points of the fit to error against `cost` that holds and has the largest Akaike weight, if any."""
    points = drawn(of_strategy(tables.draws, dataset, policy, strategy), "fit", cost)
    rows = of_strategy(tables.fits, dataset, policy, strategy)
    weights = rows[(rows["cost_model"] == cost) & (rows["parameter"] == "akaike_weight")]
    weights = weights[weights["fit"].isin(points["fit"])].sort_values("value", ascending=False)
    best = weights["fit"].iloc[0] if len(weights) else None
    return points[points["fit"] == best]


def _fit_line(axes: Axes, points: pd.DataFrame, look: fs.LineStyle) -> None:
    if not points.empty:
        axes.plot(points["x"], points["y"], color=look.color, **_FITTED)


def _fit_handle(figure: Figure) -> list[Line2D]:
    """What the legend says of fits: nothing where none is drawn."""
    labels = [line.get_label() for axes in figure.axes for line in axes.lines]
    return [Line2D([], [], color=fs.INK, **_FITTED)] if _FITTED["label"] in labels else []


def _accuracy_band(axes: Axes, line: pd.DataFrame, look: fs.LineStyle) -> None:
    axes.fill_between(
        line["budget"], line["ci_low"], line["ci_high"], color=look.color, alpha=fs.BAND, linewidth=0
    )
    axes.plot(line["budget"], line["accuracy"], **look.plot())


def _headline_verifiers(spec: PublishSpec) -> set[str]:
    return {"none", *spec.verifiers[:1]}


def _strategy_style(strategy: Strategy, tables: Tables, spec: PublishSpec) -> fs.LineStyle:
    """The selector's colour; a second generator has its own markers and dash."""
    look = fs.SELECTOR_STYLES[strategy.selector]
    order = [s.generator for s in strategies(tables.curves, spec) if s.selector != "none"]
    index = list(dict.fromkeys(order)).index(strategy.generator)
    if index == 0:
        return look
    return fs.LineStyle(look.color, ("D", "P", "*", "<")[(index - 1) % 4], (0, (1, 1)))


def _strategy_handles(shown: Sequence[Strategy], tables: Tables, spec: PublishSpec) -> list[Line2D]:
    several = len({s.generator for s in shown if s.selector != "none"}) > 1
    handles = []
    for strategy in shown:
        if strategy.selector == "none":
            handles.append(handle(fs.SELECTOR_STYLES["none"], strategy.generator, line=False))
        else:
            label = f"{strategy.generator}, {strategy.name}" if several else strategy.name
            handles.append(handle(_strategy_style(strategy, tables, spec), label))
    return handles


def _existing(tables: Tables, spec: PublishSpec, selectors: Sequence[str]) -> list[Strategy]:
    found = [existing(tables.curves, spec, selector) for selector in selectors]
    return [strategy for strategy in found if strategy is not None]


def _budgets(tables: Tables, spec: PublishSpec) -> list[int]:
    rows = tables.curves[tables.curves["selector"] != "none"]
    return sorted({int(budget) for budget in rows["budget"]})
