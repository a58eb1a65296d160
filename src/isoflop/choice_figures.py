"""Figures of compute-optimal choice and exchange (Snell et al. 2024, Figures 3, 4, 8 and 9)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from isoflop import figure_style as fs
from isoflop.choice import KINDS, NO_DIFFICULTY
from isoflop.choice_csv import ALL
from isoflop.figure_parts import bars, grouped_panels, handle, joined_bars, message
from isoflop.options import GENERATIONS

# What a row of panels is about.
_ROWS = ("dataset", "family")
# Budgets shown inside every bin, at most.
_MOST_BUDGETS = 4

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
        rows = rows.assign(family=rows["family"] + "; baseline:\n" + rows["baseline"].map(baseline_label))
    figure, panels = grouped_panels(rows, _ROWS, "samples per problem", "accuracy (%)")
    for axes, part in panels:
        fs.samples_axis(axes, [int(budget) for budget in part["budget"]])
        base = part.drop_duplicates("budget").sort_values("budget")
        axes.plot(base["budget"], base["baseline_accuracy"], **looks["baseline"].plot())
        for kind in kinds:
            line = part[part["difficulty"] == kind].sort_values("budget")
            look = looks[kind]
            if kind == kinds[-1]:  # the bands of all would hide each other
                bounds = line["ci_low"], line["ci_high"]
                axes.fill_between(line["budget"], *bounds, color=look.color, alpha=fs.BAND, linewidth=0)
            axes.plot(line["budget"], line["accuracy"], **look.plot())
    name = baseline_label(baselines[0]) if len(baselines) == 1 else "baseline"
    handles = [handle(looks["baseline"], f"{name} for all problems")]
    fs.legend_above(figure, [*handles, *(handle(looks[kind], KIND_LABELS[kind]) for kind in kinds)])
    return figure


def baseline_label(baseline: str) -> str:
    """The baseline's name; of chains of revisions it is those of one answer, which only look like chains."""
    name, _, length = baseline.partition("/")
    return f"parallel samples ({name}/{length})" if length else baseline


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
        for place, name in enumerate(bins):
            for strategy in strategies:
                own = part[(part["bin"] == name) & (part["strategy"] == strategy)]
                own = own[own["samples"].isin(shown)].sort_values("samples")
                if own.empty:
                    continue
                x = place + width * (
                    np.array([shown.index(n) for n in own["samples"]]) - (len(shown) - 1) / 2
                )
                joined_bars(axes, x, own, looks[strategy])
        axes.xaxis.set_major_locator(FixedLocator(list(range(len(bins)))))
        axes.set_xticklabels(bins)
        axes.set_ylim(-0.03, 1.03)
    told = [", ".join(f"{samples:g}" for samples in _shown_budgets(part)) for _, part in panels]
    handles = [handle(looks[name], name) for name in strategies]
    if len(set(told)) == 1:
        handles[0].set_label(f"{strategies[0]} (each at {told[0]} samples)")
    else:
        for (axes, _), budgets in zip(panels, told, strict=True):
            axes.set_title(f"{axes.get_title(loc='left')}\nat {budgets} samples", loc="left")
    fs.legend_above(figure, handles)
    return figure


def exchange_figure(table: pd.DataFrame) -> Figure:
    """The small model's choice minus the larger one's greedy accuracy at matched compute, per bin and R.

    `table`: exchange.csv, names as text. A panel per pair of models and family.
    """
    rows = table[table["difficulty"] == "oracle"]
    if rows.empty:
        return message("This experiment compares no models at matched compute.")
    ratios = sorted(set(rows["ratio"]))
    looks = fs.generator_styles([f"{ratio:g}" for ratio in ratios])
    titled = rows.assign(policy=rows["small"] + " and " + rows["large"])
    x_label, y_label = "difficulty bin of the small policy", "small minus large (points)"
    figure, panels = grouped_panels(titled, _ROWS, x_label, y_label)
    for axes, part in panels:
        bins = [ALL, *sorted(set(part["bin"]) - {ALL}, key=int)]
        axes.axhline(0, color=fs.INK, linewidth=0.7)
        for index, ratio in enumerate(ratios):
            own = part[part["ratio"] == ratio].set_index("bin").reindex(bins).dropna(subset=["difference"])
            shift = 0.6 / len(ratios) * (index - (len(ratios) - 1) / 2)
            x = np.array([bins.index(name) + shift for name in own.index])
            points = own.rename(
                columns={"difference": "accuracy", "difference_low": "ci_low", "difference_high": "ci_high"}
            )[["accuracy", "ci_low", "ci_high"]]
            bars(axes, x, points, looks[f"{ratio:g}"])
        axes.xaxis.set_major_locator(FixedLocator(list(range(len(bins)))))
        axes.set_xticklabels(bins)
    fs.legend_above(figure, [handle(looks[f"{one:g}"], f"R = {one:g}", line=False) for one in ratios])
    return figure


def _shown_budgets(rows: pd.DataFrame) -> list[float]:
    """Numbers of samples that most strategies have, at most four, the largest among them."""
    counts = rows.drop_duplicates(["strategy", "samples"]).groupby("samples").size()
    common = sorted(counts[counts == counts.max()].index.tolist())
    several = [samples for samples in common if samples > 1] or common
    stride = -(-len(several) // _MOST_BUDGETS)
    return several[::-1][::stride][::-1]
