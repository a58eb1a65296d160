"""What the figures are made of: panels per policy, marks with intervals, labels."""

import re
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isoflop.estimate import size_label
from isoflop.report.figures import style as fs
from isoflop.report.lookup import Tables
from isoflop.report.spec import ReportSpec, cost_traits, is_estimated

_MOST_COLUMNS = 4
_MOST_TITLE_LETTERS = 24
# Of a line beside a row of panels.
_MOST_LABEL_LETTERS = 32
_FITTED: dict[str, Any] = {"linestyle": (0, (3, 1.5)), "linewidth": 0.9, "label": "fit"}
_SAYS_SIZE = re.compile(r"\d[kmbt]\b", re.IGNORECASE)


def policy_panels(
    tables: Tables, spec: ReportSpec, x_label: str, y_label: str
) -> tuple[Figure, list[tuple[Axes, str, str]]]:
    """A panel per data set and policy, at most four in a row, on common axes with labels at the edges."""
    columns = min(len(spec.policies), _MOST_COLUMNS)
    rows_each = -(-len(spec.policies) // columns)
    rows = rows_each * len(spec.datasets)
    width = fs.COLUMN_WIDTH if columns == 1 else fs.TEXT_WIDTH
    figure, grid = fs.new_figure(width, 1.85 * rows + 0.55, rows, columns, sharex="all", sharey="all")
    panels = []
    for block, dataset in enumerate(spec.datasets):
        of_dataset = grid[block * rows_each : (block + 1) * rows_each]
        for row in of_dataset:
            fs.percent_axis(row[0], f"{dataset}\n{y_label}" if len(spec.datasets) > 1 else y_label)
        flat = [axes for row in of_dataset for axes in row]
        for axes, policy in zip(flat, spec.policies, strict=False):
            label = textwrap.fill(policy_label(tables, policy), _MOST_TITLE_LETTERS)
            axes.set_title(label, loc="left")
            panels.append((axes, dataset, policy))
        for index in range(len(spec.policies), len(flat)):
            flat[index].set_axis_off()
            # What lies above an empty place is at the edge, so it needs the numbers that inner panels lack.
            flat[index - columns].tick_params(labelbottom=True)
    figure.supxlabel(x_label, fontsize=7.5)
    return figure, panels


def grouped_panels(
    rows: pd.DataFrame, by: Sequence[str], x_label: str, y_label: str = "", *, sharey: str = "all"
) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]]]:
    """Panels of a table with a column `policy`: one per policy and group of `rows`, at most four in a row.

    `by`: the columns that make the groups; those that tell them apart are on the left. A policy that has
    nothing of a group has no panel there.
    """
    groups = [
        (keys, [(str(policy), panel) for policy, panel in part.groupby("policy", sort=False)])
        for keys, part in rows.groupby(list(by), sort=False)
    ]
    columns = min(max(len(panels) for _, panels in groups), _MOST_COLUMNS)
    heights = [-(-len(panels) // columns) for _, panels in groups]
    width = fs.COLUMN_WIDTH if columns == 1 else fs.TEXT_WIDTH
    figure, grid = fs.new_figure(width, 1.85 * sum(heights) + 0.55, sum(heights), columns, sharey=sharey)
    telling = [index for index, name in enumerate(by) if rows[name].nunique() > 1]
    drawn = []
    for (keys, panels), height in zip(groups, heights, strict=True):
        cells, grid = grid[:height], grid[height:]
        label = ", ".join(str(keys[index]) for index in telling)
        told = [textwrap.fill(line, _MOST_LABEL_LETTERS) for line in label.splitlines()]
        fs.percent_axis(cells[0][0], "\n".join(filter(None, (*told, y_label))))
        flat = [axes for row in cells for axes in row]
        for axes, (policy, part) in zip(flat, panels, strict=False):
            axes.set_title(textwrap.fill(policy, _MOST_TITLE_LETTERS * 4 // max(columns, 2)), loc="left")
            drawn.append((axes, part))
        for axes in flat[len(panels) :]:
            axes.set_axis_off()
    figure.supxlabel(x_label, fontsize=7.5)
    return figure, drawn


def flops_label(spec: ReportSpec) -> str:
    """What an axis of the headline's cost counts, usually FLOPs."""
    cost = cost_traits(spec)
    if is_estimated(spec):
        return f"{cost.unit} per problem, tokens estimated\n({cost.label})"
    return f"{cost.unit} per problem ({cost.label})"


def error_band(axes: Axes, line: pd.DataFrame, x: str, look: fs.LineStyle, *, joined: bool = False) -> None:
    """Measured errors with their band; `joined` connects them where no fit is drawn. One alone has a bar."""
    if joined and len(line) == 1:
        error_bars(axes, line, x, look)
        return
    axes.fill_between(
        line[x], 1 - line["ci_high"], 1 - line["ci_low"], color=look.color, alpha=fs.BAND, linewidth=0
    )
    marks = look.plot() if joined else look.plot() | {"linestyle": "none"}
    axes.plot(line[x], 1 - line["accuracy"], **marks)


def error_bars(axes: Axes, line: pd.DataFrame, x: str, look: fs.LineStyle) -> None:
    """Measured errors with a bar each."""
    mirrored = pd.DataFrame(
        {"accuracy": 1 - line["accuracy"], "ci_low": 1 - line["ci_high"], "ci_high": 1 - line["ci_low"]}
    )
    bars(axes, line[x].to_numpy(float), mirrored, look)


def bars(axes: Axes, positions: np.ndarray[Any, Any], points: pd.DataFrame, look: fs.LineStyle) -> None:
    """Points with interval bars; rounding may put a point a hair outside, which is no negative length."""
    low = np.clip(points["accuracy"] - points["ci_low"], 0, None)
    high = np.clip(points["ci_high"] - points["accuracy"], 0, None)
    marks = look.plot() | {"linestyle": "none"}
    axes.errorbar(positions, points["accuracy"], yerr=[low, high], elinewidth=0.8, capsize=1.6, **marks)


def joined_bars(
    axes: Axes, positions: np.ndarray[Any, Any], points: pd.DataFrame, look: fs.LineStyle
) -> None:
    """Points with interval bars, joined by a thin line."""
    axes.plot(positions, points["accuracy"], color=look.color, linewidth=0.7, linestyle=look.linestyle)
    bars(axes, positions, points, look)


def band(axes: Axes, rows: pd.DataFrame, look: fs.LineStyle) -> None:
    """Accuracy over the budget with a faint band, where several lie over one another; one point has a bar."""
    line = rows.sort_values("budget")
    if len(line) == 1:
        bars(axes, line["budget"].to_numpy(float), line, look)
        return
    bounds = line["ci_low"], line["ci_high"]
    axes.fill_between(line["budget"], *bounds, color=look.color, alpha=fs.BAND / 3, linewidth=0)
    axes.plot(line["budget"], line["accuracy"], **look.plot())


def fit_line(axes: Axes, points: pd.DataFrame, look: fs.LineStyle) -> None:
    """The points of a fit as a thin dashed line."""
    if not points.empty:
        axes.plot(points["x"], points["y"], color=look.color, **_FITTED)


def fit_handle(figure: Figure) -> list[Line2D]:
    """What the legend says of fits: nothing where none is drawn."""
    labels = [line.get_label() for axes in figure.axes for line in axes.lines]
    return [Line2D([], [], color=fs.INK, **_FITTED)] if _FITTED["label"] in labels else []


def handle(look: fs.LineStyle, label: str, *, line: bool = True) -> Line2D:
    """An entry of a legend."""
    marks = look.plot() if line else look.plot() | {"linestyle": "none"}
    return Line2D([], [], label=label, **marks)


def policy_label(tables: Tables, policy: str) -> str:
    """The policy's name, with its size where the name does not already say it."""
    if _SAYS_SIZE.search(policy) or np.isnan(parameters_of(tables, policy)):
        return policy
    return f"{policy} ({size_label(parameters_of(tables, policy))})"


def parameters_of(tables: Tables, policy: str) -> float:
    """The policy's number of parameters; nan where nobody knows it."""
    return float(tables.curves.loc[tables.curves["policy"] == policy, "policy_params"].iloc[0])


def message(text: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    figure, grid = fs.new_figure(fs.COLUMN_WIDTH, 1.0)
    grid[0][0].set_axis_off()
    grid[0][0].text(0.5, 0.5, text, ha="center", va="center", wrap=True)
    return figure
