"""Properties of the fits: known laws are recovered, and intervals cover them about as often as they claim."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from isoflop.fits.fitting import Fit
from isoflop.fits.scaling_laws import (
    fit_coverage_power_law,
    fit_exponential_in_compute,
    fit_exponential_saturation,
    fit_power_law,
    fit_power_law_with_floor,
)

SAMPLES = 2.0 ** np.arange(9)
COST = SAMPLES * 7e8
shares = st.floats(0.05, 0.45)
few = settings(max_examples=25, deadline=None)


def observed(curve: np.ndarray, sd: float, seed: int, draws: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """A noisy measurement of `curve`, and draws around the measurement with the same noise."""
    rng = np.random.default_rng(seed)
    point = curve + sd * rng.standard_normal(curve.size)
    return point, point + sd * rng.standard_normal((draws, curve.size))


def assert_within(fit: Fit, truth: dict[str, float]) -> None:
    """Every true value lies within three interval widths of the estimate: never far outside by chance."""
    for name, value in truth.items():
        estimate = fit.parameters[name]
        assert abs(value - estimate.value) <= 3 * (estimate.high - estimate.low), (name, value, estimate)


@few
@given(floor=shares, first=st.floats(0.2, 0.5), b=st.floats(0.3, 1.2), seed=st.integers(0, 10**6))
def test_power_law_with_floor_is_recovered(floor: float, first: float, b: float, seed: int) -> None:
    point, draws = observed(floor + first * SAMPLES**-b, 0.002, seed)
    assert_within(
        fit_power_law_with_floor(COST, point, draws, 0.95), {"floor": floor, "b": b, "first_excess": first}
    )


@few
@given(first=st.floats(0.2, 0.9), b=st.floats(0.05, 1.0), seed=st.integers(0, 10**6))
def test_power_law_is_recovered(first: float, b: float, seed: int) -> None:
    point, draws = observed(first * SAMPLES**-b, 0.002, seed)
    assert_within(fit_power_law(COST, point, draws, 0.95), {"b": b, "a": first * COST[0] ** b})


@few
@given(limit=st.floats(0.6, 0.95), gap=shares, c=st.floats(1.02, 1.8), seed=st.integers(0, 10**6))
def test_exponential_saturation_is_recovered(limit: float, gap: float, c: float, seed: int) -> None:
    accuracy = limit - gap * c ** -(SAMPLES - 1)
    point, draws = observed(accuracy, 0.002, seed)
    fit = fit_exponential_saturation(SAMPLES, point, draws, 0.95)
    assert_within(fit, {"limit": limit, "first": limit - gap, "c": c})


@few
@given(a=st.floats(0.5, 3.0), b=st.floats(0.1, 0.8), seed=st.integers(0, 10**6))
def test_coverage_power_law_is_recovered(a: float, b: float, seed: int) -> None:
    point, draws = observed(np.exp(-a * SAMPLES**-b), 0.001, seed)
    assume(point.min() > 0.01)
    assert_within(fit_coverage_power_law(SAMPLES, point, draws, 0.95), {"a": a, "b": b})


@few
@given(scale=st.floats(1e-6, 1e6), floor=shares, b=st.floats(0.3, 1.2), seed=st.integers(0, 10**6))
def test_units_of_cost_do_not_matter(scale: float, floor: float, b: float, seed: int) -> None:
    point, draws = observed(floor + 0.4 * SAMPLES**-b, 0.003, seed)
    for form, shape in ((fit_power_law_with_floor, "b"), (fit_exponential_in_compute, "floor")):
        here, there = form(COST, point, draws, 0.95), form(COST * scale, point, draws, 0.95)
        assert here.status == there.status
        assert there.parameters[shape].value == pytest.approx(
            here.parameters[shape].value, rel=1e-4, abs=1e-6
        )
        assert there.residuals == pytest.approx(here.residuals, abs=1e-6)


@few
@given(
    error=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=9),
    sd=st.floats(0.0, 0.2),
    seed=st.integers(0, 10**6),
)
def test_any_curve_is_fitted_or_refused_with_finite_numbers(error: list[float], sd: float, seed: int) -> None:
    point = np.array(error)
    _, draws = observed(point, sd, seed, 40)
    draws = np.clip(draws, 0.0, 1.0)
    x = SAMPLES[: point.size]
    for form in (fit_power_law_with_floor, fit_power_law, fit_exponential_in_compute):
        check_sound(form(x, point, draws, 0.9))
    floor = fit_power_law_with_floor(x, point, draws, 0.9).parameters.get("floor")
    assert floor is None or 0.0 <= floor.value <= point.min()
    check_sound(fit_exponential_saturation(x, point, draws, 0.9))
    check_sound(fit_coverage_power_law(x, point, draws, 0.9))


def check_sound(fit: Fit) -> None:
    assert fit.note or fit.status == "ok"
    for estimate in fit.parameters.values():
        assert np.isfinite([estimate.value, estimate.low, estimate.high]).all()
        assert estimate.low <= estimate.high


Form = Callable[[np.ndarray, np.ndarray, np.ndarray, float], Fit]


@pytest.mark.parametrize(
    ("form", "x", "curve", "truth"),
    [
        (fit_power_law_with_floor, COST, 0.2 + 0.4 * SAMPLES**-0.7, {"floor": 0.2, "b": 0.7}),
        (fit_power_law, COST, 0.6 * SAMPLES**-0.2, {"b": 0.2}),
        (fit_exponential_saturation, SAMPLES, 0.8 - 0.3 * 1.08 ** -(SAMPLES - 1), {"limit": 0.8, "c": 1.08}),
        (fit_coverage_power_law, SAMPLES, np.exp(-1.5 * SAMPLES**-0.35), {"a": 1.5, "b": 0.35}),
    ],
)
def test_intervals_cover_the_truth_at_about_their_level(
    form: Form, x: np.ndarray, curve: np.ndarray, truth: dict[str, float]
) -> None:
    repeats = 300
    covered = dict.fromkeys(truth, 0)
    for repeat in range(repeats):
        fit = form(x, *observed(curve, 0.006, 1000 + repeat), 0.9)
        for name, value in truth.items():
            covered[name] += fit.parameters[name].low <= value <= fit.parameters[name].high
    for name, count in covered.items():
        # 0.9 with a standard error of 0.017, and a little less for percentile intervals of nine points.
        assert 0.83 <= count / repeats <= 0.96, (name, count / repeats)
