"""Figures of tree searches beside sampling (Wu et al. 2024, Figures 4 to 12; Snell et al. 2024, Figure 3)."""

import textwrap
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from isoflop.report.figures import style as fs
from isoflop.report.figures.panels import (
    band,
    bars,
    error_band,
    error_bars,
    flops_label,
    handle,
    message,
    policy_label,
    policy_panels,
)
from isoflop.report.figures.sizes import panel_names, size_panels
from isoflop.report.lookup import (
    Tables,
    curve,
    greedy_generators,
    headline_strategy,
    levels,
    of_generator,
    sampled_generators,
    shown_budget,
)
from isoflop.report.spec import ReportSpec, cost_column
from isoflop.strategy import NONE, Strategy, selector_name

# Levels up to this one are easy problems (Wu et al. 2024, Figure 8).
_LAST_EASY = 2
_MOST_TITLE_LETTERS = 40


def _series(tables: Tables, spec: ReportSpec) -> dict[str, Strategy]:
    """The headline's strategy of every generator that leaves something to pick; sampling first."""
    chosen = headline_strategy(tables.curves, spec)
    return {name: of_generator(chosen, name) for name in sampled_generators(tables.curves, spec)}


def search_methods(tables: Tables, spec: ReportSpec) -> Figure:
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


def search_by_size(tables: Tables, spec: ReportSpec) -> Figure:
    """Error against FLOPs of the sizes of a family on one axis, a panel per selector of a verifier.

    Wu et al. 2024, Figures 4 and 5: sampling, REBASE and MCTS, with weighted voting and with best-of-n.
    Crosses are greedy answers. A row per data set and family with several sizes.
    """
    cost = cost_column(spec)
    generators = _of_kinds(tables, spec, ("rebase", "mcts"))
    selectors = [name for name in ("weighted", "best_of_n") if name in set(tables.curves["selector"])]
    selectors = selectors if spec.verifiers else []
    selectors = selectors or ["majority"]
    rows = [panel for panel in size_panels(tables, spec) if len(panel.policies) > 1]
    if not rows:
        return message("No data set has several sizes of one family to compare.")
    styles, looks = fs.policy_styles(spec.policies), fs.generator_styles(generators)
    width = fs.COLUMN_WIDTH if len(selectors) == 1 else fs.TEXT_WIDTH
    figure, grid = fs.new_figure(width, 2.3 * len(rows) + 0.65, len(rows), len(selectors), sharey="row")
    for panel, line_of_axes in zip(rows, grid, strict=True):
        for axes, selector in zip(line_of_axes, selectors, strict=True):
            fs.flops_axis(axes)
            for policy in panel.policies:
                colour = styles[policy].color
                for generator in generators:
                    strategy = of_generator(headline_strategy(tables.curves, spec, selector), generator)
                    look = replace(looks[generator], color=colour)
                    error_band(
                        axes, curve(tables.curves, panel.dataset, policy, strategy), cost, look, joined=True
                    )
                for name in greedy_generators(tables.curves, spec):
                    line = curve(tables.curves, panel.dataset, policy, Strategy(name, NONE))
                    error_bars(axes, line, cost, fs.LineStyle(colour, "X"))
            fs.percent_axis(axes, "")
            title = ", ".join((*panel_names(panel, rows), selector_name(selector)))
            axes.set_title(textwrap.fill(title, _MOST_TITLE_LETTERS), loc="left")
        line_of_axes[0].set_ylabel("error (%)")
    figure.supxlabel(flops_label(spec), fontsize=7.5)
    shown = [policy for policy in spec.policies if any(policy in panel.policies for panel in rows)]
    handles = [
        Line2D([], [], color=styles[p].color, linewidth=3, label=policy_label(tables, p)) for p in shown
    ]
    handles += [handle(replace(looks[name], color=fs.INK), name) for name in generators]
    if greedy_generators(tables.curves, spec):
        handles.append(handle(fs.LineStyle(fs.INK, "X"), "greedy", line=False))
    fs.legend_above(figure, handles)
    return figure


def search_generations(tables: Tables, spec: ReportSpec) -> Figure:
    """Accuracy over generations by generator, a panel per policy (Snell et al. 2024, Figure 3, left).

    Under weighted voting where that is measured, else the headline's selector, and by majority over samples.
    A unit of a search's budget counts as `spec.generations` says: N (k + 1) samples for lookahead search.
    """
    have = set(tables.curves["selector"])
    selector = "weighted" if spec.verifiers and "weighted" in have else spec.headline.selector
    chosen = headline_strategy(tables.curves, spec, selector)
    generators = sampled_generators(tables.curves, spec)
    shown = {name: of_generator(chosen, name) for name in generators}
    looks = fs.generator_styles(generators)
    if selector != "majority" and "majority" in have and generators[0] not in spec.searches:
        name = f"{generators[0]}, majority voting"
        shown[name] = Strategy(generators[0], "majority")
        looks[name] = replace(looks[generators[0]], marker="s", linestyle=(0, (1, 1)))
    figure, panels = policy_panels(tables, spec, "generations per problem", "accuracy (%)")
    for axes, dataset, policy in panels:
        ticks: set[int] = set()
        for name, strategy in shown.items():
            line = curve(tables.curves, dataset, policy, strategy)
            line = line.assign(budget=line["budget"] * spec.generations.get(strategy.generator, 1))
            ticks |= set(map(int, line["budget"]))
            band(axes, line, looks[name])
        if ticks:
            fs.samples_axis(axes, [n for n in ticks if n.bit_count() == 1] or sorted(ticks))
    handles = [handle(looks[name], name) for name in shown]
    handles[0].set_label(f"{generators[0]}, {selector_name(selector)}")
    fs.legend_above(figure, handles)
    return figure


