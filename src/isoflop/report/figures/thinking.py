"""Thinking longer against voting more: accuracy over cost, a panel per model that thinks."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isoflop.report.figures import style as fs
from isoflop.report.figures.panels import flops_label, handle, message
from isoflop.report.lookup import Tables, headline_strategy, of_strategy
from isoflop.report.spec import ReportSpec, cost_column

_COLUMNS = 2
_ONCE = {"color": fs.INK, "linestyle": (0, (1, 1)), "linewidth": 1.0}


def thinking_figure(tables: Tables, spec: ReportSpec) -> Figure:
    """Votes of every length of thought over the headline's cost; the dotted line joins single answers.

    Where the dotted line is above another, thinking longer is worth more than voting more.
    """
    cost, strategy = cost_column(spec), headline_strategy(tables.curves, spec)
    rows = of_strategy(tables.curves, strategy)
    rows = rows[(rows["subset"] == "all") & rows[cost].notna()]
    panels = [
        (dataset, model, policies)
        for dataset in spec.datasets
        for model, policies in spec.thinking.items()
        if rows[(rows["dataset"] == dataset) & rows["policy"].isin(policies)]["policy"].nunique() > 1
    ]
    if not panels:
        return message("No model has answers at two lengths of thought whose cost is known.")
    longest = max(len(policies) for *_, policies in panels)
    height = -(-len(panels) // _COLUMNS)
    columns = min(len(panels), _COLUMNS)
    width = fs.COLUMN_WIDTH if columns == 1 else fs.TEXT_WIDTH
    figure, grid = fs.new_figure(width, 2.5 * height + 0.5, height, columns, sharex="all", sharey="all")
    flat = [axes for row in grid for axes in row]
    looks = [*fs.policy_styles([str(place) for place in range(longest)]).values()]
    for axes, (dataset, model, policies) in zip(flat, panels, strict=False):
        axes.set_title(model if len(spec.datasets) == 1 else f"{model}, {dataset}", loc="left")
        fs.flops_axis(axes)
        own = rows[rows["dataset"] == dataset]
        lines = [own[own["policy"] == policy].sort_values("budget") for policy in policies]
        once = pd.concat([line.head(1) for line in lines])
        axes.plot(once[cost], once["accuracy"], **_ONCE)
        for line, look in zip(lines, looks, strict=False):
            bounds = line["ci_low"], line["ci_high"]
            axes.fill_between(line[cost], *bounds, color=look.color, alpha=fs.BAND / 2, linewidth=0)
            axes.plot(line[cost], line["accuracy"], **look.plot())
    for axes in flat[len(panels) :]:
        axes.set_axis_off()
    for row in grid:
        fs.percent_axis(row[0], "accuracy (%)")
    figure.supxlabel(flops_label(spec), fontsize=7.5)
    names = [_named(place, [policies for *_, policies in panels]) for place in range(longest)]
    handles = [handle(look, name) for look, name in zip(looks, names, strict=True)]
    fs.legend_above(figure, [*handles, Line2D([], [], **_ONCE, label="one answer, thinking longer")])
    return figure


def _named(place: int, models: list[tuple[str, ...]]) -> str:
    """What policies at one place of their models' lengths have in common at their ends: `low`."""
    names = [policies[place] for policies in models if place < len(policies)]
    ends = {name.rpartition("-")[2] for name in names}
    return ends.pop() if len(ends) == 1 else " / ".join(names)
