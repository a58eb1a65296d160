"""Figures of revisions: chains against parallel samples (Snell et al. 2024, Figures 6 and 7).

Tables are as published, names as text. The chains of length S are the generator `NAME/S` in them, whose
budget is the number N of answers, so N / S chains; all figures have a row of panels per data set and NAME,
a panel per policy that revises. Bars and bands are the intervals of the tables.
"""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from isoflop.fits.revision_rates import BROKEN, FIXED, PASS
from isoflop.report.figures import style as fs
from isoflop.report.figures.panels import band, grouped_panels, handle, joined_bars, message
from isoflop.report.lookup import without_length
from isoflop.report.spec import ReportSpec
from isoflop.strategy import needs_verifier, selector_name

_ROWS = ("dataset", "generator")
# Lengths of chains that a budget is shown with at least, in all and by bin.
_FEWEST_RATIOS = 2
_FEWEST_RATIOS_BY_BIN = 3
_MOST_RATIO_TICKS = 6
_REFERENCE: dict[str, Any] = {"color": fs.INK, "linewidth": 0.8, "linestyle": (0, (7, 2))}


def revision_chain(rates: pd.DataFrame) -> Figure:
    """Pass@1 at every place of the chains, and below how often a revision turns an answer (Figure 6, left).

    `rates`: revisions.csv. Dashed: pass@1 of parallel samples, which first answers are.
    """
    rows = rates[rates["place"] != "all"]
    if rows.empty:
        return message("No chain of revisions has an answer.")
    rows = rows.rename(columns={"value": "accuracy"}).assign(
        place=rows["place"].astype(int),
        shown=np.where(rows["measure"] == PASS, "pass@1 (%)", "answers turned (%)"),
    )
    rows = rows.sort_values("place", kind="stable")
    looks = fs.generator_styles([PASS, BROKEN, FIXED])
    figure, panels = grouped_panels(rows, (*_ROWS, "shown"), "place in the chain", sharey="row")
    for axes, part in panels:
        for measure, line in part.groupby("measure"):
            apart = {BROKEN: -0.07, FIXED: 0.07}.get(str(measure), 0.0)
            joined_bars(axes, line["place"].to_numpy(float) + apart, line, looks[str(measure)])
            if measure == PASS:
                axes.axhline(float(line["accuracy"].iloc[0]), zorder=1, **_REFERENCE)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        last = int(rows["place"].max())
        axes.set_xlim(1 - 0.05 * last, last * 1.05)
    handles = [handle(looks[measure], measure) for measure in looks if measure in set(rows["measure"])]
    fs.legend_above(figure, [*handles, Line2D([], [], label="pass@1 of parallel samples", **_REFERENCE)])
    return figure


def revision_sequential(curves: pd.DataFrame, spec: ReportSpec) -> Figure:
    """Accuracy over the number of answers, in the longest chains and in parallel (Figure 6, right).

    `curves`: rows of curves.csv of the chains. Under a verifier's selection and majority.
    """
    rows = compared_selections(curves, spec)
    if rows.empty or rows["length"].nunique() < 2:
        return message("This experiment has no chains of several lengths to compare.")
    figure, panels = grouped_panels(rows, _ROWS, "answers per problem", "accuracy (%)")
    shown = {}
    for selector in dict.fromkeys(rows["selector"]):
        look = fs.selector_style(selector)
        shown["sequential", selector] = look
        shown["parallel", selector] = fs.LineStyle(look.color, "D", (0, (1, 1)))
    for axes, part in panels:
        fs.samples_axis(axes, part["budget"].tolist())
        for (how, selector), look in shown.items():
            line = part[part["selector"] == selector]
            band(axes, longest_chains(line) if how == "sequential" else line[line["length"] == 1], look)
    handles = [handle(look, f"{how}, {selector_name(selector)}") for (how, selector), look in shown.items()]
    fs.legend_above(figure, handles)
    return figure


