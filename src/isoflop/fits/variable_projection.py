"""Least squares for curves that are linear in two parameters and nonlinear in one, for many curves at once.

Every form fitted here is y = floor + amplitude * f(x; shape). Given the shape, the best floor and amplitude
are a closed form, so only the shape is searched (variable projection; Golub and Pereyra 1973): a grid first,
because the profile can have more than one minimum, then golden sections around its best cell.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isoflop.arrays import Floats

Basis = Callable[[Floats, Floats], Floats]

_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
_GRID = 64
# Leaves the shape exact to about 1e-7 of itself, far below any interval.
_SECTIONS = 30


@dataclass(frozen=True)
class Family:
    """A form y = floor + amplitude * f(x; shape).

    Attributes
    ----------
    basis
        f: from shapes [..., 1] and x [m] to [..., m].
    lower, upper
        Bounds of the shape.
    floor
        Whether there is a floor at all.
    floor_below_data
        Whether it may not exceed the smallest y.
    """

    basis: Basis
    lower: float
    upper: float
    floor: bool
    floor_below_data: bool

    @property
    def parameters(self) -> int:
        """How many parameters are fitted."""
        return 3 if self.floor else 2


@dataclass(frozen=True)
class Solution:
    """Fitted parameters of each curve.

    Attributes
    ----------
    shape, floor, amplitude
        [curves].
    squares
        The weighted sum of squares, [curves].
    """

    shape: Floats
    floor: Floats
    amplitude: Floats
    squares: Floats


def power_law(first: float, *, floor: bool) -> Family:
    """f = (x / first)^-b: error falling as a power of compute or of the number of samples.

    Parameters
    ----------
    first
        Where f is 1, > 0.
    floor
        Whether there is a floor.
    """
    return Family(lambda b, x: (x / first) ** -b, 1e-3 if not floor else 1e-2, 6.0, floor, floor)


def exponential(x: Floats, origin: float) -> Family:
    """f = exp(-rate (x - origin)).

    Parameters
    ----------
    x
        Increasing, [m]; bounds the rate, from nearly a straight line to nearly a step.
    origin
        Where f is 1.
    """
    lower, upper = 0.05 / (x[-1] - x[0]), 10.0 / (x[1] - x[0])
    return Family(lambda rate, x: np.exp(-rate * (x - origin)), lower, upper, True, False)


def solve(family: Family, x: Floats, y: Floats, weights: Floats) -> Solution:
    """Fit a family to many curves at once.

    Parameters
    ----------
    family
        Its shape is searched.
    x
        [m].
    y
        [curves, m].
    weights
        Of the points, > 0, [m].

    Notes
    -----
    Given the shape, floor and amplitude are a closed form, so only the shape is searched: a grid, then golden
    sections around its best cell.

    References
    ----------
    Golub and Pereyra 1973, The Differentiation of Pseudo-Inverses and Nonlinear Least Squares Problems Whose
    Variables Separate. doi:10.1137/0710036
    """
    ceiling = y.min(axis=1) if family.floor_below_data else np.full(len(y), np.inf)
    grid = np.geomspace(family.lower, family.upper, _GRID)
    best = _profile(family, family.basis(grid[:, None], x), y, weights, ceiling).argmin(axis=1)

    def squares(log_shape: Floats) -> Floats:
        moments = _moments(family.basis(np.exp(log_shape)[:, None], x), y, weights)
        return _linear(family, moments, ceiling)[2]

    log_grid = np.log(grid)
    shape = np.exp(
        _golden(squares, log_grid[np.maximum(best - 1, 0)], log_grid[np.minimum(best + 1, _GRID - 1)])
    )
    fitted = family.basis(shape[:, None], x)
    floor, amplitude, _ = _linear(family, _moments(fitted, y, weights), ceiling)
    residuals = y - floor[:, None] - amplitude[:, None] * fitted
    return Solution(shape, floor, amplitude, (residuals**2) @ weights)


def evaluate(family: Family, solution: Solution, x: Floats) -> Floats:
    """The fitted curves at other x.

    Parameters
    ----------
    family
        That was fitted.
    solution
        Of its fit.
    x
        [g].

    Returns
    -------
    [curves, g].
    """
    f = family.basis(solution.shape[:, None], x)
    return solution.floor[:, None] + solution.amplitude[:, None] * f


def _golden(function: Callable[[Floats], Floats], low: Floats, high: Floats) -> Floats:
    """Where each element of `function` is least between `low` and `high`, by golden sections."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = function(left), function(right)
    for _ in range(_SECTIONS):
        go_left = at_left < at_right
        low, high = np.where(go_left, low, left), np.where(go_left, right, high)
        new = np.where(go_left, high - _GOLDEN * (high - low), low + _GOLDEN * (high - low))
        at_new = function(new)
        left, right = np.where(go_left, new, right), np.where(go_left, left, new)
        at_left, at_right = np.where(go_left, at_new, at_right), np.where(go_left, at_left, at_new)
    middle: Floats = (low + high) / 2.0
    return middle


