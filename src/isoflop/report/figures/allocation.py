"""Figures of compute-optimal choice and exchange (Snell et al. 2024, Figures 1, 3, 4, 8 and 9)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator

from isoflop.allocation.choice import KINDS, NO_DIFFICULTY
from isoflop.allocation.options import GENERATIONS
from isoflop.allocation.tables import ALL
from isoflop.report.figures import style as fs
from isoflop.report.figures.panels import band, grouped_panels, handle, joined_bars, message

# What a row of panels is about.
_ROWS = ("dataset", "family")
_EXCHANGE_ROWS = (*_ROWS, "cost_model")
_PAIR = ["dataset", "small", "large", "family", "cost_model", "difficulty"]
# Budgets shown inside every bin, at most.
_MOST_BUDGETS = 4
_MOST_BAR_LABELS = 5
# How far stars of neighbouring bins are set apart, as a factor of compute.
_APART = 1.1
_SHORT = "/////"
_KNEE: dict[str, Any] = {"color": "#999999", "linewidth": 0.8, "linestyle": (0, (1, 1.5))}
_STAR: dict[str, Any] = {"linestyle": "none", "marker": "*", "markersize": 8, "color": fs.INK}
_STAR |= {"markeredgecolor": "white", "markeredgewidth": 0.3}

KIND_LABELS = {
    NO_DIFFICULTY: "one choice for all problems",
    "level": "by the data set's level",
    "predicted": "by predicted difficulty",
    "oracle": "by oracle difficulty",
}


def compute_optimal_figure(table: pd.DataFrame) -> Figure:
    """Accuracy over the number of samples: the baseline and the choice by every difficulty.

    `table`: compute_optimal.csv, names as text. A panel per policy, a row per data set and family.
    """
    rows = table[(table["axis"] == GENERATIONS) & (table["bin"] == ALL)]
    if rows.empty:
        return message("This experiment chooses nothing at equal numbers of samples.")
    kinds = [kind for kind in KINDS if kind in set(rows["difficulty"])]
    looks = fs.generator_styles(["baseline", *kinds])
    baselines = list(dict.fromkeys(rows["baseline"]))
    if len(baselines) > 1:
        rows = _named_by_baseline(rows)
    figure, panels = grouped_panels(rows, _ROWS, "samples per problem", "accuracy (%)")
    for axes, part in panels:
        fs.samples_axis(axes, [int(budget) for budget in part["budget"]])
        base = part.drop_duplicates("budget").sort_values("budget")
        axes.plot(base["budget"], base["baseline_accuracy"], **looks["baseline"].plot())
        for knee in set(part.loc[part["knee"].astype(str).str.lower() == "true", "budget"]):
            axes.axvline(knee, zorder=1, **_KNEE)
        for kind in kinds:
            line = part[part["difficulty"] == kind].sort_values("budget")
            look = looks[kind]
            if kind == kinds[-1]:  # the bands of all would hide each other
                bounds = line["ci_low"], line["ci_high"]
                axes.fill_between(line["budget"], *bounds, color=look.color, alpha=fs.BAND, linewidth=0)
            axes.plot(line["budget"], line["accuracy"], **look.plot())
    name = baseline_label(baselines[0]) if len(baselines) == 1 else "baseline"
    handles = [handle(looks["baseline"], f"{name} for all problems")]
    handles += [handle(looks[kind], KIND_LABELS[kind]) for kind in kinds]
    fs.legend_above(figure, [*handles, Line2D([], [], label="knee of the baseline", **_KNEE)])
    return figure


def baseline_label(baseline: str) -> str:
    """The baseline's name; of chains of revisions it is those of one answer, which only look like chains."""
    name, _, length = baseline.partition("/")
    return f"parallel samples ({name}/{length})" if length else baseline