def revision_ratio(curves: pd.DataFrame, spec: ReportSpec) -> Figure:
    """Accuracy over the ratio of sequential to parallel, a line per number of answers (Figure 7, left).

    `curves`: rows of curves.csv of the chains. The ratio is the chains' length over their number.
    """
    rows = compared_selections(curves, spec)
    lengths = rows.groupby([*_ROWS, "policy", "budget"])["length"].transform("nunique")
    rows = rows[lengths >= _FEWEST_RATIOS]
    if rows.empty:
        return message("No number of answers is measured in chains of several lengths.")
    budgets = sorted(set(rows["budget"]))
    looks = fs.policy_styles([str(budget) for budget in budgets])
    figure, panels = grouped_panels(rows, (*_ROWS, "selection"), "sequential : parallel", "accuracy (%)")
    for axes, part in panels:
        for index, budget in enumerate(budgets):
            _ratio_line(axes, part[part["budget"] == budget], index, len(budgets), looks[str(budget)])
        _ratio_axis(axes, rows["ratio"])
    fs.legend_above(figure, [handle(looks[str(budget)], f"{budget} answers") for budget in budgets])
    return figure


def revision_ratio_by_bin(by_difficulty: pd.DataFrame, spec: ReportSpec) -> Figure:
    """Accuracy over the ratio of sequential to parallel by oracle bin, at one number of answers (Figure 7).

    `by_difficulty`: by_difficulty.csv. Of each policy, the largest number with at least three lengths.
    """
    rows = _binned(by_difficulty, spec)
    lengths = rows.groupby([*_ROWS, "policy", "budget"])["length"].transform("nunique")
    rows = rows[lengths >= _FEWEST_RATIOS_BY_BIN]
    if rows.empty:
        return message("No bin has chains of three lengths at one number of answers.")
    largest = rows.groupby([*_ROWS, "policy"])["budget"].transform("max")
    rows = rows[rows["budget"] == largest]
    rows = rows.assign(policy=rows["policy"] + ", " + rows["budget"].astype(str) + " answers")
    bins = sorted(set(rows["bin"]), key=int)
    looks = fs.policy_styles(bins)
    # Where there is one selection, no row is named by it.
    selections = list(dict.fromkeys(rows["selection"]))
    label = f"accuracy of {selections[0]} (%)" if len(selections) == 1 else "accuracy (%)"
    figure, panels = grouped_panels(rows, (*_ROWS, "selection"), "sequential : parallel", label)
    for axes, part in panels:
        for index, name in enumerate(bins):
            _ratio_line(axes, part[part["bin"] == name], index, len(bins), looks[name])
        _ratio_axis(axes, part["ratio"])
    handles = [handle(looks[name], f"bin {name}") for name in bins]
    handles[0].set_label(f"bin {bins[0]} (easiest)")
    fs.legend_above(figure, handles)
    return figure


def revision_verifiers(curves: pd.DataFrame, spec: ReportSpec) -> Figure:
    """Accuracy over the number of answers in the longest chains, by the verifier that picks.

    `curves`: rows of curves.csv of the chains. Snell et al. 2024, appendix: with and without the history.
    """
    rows = judged(curves, spec)
    names = list(dict.fromkeys(name for names in spec.revisions.values() for name in names))
    names = [name for name in names if name in set(rows["verifier"])]
    if len(names) < 2:
        return message("One verifier scores the revisions of this experiment.")
    (selector,) = set(rows["selector"])
    looks = fs.generator_styles(names)
    label = f"accuracy of {selector_name(selector)} (%)"
    figure, panels = grouped_panels(rows, _ROWS, "answers per problem", label)
    for axes, part in panels:
        fs.samples_axis(axes, part["budget"].tolist())
        for name in names:
            band(axes, longest_chains(part[part["verifier"] == name]), looks[name])
    fs.legend_above(figure, [handle(looks[name], name) for name in names])
    return figure


def by_length(curves: pd.DataFrame) -> pd.DataFrame:
    """Rows of all problems with the chains' `length` and `ratio`, `generator` being NAME alone."""
    rows = curves[curves["subset"] == "all"]
    return _with_ratio(rows, rows["generator"])


