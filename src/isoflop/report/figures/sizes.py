"""Figures of the sizes of a family: error by size, and the best size by budget (Wu et al. 2024, Figure 1).

A panel per data set and family of policies. A family of one size has a panel only on a data set where no
family has several, and then beside all others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from isoflop.estimate import size_label
from isoflop.report.figures import style as fs
from isoflop.report.figures.panels import (
    error_band,
    error_bars,
    fit_handle,
    fit_line,
    flops_label,
    handle,
    message,
    parameters_of,
    policy_label,
)
from isoflop.report.lookup import (
    Fitted,
    Tables,
    curve,
    drawn,
    fitted,
    greedy_generators,
    headline_strategy,
    of_strategy,
)
from isoflop.report.spec import ReportSpec, cost_column
from isoflop.strategy import NONE, Strategy

# Wu et al. 2024, section 4.1: the regression of the compute-optimal size for Pythia on GSM8K.
WU_ALPHA = 1.19
WU_BETA = 2.03

# So that a budget that is a price counts as reaching it.
_ROUNDING = 1e-9
_HOLDS: dict[str, Any] = {"color": fs.INK, "linewidth": 1.0}
_DOUBTFUL: dict[str, Any] = {"color": "#8a8a8a", "linewidth": 0.8, "linestyle": (0, (4, 2))}
_PRICES: dict[str, Any] = {"color": "#b04a4a", "linewidth": 0.8, "linestyle": (0, (1, 1.2))}
_PRICES |= {"marker": "o", "markersize": 4.2, "markerfacecolor": "none", "markeredgewidth": 0.8}
_CHANGE: dict[str, Any] = {"linestyle": "none", "color": fs.INK, "marker": "d", "markersize": 5.5}
_AT_PRICE: dict[str, Any] = _CHANGE | {"markerfacecolor": "white", "markeredgewidth": 0.8}
_FRONTIER: dict[str, Any] = {"color": fs.FRONTIER_COLOUR, "linewidth": 4.5, "alpha": 0.7}
_INTERVAL: dict[str, Any] = {"color": "#dddddd"}


@dataclass(frozen=True)
class SizePanel:
    """One panel: a data set and the policies of `family` that are studied on it, from small to large."""

    dataset: str
    family: str
    policies: tuple[str, ...]


def size_panels(tables: Tables, spec: ReportSpec) -> list[SizePanel]:
    """The families with several sizes on each data set; all families where none has."""
    strategy = headline_strategy(tables.curves, spec)
    panels = []
    for dataset in spec.datasets:
        of_dataset = [
            SizePanel(dataset, family, members)
            for family, policies in spec.sizes.items()
            if (members := tuple(p for p in policies if len(curve(tables.curves, dataset, p, strategy))))
        ]
        panels += [panel for panel in of_dataset if len(panel.policies) > 1] or of_dataset
    return panels


def error_by_size(tables: Tables, spec: ReportSpec) -> Figure:
    """Error against FLOPs by model size under the headline strategy (Wu et al. 2024, Figure 1 left).

    Dashed: of the fits that hold, the one with the largest Akaike weight. Crosses: greedy answers. Grey,
    where there are several sizes: the frontier, the least error of all that is drawn at up to that cost.
    """
    cost, strategy = cost_column(spec), headline_strategy(tables.curves, spec)
    styles = fs.policy_styles(spec.policies)
    panels = size_panels(tables, spec)
    figure, grid = grid_of(len(panels), 2.35, 0.6, sharey=False)
    greedy = [Strategy(name, NONE) for name in greedy_generators(tables.curves, spec)]
    for axes, panel in zip(grid, panels, strict=False):
        lines = {policy: curve(tables.curves, panel.dataset, policy, strategy) for policy in panel.policies}
        answers = [
            (policy, curve(tables.curves, panel.dataset, policy, how))
            for policy in panel.policies
            for how in greedy
        ]
        if len(lines) > 1:
            rows = of_strategy(tables.draws, panel.dataset, None, strategy)
            best = drawn(rows[rows["policy"].isin(panel.policies)], "pareto", cost)
            axes.plot(best["x"], best["y"], drawstyle="steps-post", zorder=1, **_FRONTIER)
        for policy, line in lines.items():
            error_band(axes, line, cost, styles[policy])
            fit_line(axes, _best_fit(tables, panel.dataset, policy, strategy, cost), styles[policy])
        for policy, line in answers:
            error_bars(axes, line, cost, _greedy_style(styles[policy]))
        fs.flops_axis(axes)
        axes.set_xlabel(flops_label(spec))
        fs.percent_axis(axes, "error (%)")
        axes.set_title(", ".join(panel_names(panel, panels)), loc="left")
    shown = [policy for policy in spec.policies if any(policy in panel.policies for panel in panels)]
    handles = [handle(styles[p], policy_label(tables, p), line=False) for p in shown]
    if greedy:
        handles.append(handle(_greedy_style(fs.LineStyle(fs.INK, "X")), "greedy", line=False))
    handles += fit_handle(figure)
    if any(len(panel.policies) > 1 for panel in panels):
        handles.append(Line2D([], [], label="frontier", **_FRONTIER))
    fs.legend_above(figure, handles)
    return figure


def optimal_size(tables: Tables, spec: ReportSpec) -> Figure:
    """The size with the lowest error at each compute budget (Wu et al. 2024, Figure 1 right).

    Points with the bootstrap interval of the best size; the line is log10 C = alpha log10 N + beta. Where the
    regression does not hold the figure says so, and dashes the line or draws none. Dotted: what one sample
    of each size costs. A change of the best size at that cost is a price, not a crossing of two curves, and
    its mark is open.
    """
    cost, strategy = cost_column(spec), headline_strategy(tables.curves, spec)
    styles = fs.policy_styles(spec.policies)
    panels = [panel for panel in _sized(tables, spec) if len(panel.policies) > 1]
    if not panels:
        return message("No data set has several known sizes of one family to compare.")
    figure, grid = grid_of(len(panels), 2.3, 0.85)
    for axes, panel in zip(grid, panels, strict=False):
        sizes = [parameters_of(tables, policy) for policy in panel.policies]
        rows = of_strategy(tables.draws, panel.dataset, None, strategy)
        points = drawn(rows[rows["policy"].isin(panel.policies)], "optimal_size", cost)
        prices = entry_prices(tables, panel, strategy, cost)
        if len(points):
            axes.fill_between(
                points["x"], points["low"], points["high"], step="mid", linewidth=0, zorder=0, **_INTERVAL
            )
        axes.plot(prices["cost"], prices["params"], zorder=1, **_PRICES)
        for policy in panel.policies:
            part = points[np.isclose(points["y"], parameters_of(tables, policy))]
            marks = styles[policy].plot() | {"linestyle": "none", "markersize": 2.6, "markeredgewidth": 0}
            axes.plot(part["x"], part["y"], **marks)
        text = _draw_law(axes, tables, panel, strategy, cost)
        changes = size_changes(points, prices)
        for at_price, marks in ((False, _CHANGE), (True, _AT_PRICE)):
            part = changes[changes["at_price"] == at_price]
            axes.plot(part["cost"], part["params"], zorder=4, **marks)
        axes.set_yscale("log")
        axes.set_ylim(min(sizes) / 2.2, max(sizes) * 2.2)
        axes.yaxis.set_major_locator(FixedLocator(_spread(sizes)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: size_label(value)))
        axes.set_ylabel("best size (parameters)")
        fs.flops_axis(axes)
        axes.set_xlabel(flops_label(spec))
        title = ", ".join(panel_names(panel, panels))
        axes.set_title(f"{title}\n{text}" if title else text, loc="left", fontsize=7)
    shown = [policy for policy in spec.policies if any(policy in panel.policies for panel in panels)]
    handles = [handle(styles[p], policy_label(tables, p), line=False) for p in shown]
    handles.append(Line2D([], [], linewidth=6, label="interval of best size", **_INTERVAL))
    handles.append(Line2D([], [], label="price of one sample", **_PRICES))
    handles.append(Line2D([], [], label="measured crossing", **_CHANGE))
    handles.append(Line2D([], [], label="change at a price", **_AT_PRICE))
    fs.legend_above(figure, handles)
    return figure


def _sized(tables: Tables, spec: ReportSpec) -> Iterator[SizePanel]:
    """The panels of `size_panels` with the policies whose size is known."""
    for panel in size_panels(tables, spec):
        known = tuple(name for name in panel.policies if np.isfinite(parameters_of(tables, name)))
        yield replace(panel, policies=known)


def entry_prices(tables: Tables, panel: SizePanel, strategy: Strategy, cost: str) -> pd.DataFrame:
    """What the cheapest measured point of every size costs: columns `cost` (FLOPs) and `params`."""
    cheapest = [curve(tables.curves, panel.dataset, policy, strategy).iloc[0] for policy in panel.policies]
    return pd.DataFrame(
        {
            "cost": [float(point[cost]) for point in cheapest],
            "params": [float(point["policy_params"]) for point in cheapest],
        }
    )


def size_changes(points: pd.DataFrame, prices: pd.DataFrame) -> pd.DataFrame:
    """Where the best size changes: `cost`, `params` (between both sizes, in logarithms) and `at_price`.

    `points`: rows of draws of kind optimal_size, x the budget and y the best size there. `prices`: as from
    `entry_prices`. As in isoflop.fits.scaling_laws, a change is at a price where the larger of the two sizes
    is the best as soon as its cheapest point is affordable; two sizes that change places back and forth do so
    once.
    """
    x, y = points["x"].to_numpy(float), points["y"].to_numpy(float)
    at = np.flatnonzero(~np.isclose(y[1:], y[:-1]))
    priced = [
        size
        for size, price in zip(prices["params"], prices["cost"], strict=True)
        if np.isclose(y[x >= price * (1 - _ROUNDING)][:1], size).any()
    ]
    changes = pd.DataFrame(
        {
            "cost": np.log10(x[at] * x[at + 1]) / 2,
            "params": (np.log10(y[at] * y[at + 1]) / 2).round(9),
            "at_price": np.isclose(np.maximum(y[at], y[at + 1])[:, None], priced).any(axis=1),
        }
    )
    merged = changes.groupby(["params", "at_price"])["cost"].mean().reset_index()
    return merged.assign(cost=10.0 ** merged["cost"], params=10.0 ** merged["params"])


def regression_text(fit: Fitted | None) -> tuple[str, bool]:
    """What to say of the optimal-size regression `fit`, and whether it has a line to draw.

    The published values stand beside it only where it holds: two numbers of different things compare nothing.
    """
    if fit is None:
        return "no regression of the size on compute", False
    names = ("alpha", "beta")
    if not all(name in fit.parameters and fit.parameters[name].known for name in names):
        return f"regression not determined: {fit.status}", False
    values = ", ".join(f"$\\{name}$ = {fit.parameters[name].text}" for name in names)
    law = "$\\log_{10} C = \\alpha\\,\\log_{10} N + \\beta$"
    if fit.status != "ok":
        return f"{law}\nno clear power law: {fit.status}\n{values}", True
    return f"{law}\n{values}\nWu et al.: $\\alpha$ = {WU_ALPHA}, $\\beta$ = {WU_BETA}", True


def _draw_law(axes: Axes, tables: Tables, panel: SizePanel, strategy: Strategy, cost: str) -> str:
    """Draw the family's regression, where it has a line; what to say of it."""
    rows = of_strategy(tables.fits, panel.dataset, panel.family, strategy)
    fit = fitted(rows[(rows["fit"] == "optimal_size") & (rows["cost_model"] == cost)])
    text, determined = regression_text(fit)
    line = drawn(of_strategy(tables.draws, panel.dataset, panel.family, strategy), "optimal_size_fit", cost)
    if fit is not None and determined and len(line) > 1:
        axes.plot(line["x"], line["y"], zorder=3, **(_HOLDS if fit.status == "ok" else _DOUBTFUL))
    return text


