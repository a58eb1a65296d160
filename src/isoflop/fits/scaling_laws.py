"""Scaling-law fits with bootstrap intervals; a fit that cannot be trusted says so in its status.

Every fit takes one measured curve and the bootstrap draws of the same curve ([draws, points]), refits every
draw and reports percentile intervals. Points are weighted by 1 / variance over the draws. The forms, statuses
and the limits behind them are listed in docs/design/costs-and-fits.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from isoflop.arrays import Bools, Floats
from isoflop.fits.variable_projection import Family, Solution, evaluate, exponential, power_law, solve

MINIMUM_R_SQUARED = 0.9
WIDEST_RATIO = 10.0
MOST_DRAWS_AT_BOUND = 0.1
# An interval this narrow, relative to its value, is one of prices or of a grid, not of a measurement.
NO_WIDTH = 1e-6
BAND_POINTS = 60


@dataclass(frozen=True)
class Estimate:
    """A parameter and its bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Band:
    """A fitted curve with its pointwise interval, arrays of shape [BAND_POINTS]."""

    x: Floats
    y: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Fit:
    """What a fit found. `parameters` is empty where there is nothing to report.

    `parameters["backtest"]`: what a fit up to a quarter of the largest x misses the largest by.
    `residuals`: measured minus fitted at `x`, in the units of the curve. `draws`: the bootstrap draws behind
    each parameter. `r_squared`, `aicc`: weighted as the fit was; None where they do not exist.
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
    """A named form: its family at given x, its parameters by name, and the units its curve is shown in."""

    name: str
    family: Callable[[Floats], Family]
    named: Callable[[Solution, float], dict[str, Floats]]
    shown: Callable[[Floats], Floats] = lambda y: y


def interval(draws: Floats, level: float) -> tuple[Floats, Floats]:
    """Percentile bounds over the first axis at confidence `level`; each is one of the draws."""
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(draws, [tail, 1.0 - tail], axis=0, method="nearest")
    return low, high


def fit_power_law_with_floor(cost: ArrayLike, error: ArrayLike, draws: ArrayLike, level: float) -> Fit:
    """Error = floor + a C^-b with 0 <= floor <= the smallest error, b > 0.

    `cost`: FLOPs, increasing, [m]; `error`: fractions, [m]; `draws`: [draws, m]. Parameters: floor, a, b, and
    first_excess = a C_1^-b, the error above the floor at the smallest cost.
    """

    def named(s: Solution, first: float) -> dict[str, Floats]:
        excess = {"first_excess": s.amplitude}
        return {"floor": s.floor, "a": s.amplitude * first**s.shape, "b": s.shape} | excess

    form = Form("power_law_with_floor", lambda c: power_law(c[0], floor=True), named)
    return _fit(form, cost, error, draws, level)


def fit_power_law(cost: ArrayLike, error: ArrayLike, draws: ArrayLike, level: float) -> Fit:
    """Error = a C^-b, b > 0, by least squares in error (not in its logarithm, so AICc is comparable)."""

    def named(s: Solution, first: float) -> dict[str, Floats]:
        return {"a": s.amplitude * first**s.shape, "b": s.shape}

    return _fit(Form("power_law", lambda c: power_law(c[0], floor=False), named), cost, error, draws, level)


def fit_exponential_in_compute(cost: ArrayLike, error: ArrayLike, draws: ArrayLike, level: float) -> Fit:
    """Error = floor + a exp(-(C - C_1) / scale): the third form in the comparison by AICc."""

    def named(s: Solution, _: float) -> dict[str, Floats]:
        return {"floor": s.floor, "a": s.amplitude, "scale": 1.0 / s.shape}

    form = Form("exponential_in_compute", lambda c: exponential(c, float(c[0])), named)
    return _fit(form, cost, error, draws, level)


def fit_exponential_saturation(
    samples: ArrayLike, accuracy: ArrayLike, draws: ArrayLike, level: float
) -> Fit:
    """Accuracy(n) = limit - (limit - first) c^-(n - 1), c > 1: Wu et al. 2024, Theorems 1 and 2.

    `samples`: n, increasing, >= 1; `accuracy`, `draws`: fractions. The theorems' gap to the limit is O(c^-n).
    """

    def named(s: Solution, _: float) -> dict[str, Floats]:
        return {"limit": 1.0 - s.floor, "first": 1.0 - s.floor - s.amplitude, "c": np.exp(s.shape)}

    form = Form("exponential_saturation", lambda n: exponential(n, 1.0), named, lambda error: 1.0 - error)
    return _fit(form, samples, 1.0 - _floats(accuracy), 1.0 - _floats(draws), level)


def fit_coverage_power_law(samples: ArrayLike, coverage: ArrayLike, draws: ArrayLike, level: float) -> Fit:
    """Log coverage(k) = -a k^-b, a > 0, b > 0: the exponentiated power law of Brown et al. 2024.

    `samples`: k, increasing; `coverage`, `draws`: pass@k, fractions. Least squares in log coverage. Draws
    with a coverage of 0 are left out, because it has no logarithm.
    """

    def named(s: Solution, _: float) -> dict[str, Floats]:
        return {"a": s.amplitude, "b": s.shape}

    form = Form("coverage_power_law", lambda _: power_law(1.0, floor=False), named, lambda log: np.exp(-log))
    point, resampled = _floats(coverage), _floats(draws)
    usable = np.all(resampled > 0.0, axis=1)
    if np.any(point <= 0.0) or np.count_nonzero(usable) < 2:
        return Fit(form.name, "failed", "a coverage of 0 has no logarithm", point.size)
    fit = _fit(form, samples, -np.log(point), -np.log(resampled[usable]), level)
    left_out = 1.0 - float(usable.mean())
    if left_out > MOST_DRAWS_AT_BOUND and fit.status == "ok":
        fit = replace(fit, status="undetermined", note=f"coverage is 0 in {left_out:.0%} of the draws")
    return fit


def extrapolate_coverage(samples: ArrayLike, coverage: ArrayLike, ahead: ArrayLike) -> Floats:
    """Coverage with more samples by the exponentiated power law of the first, refitted to every row.

    Parameters
    ----------
    samples
        Numbers of samples k fitted to, increasing, [m].
    coverage
        pass@k, fractions: the measurement, then its draws, [1 + draws, m].
    ahead
        Numbers of samples to foretell, [a].

    Returns
    -------
    Coverage, [1 + draws, a]; nan in a row with a coverage of 0, which has no logarithm.

    Notes
    -----
    The form of `fit_coverage_power_law`. Points are weighted by 1 / variance over the draws that have a fit.

    References
    ----------
    Brown et al. 2024, Large Language Monkeys, section 3.1. doi:10.48550/arXiv.2407.21787
    """
    x, rows, places = _floats(samples), _floats(coverage), _floats(ahead)
    found = np.full((rows.shape[0], places.size), np.nan)
    usable = np.all(rows > 0.0, axis=1)
    if np.count_nonzero(usable[1:]) < 2:
        return found
    logs = -np.log(rows[usable])
    family = power_law(1.0, floor=False)
    solution = solve(family, x, logs, _weights(-np.log(rows[1:][usable[1:]])))
    found[usable] = np.exp(-evaluate(family, solution, places))
    return found


def akaike_weights(fits: Sequence[Fit]) -> list[float | None]:
    """Each fit's share of exp(-AICc / 2); None for all unless each has one."""
    scores = np.array([np.nan if fit.aicc is None else fit.aicc for fit in fits])
    if np.any(np.isnan(scores)):
        return [None] * len(fits)
    weights = np.exp(-(scores - scores.min()) / 2.0)
    return [float(share) for share in weights / weights.sum()]


