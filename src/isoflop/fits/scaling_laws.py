"""Scaling laws: the forms that are fitted to accuracies and errors, and their comparison by AICc.

How a form is fitted and judged: `isoflop.fits.fitting`. The forms are listed in
docs/design/costs-and-fits.md.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from isoflop.arrays import Floats
from isoflop.fits.fitting import MOST_DRAWS_AT_BOUND, Fit, Form, fit_form, floats, point_weights
from isoflop.fits.variable_projection import Solution, evaluate, exponential, power_law, solve


def fit_power_law_with_floor(cost: ArrayLike, error: ArrayLike, draws: ArrayLike, level: float) -> Fit:
    """Error = floor + a C^-b with 0 <= floor <= the smallest error, b > 0.

    Parameters
    ----------
    cost
        C, FLOPs, increasing, [m].
    error
        Fractions, [m].
    draws
        The error in every bootstrap replicate, [draws, m].
    level
        Confidence of intervals, in (0, 1).

    Returns
    -------
    Parameters floor, a, b, and first_excess = a C_1^-b, the error above the floor at the smallest cost.

    Raises
    ------
    ValueError
        For arrays that do not belong to one curve.

    References
    ----------
    Henighan et al. 2020, Scaling Laws for Autoregressive Generative Modeling.
    doi:10.48550/arXiv.2010.14701
    """

    def named(s: Solution, first: float) -> dict[str, Floats]:
        excess = {"first_excess": s.amplitude}
        return {"floor": s.floor, "a": s.amplitude * first**s.shape, "b": s.shape} | excess

    form = Form("power_law_with_floor", lambda c: power_law(c[0], floor=True), named)
    return fit_form(form, cost, error, draws, level)


def fit_power_law(cost: ArrayLike, error: ArrayLike, draws: ArrayLike, level: float) -> Fit:
    """Error = a C^-b, b > 0.

    Parameters
    ----------
    cost
        C, FLOPs, increasing, [m].
    error
        Fractions, [m].
    draws
        The error in every bootstrap replicate, [draws, m].
    level
        Confidence of intervals, in (0, 1).

    Returns
    -------
    Parameters a, b.

    Raises
    ------
    ValueError
        For arrays that do not belong to one curve.

    Notes
    -----
    By least squares in error (not in its logarithm, so AICc is comparable).
    """

    def named(s: Solution, first: float) -> dict[str, Floats]:
        return {"a": s.amplitude * first**s.shape, "b": s.shape}

    return fit_form(
        Form("power_law", lambda c: power_law(c[0], floor=False), named), cost, error, draws, level
    )


def fit_exponential_in_compute(cost: ArrayLike, error: ArrayLike, draws: ArrayLike, level: float) -> Fit:
    """Error = floor + a exp(-(C - C_1) / scale): the third form in the comparison by AICc.

    Parameters
    ----------
    cost
        C, FLOPs, increasing, [m]; C_1 is the first.
    error
        Fractions, [m].
    draws
        The error in every bootstrap replicate, [draws, m].
    level
        Confidence of intervals, in (0, 1).

    Returns
    -------
    Parameters floor, a, scale (FLOPs).

    Raises
    ------
    ValueError
        For arrays that do not belong to one curve.
    """

    def named(s: Solution, _: float) -> dict[str, Floats]:
        return {"floor": s.floor, "a": s.amplitude, "scale": 1.0 / s.shape}

    form = Form("exponential_in_compute", lambda c: exponential(c, float(c[0])), named)
    return fit_form(form, cost, error, draws, level)


def fit_exponential_saturation(
    samples: ArrayLike, accuracy: ArrayLike, draws: ArrayLike, level: float
) -> Fit:
    """Accuracy(n) = limit - (limit - first) c^-(n - 1), c > 1.

    Parameters
    ----------
    samples
        n, increasing, >= 1, [m].
    accuracy
        Fractions, [m].
    draws
        The accuracy in every bootstrap replicate, [draws, m].
    level
        Confidence of intervals, in (0, 1).

    Returns
    -------
    Parameters limit, first, c.

    Raises
    ------
    ValueError
        For arrays that do not belong to one curve.

    Notes
    -----
    The theorems' gap to the limit is O(c^-n).

    References
    ----------
    Wu et al. 2024, Inference Scaling Laws, Theorems 1 and 2. doi:10.48550/arXiv.2408.00724
    """

    def named(s: Solution, _: float) -> dict[str, Floats]:
        return {"limit": 1.0 - s.floor, "first": 1.0 - s.floor - s.amplitude, "c": np.exp(s.shape)}

    form = Form("exponential_saturation", lambda n: exponential(n, 1.0), named, lambda error: 1.0 - error)
    return fit_form(form, samples, 1.0 - floats(accuracy), 1.0 - floats(draws), level)


def fit_coverage_power_law(samples: ArrayLike, coverage: ArrayLike, draws: ArrayLike, level: float) -> Fit:
    """Log coverage(k) = -a k^-b, a > 0, b > 0: the exponentiated power law.

    Parameters
    ----------
    samples
        k, increasing, [m].
    coverage
        pass@k, fractions, [m].
    draws
        The coverage in every bootstrap replicate, [draws, m].
    level
        Confidence of intervals, in (0, 1).

    Returns
    -------
    Parameters a, b.

    Raises
    ------
    ValueError
        For arrays that do not belong to one curve.

    Notes
    -----
    Least squares in log coverage. Replicates with a coverage of 0 are left out, because it has no logarithm.

    References
    ----------
    Brown et al. 2024, Large Language Monkeys. doi:10.48550/arXiv.2407.21787
    """

    def named(s: Solution, _: float) -> dict[str, Floats]:
        return {"a": s.amplitude, "b": s.shape}

    form = Form("coverage_power_law", lambda _: power_law(1.0, floor=False), named, lambda log: np.exp(-log))
    point, resampled = floats(coverage), floats(draws)
    usable = np.all(resampled > 0.0, axis=1)
    if np.any(point <= 0.0) or np.count_nonzero(usable) < 2:
        return Fit(form.name, "failed", "a coverage of 0 has no logarithm", point.size)
    fit = fit_form(form, samples, -np.log(point), -np.log(resampled[usable]), level)
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
        Numbers of samples to predict, [a].

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
    x, rows, places = floats(samples), floats(coverage), floats(ahead)
    found = np.full((rows.shape[0], places.size), np.nan)
    usable = np.all(rows > 0.0, axis=1)
    if np.count_nonzero(usable[1:]) < 2:
        return found
    logs = -np.log(rows[usable])
    family = power_law(1.0, floor=False)
    solution = solve(family, x, logs, point_weights(-np.log(rows[1:][usable[1:]])))
    found[usable] = np.exp(-evaluate(family, solution, places))
    return found


def akaike_weights(fits: Sequence[Fit]) -> list[float | None]:
    """Each fit's share of exp(-AICc / 2).

    Parameters
    ----------
    fits
        Of the same curve, in the same units.

    Returns
    -------
    Shares that sum to 1; None for all unless each has an AICc.

    References
    ----------
    Burnham and Anderson 2004, Multimodel Inference. doi:10.1177/0049124104268644
    """
    scores = np.array([np.nan if fit.aicc is None else fit.aicc for fit in fits])
    if np.any(np.isnan(scores)):
        return [None] * len(fits)
    weights = np.exp(-(scores - scores.min()) / 2.0)
    return [float(share) for share in weights / weights.sum()]