@dataclass(frozen=True)
class _Moments:
    """Weighted sums of 1, f, f f, y, f y and y y."""

    w: float
    f: Floats
    ff: Floats
    y: Floats
    fy: Floats
    yy: Floats


def _moments(f: Floats, y: Floats, weights: Floats) -> _Moments:
    """Sums over the last axis of `f` and `y`, both [curves, m]."""
    wf = f * weights
    return _Moments(
        float(weights.sum()),
        wf.sum(axis=-1),
        (wf * f).sum(axis=-1),
        y @ weights,
        (wf * y).sum(axis=-1),
        y**2 @ weights,
    )


def _profile(family: Family, f: Floats, y: Floats, weights: Floats, ceiling: Floats) -> Floats:
    """Least squares of every row of `y` ([curves, m]) for every grid shape's `f` ([g, m]): [curves, g]."""
    wf = f * weights
    moments = _Moments(
        float(weights.sum()),
        wf.sum(axis=-1)[None],
        (wf * f).sum(axis=-1)[None],
        (y @ weights)[:, None],
        y @ wf.T,
        (y**2 @ weights)[:, None],
    )
    return _linear(family, moments, ceiling[:, None])[2]


def _linear(family: Family, m: _Moments, ceiling: Floats) -> tuple[Floats, Floats, Floats]:
    """Best floor in [0, ceiling], amplitude >= 0 and their sum of squares, exact.

    The problem is convex: where the free solution breaks a bound, the best point lies on an edge.
    """

    def squares(floor: Floats | float, amplitude: Floats) -> Floats:
        crossed = m.yy - 2.0 * (floor * m.y + amplitude * m.fy) + floor * floor * m.w
        result: Floats = crossed + amplitude * (2.0 * floor * m.f + amplitude * m.ff)
        return result

    amplitude = np.maximum(m.fy / m.ff, 0.0)
    floor = np.zeros_like(amplitude)
    least = squares(floor, amplitude)
    if not family.floor:
        return floor, amplitude, least

    def keep(better: NDArray[np.bool_], *candidate: Floats) -> None:
        nonlocal floor, amplitude, least
        floor, amplitude, least = (
            np.where(better, new, old) for new, old in zip(candidate, (floor, amplitude, least), strict=True)
        )

    flat = np.broadcast_to(np.clip(m.y / m.w, 0.0, ceiling), least.shape)
    flat_squares = squares(flat, np.zeros_like(least))
    keep(flat_squares < least, flat, np.zeros_like(least), flat_squares)
    if family.floor_below_data:
        top = np.broadcast_to(ceiling, least.shape)
        top_amplitude = np.maximum((m.fy - top * m.f) / m.ff, 0.0)
        top_squares = squares(top, top_amplitude)
        keep(top_squares < least, top, top_amplitude, top_squares)
    determinant = m.w * m.ff - m.f**2
    solvable = determinant > 1e-12 * m.w * m.ff
    free_amplitude = (m.w * m.fy - m.f * m.y) / np.where(solvable, determinant, 1.0)
    free_floor = (m.y - free_amplitude * m.f) / m.w
    inside = solvable & (free_amplitude >= 0.0) & (free_floor >= 0.0) & (free_floor <= ceiling)
    keep(inside, free_floor, free_amplitude, squares(free_floor, free_amplitude))
    return floor, amplitude, least
