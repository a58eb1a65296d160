"""Fits and frontiers on worked cases, and every way in which a fit can fail."""

import numpy as np
import pytest
from scipy.optimize import curve_fit

from isoflop.fits.fitting import Fit
from isoflop.fits.frontier import MeasuredCurve, budget_grid, error_at, pareto, policy_frontier, with_single
from isoflop.fits.optimal_size import size_law
from isoflop.fits.scaling_laws import (
    akaike_weights,
    fit_coverage_power_law,
    fit_exponential_in_compute,
    fit_exponential_saturation,
    fit_power_law,
    fit_power_law_with_floor,
)
from isoflop.fits.size_regression import fit_optimal_size

SAMPLES = 2.0 ** np.arange(9)
COST = SAMPLES * 3e9
RNG = np.random.default_rng(11)


def noisy(curve: np.ndarray, sd: float = 0.004, draws: int = 200) -> np.ndarray:
    return curve + sd * RNG.standard_normal((draws, curve.size))


def exact(fit: Fit) -> dict[str, float]:
    """The parameters of a fit to a curve without noise, which extrapolates."""
    assert fit.parameters["backtest"].value == pytest.approx(0.0, abs=1e-4)
    assert "extrapolate" not in fit.note
    return {name: estimate.value for name, estimate in fit.parameters.items() if name != "backtest"}


def test_known_parameters_come_back_exactly_without_noise() -> None:
    error = 0.2 + 0.5 * SAMPLES**-0.6
    fit = fit_power_law_with_floor(COST, error, noisy(error), 0.95)
    assert (fit.status, fit.converged, fit.points) == ("ok", True, 9)
    values = exact(fit)
    assert values == pytest.approx(
        {"floor": 0.2, "a": 0.5 * 3e9**0.6, "b": 0.6, "first_excess": 0.5}, rel=1e-5
    )
    assert fit.r_squared == pytest.approx(1.0)
    assert np.abs(fit.residuals).max() < 1e-7