def judged(curves: pd.DataFrame, spec: ReportSpec) -> pd.DataFrame:
    """Rows under the headline's selector, by every verifier that scores a generator's chains.

    Best-of-n weighted, or else best-of-n, where the headline's selector asks no verifier.
    """
    rows = by_length(curves)
    asked = (spec.headline.selector, "weighted", "best_of_n")
    measured = set(rows["selector"])
    selector = next((name for name in asked if needs_verifier(name) and name in measured), "")
    rows = rows[rows["selector"] == selector]
    return rows[rows["step_aggregation"] == rows["verifier"].map(spec.aggregation)]


def compared_selections(curves: pd.DataFrame, spec: ReportSpec) -> pd.DataFrame:
    """Rows under what the first verifier of each generator selects, then majority, as `selection` says."""
    scored, rows = judged(curves, spec), by_length(curves)
    first = {name: verifiers[0] for name, verifiers in spec.revisions.items() if verifiers}
    both = pd.concat(
        [scored[scored["verifier"] == scored["generator"].map(first)], rows[rows["selector"] == "majority"]]
    )
    return both.assign(selection=both["selector"].map(selector_name))


def longest_chains(rows: pd.DataFrame) -> pd.DataFrame:
    """Of rows of one policy and strategy, at every budget that of the longest chains."""
    return rows.sort_values("length").drop_duplicates("budget", keep="last")


def _with_ratio(rows: pd.DataFrame, generators: pd.Series) -> pd.DataFrame:
    """`generators`: NAME/S."""
    length = generators.str.extract(r"/(\d+)$")[0].astype(int)
    return rows.assign(generator=without_length(generators), length=length, ratio=length**2 / rows["budget"])


def _binned(by_difficulty: pd.DataFrame, spec: ReportSpec) -> pd.DataFrame:
    """The chains within oracle bins: under the headline's selector as every family has them, and majority."""
    generators = by_difficulty["strategy"].str.replace(r"\+.*$", "", regex=True)
    how = by_difficulty["strategy"].str.extract(r"\+(.*)$")[0].fillna(spec.headline.selector)
    wanted = how.isin([spec.headline.selector, "majority"]) & (by_difficulty["difficulty"] == "oracle")
    kept = wanted & without_length(generators).isin(list(spec.revisions))
    rows = by_difficulty[kept].assign(selection=how[kept].map(selector_name))
    rows = _with_ratio(rows, generators[kept])
    # A strategy may be in several families.
    return rows.drop_duplicates([*_ROWS, "policy", "length", "budget", "bin", "selection"])


def _ratio_line(axes: Axes, rows: pd.DataFrame, index: int, count: int, look: fs.LineStyle) -> None:
    """One of `count` lines, a little apart so that their bars do not hide one another."""
    rows = rows.sort_values("ratio")
    apart = 2.0 ** (min(0.16, 0.8 / count) * (index - (count - 1) / 2))
    joined_bars(axes, rows["ratio"].to_numpy(float) * apart, rows, look)


def _ratio_axis(axes: Axes, ratios: pd.Series) -> None:
    """A base-2 logarithmic axis labelled with the ratios as 1:4, or some powers of two for many."""
    axes.set_xscale("log", base=2)
    ticks = sorted(set(ratios))
    if len(ticks) > _MOST_RATIO_TICKS:
        low, high = math.ceil(math.log2(ticks[0])), math.floor(math.log2(ticks[-1]))
        stride = -(-(high - low + 1) // _MOST_RATIO_TICKS)
        ticks = [2.0**power for power in range(low, high + 1) if power % stride == 0]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: ratio_text(value)))
    axes.xaxis.set_minor_locator(NullLocator())


def ratio_text(ratio: float) -> str:
    """A ratio in whole numbers: 0.25 -> 1:4."""
    exact = Fraction(ratio).limit_denominator(1 << 20)
    return f"{exact.numerator}:{exact.denominator}"
