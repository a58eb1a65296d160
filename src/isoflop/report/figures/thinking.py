"""Thinking longer against voting more: accuracy over cost, a panel per model that thinks."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isoflop.report.figures import style as fs
from isoflop.report.figures.panels import flops_label, handle, message
from isoflop.report.lookup import Tables, curve, headline_strategy
from isoflop.report.spec import ReportSpec, cost_column
from isoflop.strategy import Strategy

_COLUMNS = 2
_ONCE: dict[str, Any] = {"color": fs.INK, "linestyle": (0, (1, 1)), "linewidth": 1.0}


def thinking_figure(tables: Tables, spec: ReportSpec) -> Figure:
    """Votes of every length of thought over the headline's cost; the dotted line joins single answers.

    Where the dotted line is above another, thinking longer is worth more than voting more.
    """
    cost, strategy = cost_column(spec), headline_strategy(tables.curves, spec)
    known = tables.curves[tables.curves[cost].notna()]
    panels = [
        (dataset, model, policies, lines)
        for dataset in spec.datasets
        for model, policies in spec.thinking.items()
        if len(lines := _lines(known, dataset, policies, strategy)) > 1
    ]
    if not panels:
        return message("No model has answers at two lengths of thought whose cost is known.")
    longest = max(len(policies) for _, _, policies, _ in panels)
    height = -(-len(panels) // _COLUMNS)
    columns = min(len(panels), _COLUMNS)
    width = fs.COLUMN_WIDTH if columns == 1 else fs.TEXT_WIDTH
    figure, grid = fs.new_figure(width, 2.5 * height + 0.5, height, columns, sharex="all", sharey="all")
    flat = [axes for row in grid for axes in row]
    looks = [*fs.policy_styles([str(place) for place in range(longest)]).values()]
    for axes, (dataset, model, policies, lines) in zip(flat, panels, strict=False):
        axes.set_title(model if len(spec.datasets) == 1 else f"{model}, {dataset}", loc="left")
        fs.flops_axis(axes)
        once = pd.concat([line.head(1) for line in lines.values()])
        axes.plot(once[cost], once["accuracy"], **_ONCE)
        for policy, line in lines.items():
            look = looks[policies.index(policy)]
            bounds = line["ci_low"], line["ci_high"]
            axes.fill_between(line[cost], *bounds, color=look.color, alpha=fs.BAND / 2, linewidth=0)
            axes.plot(line[cost], line["accuracy"], **look.plot())
    for axes in flat[len(panels) :]:
        axes.set_axis_off()
    for row in grid:
        fs.percent_axis(row[0], "accuracy (%)")
    figure.supxlabel(flops_label(spec), fontsize=7.5)
    names = [_named(place, [policies for _, _, policies, _ in panels]) for place in range(longest)]
    handles = [handle(look, name) for look, name in zip(looks, names, strict=True)]
    fs.legend_above(figure, [*handles, Line2D([], [], **_ONCE, label="one answer, thinking longer")])
    return figure


def _lines(
    curves: pd.DataFrame, dataset: str, policies: Sequence[str], strategy: Strategy
) -> dict[str, pd.DataFrame]:
    """The curves of one model's lengths of thought, by rising budget, those that there are."""
    found = {policy: curve(curves, dataset, policy, strategy) for policy in policies}
    return {policy: line for policy, line in found.items() if len(line)}


def _named(place: int, models: list[tuple[str, ...]]) -> str:
    """What policies at one place of their models' lengths have in common at their ends: `low`."""
    names = [policies[place] for policies in models if place < len(policies)]
    ends = {name.rpartition("-")[2] for name in names}
    return ends.pop() if len(ends) == 1 else " / ".join(names)