def test_power_law_and_exponentials_come_back_exactly_without_noise() -> None:
    error = 0.7 * SAMPLES**-0.2
    fit = fit_power_law(COST, error, noisy(error), 0.95)
    assert fit.parameters["b"].value == pytest.approx(0.2, rel=1e-6)
    assert fit.parameters["a"].value == pytest.approx(0.7 * 3e9**0.2, rel=1e-5)

    error = 0.1 + 0.4 * np.exp(-(COST - COST[0]) / 5e10)
    fit = fit_exponential_in_compute(COST, error, noisy(error), 0.95)
    values = exact(fit)
    assert values == pytest.approx({"floor": 0.1, "a": 0.4, "scale": 5e10}, rel=1e-5)

    # A first budget other than 1: `first` is still the accuracy at one sample.
    samples = 2.0 ** np.arange(1, 9)
    accuracy = 0.8 - 0.3 * 1.1 ** -(samples - 1)
    fit = fit_exponential_saturation(samples, accuracy, noisy(accuracy), 0.95)
    values = exact(fit)
    assert values == pytest.approx({"limit": 0.8, "first": 0.5, "c": 1.1}, rel=1e-5)

    coverage = np.exp(-1.5 * SAMPLES**-0.4)
    fit = fit_coverage_power_law(SAMPLES, coverage, np.clip(noisy(coverage), 0.01, 1), 0.95)
    assert fit.parameters["a"].value == pytest.approx(1.5, rel=1e-6)
    assert fit.parameters["b"].value == pytest.approx(0.4, rel=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_no_optimiser_finds_less_squares(seed: int) -> None:
    rng = np.random.default_rng(seed)
    error = np.clip(0.15 + 0.4 * SAMPLES**-0.5 + 0.02 * rng.standard_normal(9), 0.01, 1)
    draws = error + rng.uniform(0.005, 0.03, 9) * rng.standard_normal((300, 9))
    sd = draws.std(axis=0)
    ours = fit_power_law_with_floor(COST, error, draws, 0.95)

    def form(x: np.ndarray, floor: float, first: float, b: float) -> np.ndarray:
        result: np.ndarray = floor + first * x**-b
        return result

    bounds = ([0, 0, 1e-2], [error.min(), np.inf, 6])
    start = [min(0.1, error.min() / 2), 0.4, 0.5]
    theirs, _ = curve_fit(form, SAMPLES, error, start, sd, bounds=bounds, xtol=1e-12, ftol=1e-12)
    least = np.sum(((error - form(SAMPLES, *theirs)) / sd) ** 2)
    assert np.sum((ours.residuals / sd) ** 2) <= least * (1 + 1e-6)
    assert ours.parameters["b"].value == pytest.approx(theirs[2], rel=1e-3)


def test_points_are_weighted_by_their_variance() -> None:
    error = 0.5 * SAMPLES**-0.3
    error[4] += 0.1
    trusted = error + 0.01 * RNG.standard_normal((500, 9))
    spread = np.full(9, 0.01)
    spread[4] = 0.1
    doubted = error + spread * RNG.standard_normal((500, 9))
    off = [
        abs(fit_power_law(COST, error, draws, 0.95).parameters["b"].value - 0.3)
        for draws in (trusted, doubted)
    ]
    assert off[1] < off[0] / 10


def test_aicc_prefers_the_true_form() -> None:
    truth = {
        "power_law": 0.8 * SAMPLES**-0.15,
        "power_law_with_floor": 0.2 + 0.5 * SAMPLES**-0.7,
        "exponential_in_compute": 0.2 + 0.5 * np.exp(-(SAMPLES - 1) / 20),
    }
    for name, curve in truth.items():
        draws = noisy(curve, 0.002)
        observed = draws[0]
        forms = [
            form(COST, observed, draws, 0.95)
            for form in (fit_power_law, fit_power_law_with_floor, fit_exponential_in_compute)
        ]
        shares = akaike_weights(forms)
        best = max(zip(shares, forms, strict=True), key=lambda pair: pair[0] or 0.0)[1]
        assert best.name == name
        assert sum(share or 0.0 for share in shares) == pytest.approx(1.0)


def test_aicc_is_the_textbook_value() -> None:
    error = 0.5 * SAMPLES**-0.3 + 0.01 * np.array([1, -1, 1, -1, 1, -1, 1, -1, 1])
    fit = fit_power_law(COST, error, np.vstack([error + 0.01, error - 0.01]), 0.95)
    mean_square = np.mean(fit.residuals**2)
    # Two parameters and the variance: K = 3.
    assert fit.aicc == pytest.approx(9 * np.log(mean_square) + 6 + 2 * 3 * 4 / (9 - 3 - 1))
    assert akaike_weights([Fit("x", "failed", "", 2)]) == [None]


def status_of(fit: Fit) -> str:
    for estimate in fit.parameters.values():
        assert np.isfinite([estimate.value, estimate.low, estimate.high]).all()
    return fit.status


def test_a_flat_curve_has_no_trend() -> None:
    flat = np.full(9, 0.4)
    for draws in (noisy(flat), np.tile(flat, (50, 1))):
        for form in (fit_power_law_with_floor, fit_power_law, fit_exponential_in_compute):
            assert status_of(form(COST, flat, draws, 0.95)) == "no trend"


def test_a_rising_error_has_no_trend() -> None:
    rising = np.linspace(0.2, 0.4, 9)
    for form in (fit_power_law_with_floor, fit_power_law, fit_exponential_in_compute):
        fit = form(COST, rising, noisy(rising), 0.95)
        assert status_of(fit) == "no trend"
        assert not fit.converged


def test_the_best_curve_for_a_rising_error_is_its_mean() -> None:
    rising = np.linspace(0.2, 0.4, 9)
    draws = np.vstack([rising + 0.01, rising - 0.01])
    fit = fit_exponential_in_compute(COST, rising, draws, 0.95)
    assert fit.parameters["floor"].value == pytest.approx(0.3)
    assert fit.parameters["a"].value == 0.0


def test_a_fall_within_the_noise_is_no_trend() -> None:
    error = 0.4 - 0.001 * np.arange(9)
    assert fit_power_law(COST, error, noisy(error, 0.02), 0.95).status == "no trend"
    assert fit_power_law(COST, error, noisy(error, 0.0005), 0.95).status == "ok"


def test_perfect_coverage_has_no_trend() -> None:
    assert status_of(fit_coverage_power_law(SAMPLES, np.ones(9), np.ones((20, 9)), 0.95)) == "no trend"


@pytest.mark.parametrize(
    ("points", "expected"), [(1, "too few points"), (2, "too few points"), (4, "too few points")]
)
def test_few_points_are_not_fitted(points: int, expected: str) -> None:
    error = 0.2 + 0.5 * SAMPLES[:points] ** -0.6
    for form in (fit_power_law_with_floor, fit_exponential_in_compute):
        fit = form(COST[:points], error, noisy(error), 0.95)
        assert (fit.status, fit.parameters, fit.points) == (expected, {}, points)


def test_two_parameters_need_four_points() -> None:
    error = 0.5 * SAMPLES[:4] ** -0.3
    assert fit_power_law(COST[:4], error, noisy(error), 0.95).status == "ok"
    assert fit_power_law(COST[:3], error[:3], noisy(error[:3]), 0.95).status == "too few points"


def test_a_slow_fall_without_a_bend_sits_on_the_bound() -> None:
    error = 0.9 - 0.0025 * np.log2(SAMPLES)
    fit = fit_power_law_with_floor(COST, error, noisy(error, 0.0001), 0.95)
    assert (fit.status, fit.note) == ("at bound", "the shape is the slowest this form allows")


def test_a_pure_power_law_has_its_floor_on_the_bound() -> None:
    error = 0.8 * SAMPLES**-0.3 - 0.05
    fit = fit_power_law_with_floor(COST, error, noisy(error, 0.001), 0.95)
    assert fit.status == "at bound"
    assert "floor is 0" in fit.note


def test_a_step_sits_on_the_bound() -> None:
    error = np.array([0.5, *np.full(8, 0.2)])
    for form in (fit_power_law_with_floor, fit_exponential_in_compute):
        fit = form(COST, error, noisy(error, 0.001), 0.95)
        assert (fit.status, fit.note) == ("at bound", "the shape is the fastest this form allows")


def test_a_noisy_shape_is_undetermined() -> None:
    error = 0.3 + 0.1 * SAMPLES**-0.5
    fit = fit_power_law_with_floor(COST, error, noisy(error, 0.02), 0.95)
    assert fit.status == "undetermined"


def test_a_curve_of_another_form_is_a_poor_fit() -> None:
    zigzag = np.array([0.8, 0.3, 0.75, 0.3, 0.7, 0.3, 0.7, 0.3, 0.25])
    assert fit_power_law(COST, zigzag, noisy(zigzag, 0.001), 0.95).status == "poor fit"


def test_numbers_that_cannot_be_fitted_fail_with_a_reason() -> None:
    error = 0.5 * SAMPLES**-0.3
    holed = error.copy()
    holed[2] = np.nan
    fit = fit_power_law(COST, holed, noisy(error), 0.95)
    assert (fit.status, fit.parameters) == ("failed", {})
    assert "not finite" in fit.note
    fit = fit_power_law(COST[::-1], error, noisy(error), 0.95)
    assert "not positive and increasing" in fit.note
    coverage = np.array([0.0, 0.1, 0.2, 0.3, 0.4])
    fit = fit_coverage_power_law(SAMPLES[:5], coverage, np.clip(noisy(coverage), 0, 1), 0.95)
    assert fit.status == "failed"
    assert "logarithm" in fit.note


def test_draws_of_zero_coverage_are_left_out_and_counted() -> None:
    coverage = np.exp(-2.0 * SAMPLES**-0.4)
    draws = noisy(coverage, 0.002)
    draws[:40, 0] = 0.0
    fit = fit_coverage_power_law(SAMPLES, coverage, draws, 0.95)
    assert fit.status == "undetermined"
    assert "20%" in fit.note
    assert fit.draws["b"].size == 160


def test_the_band_is_in_the_units_shown_and_holds_the_curve() -> None:
    accuracy = 0.8 - 0.3 * 1.1 ** -(SAMPLES - 1)
    band = fit_exponential_saturation(SAMPLES, accuracy, noisy(accuracy), 0.95).band
    assert band is not None
    assert band.y[0] == pytest.approx(0.5, abs=1e-5)
    assert (band.low <= band.y + 1e-3).all()
    assert (band.y <= band.high + 1e-3).all()
    coverage = np.exp(-1.5 * SAMPLES**-0.4)
    band = fit_coverage_power_law(SAMPLES, coverage, noisy(coverage), 0.95).band
    assert band is not None
    assert band.y == pytest.approx(np.exp(-1.5 * band.x**-0.4), abs=1e-5)


def sizes_on_a_law(
    alpha: float, beta: float, steps: int, low: float = 5.0, high: float = 9.0
) -> tuple[np.ndarray, np.ndarray]:
    """Budgets, and the nearest of `steps` sizes to the one that log10 C = alpha log10 N + beta asks for."""
    available = np.linspace(5, 9, steps)
    cost = np.logspace(alpha * low + beta, alpha * high + beta, 400)
    wanted = (np.log10(cost) - beta) / alpha
    return cost, 10 ** available[np.abs(wanted[:, None] - available).argmin(axis=1)]


def resampled(size: np.ndarray) -> np.ndarray:
    """Draws of a staircase whose steps come a little earlier or later, low ones and high ones on their own.

    One whose steps never moved would be no measurement.
    """
    place, half = np.arange(size.size), np.flatnonzero(np.diff(size))[1]
    shifts = [(low, high) for low in (-2, 0, 2) for high in (-2, 0, 2)]
    moved = [np.where(place < half, place + low, place + high) for low, high in shifts]
    return size[np.clip(moved, 0, size.size - 1)]


@pytest.mark.parametrize(("low", "high"), [(5, 9), (3, 9), (5, 12), (2, 14)])
@pytest.mark.parametrize("steps", [4, 40])
def test_the_paper_s_law_of_sizes_is_found_wherever_the_budgets_end(
    steps: int, low: float, high: float
) -> None:
    cost, size = sizes_on_a_law(1.19, 2.03, steps, low, high)
    fit = fit_optimal_size(cost, size, resampled(size), 0.95)
    assert fit.status == "ok"
    assert fit.points == steps - 1
    assert fit.parameters["alpha"].value == pytest.approx(1.19, rel=0.02)
    assert fit.parameters["beta"].value == pytest.approx(2.03, abs=0.1)


def test_a_frontier_of_few_sizes_says_so() -> None:
    cost = np.logspace(10, 13, 100)
    one = np.full(100, 1e6)
    fit = fit_optimal_size(cost, one, np.tile(one, (10, 1)), 0.95, never_best=["large"])
    assert (fit.status, fit.parameters) == ("too few crossings", {})
    assert "never best: large" in fit.note
    two = np.where(cost < 1e12, 1e6, 1e7)
    fit = fit_optimal_size(cost, two, np.tile(two, (10, 1)), 0.95)
    assert (fit.status, fit.points, fit.parameters) == ("too few crossings", 1, {})
    three = np.where(cost < 10**10.2, 1e6, np.where(cost > 10**12.9, 1e8, 1e7))
    fit = fit_optimal_size(cost, three, np.tile(three, (10, 1)), 0.95)
    assert (fit.status, fit.points, fit.parameters) == ("too few crossings", 2, {})


def test_sizes_that_change_places_near_a_tie_count_once() -> None:
    """The staircase with a flicker at each step, even about it, has the steps of the one without."""
    cost, size = sizes_on_a_law(1.19, 2.03, 4)
    flicker = size.copy()
    for place in np.flatnonzero(np.diff(size)):
        below, above = size[place], size[place + 1]
        flicker[place - 2 : place + 4] = [below, above, below, above, below, above]
    plain, flickering = (fit_optimal_size(cost, one, resampled(one), 0.95) for one in (size, flicker))
    assert (flickering.points, flickering.status) == (plain.points, plain.status) == (3, "ok")
    for name in ("alpha", "beta"):
        assert flickering.parameters[name].value == pytest.approx(plain.parameters[name].value, abs=1e-6)


def test_a_staircase_off_any_line_is_a_poor_fit() -> None:
    cost = np.logspace(10, 13, 400)
    size = np.select([cost < 10**10.2, cost < 10**12.7, cost < 10**12.8], [1e6, 1e7, 1e8], 1e9)
    assert fit_optimal_size(cost, size, resampled(size), 0.95).status == "poor fit"


def test_an_undetermined_slope_of_sizes_says_so() -> None:
    cost, size = sizes_on_a_law(1.2, 2.0, 4)
    draws = np.vstack([resampled(size), np.tile(size[::-1], (9, 1))])
    assert fit_optimal_size(cost, size, draws, 0.95).status == "undetermined"
    single = np.vstack([resampled(size), np.full((9, size.size), 1e6)])
    fit = fit_optimal_size(cost, size, single, 0.95)
    assert fit.status == "undetermined"
    assert "50.0% of the draws have fewer than two crossings" in fit.note
    same = fit_optimal_size(cost, size, np.tile(size, (10, 1)), 0.95)
    assert (same.status, "nothing measured" in same.note) == ("undetermined", True)


def test_a_size_that_is_best_as_soon_as_it_is_affordable_is_a_price_not_a_crossing() -> None:
    """Flat curves, each larger model better from its first point: the staircase is that of the prices."""
    errors = (0.5, 0.4, 0.3, 0.2)
    sizes = [1e6, 3e6, 9e6, 27e6]
    rng = np.random.default_rng(3)
    curves = []
    for size, error in zip(sizes, errors, strict=True):
        cost = size * 100.0 * 2.0 ** np.arange(9)
        curves.append(
            MeasuredCurve(cost, np.full(9, error), error + rng.normal(0, 0.01, (50, 1)) * np.ones(9))
        )
    frontier = policy_frontier(curves)
    assert frontier is not None
    assert frontier.prices.all()
    law = size_law(curves, ["a", "b", "c", "d"], [int(size) for size in sizes], 0.95)
    assert (law.fit.status, law.fit.points, law.alpha) == ("too few crossings", 0, None)
    assert "entry prices, which do not count: 3" in law.fit.note


def test_a_crossing_inside_both_curves_counts_beside_prices() -> None:
    small = MeasuredCurve(np.array([1e8, 1e11]), np.array([0.5, 0.5]), np.full((4, 2), 0.5))
    falling = np.array([0.9, 0.1])
    large = MeasuredCurve(np.array([1e9, 1e11]), falling, np.tile(falling, (4, 1)))
    frontier = policy_frontier([small, large])
    assert frontier is not None
    assert frontier.prices[0].tolist() == [True, False]
    law = size_law([small, large], ["small", "large"], [10, 20], 0.95)
    assert (law.fit.points, law.fit.status) == (1, "too few crossings")
    assert "prices" not in law.fit.note


def test_greedy_answers_belong_to_the_frontier() -> None:
    curve = MeasuredCurve(np.array([1e8, 1e10]), np.array([0.6, 0.2]), np.tile([0.6, 0.2], (3, 1)))
    greedy = MeasuredCurve(np.array([1.1e8]), np.array([0.4]), np.array([[0.4], [0.3], [0.7]]))
    either = with_single(curve, greedy)
    assert either.cost.tolist() == [1e8, 1.1e8, 1e10]
    assert either.error.tolist() == pytest.approx([0.6, 0.4, 0.2])
    at = error_at(curve.cost, curve.draws, greedy.cost)[0, 0]
    assert either.draws[:, 1].tolist() == pytest.approx([0.4, 0.3, at])


@pytest.mark.parametrize(("floor", "told"), [(0.0, False), (0.3, True)])
def test_a_fit_that_misses_its_largest_budget_says_so(floor: float, told: bool) -> None:
    """A power law whose error stops at a floor beyond a quarter of the budget does not extrapolate."""
    error = np.maximum(0.7 * SAMPLES**-0.3, floor)
    fit = fit_power_law(COST, error, noisy(error, 0.002), 0.95)
    assert ("does not extrapolate" in fit.note) is told
    assert (fit.parameters["backtest"].high < 0) is told


def test_pareto_keeps_what_nothing_beats() -> None:
    cost = np.array([1.0, 2.0, 2.0, 3.0, 4.0, 4.0, 1.0])
    error = np.array([0.5, 0.4, 0.45, 0.4, 0.1, 0.1, 0.5])
    assert pareto(cost, error).tolist() == [True, True, False, False, True, True, True]


def test_interpolation_is_linear_in_the_logarithm_of_cost() -> None:
    cost = np.array([1e9, 1e11])
    errors = np.array([[0.6, 0.2], [0.4, 0.4]])
    at = error_at(cost, errors, np.array([5e8, 1e9, 1e10, 1e11]))
    assert at[:, 0].tolist() == [np.inf, np.inf]
    assert at[:, 1:] == pytest.approx(np.array([[0.6, 0.4, 0.2], [0.4, 0.4, 0.4]]))


def test_the_frontier_crosses_where_the_curves_do() -> None:
    # The small policy's error is flat at 0.5; the large one's falls from 0.9 to 0.1 over two decades.
    small = MeasuredCurve(np.array([1e8, 1e11]), np.array([0.5, 0.5]), np.full((4, 2), 0.5))
    falling = np.array([0.9, 0.1])
    large = MeasuredCurve(
        np.array([1e9, 1e11]), falling, np.tile(falling, (4, 1)) + np.array([[0], [0], [0], [0.8]])
    )
    frontier = policy_frontier([small, large])
    assert frontier is not None
    assert frontier.cost[[0, -1]] == pytest.approx([1e8, 1e11])
    assert (frontier.best == (frontier.cost > 1e10 * (1 + 1e-9))).all()
    assert frontier.probability[1, -1] == pytest.approx(0.75)
    assert frontier.probability.sum(axis=0) == pytest.approx(1.0)


def test_policies_that_share_no_budget_have_no_frontier() -> None:
    assert budget_grid([np.array([1.0, 10.0]), np.array([0.1, 100.0])])[[0, -1]] == pytest.approx([0.1, 10.0])
    early = MeasuredCurve(np.array([1e8]), np.array([0.5]), np.full((4, 1), 0.5))
    late = MeasuredCurve(np.array([1e10, 1e11]), np.array([0.5, 0.4]), np.full((4, 2), 0.5))
    assert policy_frontier([early, late]) is None


def test_a_curve_that_ended_behind_stays_behind() -> None:
    """Of three sizes with as many samples the smallest ends first; the others cross beyond that."""
    grid = 10.0 ** np.arange(4)
    errors = {1.0: [0.9, 0.8, 0.75, 0.7], 10.0: [0.85, 0.6, 0.5, 0.45], 100.0: [0.8, 0.55, 0.3, 0.2]}
    curves = [
        MeasuredCurve(size * grid, np.array(error), np.array([error, error]))
        for size, error in errors.items()
    ]
    first = policy_frontier(curves)
    assert first is not None
    assert (first.cost[-1], first.best.max()) == (1e3, 1)
    whole = policy_frontier(curves, ended=True)
    assert whole is not None
    assert (whole.cost[-1], whole.best[-1]) == (1e5, 2)
    assert set(np.diff(whole.best[whole.cost >= 10.0])) == {0, 1}


def test_budgets_end_where_the_best_curve_does() -> None:
    """What a size that is ahead at its end would have with more samples, nobody knows."""
    grid = 10.0 ** np.arange(3)
    small, large = np.array([0.9, 0.5, 0.2]), np.array([0.85, 0.6, 0.3])
    curves = [
        MeasuredCurve(size * grid, one, np.array([one, one])) for size, one in ((1.0, small), (10.0, large))
    ]
    found = policy_frontier(curves, ended=True)
    assert found is not None
    assert found.cost[-1] == 100.0
    assert found.best[-1] == 0