def grid_of(panels: int, height: float, above: float, **sharing: Any) -> tuple[Figure, list[Axes]]:
    """Axes of so many panels, at most two in a row; those left over are switched off."""
    columns = min(panels, 2)
    rows = -(-panels // columns)
    width = fs.COLUMN_WIDTH if columns == 1 else fs.TEXT_WIDTH
    figure, grid = fs.new_figure(width, height * rows + above, rows, columns, **sharing)
    flat = [axes for row in grid for axes in row]
    for axes in flat[panels:]:
        axes.set_axis_off()
    return figure, flat


def panel_names(panel: SizePanel, panels: Sequence[SizePanel]) -> list[str]:
    """What tells this panel from the others: its data set, its family, or both."""
    names = [panel.dataset] if len({each.dataset for each in panels}) > 1 else []
    return [*names, panel.family] if len({each.family for each in panels}) > 1 else names


def _greedy_style(look: fs.LineStyle) -> fs.LineStyle:
    return fs.LineStyle(look.color, "X")


def _best_fit(tables: Tables, dataset: str, policy: str, strategy: Strategy, cost: str) -> pd.DataFrame:
    """The points of the fit to error against `cost` that holds and has the largest Akaike weight, if any."""
    points = drawn(of_strategy(tables.draws, dataset, policy, strategy), "fit", cost)
    rows = of_strategy(tables.fits, dataset, policy, strategy)
    weights = rows[(rows["cost_model"] == cost) & (rows["parameter"] == "akaike_weight")]
    weights = weights[weights["fit"].isin(points["fit"])].sort_values("value", ascending=False)
    best = weights["fit"].iloc[0] if len(weights) else None
    return points[points["fit"] == best]


def _spread(sizes: Sequence[float]) -> list[float]:
    """The sizes to label on a logarithmic axis: from the largest down, leaving out what would touch."""
    least = (max(sizes) / min(sizes)) ** 0.07
    kept: list[float] = []
    for size in sorted(sizes, reverse=True):
        if not kept or kept[-1] >= size * least:
            kept.append(size)
    return kept
