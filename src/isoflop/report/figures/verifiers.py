"""Verifiers and step aggregations against one another (Snell et al. 2024, appendix; Wu et al. 2024, 3).

And how their scores compare with how often solutions of that score are right.
"""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from isoflop.report.figures import style as fs
from isoflop.report.figures.panels import band, grouped_panels, handle, joined_bars, message, policy_panels
from isoflop.report.lookup import Tables, curve, headline_strategy
from isoflop.report.spec import ReportSpec
from isoflop.strategy import Strategy, needs_verifier, selector_name

# Up to this share of right solutions axes are no longer than they need be.
_WHOLE = 0.5
_CALIBRATED: dict[str, Any] = {"color": fs.INK, "linestyle": (0, (1, 1)), "linewidth": 1.0}


def compared(tables: Tables, spec: ReportSpec) -> dict[str, Strategy]:
    """Every verifier and step aggregation of the headline's generator, by what a legend calls it.

    Under the headline's selector, or best-of-n where that asks no verifier.
    """
    selector = spec.headline.selector if needs_verifier(spec.headline.selector) else "best_of_n"
    generator = headline_strategy(tables.curves, spec).generator
    rows = tables.curves[(tables.curves["generator"] == generator) & (tables.curves["selector"] == selector)]
    strategies = {}
    for verifier in (name for name in spec.verifiers if name in set(rows["verifier"])):
        for how in dict.fromkeys(rows.loc[rows["verifier"] == verifier, "step_aggregation"]):
            name = how if len(spec.verifiers) == 1 else f"{verifier}, {how}"
            if verifier in spec.outcome_verifiers:
                name = verifier  # one score of a solution is the same under every aggregation
            strategies[name] = Strategy(generator, selector, verifier, str(how))
    return strategies


def verifiers(tables: Tables, spec: ReportSpec) -> Figure:
    """Accuracy over the number of samples by verifier and step aggregation, a panel per policy."""
    series = compared(tables, spec)
    if len(series) < 2:
        return message("This experiment scores solutions in one way.")
    styles = fs.generator_styles(list(series))
    (selector,) = {strategy.selector for strategy in series.values()}
    label = f"accuracy of {selector_name(selector)} (%)"
    figure, panels = policy_panels(tables, spec, "samples per problem", label)
    for axes, dataset, policy in panels:
        budgets: set[int] = set()
        for name, strategy in series.items():
            line = curve(tables.curves, dataset, policy, strategy)
            budgets |= set(line["budget"].astype(int))
            band(axes, line, styles[name])
        if budgets:
            fs.samples_axis(axes, sorted(budgets))
    fs.legend_above(figure, [handle(styles[name], name) for name in series])
    return figure


def calibration(bins: pd.DataFrame, spec: ReportSpec) -> Figure:
    """The share of right solutions over their mean score, a panel per policy; `bins`: calibration.csv.

    Under the headline's step aggregation; the dotted line is a score that is the chance to be right. Axes end
    at 100%, or where scores do that never come near it.
    """
    shown = bins[
        bins["policy"].isin(spec.policies)
        & (bins["step_aggregation"] == bins["verifier"].map(spec.aggregation))
    ]
    if shown.empty:
        return message("No verifier's scores are between 0 and 1, so none are chances.")
    several = shown["generator"].nunique() > 1
    names = shown["verifier"] + (", " + shown["generator"] if several else "")
    styles = fs.generator_styles(list(dict.fromkeys(names)))
    points = shown.rename(columns={"share_right": "accuracy"}).assign(name=names)
    figure, panels = grouped_panels(points, ("dataset",), "mean score (%)", "right solutions (%)")
    most = float(shown[["mean_score", "ci_high"]].to_numpy(float).max())
    end = 1.0 if most > _WHOLE else 1.1 * most
    for axes, panel in panels:
        axes.plot([0, end], [0, end], **_CALIBRATED)
        for name, rows in panel.groupby("name", sort=False):
            joined_bars(axes, rows["mean_score"].to_numpy(float), rows, styles[str(name)])
        axes.set_xlim(-0.03 * end, 1.03 * end)
        axes.set_ylim(-0.03 * end, 1.03 * end)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
    handles = [handle(look, name) for name, look in styles.items()]
    fs.legend_above(figure, [*handles, Line2D([], [], **_CALIBRATED, label="calibrated")])
    return figure
