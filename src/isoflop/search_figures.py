"""Figures of tree searches beside sampling (Wu et al. 2024, Figures 4 to 12; Snell et al. 2024, Figure 3)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from isoflop import figure_style as fs
from isoflop.figure_parts import bars, error_band, flops_label, handle, message, policy_panels
from isoflop.publishing import (
    PublishSpec,
    Tables,
    cost_column,
    curve,
    headline_strategy,
    levels,
    of_generator,
    sampled_generators,
    shown_budget,
)
from isoflop.strategy import Strategy


def _series(tables: Tables, spec: PublishSpec) -> dict[str, Strategy]:
    """The headline's strategy of every generator that leaves something to pick; sampling first."""
    chosen = headline_strategy(tables.curves, spec)
    return {name: of_generator(chosen, name) for name in sampled_generators(tables.curves, spec)}


def search_methods(tables: Tables, spec: PublishSpec) -> Figure:
    """Error against FLOPs by generator under the headline's selector, a panel per policy.

    Wu et al. 2024, Figures 4 to 7; Snell et al. 2024, Figure 3, left.
    """
    cost = cost_column(spec)
    series = _series(tables, spec)
    styles = fs.generator_styles(list(series))
    figure, panels = policy_panels(tables, spec, flops_label(spec), "error (%)")
    for axes, dataset, policy in panels:
        fs.flops_axis(axes)
        for name, strategy in series.items():
            line = curve(tables.curves, dataset, policy, strategy)
            error_band(axes, line, cost, styles[name], joined=True)
    fs.legend_above(figure, [handle(styles[name], name) for name in series])
    return figure


def search_voting(tables: Tables, spec: PublishSpec) -> Figure:
    """Majority against weighted voting, over samples and over the first search (Wu et al., Figures 9-12)."""
    cost = cost_column(spec)
    generators = sampled_generators(tables.curves, spec)
    first_search = next((name for name in generators if name in spec.searches), None)
    have = set(tables.curves["selector"])
    selectors = [name for name in ("majority", "weighted") if name in have]
    if first_search is None or not selectors:
        return message("This experiment has no voting over a search.")
    figure, panels = policy_panels(tables, spec, flops_label(spec), "accuracy (%)")
    shown = {}
    for generator in dict.fromkeys((generators[0], first_search)):
        for selector in selectors:
            strategy = of_generator(headline_strategy(tables.curves, spec, selector), generator)
            look = fs.SELECTOR_STYLES[selector]
            if generator in spec.searches:
                look = fs.LineStyle(look.color, "D", (0, (1, 1)))
            shown[f"{generator}, {strategy.name}"] = (strategy, look)
    for axes, dataset, policy in panels:
        fs.flops_axis(axes)
        for strategy, look in shown.values():
            line = curve(tables.curves, dataset, policy, strategy)
            axes.fill_between(
                line[cost], line["ci_low"], line["ci_high"], color=look.color, alpha=fs.BAND / 2, linewidth=0
            )
            axes.plot(line[cost], line["accuracy"], **look.plot())
    fs.legend_above(figure, [handle(look, label) for label, (_, look) in shown.items()])
    return figure


def search_by_level(tables: Tables, spec: PublishSpec) -> Figure:
    """Accuracy by difficulty level and generator, each at its budget of the tables, a panel per policy.

    Wu et al. 2024, Figure 8; Snell et al. 2024, Figure 3, right.
    """
    series = _series(tables, spec)
    styles = fs.generator_styles(list(series))
    budgets = {name: shown_budget(tables.curves, spec, name) for name in series}
    figure, panels = policy_panels(tables, spec, "difficulty level", "accuracy (%)")
    for axes, dataset, policy in panels:
        names = levels(tables.curves, dataset)
        for index, (name, strategy) in enumerate(series.items()):
            shift = 0.7 / len(series) * (index - (len(series) - 1) / 2)
            places, points = [], []
            for place, level in enumerate(names):
                line = curve(tables.curves, dataset, policy, strategy, level)
                line = line[line["budget"] == budgets[name]]
                if not line.empty:
                    places.append(place + shift)
                    points.append(line.iloc[0])
            if points:
                bars(axes, np.array(places), pd.DataFrame(points), styles[name])
        axes.xaxis.set_major_locator(FixedLocator(list(range(len(names)))))
        axes.set_xticklabels(names)
        axes.set_ylim(-0.03, 1.03)
    fs.legend_above(figure, [handle(styles[name], f"{name}, {budgets[name]}", line=False) for name in series])
    return figure
