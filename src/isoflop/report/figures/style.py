"""How every figure looks: sizes that print legibly, colours, markers, and files that repeat byte for byte.

Sizes are in inches at print size: a column of a two-column paper and the full text width. No text is
smaller than 7 pt at that size. A policy has the same colour in every figure (viridis, from small to large),
a selector too (seaborn's colour-blind palette); each also has its own marker and dash, so no reading rests
on colour alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from isoflop.registries import SELECTORS
from isoflop.strategy import NONE

COLUMN_WIDTH = 3.4
TEXT_WIDTH = 7.0
PNG_DPI = 200

STYLE: dict[str, Any] = {
    **sns.axes_style("ticks"),
    "font.family": "sans-serif",
    # Ships with matplotlib, so that the figures are the same on every machine.
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "legend.columnspacing": 1.4,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.minor.size": 1.6,
    "xtick.minor.width": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.4,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.04,
    "svg.hashsalt": "isoflop",
    "svg.fonttype": "path",
}

BAND = 0.18
INK = "#333333"
FRONTIER_COLOUR = "#b5b5b5"
# The open ones last: at this size their white edges leave little of them.
_MARKERS = ("o", "s", "^", "D", "v", "<", ">", "P", "X", "*")
_SOLID_OR_DASHED: tuple[Any, ...] = ("-", (0, (4, 1.3)), (0, (1, 1)), (0, (5, 1.2, 1, 1.2)), (0, (7, 2)))


@dataclass(frozen=True)
class LineStyle:
    """Colour, marker and dash of one series, ready for `Axes.plot`."""

    color: str
    marker: str
    linestyle: Any = "-"

    def plot(self) -> dict[str, Any]:
        """Keyword arguments of `Axes.plot`; markers have a white edge where lines cross."""
        return {
            "color": self.color,
            "marker": self.marker,
            "linestyle": self.linestyle,
            "markeredgecolor": "white",
            "markeredgewidth": 0.4,
        }


_COLOURBLIND = [str(colour) for colour in sns.color_palette("colorblind").as_hex()]
_SELECTOR_STYLES = {
    "majority": LineStyle(_COLOURBLIND[0], "s", (0, (4, 1.3))),
    "weighted": LineStyle(_COLOURBLIND[3], "o", "-"),
    "best_of_n": LineStyle(_COLOURBLIND[2], "^", (0, (5, 1.2, 1, 1.2))),
    "pass": LineStyle(_COLOURBLIND[7], "v", (0, (1, 1))),
    "confidence": LineStyle(_COLOURBLIND[4], "<", (0, (5, 1.2, 1, 1.2, 1, 1.2))),
    "confidence_weighted": LineStyle(_COLOURBLIND[1], "D", (0, (6, 1.3))),
    NONE: LineStyle("#000000", "X", (0, (7, 2))),
}
# For selectors of other packages, in their order.
_OTHER_STYLES = [
    LineStyle(_COLOURBLIND[colour], marker, (0, (2, 1.2)))
    for colour, marker in ((5, "P"), (6, "*"), (8, "h"))
]


def selector_style(selector: str) -> LineStyle:
    """The style of a selector, or of greedy answers (`none`)."""
    if selector in _SELECTOR_STYLES:
        return _SELECTOR_STYLES[selector]
    others = [name for name in SELECTORS.names if name not in _SELECTOR_STYLES]
    return _OTHER_STYLES[others.index(selector) % len(_OTHER_STYLES)]


def policy_styles(policies: Sequence[str]) -> dict[str, LineStyle]:
    """A style per policy, dark to light by size; `policies` from small to large.

    The light end of viridis is left out: yellow on white does not print.
    """
    colours = sns.color_palette("viridis", as_cmap=True)
    step = 0.74 / max(len(policies) - 1, 1)
    return {
        policy: LineStyle(
            mpl.colors.to_hex(colours(0.02 + i * step)),
            _MARKERS[i % len(_MARKERS)],
            _SOLID_OR_DASHED[i // len(_MARKERS) % len(_SOLID_OR_DASHED)],
        )
        for i, policy in enumerate(policies)
    }


def generator_styles(generators: Sequence[str]) -> dict[str, LineStyle]:
    """A style per generator, in their order; the first, which the others are compared with, is solid."""
    return {
        generator: LineStyle(
            _COLOURBLIND[(7, 3, 0, 2, 1, 4, 5, 9)[i % 8]],
            _MARKERS[i % len(_MARKERS)],
            _SOLID_OR_DASHED[i % len(_SOLID_OR_DASHED)],
        )
        for i, generator in enumerate(generators)
    }


def new_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, **sharing: Any
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of `width` x `height` inches and its axes by row and column; call inside `style()`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, **sharing)
    return figure, [list(row) for row in axes]


def style() -> Any:
    """A context in which figures are built and saved with this module's settings, whatever the user's are."""
    settings: dict[Any, Any] = {**mpl.rcParamsDefault, **STYLE}
    return mpl.rc_context(settings)


def save(figure: Figure, png: str | Path, svg: str | Path) -> None:
    """Write both formats without dates or version stamps: the same figure gives the same bytes."""
    with style():
        # Laid out once: both formats have the same places.
        figure.draw_without_rendering()
        # With any engine set, even the one that "none" leaves behind, savefig draws everything twice.
        with mpl.rc_context({"figure.constrained_layout.use": False}):
            figure.set_layout_engine(None)
            figure.savefig(png, format="png", dpi=PNG_DPI, metadata={"Software": None})
            figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})


def legend_above(figure: Figure, handles: Sequence[Any]) -> None:
    """One legend over all axes, where it cannot cover data, in as many columns as the width holds."""
    longest = max(len(str(handle.get_label())) for handle in handles)
    # In inches: a letter of DejaVu Sans at 7 pt takes 0.055 on average, the handle and the gaps 0.45.
    fitting = int((figure.get_figwidth() - 0.1) / (0.055 * longest + 0.45))
    columns = min(max(fitting, 1), len(handles))
    rows = -(-len(handles) // columns)
    # Figures are made for three rows; a longer legend must not take its room from the axes.
    figure.set_figheight(figure.get_figheight() + 0.15 * max(rows - 3, 0))
    figure.legend(handles=list(handles), loc="outside upper center", ncols=columns)


def flops_axis(axes: Axes) -> None:
    """A logarithmic x axis in powers of ten, with at most five labels."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(10, numticks=6))
    axes.xaxis.set_minor_locator(LogLocator(10, subs=(2, 5), numticks=30))
    axes.xaxis.set_minor_formatter(NullFormatter())


def samples_axis(axes: Axes, budgets: Sequence[int], most: int = 6) -> None:
    """A base-2 logarithmic x axis labelled at some of `budgets`, at most `most`, the last always."""
    axes.set_xscale("log", base=2)
    ordered = sorted(set(budgets))
    stride = -(-len(ordered) // most) if ordered else 1
    ticks = ordered[::-1][::stride][::-1]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())


def percent_axis(axes: Axes, label: str) -> None:
    """A y axis of fractions shown as percentages."""
    axes.set_ylabel(label)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