def _fit(form: Form, x: ArrayLike, y: ArrayLike, draws: ArrayLike, level: float) -> Fit:
    """Fit `form` to the curve and to every draw of it, and judge the outcome."""
    x, y, draws = _floats(x), _floats(y), _floats(draws)
    refusal = _refusal(x, y, draws)
    if refusal:
        return Fit(form.name, "failed", refusal, y.size)
    if y.size < 2 or y.size < form.family(x).parameters + 2:
        return Fit(form.name, "too few points", f"{y.size} budgets", y.size)
    family = form.family(x)
    weights = _weights(draws)
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

    The interval is of paired draws, so it holds what both fit and measurement are uncertain of: it is around
    0 where the form extrapolates. None where there are too few points up to there.
    """
    early = x <= x[-1] / 4.0 * (1.0 + 1e-9)
    if np.count_nonzero(early) < max(2, form.family(x).parameters + 1):
        return None
    family = form.family(x[early])
    every = np.vstack([y, draws])
    solution = solve(family, x[early], every[:, early], _weights(draws[:, early]))
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


def _weights(draws: Floats) -> Floats:
    """1 / variance of each point, bounded so that no point counts more than 100 times the average one."""
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


def estimates_of(values: dict[str, float], draws: dict[str, Floats], level: float) -> dict[str, Estimate]:
    """Parameters with the intervals of their draws, [draws] each, by name."""
    bounds = {name: interval(draws[name], level) for name in values}
    return {name: Estimate(values[name], float(bounds[name][0]), float(bounds[name][1])) for name in values}


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


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)
