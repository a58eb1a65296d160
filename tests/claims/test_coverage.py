"""Coverage from counts: where sizes cross, and what the first samples predict, on worlds made by hand."""

from collections.abc import Sequence

import numpy as np
import pytest

from isoflop.arrays import Floats, Ints
from isoflop.claims.coverage import (
    ALL,
    CROSSES,
    LARGER,
    LEVEL,
    OK,
    SMALLER,
    UNDETERMINED,
    crossing,
    crossing_rows,
    crossings,
    forecast_rows,
    forecasts,
    known_samples,
    mean_forecasts,
)
from isoflop.fits.bootstrap import problem_weights
from isoflop.fits.evidence import Evidence, Series
from isoflop.fits.scaling_laws import extrapolate_coverage
from isoflop.selection.best_of_k import coverage_of_counts
from isoflop.strategy import Strategy

COVERAGE = Strategy("counted", "pass")
PROBLEMS = 40


def series(policy: str, size: float, budgets: Sequence[int], credits: Floats) -> Series:
    costs = {name: size * np.array(budgets, dtype=np.float64) for name in ("wu2024", "kaplan", "total")}
    return Series(policy, COVERAGE, np.array(budgets), credits, costs)


def evidence(*found: Series, draws: int = 200) -> Evidence:
    count = found[0].credits.shape[1]
    return Evidence(
        dataset="d",
        problems=[f"p{number}" for number in range(count)],
        levels=None,
        series={(one.policy, COVERAGE): one for one in found},
        weights=problem_weights(count, draws, 1),
        level=0.95,
    )


def flat(values: Sequence[float]) -> Floats:
    """The same coverage of every problem, so that no replicate differs."""
    return np.repeat(np.array(values)[:, None], PROBLEMS, axis=1)


def test_curves_cross_where_their_lines_do() -> None:
    # Of 1, 10, 100 FLOPs: 0.1, 0.3, 0.5; from 10 on, of 10 FLOPs a sample: 0.2, 0.6. They meet half way.
    small = series("s", 1.0, [1, 10, 100], flat([0.1, 0.3, 0.5]))
    large = series("l", 10.0, [1, 10], flat([0.2, 0.6]))
    found = crossing(small, large, evidence(small, large), "wu2024")
    assert found is not None
    assert found.outcome == CROSSES
    assert found.flops.value == pytest.approx(10 * 10**0.5)
    assert (found.flops.low, found.flops.high) == pytest.approx((found.flops.value,) * 2)
    assert (found.small_samples, found.large_samples) == pytest.approx((10 * 10**0.5, 10**0.5))
    assert found.shares == {CROSSES: 1.0, LARGER: 0.0, SMALLER: 0.0, LEVEL: 0.0}


@pytest.mark.parametrize(
    ("large", "outcome"),
    [
        ([0.4, 0.6], LARGER),
        ([0.2, 0.4], SMALLER),
        ([0.3, 0.6], LARGER),
        # Level all the way, and level in the end: the larger never gets ahead.
        ([0.3, 0.5], LEVEL),
        ([0.2, 0.5], LEVEL),
    ],
    ids=str,
)
def test_curves_that_do_not_cross_have_no_place(large: list[float], outcome: str) -> None:
    small = series("s", 1.0, [1, 10, 100], flat([0.1, 0.3, 0.5]))
    other = series("l", 10.0, [1, 10], flat(large))
    here = evidence(small, other)
    found = crossing(small, other, here, "wu2024")
    assert found is not None
    assert found.outcome == outcome
    assert np.isnan(found.flops.value)
    assert found.shares[outcome] == 1.0
    [row] = crossing_rows([("all", "wu2024", found)], "e", "d", "counted").to_dict("records")
    assert [row[name] for name in ("flops", "flops_low", "flops_high", "small_samples")] == [""] * 4


def test_the_last_crossing_counts() -> None:
    small = series("s", 1.0, [1, 10, 100, 1000], flat([0.1, 0.2, 0.5, 0.6]))
    large = series("l", 10.0, [1, 10, 100], flat([0.3, 0.4, 0.7]))
    found = crossing(small, large, evidence(small, large), "wu2024")
    assert found is not None
    assert 100 < found.flops.value < 1000