def search_easy_hard(tables: Tables, spec: ReportSpec) -> Figure:
    """Error against FLOPs on easy and on hard problems, REBASE against sampling (Wu et al. 2024, Figure 8).

    Easy are levels 1 and 2, hard 3 and above, pooled as `pooled_levels` says. Two panels per policy and data
    set with levels on both sides. Without REBASE, every search.
    """
    cost = cost_column(spec)
    generators = _of_kinds(tables, spec, ("rebase",))
    chosen = headline_strategy(tables.curves, spec)
    looks = fs.generator_styles(generators)
    shown: list[tuple[str, str, dict[str, dict[str, pd.DataFrame]]]] = []
    for dataset in spec.datasets:
        names = levels(tables.curves, dataset)
        sides = {
            "easy": [n for n in names if int(n) <= _LAST_EASY],
            "hard": [n for n in names if int(n) > _LAST_EASY],
        }
        for policy in spec.policies if all(sides.values()) else ():
            lines = {
                side: {
                    name: pooled_levels(
                        tables.curves, dataset, policy, of_generator(chosen, name), levels_of_side
                    )
                    for name in generators
                }
                for side, levels_of_side in sides.items()
            }
            if any(len(line) for line in lines["easy"].values()):
                shown.append((dataset, policy, lines))
    if not shown:
        return message("The problems of this experiment are not of levels on both sides of 2.")
    across = min(len(shown), 2)
    rows = -(-len(shown) // across)
    size = fs.TEXT_WIDTH, 1.95 * rows + 0.55
    figure, grid = fs.new_figure(*size, rows, 2 * across, sharex="all", sharey="all")
    pairs = [line[start : start + 2] for line in grid for start in range(0, 2 * across, 2)]
    for pair, (dataset, policy, lines) in zip(pairs, shown, strict=False):
        for axes, (side, by_generator) in zip(pair, lines.items(), strict=True):
            fs.flops_axis(axes)
            for name, line in by_generator.items():
                error_band(axes, line, cost, looks[name], joined=True)
            title = textwrap.fill(f"{policy_label(tables, policy)}, {side}", 48 // across)
            axes.set_title(
                f"{dataset}\n{title}" if len({panel[0] for panel in shown}) > 1 else title, loc="left"
            )
    for axes in (axes for pair in pairs[len(shown) :] for axes in pair):
        axes.set_axis_off()
    for line_of_axes in grid:
        fs.percent_axis(line_of_axes[0], "error (%)")
    figure.supxlabel(flops_label(spec), fontsize=7.5)
    fs.legend_above(figure, [handle(looks[name], name) for name in generators])
    return figure


def pooled_levels(
    curves: pd.DataFrame, dataset: str, policy: str, strategy: Strategy, subsets: Sequence[str]
) -> pd.DataFrame:
    """A curve over the problems of several levels: budgets that all of them have, with every cost.

    Accuracies and costs are means by numbers of problems. Levels are bootstrapped apart, so the distance of
    an end of the interval is the root of the sum of the levels' squared distances, each times its share of
    the problems (Zou and Donner 2008): the widening of the levels' intervals near 0 and 1 is kept.
    """
    parts = [curve(curves, dataset, policy, strategy, subset).set_index("budget") for subset in subsets]
    budgets = sorted(set.intersection(*(set(part.index) for part in parts)))
    parts = [part.loc[budgets] for part in parts]
    problems = sum(part["problems"] for part in parts)
    shares = [part["problems"] / problems for part in parts]
    costs = [name for name in curves.columns if name.startswith("flops_")]
    pooled = pd.DataFrame(
        {
            name: sum(w * part[name] for w, part in zip(shares, parts, strict=True))
            for name in ("accuracy", *costs)
        }
    )
    pooled["problems"] = problems
    for end, sign in (("ci_low", -1), ("ci_high", 1)):
        away = sum((w * (part[end] - part["accuracy"])) ** 2 for w, part in zip(shares, parts, strict=True))
        pooled[end] = pooled["accuracy"] + sign * np.sqrt(away)
    return pooled.rename_axis("budget").reset_index()


def _of_kinds(tables: Tables, spec: ReportSpec, kinds: Sequence[str]) -> list[str]:
    """The generators that sample, then the searches of these kinds, or all searches where there is none."""
    generators = sampled_generators(tables.curves, spec)
    searches = [name for name in generators if name in spec.searches]
    wanted = [name for name in searches if spec.searches[name] in kinds] or searches
    return [name for name in generators if name not in spec.searches] + wanted


def search_voting(tables: Tables, spec: ReportSpec) -> Figure:
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
            look = fs.selector_style(selector)
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


def search_by_level(tables: Tables, spec: ReportSpec) -> Figure:
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
            positions, points = [], []
            for place, level in enumerate(names):
                line = curve(tables.curves, dataset, policy, strategy, level)
                line = line[line["budget"] == budgets[name]]
                if not line.empty:
                    positions.append(place + shift)
                    points.append(line.iloc[0])
            if points:
                bars(axes, np.array(positions), pd.DataFrame(points), styles[name])
        axes.xaxis.set_major_locator(FixedLocator(list(range(len(names)))))
        axes.set_xticklabels(names)
        axes.set_ylim(-0.03, 1.03)
    fs.legend_above(figure, [handle(styles[name], f"{name}, {budgets[name]}", line=False) for name in series])
    return figure
