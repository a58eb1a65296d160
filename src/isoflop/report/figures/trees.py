"""Trees of a search as a figure: steps from left to right, coloured by the verifier's score."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isoflop.report.figures import style as fs
from isoflop.report.figures.panels import message

_MOST_NODES = 90
_COLOURS = mpl.colormaps["RdYlGn"]


@dataclass(frozen=True)
class DrawnTree:
    """One search: `parents` (-1 is the problem) and `scores` by node, and how its solutions came out.

    `right`: by the node that a solution ends with; None where it is unfinished.
    """

    title: str
    parents: Sequence[int]
    scores: Sequence[float]
    right: dict[int, bool | None]


def worth_drawing(trees: Sequence[DrawnTree]) -> DrawnTree | None:
    """The first tree of legible size with right and wrong solutions, else the first of legible size."""
    legible = [tree for tree in trees if len(tree.parents) <= _MOST_NODES]
    mixed = [tree for tree in legible if {True, False} <= set(tree.right.values())]
    return next(iter(mixed or legible), None)


def places(parents: Sequence[int]) -> tuple[list[int], list[float]]:
    """Depth and height of every node: leaves one below the other in the order of the tree, parents midway."""
    children: dict[int, list[int]] = {}
    depths: list[int] = []
    for node, parent in enumerate(parents):
        children.setdefault(parent, []).append(node)
        depths.append(1 if parent < 0 else depths[parent] + 1)
    heights = [0.0] * len(parents)
    row = 0
    stack = [(node, False) for node in reversed(children.get(-1, []))]
    while stack:
        node, ready = stack.pop()
        below = children.get(node, [])
        if not below:
            heights[node] = -float(row)
            row += 1
        elif ready:
            heights[node] = (heights[below[0]] + heights[below[-1]]) / 2
        else:
            stack.append((node, True))
            stack += [(child, False) for child in reversed(below)]
    return depths, heights


def draw_trees(trees: Sequence[DrawnTree]) -> Figure:
    """A panel per tree."""
    if not trees:
        return message("No tree of these searches is small enough to be drawn.")
    columns = min(len(trees), 3)
    rows = -(-len(trees) // columns)
    width = fs.COLUMN_WIDTH if columns == 1 else fs.TEXT_WIDTH
    figure, grid = fs.new_figure(width, 2.6 * rows + 0.5, rows, columns)
    flat = [axes for row in grid for axes in row]
    for axes, tree in zip(flat, trees, strict=False):
        _draw(axes, tree)
    for axes in flat[len(trees) :]:
        axes.set_axis_off()
    marks: list[tuple[str, Any, str, str]] = [
        ("o", _COLOURS(0.95), "none", "step scored near 1"),
        ("o", _COLOURS(0.05), "none", "step scored near 0"),
        ("o", "white", "#1b6e4b", "right solution"),
        ("X", "white", "#9b2d20", "wrong solution"),
        ("s", "white", "#8a8a8a", "unfinished"),
    ]
    handles = [
        Line2D([], [], linestyle="none", marker=marker, color=face, markeredgecolor=edge, label=label)
        for marker, face, edge, label in marks
    ]
    fs.legend_above(figure, handles)
    return figure


def _draw(axes: Axes, tree: DrawnTree) -> None:
    depths, heights = places(tree.parents)
    roots = [height for height, parent in zip(heights, tree.parents, strict=True) if parent < 0]
    start = (max(roots) + min(roots)) / 2
    for node, parent in enumerate(tree.parents):
        x, y = (0, start) if parent < 0 else (depths[parent], heights[parent])
        axes.plot([x, depths[node]], [y, heights[node]], color="#b9b9b9", linewidth=0.6, zorder=1)
    colours = [_COLOURS(score) for score in tree.scores]
    axes.scatter(depths, heights, c=colours, s=9, zorder=2, linewidths=0)
    axes.scatter([0], [start], color=fs.INK, s=10, marker="s", zorder=2)
    for outcome, marker, colour in ((True, "o", "#1b6e4b"), (False, "X", "#9b2d20"), (None, "s", "#8a8a8a")):
        ends = [node for node, right in tree.right.items() if right is outcome]
        axes.scatter(
            [depths[node] + 0.35 for node in ends],
            [heights[node] for node in ends],
            marker=marker,
            s=9,
            facecolors="white",
            edgecolors=colour,
            linewidths=0.7,
            zorder=2,
        )
    axes.set_title(tree.title, loc="left")
    axes.set_xlabel("step")
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    axes.set_xticks(range(1, max(depths) + 1))