def test_sizes_without_compute_in_common_are_no_pair() -> None:
    small = series("s", 1.0, [1, 10], flat([0.1, 0.2]))
    large = series("l", 100.0, [1, 10], flat([0.3, 0.4]))
    assert crossing(small, large, evidence(small, large), "wu2024") is None


def test_an_interval_is_open_where_many_replicates_do_not_cross() -> None:
    """On a tenth of the problems the larger is far ahead from its first sample, on the others it crosses."""
    some = np.arange(PROBLEMS) < 4
    small = series("s", 1.0, [1, 10, 100], flat([0.1, 0.3, 0.5]))
    start = np.where(some, 1.0, 0.2)
    large = series("l", 10.0, [1, 10], np.vstack([start, np.full(PROBLEMS, 0.6)]))
    found = crossing(small, large, evidence(small, large), "wu2024")
    assert found is not None
    assert found.shares[LARGER] > 0.025
    assert found.flops.low == 0.0
    assert np.isfinite(found.flops.high)
    [row] = crossing_rows([("all", "wu2024", found)], "e", "d", "counted").to_dict("records")
    assert row["flops_low"] == ""
    assert float(row["flops_high"]) > 0


def test_pairs_are_of_one_family_and_of_two_sizes() -> None:
    lines = [series(name, 1.0, [1, 10], flat([0.1, 0.3])) for name in ("a", "b", "c", "d")]
    sizes = {"a": 1, "b": 1, "c": 2, "d": 4}
    pairs = [
        (family, cost, one.small, one.large)
        for family, cost, one in crossings(
            evidence(*lines), "counted", sizes, {"d": "other"}, ["wu2024", "total"]
        )
    ]
    assert pairs == [("all", cost, one, "c") for cost in ("wu2024", "total") for one in ("a", "b")]


def counted(rates: Floats, samples: int, seed: int) -> tuple[Ints, Ints]:
    rng = np.random.default_rng(seed)
    return np.full(rates.size, samples), rng.binomial(samples, rates)


def covered(counts: tuple[Ints, Ints], budgets: Sequence[int], policy: str = "p") -> Series:
    return series(policy, 1.0, budgets, coverage_of_counts(*counts, budgets))


BUDGETS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000]


def test_a_power_law_is_extrapolated_exactly() -> None:
    x, ahead = np.array([1, 2, 4, 8]), np.array([64, 1024])
    rows = np.array([np.exp(-a * x**-0.3) for a in (3.0, 2.5, 3.5, 3.2)])
    expected = np.array([np.exp(-a * ahead**-0.3) for a in (3.0, 2.5, 3.5, 3.2)])
    assert extrapolate_coverage(x, rows, ahead) == pytest.approx(expected, abs=1e-5)


def test_a_row_without_coverage_has_no_law() -> None:
    x = np.array([1, 2, 4])
    rows = np.array([np.exp(-3.0 * x**-0.3), [0.0, 0.1, 0.2], np.exp(-2.0 * x**-0.3), np.exp(-2.5 * x**-0.3)])
    found = extrapolate_coverage(x, rows, np.array([16]))
    assert np.isnan(found[:, 0]).tolist() == [False, True, False, False]


def test_what_follows_a_power_law_is_predicted() -> None:
    """Chances whose density near 0 is a power give coverage that nearly follows one (Schaeffer et al.)."""
    rng = np.random.default_rng(3)
    counts = counted(rng.beta(0.35, 3.0, size=2000), 2000, 4)
    line = covered(counts, BUDGETS)
    found = forecasts(line, counts, evidence(line), 100, 5)
    assert [one.budget for one in found] == [200, 500, 1000, 2000]
    last = found[-1]
    assert last.status == OK
    assert last.measured.value == pytest.approx(line.accuracy[-1])
    assert abs(last.missed.value) < 0.03
    assert last.missed.value == pytest.approx(last.predicted.value - last.measured.value)


