"""Figures of compute-optimal choice and exchange (Snell et al. 2024, Figures 3, 4, 8 and 9)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from isoflop import figure_style as fs
from isoflop.choice import KINDS, NO_DIFFICULTY
from isoflop.choice_csv import ALL
from isoflop.figure_parts import bars, handle, message
from isoflop.options import GENERATIONS

_MOST_COLUMNS = 4
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
    figure, panels = _panels(rows, "samples per problem", "accuracy (%)")
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
    names = " or ".join(dict.fromkeys(rows["baseline"]))
    fs.legend_above(
        figure,
        [handle(looks["baseline"], f"{names} for all"), *(handle(looks[k], KIND_LABELS[k]) for k in kinds)],
    )
    return figure


def accuracy_by_bin_figure(table: pd.DataFrame) -> Figure:
    """Accuracy of every strategy within the oracle bins, its budgets rising from left to right in each bin.

    `table`: by_difficulty.csv, names as text. A panel per policy, a row per data set and family.
    """
    rows = table[table["difficulty"] == "oracle"]
    if rows.empty:
        return message("This experiment has no bins of difficulty.")
    strategies = list(dict.fromkeys(rows["strategy"]))
    looks = fs.generator_styles(strategies)
    figure, panels = _panels(rows, "difficulty bin of the policy (1: easiest)", "accuracy (%)")
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
                look = looks[strategy]
                axes.plot(x, own["accuracy"], color=look.color, linewidth=0.7, linestyle=look.linestyle)
                bars(axes, x, own, look)
        axes.xaxis.set_major_locator(FixedLocator(list(range(len(bins)))))
        axes.set_xticklabels(bins)
        axes.set_ylim(-0.03, 1.03)
    budgets = ", ".join(f"{samples:g}" for samples in _shown_budgets(rows))
    handles = [handle(looks[name], name) for name in strategies]
    handles[0].set_label(f"{strategies[0]} (each at {budgets} samples)")
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
    figure, panels = _panels(titled, "difficulty bin of the small policy", "small minus large (points)")
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


def _panels(rows: pd.DataFrame, x_label: str, y_label: str) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]]]:
    """A row per data set and family, a panel per policy, at most four in a row."""
    groups = list(dict.fromkeys(zip(rows["dataset"], rows["family"], strict=True)))
    # Not every policy has every family: one that revises has no searches.
    parts = {
        group: [part for _, part in rows[_of_group(rows, *group)].groupby("policy", sort=False)]
        for group in groups
    }
    most = max(map(len, parts.values()))
    columns = min(most, _MOST_COLUMNS)
    each = -(-most // columns)
    count = each * len(groups)
    width = fs.COLUMN_WIDTH if columns == 1 else fs.TEXT_WIDTH
    figure, grid = fs.new_figure(width, 1.85 * count + 0.55, count, columns, sharey="all")
    panels = []
    for place, (dataset, family) in enumerate(groups):
        own = grid[place * each : (place + 1) * each]
        fs.percent_axis(own[0][0], f"{_group_name(groups, dataset, family)}{y_label}")
        flat = [axes for row in own for axes in row]
        for axes, part in zip(flat, parts[dataset, family], strict=False):
            axes.set_title(part["policy"].iloc[0], loc="left")
            panels.append((axes, part))
        for axes in flat[len(parts[dataset, family]) :]:
            axes.set_axis_off()
    figure.supxlabel(x_label, fontsize=7.5)
    return figure, panels


def _of_group(rows: pd.DataFrame, dataset: str, family: str) -> "pd.Series[bool]":
    return (rows["dataset"] == dataset) & (rows["family"] == family)


def _group_name(groups: Sequence[tuple[str, str]], dataset: str, family: str) -> str:
    """What tells a row apart, if there are several."""
    parts = []
    if len({one for one, _ in groups}) > 1:
        parts.append(dataset)
    if len({one for _, one in groups}) > 1:
        parts.append(family)
    return f"{', '.join(parts)}\n" if parts else ""


def _shown_budgets(rows: pd.DataFrame) -> list[float]:
    """Numbers of samples that most strategies have, at most four, the largest among them."""
    counts = rows.drop_duplicates(["strategy", "samples"]).groupby("samples").size()
    common = sorted(counts[counts == counts.max()].index.tolist())
    several = [samples for samples in common if samples > 1] or common
    stride = -(-len(several) // _MOST_BUDGETS)
    return several[::-1][::stride][::-1]