def _named_by_baseline(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows whose families are named with what each is compared with."""
    return rows.assign(family=rows["family"] + "; baseline:\n" + rows["baseline"].map(baseline_label))


def accuracy_by_bin_figure(table: pd.DataFrame) -> Figure:
    """Accuracy of every strategy within the oracle bins, its budgets rising from left to right in each bin.

    `table`: by_difficulty.csv, names as text. A panel per policy, a row per data set and family.
    """
    rows = table[table["difficulty"] == "oracle"]
    if rows.empty:
        return message("This experiment has no bins of difficulty.")
    strategies = list(dict.fromkeys(rows["strategy"]))
    looks = fs.generator_styles(strategies)
    figure, panels = grouped_panels(rows, _ROWS, "difficulty bin of the policy (1: easiest)", "accuracy (%)")
    for axes, part in panels:
        bins = sorted(set(part["bin"]), key=int)
        shown = _shown_budgets(part)
        width = 0.8 / max(len(shown), 1)
        for index, name in enumerate(bins):
            for strategy in strategies:
                points = part[(part["bin"] == name) & (part["strategy"] == strategy)]
                points = points[points["samples"].isin(shown)].sort_values("samples")
                if points.empty:
                    continue
                x = index + width * (
                    np.array([shown.index(n) for n in points["samples"]]) - (len(shown) - 1) / 2
                )
                joined_bars(axes, x, points, looks[strategy])
        axes.xaxis.set_major_locator(FixedLocator(list(range(len(bins)))))
        axes.set_xticklabels(bins)
        axes.set_ylim(-0.03, 1.03)
    told = [", ".join(f"{samples:g}" for samples in _shown_budgets(part)) for _, part in panels]
    drawn = {name for _, part in panels for name in _shown_strategies(part)}
    strategies = [name for name in strategies if name in drawn]
    handles = [handle(looks[name], name) for name in strategies]
    if len(set(told)) == 1:
        handles[0].set_label(f"{strategies[0]} (each at {_samples(told[0])})")
    else:
        for (axes, _), budgets in zip(panels, told, strict=True):
            axes.set_title(f"{axes.get_title(loc='left')}\nat {_samples(budgets)}", loc="left")
    fs.legend_above(figure, handles)
    return figure


def _samples(budgets: str) -> str:
    return "1 sample" if budgets == "1" else f"{budgets} samples"


def choice_gain_figure(table: pd.DataFrame) -> Figure:
    """What choosing by difficulty gains over the baseline, a bar per budget (Snell et al. 2024, Figure 1).

    `table`: compute_optimal.csv, names as text. By oracle and by predicted difficulty, at budgets with more
    than one strategy to choose between. A panel per policy, a row per data set and family.
    """
    rows = table[(table["axis"] == GENERATIONS) & (table["bin"] == ALL) & (table["options"] > 1)]
    kinds = [kind for kind in ("oracle", "predicted") if kind in set(rows["difficulty"])]
    rows = rows[rows["difficulty"].isin(kinds)]
    if rows.empty:
        return message("This experiment chooses nothing by difficulty.")
    looks = fs.generator_styles(["baseline", *kinds])
    baselines = list(dict.fromkeys(rows["baseline"]))
    over = f" over {baseline_label(baselines[0])}"
    if len(baselines) > 1:
        rows, over = _named_by_baseline(rows), ""
    figure, panels = grouped_panels(rows, _ROWS, "samples per problem", f"gain{over} (points)")
    for axes, part in panels:
        budgets = sorted(set(part["budget"]))
        axes.axhline(0, color=fs.INK, linewidth=0.7)
        for index, kind in enumerate(kinds):
            gains = part[part["difficulty"] == kind].sort_values("budget")
            positions = np.array([budgets.index(budget) for budget in gains["budget"]])
            _columns(axes, positions, index, len(kinds), gains, "gain", looks[kind])
        ticks = list(range(len(budgets)))[:: -(-len(budgets) // _MOST_BAR_LABELS)]
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.set_xticklabels([f"{budgets[tick]:g}" for tick in ticks])
    fs.legend_above(figure, [Patch(color=looks[kind].color, label=KIND_LABELS[kind]) for kind in kinds])
    return figure


def exchange_figure(table: pd.DataFrame) -> Figure:
    """The small model's choice minus the larger one's greedy accuracy at matched compute, per bin and R.

    `table`: exchange.csv, names as text. Bars as in Snell et al. 2024, Figure 1; hatched where the small
    model was measured up to less compute. A panel per pair of models and family, rows by cost model if
    there are several.
    """
    rows = _exchanged(table)
    if rows.empty:
        return message("This experiment compares no models at matched compute.")
    ratios = sorted(set(rows["ratio"]))
    looks = fs.generator_styles([f"{ratio:g}" for ratio in ratios])
    x_label, y_label = "difficulty bin of the pair (1: easiest)", "small minus large (points)"
    figure, panels = grouped_panels(rows, _EXCHANGE_ROWS, x_label, y_label)
    short = False
    for axes, part in panels:
        bins = [ALL, *sorted(set(part["bin"]) - {ALL}, key=int)]
        axes.axhline(0, color=fs.INK, linewidth=0.7)
        for index, ratio in enumerate(ratios):
            gaps = part[part["ratio"] == ratio].set_index("bin").reindex(bins).dropna(subset=["difference"])
            positions = np.array([bins.index(name) for name in gaps.index])
            drawn = _columns(axes, positions, index, len(ratios), gaps, "difference", looks[f"{ratio:g}"])
            for bar, enough in zip(drawn, gaps["measured_enough"], strict=True):
                if str(enough).lower() != "true":
                    bar.set_hatch(_SHORT)
                    short = True
        axes.xaxis.set_major_locator(FixedLocator(list(range(len(bins)))))
        axes.set_xticklabels(bins)
    patches = [Patch(color=looks[f"{value:g}"].color, label=f"R = {value:g}") for value in ratios]
    if short:
        patches.append(Patch(facecolor="white", edgecolor=fs.INK, hatch=_SHORT, label="measured up to less"))
    fs.legend_above(figure, patches)
    return figure


def exchange_curves_figure(curves: pd.DataFrame, exchanged: pd.DataFrame) -> Figure:
    """The small model's choice over compute in every bin, stars for the larger one (Snell et al., Figure 9).

    `curves`: exchange_curves.csv, `exchanged`: exchange.csv, names as text. A star is the larger model's
    greedy accuracy on the bin's problems, at the compute that R gives the small one. Panels as in
    `exchange_figure`.
    """
    rows = _exchanged(exchanged)
    rows = rows[rows["bin"] != ALL]
    if rows.empty:
        return message("This experiment compares no models at matched compute by difficulty.")
    bins = sorted(set(rows["bin"]), key=int)
    looks = fs.policy_styles(bins)
    ratios = sorted(set(rows["ratio"]))
    dashes = fs.generator_styles([f"{ratio:g}" for ratio in ratios])
    figure, panels = grouped_panels(
        rows, _EXCHANGE_ROWS, "FLOPs per problem of the small policy", "accuracy (%)"
    )
    for axes, part in panels:
        fs.flops_axis(axes)
        first = part.iloc[0]
        for ratio in ratios:
            for matched in set(part.loc[part["ratio"] == ratio, "flops_matched"]):
                axes.axvline(matched, **_ratio_line(dashes[f"{ratio:g}"]))
        for index, name in enumerate(bins):
            in_bin = (curves[[*_PAIR, "bin"]] == [*first[_PAIR], name]).all(axis=1)
            band(axes, curves[in_bin], looks[name])
            stars = part[part["bin"] == name]
            apart = _APART ** (index - (len(bins) - 1) / 2)
            look = _STAR | {"color": looks[name].color}
            axes.plot(stars["flops_matched"] * apart, stars["large_accuracy"], zorder=4, **look)
    handles: list[Any] = [handle(looks[name], f"bin {name}") for name in bins]
    handles[0].set_label(f"bin {bins[0]} (easiest)")
    handles.append(Line2D([], [], label="larger model, greedy", **_STAR))
    lines = {ratio: _ratio_line(dashes[f"{ratio:g}"]) for ratio in ratios}
    handles += [Line2D([], [], label=f"R = {ratio:g}", **look) for ratio, look in lines.items()]
    fs.legend_above(figure, handles)
    return figure


def _ratio_line(look: fs.LineStyle) -> dict[str, Any]:
    return {"color": "#999999", "linewidth": 0.8, "linestyle": look.linestyle}


def _exchanged(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that are drawn, by oracle bins, with a column `policy` that names the pair."""
    rows = table[table["difficulty"] == "oracle"]
    return rows.assign(policy=rows["small"] + " and " + rows["large"])


def _columns(
    axes: Axes,
    positions: np.ndarray[Any, Any],
    index: int,
    count: int,
    rows: pd.DataFrame,
    name: str,
    look: fs.LineStyle,
) -> BarContainer:
    """Bars of column `name` with its interval, the one of `index` among `count` at every place."""
    axes.use_sticky_edges = False  # room between the longest bar's interval and the edge
    width = 0.8 / count
    x = positions + width * (index - (count - 1) / 2)
    value = rows[name].to_numpy(float)
    low, high = (rows[f"{name}_{end}"].to_numpy(float) for end in ("low", "high"))
    return axes.bar(
        x, value, width * 0.92, color=look.color, edgecolor="white", linewidth=0, zorder=2,
        yerr=[np.clip(value - low, 0, None), np.clip(high - value, 0, None)],
        error_kw={"elinewidth": 0.8, "capsize": 1.6, "ecolor": fs.INK},
    )  # fmt: skip


def _shown_strategies(rows: pd.DataFrame) -> set[str]:
    """The strategies with any of the numbers of samples that are shown."""
    return set(rows.loc[rows["samples"].isin(_shown_budgets(rows)), "strategy"])


def _shown_budgets(rows: pd.DataFrame) -> list[float]:
    """Numbers of samples that most strategies have, at most four, the largest among them."""
    counts = rows.drop_duplicates(["strategy", "samples"]).groupby("samples").size()
    common = sorted(counts[counts == counts.max()].index.tolist())
    several = [samples for samples in common if samples > 1] or common
    stride = -(-len(several) // _MOST_BUDGETS)
    return several[::-1][::stride][::-1]
