"""One form fitted to one measured curve, with bootstrap intervals; a fit that cannot be trusted says so.

A fit takes a measured curve and the bootstrap replicates of the same curve ([draws, points]), refits every
replicate and reports percentile intervals. Points are weighted by 1 / variance over the replicates. The
statuses and the limits behind them are listed in docs/design/costs-and-fits.md.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from isoflop.arrays import Bools, Floats
from isoflop.estimate import Estimate
from isoflop.fits.variable_projection import Family, Solution, evaluate, solve

MINIMUM_R_SQUARED = 0.9
WIDEST_RATIO = 10.0
MOST_DRAWS_AT_BOUND = 0.1
# An interval this narrow, relative to its value, is one of prices or of a grid, not of a measurement.
NO_WIDTH = 1e-6
BAND_POINTS = 60


@dataclass(frozen=True)
class Band:
    """A fitted curve with its pointwise interval.

    Attributes
    ----------
    x, y, low, high
        [BAND_POINTS].
    """

    x: Floats
    y: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Fit:
    """What a fit found.

    Attributes
    ----------
    name
        Of the form.
    status, note
        `ok`, or why it cannot be trusted, and in what way.
    points
        Of the curve.
    converged
        Whether the best shape is inside the range it was searched in, and the curve has a trend.
    parameters
        By name; empty where there is nothing to report. `backtest` is what a fit up to a quarter of the
        largest x misses the largest by.
    r_squared, aicc
        Weighted as the fit was; None where they do not exist.
    x
        Of the points, [m].
    residuals
        Measured minus fitted at `x`, in the units of the curve, [m].
    draws
        The bootstrap replicates of each parameter, [draws].
    band
        None where there is no curve.
    """

    name: str
    status: str
    note: str
    points: int
    converged: bool = False
    parameters: dict[str, Estimate] = field(default_factory=dict)
    r_squared: float | None = None
    aicc: float | None = None
    x: Floats = field(default_factory=lambda: np.empty(0))
    residuals: Floats = field(default_factory=lambda: np.empty(0))
    draws: dict[str, Floats] = field(default_factory=dict)
    band: Band | None = None


@dataclass(frozen=True)
class Form:
    """A named form.

    Attributes
    ----------
    name
        Of its fits.
    family
        At given x, [m].
    named
        Its parameters by name, [1 + draws] each, from a solution and the first x.
    shown
        The units its curve is shown in, from those it is fitted in.
    """

    name: str
    family: Callable[[Floats], Family]
    named: Callable[[Solution, float], dict[str, Floats]]
    shown: Callable[[Floats], Floats] = lambda y: y


def interval(draws: Floats, level: float) -> tuple[Floats, Floats]:
    """Percentile bounds over the first axis.

    Parameters
    ----------
    draws
        [draws, ...].
    level
        Confidence, in (0, 1).

    Returns
    -------
    Low and high, [...]; each is one of the replicates.
    """
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(draws, [tail, 1.0 - tail], axis=0, method="nearest")
    return low, high


def estimates_of(values: dict[str, float], draws: dict[str, Floats], level: float) -> dict[str, Estimate]:
    """Parameters with the intervals of their replicates.

    Parameters
    ----------
    values
        By name.
    draws
        By name, [draws] each.
    level
        Confidence of intervals, in (0, 1).
    """
    bounds = {name: interval(draws[name], level) for name in values}
    return {name: Estimate(values[name], float(bounds[name][0]), float(bounds[name][1])) for name in values}


def fit_form(form: Form, x: ArrayLike, y: ArrayLike, draws: ArrayLike, level: float) -> Fit:
    """Fit a form to a curve and to every bootstrap replicate of it, and judge the outcome.

    Parameters
    ----------
    form
        What is fitted.
    x
        Costs or numbers of samples, positive and increasing, [m].
    y
        The curve in the units that the form is fitted in, [m].
    draws
        Its bootstrap replicates, [draws, m].
    level
        Confidence of intervals, in (0, 1).

    Raises
    ------
    ValueError
        For arrays that do not belong to one curve.

    Notes
    -----
    Points are weighted by 1 / variance over the replicates. AICc = m ln(S / m) + 2 k + 2 k (k + 1) / (m - k
    - 1) for the sum of squares S and k parameters, the variance among them.

    References
    ----------
    Hurvich and Tsai 1989, Regression and time series model selection in small samples.
    doi:10.1093/biomet/76.2.297
    """
    x, y, draws = floats(x), floats(y), floats(draws)
    refusal = _refusal(x, y, draws)
    if refusal:
        return Fit(form.name, "failed", refusal, y.size)
    if y.size < 2 or y.size < form.family(x).parameters + 2:
        return Fit(form.name, "too few points", f"{y.size} budgets", y.size)
    family = form.family(x)
    weights = point_weights(draws)
    solution = solve(family, x, np.vstack([y, draws]), weights)
    fitted = evaluate(family, solution, x)[0]
    named = form.named(solution, float(x[0]))
    kept = {name: values[1:] for name, values in named.items()}
    estimates = estimates_of({name: float(values[0]) for name, values in named.items()}, kept, level)
    r_squared = _r_squared(y, float(solution.squares[0]), weights)
    status, note = _judge(family, solution, y, draws, level)
    if status == "ok" and r_squared < MINIMUM_R_SQUARED:
        status, note = "poor fit", f"R^2 is {r_squared:.3f}"
    missed = _backtest(form, x, y, draws, level)
    if missed is not None:
        estimates["backtest"] = missed
        if missed.low > 0.0 or missed.high < 0.0:
            reason = "does not extrapolate: fitted to a quarter of the largest budget, it misses that"
            note = "; ".join(part for part in (note, reason) if part)
    grid = np.geomspace(x[0], x[-1], BAND_POINTS)
    curves = form.shown(evaluate(family, solution, grid))
    low, high = interval(curves[1:], level)
    return Fit(
        form.name,
        status,
        note,
        y.size,
        bool(_inside(family, solution.shape[:1])[0]) and status != "no trend",
        estimates,
        r_squared,
        _aicc(y.size, family.parameters, float(solution.squares[0])),
        x,
        form.shown(y) - form.shown(fitted),
        kept,
        Band(grid, curves[0], low, high),
    )


def _backtest(form: Form, x: Floats, y: Floats, draws: Floats, level: float) -> Estimate | None:
    """Predicted minus measured at the largest x, in the curve's units, by a fit up to a quarter of it.

    The interval is of paired replicates, so it holds what both fit and measurement are uncertain of: it is
    around 0 where the form extrapolates. None where there are too few points up to there.
    """
    early = x <= x[-1] / 4.0 * (1.0 + 1e-9)
    if np.count_nonzero(early) < max(2, form.family(x).parameters + 1):
        return None
    family = form.family(x[early])
    every = np.vstack([y, draws])
    solution = solve(family, x[early], every[:, early], point_weights(draws[:, early]))
    missed = form.shown(evaluate(family, solution, x[-1:]))[:, 0] - form.shown(every[:, -1])
    low, high = interval(missed[1:], level)
    return Estimate(float(missed[0]), float(low), float(high))


def _refusal(x: Floats, y: Floats, draws: Floats) -> str:
    """Why these numbers cannot be fitted; empty where they can."""
    if y.shape != x.shape or draws.ndim != 2 or draws.shape[1] != y.size or draws.shape[0] < 2:
        raise ValueError(f"x {x.shape}, y {y.shape} and draws {draws.shape} do not belong to one curve")
    if not (np.isfinite(x).all() and np.isfinite(y).all() and np.isfinite(draws).all()):
        return "the curve or its draws hold a number that is not finite"
    if np.any(x <= 0.0) or np.any(np.diff(x) <= 0.0):
        return "the costs are not positive and increasing"
    return ""


def point_weights(draws: Floats) -> Floats:
    """1 / variance of each point, bounded so that none counts more than 100 times the average one.

    Parameters
    ----------
    draws
        Of every point, [draws, points].
    """
    variances = draws.var(axis=0)
    mean = float(variances.mean())
    if mean <= 0.0:
        return np.ones(draws.shape[1])
    weights = 1.0 / np.maximum(variances, 0.01 * mean)
    result: Floats = weights / weights.mean()
    return result


def _judge(family: Family, solution: Solution, y: Floats, draws: Floats, level: float) -> tuple[str, str]:
    """Status and reason of a fit, the most severe that applies."""
    fall_low, _ = interval(draws[:, 0] - draws[:, -1], level)
    low, high = interval(solution.shape[1:], level)
    inside = _inside(family, solution.shape)
    bound = ~inside[1:]
    if family.floor:
        bound |= solution.floor[1:] <= 0.0
    if family.floor_below_data:
        bound |= solution.floor[1:] >= draws.min(axis=1)
    at_bound = float(bound.mean())
    pace = "slowest" if solution.shape[0] < np.sqrt(family.lower * family.upper) else "fastest"
    no_fall = y[0] <= y[-1] or fall_low <= 0.0 or solution.amplitude[0] <= 0.0
    no_floor = family.floor and solution.floor[0] <= 0.0
    flat = family.floor_below_data and solution.floor[0] >= y.min()
    findings = (
        (no_fall, "no trend", "the curve does not improve clearly from its first to its last point"),
        (not inside[0], "at bound", f"the shape is the {pace} this form allows"),
        (no_floor, "at bound", "the best floor is 0 (limit 1): these budgets show no saturation"),
        (flat, "at bound", "the best floor is the smallest error: the curve is flat beyond it"),
        (
            at_bound > MOST_DRAWS_AT_BOUND,
            "undetermined",
            f"the shape or the floor is on its bound in {at_bound:.0%} of draws",
        ),
        (
            high > WIDEST_RATIO * low,
            "undetermined",
            f"the shape's interval spans a factor of {high / low:.3g}",
        ),
    )
    return next(((status, note) for applies, status, note in findings if applies), ("ok", ""))


def _inside(family: Family, shape: Floats) -> Bools:
    """Whether each shape is clear of the range it was searched in."""
    return (shape > family.lower * 1.001) & (shape < family.upper / 1.001)


def _r_squared(y: Floats, squares: float, weights: Floats) -> float:
    spread = float(weights @ (y - np.average(y, weights=weights)) ** 2)
    return 1.0 - squares / spread if spread > 0.0 else 0.0


def _aicc(points: int, parameters: int, squares: float) -> float | None:
    """Akaike's criterion for least squares, corrected for few points (Hurvich and Tsai 1989)."""
    k = parameters + 1
    if points - k - 1 <= 0:
        return None
    mean_square = max(squares / points, np.finfo(np.float64).tiny)
    return float(points * np.log(mean_square) + 2 * k + 2 * k * (k + 1) / (points - k - 1))


def floats(values: ArrayLike) -> Floats:
    """An array of float64.

    Parameters
    ----------
    values
        Numbers, of any shape.
    """
    return np.asarray(values, dtype=np.float64)
