"""Figures of coverage: of a study of counts by size, and what the first samples predict of it."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isoflop.claims.coverage import COVERAGE, OK
from isoflop.estimate import size_label
from isoflop.report.figures import style as fs
from isoflop.report.figures.panels import flops_label, handle, message, policy_label, policy_panels
from isoflop.report.figures.sizes import grid_of, panel_names, size_panels
from isoflop.report.lookup import Tables, curve, drawn, headline_strategy, of_strategy
from isoflop.report.spec import ReportSpec, cost_column
from isoflop.strategy import Strategy

_FORETOLD: dict[str, Any] = {"color": "#b04a4a", "linestyle": (0, (3, 1.5)), "linewidth": 0.9}
_KNOWN: dict[str, Any] = {"color": "#8a8a8a", "linewidth": 0.7, "linestyle": (0, (1, 2))}


def coverage_by_size(tables: Tables, spec: ReportSpec) -> Figure:
    """Coverage against FLOPs, a line per size; a panel per data set and family (Wu et al. 2024, Figure 1)."""
    cost, strategy = cost_column(spec), headline_strategy(tables.curves, spec)
    styles = fs.policy_styles(spec.policies)
    panels = size_panels(tables, spec)
    figure, grid = grid_of(len(panels), 2.6, 0.6, sharey=False)
    for axes, one in zip(grid, panels, strict=False):
        for policy in one.policies:
            line, look = curve(tables.curves, one.dataset, policy, strategy), styles[policy]
            axes.fill_between(
                line[cost], line["ci_low"], line["ci_high"], color=look.color, alpha=fs.BAND / 2, linewidth=0
            )
            axes.plot(line[cost], line["accuracy"], **(look.plot() | {"markersize": 3}))
        here = of_strategy(tables.draws, one.dataset, None, strategy)
        best = drawn(here[here["policy"].isin(one.policies)], "optimal_size", cost)
        changes = best[best["policy"] != best["policy"].shift()].iloc[1:]
        for x in changes["x"]:
            axes.axvline(float(x), zorder=0, **_KNOWN)
        fs.flops_axis(axes)
        axes.set_xlabel(flops_label(spec))
        fs.percent_axis(axes, "coverage (%)")
        axes.set_title(", ".join(panel_names(one, panels)), loc="left")
    handles = [handle(styles[p], policy_label(tables, p)) for p in spec.policies]
    handles.append(Line2D([], [], label="another size is best", **_KNOWN))
    fs.legend_above(figure, handles)
    return figure


def coverage_forecast(tables: Tables, spec: ReportSpec) -> Figure:
    """Measured coverage by samples, and what a power law of the first ones predicts; a panel per policy.

    A colour per generator, where there are several.
    """
    assert tables.coverage is not None  # there is something to predict
    told = tables.coverage.forecast
    if told.empty:
        return message("No policy has enough samples beyond the first ones to predict.")
    generators = list(dict.fromkeys(told["generator"]))
    looks = {generators[0]: fs.LineStyle(fs.INK, "o")} if len(generators) == 1 else {}
    looks = looks or fs.generator_styles(generators)
    figure, panels = policy_panels(tables, spec, "samples per problem", "coverage (%)")
    budgets = sorted({int(budget) for budget in tables.curves["budget"]})
    for axes, dataset, policy in panels:
        for generator, look in looks.items():
            line = curve(tables.curves, dataset, policy, Strategy(generator, COVERAGE))
            axes.fill_between(
                line["budget"], line["ci_low"], line["ci_high"], color=look.color, alpha=0.1, linewidth=0
            )
            marks = look.plot() | {"linestyle": "none", "markersize": 3}
            axes.plot(line["budget"], line["accuracy"], **marks)
            own = told[(told["dataset"] == dataset) & (told["policy"] == policy)]
            own = own[own["generator"] == generator].sort_values("budget")
            if len(own) and (own["status"] == OK).all():
                axes.axvline(float(own["fitted_to"].iloc[0]), **_KNOWN)
                axes.fill_between(
                    own["budget"],
                    own["predicted_low"],
                    own["predicted_high"],
                    color=_FORETOLD["color"],
                    alpha=fs.BAND,
                    linewidth=0,
                )
                axes.plot(own["budget"], own["predicted"], **_FORETOLD)
        fs.samples_axis(axes, _decades(budgets), 5)
    several = len(generators) > 1
    handles = [
        *(
            handle(look, f"{name}, measured" if several else "measured", line=False)
            for name, look in looks.items()
        ),
        Line2D([], [], label="predicted", **_FORETOLD),
        Line2D([], [], label="samples that are known", **_KNOWN),
    ]
    fs.legend_above(figure, handles)
    return figure


def _decades(budgets: list[int]) -> list[int]:
    """Powers of ten within the budgets, for the axis."""
    most = int(np.floor(np.log10(max(budgets))))
    return [10**power for power in range(most + 1)]


def coverage_pretraining(tables: Tables, spec: ReportSpec) -> Figure:
    """The best model and number of samples at equal sums of pretraining and answers (Snell et al., Figure 9).

    A column per number of problems: coverage, tokens of pretraining, and the share of compute in samples.
    """
    assert tables.coverage is not None
    assert tables.coverage.pretraining is not None  # there is pretraining
    table = tables.coverage.pretraining
    table = table[(table["dataset"] == spec.datasets[0]) & (table["cost_model"] == spec.headline.cost_model)]
    problems = sorted(table["problems"].unique())
    sizes = sorted(table["parameters"].unique())
    looks = fs.policy_styles([str(size) for size in sizes])
    figure, grid = fs.new_figure(fs.TEXT_WIDTH, 4.6, 3, max(len(problems), 1), sharex="col", sharey="row")
    for column, count in enumerate(problems):
        rows = table[table["problems"] == count]
        upper, middle, lower = (grid[row][column] for row in range(3))
        upper.fill_between(
            rows["flops"], rows["coverage_low"], rows["coverage_high"], color=fs.INK, alpha=0.12, linewidth=0
        )
        for size in sizes:
            own = rows[rows["parameters"] == size]
            for ended, part in own.groupby(own["ended"].astype(str).str.lower() == "true"):
                marks = looks[str(size)].plot() | {"linestyle": "none", "markersize": 3.2}
                marks |= (
                    {"markerfacecolor": "white", "markeredgecolor": looks[str(size)].color} if ended else {}
                )
                upper.plot(part["flops"], part["coverage"], **marks)
                middle.plot(part["flops"], part["tokens"], **marks)
                lower.plot(part["flops"], part["inference_share"], **marks)
        upper.set_title(f"{count:.0e} problems".replace("e+0", "e").replace("e+", "e"), loc="left")
        middle.set_yscale("log")
        for axes in (upper, middle, lower):
            fs.flops_axis(axes)
    fs.percent_axis(grid[0][0], "coverage (%)")
    grid[1][0].set_ylabel("pretraining tokens")
    fs.percent_axis(grid[2][0], "spent on samples (%)")
    figure.supxlabel("FLOPs of pretraining and samples together", fontsize=7.5)
    fs.legend_above(figure, [handle(looks[str(size)], size_label(float(size)), line=False) for size in sizes])
    return figure