def test_what_does_not_is_missed_and_the_interval_says_so() -> None:
    """All problems alike: coverage is 1 - (1 - p)^k, which a power law of the first ones does not foresee."""
    counts = counted(np.full(400, 0.002), 2000, 6)
    line = covered(counts, BUDGETS)
    last = forecasts(line, counts, evidence(line), 100, 7)[-1]
    assert last.measured.value > 0.95
    assert last.missed.high < -0.1


def test_replicates_know_no_more_than_the_first_samples() -> None:
    """The spread of what 20 samples predict is that of studies of 20 samples, not of 2,000."""
    rng = np.random.default_rng(8)
    rates = rng.beta(0.35, 3.0, size=200)
    counts = counted(rates, 2000, 9)
    line = covered(counts, BUDGETS)
    told = forecasts(line, counts, evidence(line), 20, 10)[-1]
    anew = []
    budgets = [1, 2, 5, 10, 20]
    for seed in range(200):
        fresh = rng.integers(0, rates.size, rates.size)
        rows = coverage_of_counts(*counted(rates[fresh], 20, 100 + seed), budgets).mean(axis=1)
        anew.append(rows)
    predicted = extrapolate_coverage(np.array(budgets), np.vstack([anew[:1], anew]), np.array([2000]))[1:, 0]
    spread = np.quantile(predicted, [0.025, 0.975])
    assert told.predicted.high - told.predicted.low == pytest.approx(spread[1] - spread[0], rel=0.35)


def test_first_samples_without_a_right_one_predict_nothing() -> None:
    counts = counted(np.full(20, 0.002), 2000, 11)
    line = covered(counts, BUDGETS)
    told = forecasts(line, counts, evidence(line), 20, 12)
    assert {one.status for one in told} == {UNDETERMINED}
    assert mean_forecasts([told, told], 0.95) == []
    rows = forecast_rows(told, "e", "d", "counted")
    assert set(rows["status"]) == {UNDETERMINED}
    assert float(rows["without_fit"].iloc[0]) > 0.1


@pytest.mark.parametrize(
    ("fitted_to", "budgets"), [(100, [1, 10, 100, 200]), (4, [2, 4, 2000]), (2000, BUDGETS)]
)
def test_too_little_to_fit_or_to_predict_is_left_out(fitted_to: int, budgets: list[int]) -> None:
    counts = counted(np.full(20, 0.1), 2000, 13)
    line = covered(counts, budgets)
    assert forecasts(line, counts, evidence(line), fitted_to, 14) == []


def test_the_mean_of_policies_is_paired_over_problems() -> None:
    rng = np.random.default_rng(15)
    both = [counted(rng.beta(0.35, 3.0, size=100), 2000, seed) for seed in (16, 17)]
    lines = [
        covered(counts, budgets, name)
        for counts, budgets, name in zip(both, (BUDGETS, BUDGETS[:-1]), ("p", "q"), strict=True)
    ]
    here = evidence(*lines)
    told = [forecasts(line, counts, here, 20, 18) for line, counts in zip(lines, both, strict=True)]
    mean = mean_forecasts(told, here.level)
    assert {one.policy for one in mean} == {ALL}
    assert [one.budget for one in mean] == [50, 100, 200, 500, 1000]
    assert mean[-1].missed.value == pytest.approx(
        np.mean([one.missed.value for policy in told for one in policy if one.budget == 1000])
    )
    assert mean_forecasts(told[:1], here.level) == []


@pytest.mark.parametrize(
    ("budgets", "most", "known"),
    [
        ([1, 2, 4, 8, 16, 32, 64], 100, 16),
        ([1, 2, 4, 8, 16, 32, 64], 8, 8),
        ([1, 2, 4, 8, 16], 100, 4),
        ([1, 2, 4, 8], 100, None),  # two budgets, one and two samples, are fewer than a law has parameters
        ([1, 4, 16, 64, 256], 100, 64),
        ([64], 100, None),
    ],
)
def test_a_backtest_knows_at_most_a_quarter_of_the_samples(
    budgets: list[int], most: int, known: int | None
) -> None:
    assert known_samples(budgets, most) == known
